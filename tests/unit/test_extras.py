"""The extras go together: the lock has one set of versions in which every requirement of every extra is met."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
# Its own lock is requirements/inference.txt, for torch is in no environment of `make`.
INSTALLED = sorted(set(EXTRAS) - {"diffusers"})


def unmet(requirements: list[str]) -> list[str]:
    """What of these requirements, and of all that they bring, the versions that are installed here do not meet."""
    found, seen, waiting = [], set(), [("Darkroom", Requirement(text)) for text in requirements]
    while waiting:
        whose, requirement = waiting.pop()
        if (key := str(requirement)) in seen:
            continue
        seen.add(key)
        if canonicalize_name(requirement.name) == PROJECT["name"]:
            waiting += [(whose, Requirement(text)) for extra in requirement.extras for text in EXTRAS[extra]]
            continue
        try:
            distribution = importlib.metadata.distribution(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{whose} needs {requirement}, which is not installed")
            continue
        if not requirement.specifier.contains(distribution.version, prereleases=True):
            found.append(f"{whose} needs {requirement}, and {distribution.version} is installed")
        for text in distribution.requires or ():
            brought = Requirement(text)
            if brought.marker is None or any(
                brought.marker.evaluate({"extra": extra}) for extra in {"", *requirement.extras}
            ):
                waiting.append((requirement.name, brought))
    return found


@pytest.mark.parametrize("extra", INSTALLED)
def test_the_locked_versions_meet_what_an_extra_needs(extra: str) -> None:
    """They are one set, and each extra fits it: so every combination of them does."""
    assert unmet([*PROJECT["dependencies"], *EXTRAS[extra]]) == []


def test_what_is_not_met_is_found() -> None:
    assert unmet(["botocore<1", "no-such-thing"]) == [
        "Darkroom needs no-such-thing, which is not installed",
        f"Darkroom needs botocore<1, and {importlib.metadata.version('botocore')} is installed",
    ]


def test_deploy_names_what_its_boto3_must_fit() -> None:
    """pip looks at what it is asked for, not at what is there: it would take a botocore too new for `agent`'s."""
    names = {Requirement(text).name for text in EXTRAS["deploy"]}
    assert names >= {"aiobotocore", "boto3"}


def test_every_extra_is_documented() -> None:
    table = (ROOT / "README.md").read_text().partition("| extra | for |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `([a-z]+)` \|", table, re.MULTILINE)) == set(EXTRAS)


def test_the_lock_with_torch_goes_together_with_the_others() -> None:
    """`diffusers` beside any other extra: what both locks pin, they pin alike, on the Python of the images."""
    images, tests = _pinned("inference.txt"), _pinned("test.txt")
    assert {"torch", "diffusers"} <= set(images)
    shared = set(images) & set(tests)
    assert len(shared) > 20
    assert {name: images[name] for name in shared} == {name: tests[name] for name in shared}


def _pinned(lock: str) -> dict[str, str]:
    environment = {"python_version": "3.13", "python_full_version": "3.13.0"}
    lines = re.findall(r"^([A-Za-z0-9._-]+==[^\\\n]+)", (ROOT / "requirements" / lock).read_text(), re.MULTILINE)
    found = [Requirement(line.strip()) for line in lines]
    return {
        canonicalize_name(one.name): str(one.specifier)
        for one in found
        if one.marker is None or one.marker.evaluate(environment)
    }
