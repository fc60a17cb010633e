"""The Lambda function's code: complete, for the right platform, and nothing that it does not need."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import boto3
import pytest

from darkroom.errors import StackFailure
from darkroom.infra.template.assembly import Assembly, FileAsset, publish
from darkroom.infra.template.bundle import FRONT_DOOR, SENDER, Bundled, build_bundle_for_here, build_bundle_for_lambda
from darkroom.settings import AwsSettings


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


def test_the_sender_of_webhooks_can_be_loaded_from_its_bundle_alone(tmp_path: Path) -> None:
    bundle = build_bundle_for_here(tmp_path / "bundle", SENDER)
    names = [name.partition("-")[0] for name in SENDER.dependencies]
    code = (
        f"import sys; sys.path.insert(0, {str(bundle)!r}); import darkroom.webhooks.lambda_handler\n"
        f"own = ('darkroom', *{names!r})\n"
        "names = [name for name in sys.modules if name.startswith(own) and sys.modules[name].__file__]\n"
        f"assert all(sys.modules[name].__file__.startswith({str(bundle)!r}) for name in names), names\n"
        "assert 'aiohttp' in names and 'boto3' in sys.modules\n"
        "assert not {'aiobotocore', 'pydantic', 'darkroom.agent', 'darkroom.api'} & set(sys.modules)"
    )
    outcome = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr


@pytest.mark.parametrize("name", SENDER.dependencies)
def test_what_the_senders_dependencies_need_is_there_too(name: str) -> None:
    for requirement in importlib.metadata.requires(name) or []:
        if ";" not in requirement:
            needed = re.split(r"[^A-Za-z0-9_.-]", requirement)[0].replace("-", "_")
            assert needed in SENDER.dependencies


@pytest.mark.parametrize("bundled", [FRONT_DOOR, SENDER])
def test_pip_takes_the_wheels_of_the_functions_own_platform(tmp_path: Path, bundled: Bundled) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for name in bundled.dependencies:
        make_wheel(wheels, name, "manylinux2014_x86_64")
        make_wheel(wheels, name, "manylinux2014_aarch64")
    bundle = build_bundle_for_lambda(tmp_path / "bundle", bundled, wheels=wheels)
    for name in bundled.dependencies:
        assert (bundle / name / "_core.so").read_bytes() == b"manylinux2014_aarch64"
    assert (bundle / "darkroom" / bundled.rooms[-1] / "lambda_entry.py").is_file()


def test_a_missing_wheel_is_said(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    make_wheel(wheels, FRONT_DOOR.dependencies[0], "manylinux2014_x86_64")
    with pytest.raises(StackFailure, match=r"the Lambda function.s code cannot be put together: .*msgspec"):
        build_bundle_for_lambda(tmp_path / "bundle", wheels=wheels)


def test_a_folder_that_was_zipped_once_is_not_zipped_again(tmp_path: Path, aws_settings: AwsSettings) -> None:
    """Whoever deploys one assembly to two accounts, or again after Ctrl-C, does not wait for it twice."""
    folder = tmp_path / "asset.0123abcd"
    folder.mkdir()
    (folder / "code.py").write_text("pass\n")
    s3 = boto3.client("s3", endpoint_url=aws_settings.endpoint_url, region_name=aws_settings.region)
    made = set()
    for bucket in ("zipped-once-a", "zipped-once-b"):
        s3.create_bucket(Bucket=bucket)
        file = FileAsset("code", folder, True, bucket, "asset.zip")
        publish(Assembly("stack", file, (file,)), s3, lambda line: None)
        made.add((tmp_path / "asset.0123abcd.zip").stat().st_ino)
        s3.download_file(bucket, "asset.zip", str(tmp_path / "fetched.zip"))
        with zipfile.ZipFile(tmp_path / "fetched.zip") as fetched:
            assert fetched.namelist() == ["code.py"]
    assert len(made) == 1
