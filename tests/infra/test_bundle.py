"""The Lambda function's code: complete, for the right platform, and nothing that it does not need."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from darkroom.errors import StackFailure
from darkroom.infra.template.bundle import DEPENDENCIES, build_bundle_for_here, build_bundle_for_lambda


def make_wheel(folder: Path, name: str, platform: str) -> None:
    """A wheel with a binary of that platform's tag, so that pip has to choose."""
    version = importlib.metadata.version(name)
    info = f"{name}-{version}.dist-info"
    tag = f"cp314-cp314-{platform}"
    files = {
        f"{name}/__init__.py": b"",
        f"{name}/_core.so": platform.encode(),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: false\nTag: {tag}\n".encode(),
    }
    with zipfile.ZipFile(folder / f"{name}-{version}-{tag}.whl", "w") as wheel:
        record = ""
        for path, data in files.items():
            wheel.writestr(path, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record += f"{path},sha256={digest},{len(data)}\n"
        wheel.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")


def test_the_handler_can_be_loaded_from_the_bundle_alone(tmp_path: Path) -> None:
    bundle = build_bundle_for_here(tmp_path / "bundle")
    code = (
        f"import sys; sys.path.insert(0, {str(bundle)!r}); import darkroom.api.lambda_handler, msgspec\n"
        "names = [name for name in sys.modules if name.startswith(('darkroom', 'msgspec'))]\n"
        f"assert all(sys.modules[name].__file__.startswith({str(bundle)!r}) for name in names), names\n"
        "assert not {'aiobotocore', 'aiohttp', 'pydantic', 'darkroom.agent', 'darkroom.runtimes'} & set(sys.modules)"
    )
    outcome = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr


def test_the_bundle_is_small_and_comes_out_the_same(tmp_path: Path) -> None:
    first, second = (build_bundle_for_here(tmp_path / name) for name in ("one", "two"))
    names = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert sum((first / name).stat().st_size for name in names) < 2_000_000
    assert not [name for name in names if "__pycache__" in name.parts]
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in names)


def test_pip_takes_the_wheels_of_the_functions_own_platform(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for name in DEPENDENCIES:
        make_wheel(wheels, name, "manylinux2014_x86_64")
        make_wheel(wheels, name, "manylinux2014_aarch64")
    bundle = build_bundle_for_lambda(tmp_path / "bundle", wheels=wheels)
    for name in DEPENDENCIES:
        assert (bundle / name / "_core.so").read_bytes() == b"manylinux2014_aarch64"
    assert (bundle / "darkroom" / "api" / "lambda_entry.py").is_file()


def test_a_missing_wheel_is_said(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    make_wheel(wheels, DEPENDENCIES[0], "manylinux2014_x86_64")
    with pytest.raises(StackFailure, match=r"the Lambda function.s code cannot be put together: .*msgspec"):
        build_bundle_for_lambda(tmp_path / "bundle", wheels=wheels)
