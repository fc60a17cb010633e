"""How `darkroom` is called here, so that what is printed can be typed as printed."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path


def how_called(program: str = sys.argv[0], python: str = sys.executable) -> str:
    """The words that call Darkroom from this folder: its name where a shell finds it, else where it lies.

    `program` is what this process was started as, and `python` what runs it.
    """
    path = Path(program)
    if path.name != "darkroom":  # python -m darkroom
        return f"{_typed(Path(python), Path(python).name)} -m darkroom"
    return _typed(path, "darkroom")


def _typed(path: Path, name: str) -> str:
    found = shutil.which(name)
    if found is not None and Path(found).absolute() == path.absolute():
        return name
    absolute = path.absolute()
    here = Path.cwd()
    return shlex.quote(os.path.relpath(absolute) if absolute.is_relative_to(here) else str(absolute))
