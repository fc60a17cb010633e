"""The lock files pin what we depend on, and nothing that only looks like us."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REQUIREMENTS = Path(__file__).parents[2] / "requirements"


@pytest.mark.parametrize("path", sorted(REQUIREMENTS.glob("*.txt")), ids=lambda path: path.name)
def test_no_lock_file_names_the_package_of_somebody_else_that_has_our_name(path: Path) -> None:
    names = re.findall(r"^([A-Za-z0-9._-]+)==", path.read_text(), re.MULTILINE)
    assert names
    assert {name for name in names if name.startswith("darkroom")} == set()
