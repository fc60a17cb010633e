"""The cloud assembly that synthesis wrote: what its files are, and bringing them into the asset bucket."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darkroom.errors import StackFailure

# Zip files begin in 1980; a fixed time makes the same folder the same bytes.
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)

Told = Callable[[str], None]


@dataclass(frozen=True)
class FileAsset:
    """One file or folder of the assembly, and the object that it becomes. Its key names its content."""

    name: str
    path: Path
    is_folder: bool
    bucket: str
    key: str


@dataclass(frozen=True)
class Assembly:
    """A stack as it was synthesised."""

    stack_name: str
    template: FileAsset
    files: tuple[FileAsset, ...]


def read_assembly(folder: Path, stack_name: str) -> Assembly:
    """Read what is in `folder`. Raises `StackFailure` when it holds no such stack."""
    try:
        manifest = json.loads((folder / f"{stack_name}.assets.json").read_text())
    except (OSError, ValueError) as error:
        raise StackFailure(f"{folder} holds no stack {stack_name}: {error}; write it with: darkroom synth") from None
    files = []
    for entry in manifest["files"].values():
        (destination,) = entry["destinations"].values()
        source = entry["source"]
        path = folder / source["path"]
        is_folder = source["packaging"] == "zip" and path.is_dir()
        files.append(
            FileAsset(entry["displayName"], path, is_folder, destination["bucketName"], destination["objectKey"])
        )
    template = next(file for file in files if file.path.name == f"{stack_name}.template.json")
    return Assembly(stack_name, template, tuple(files))


def publish(assembly: Assembly, s3: Any, told: Told) -> None:
    """Upload every file that the asset bucket does not have yet; one that was interrupted is simply sent again."""
    for file in assembly.files:
        if _exists(s3, file):
            told(f"{file.name}: already there")
            continue
        path = _zipped(file.path) if file.is_folder else file.path
        s3.upload_file(str(path), file.bucket, file.key)
        told(f"{file.name}: uploaded, {path.stat().st_size:,} bytes")


def _exists(s3: Any, file: FileAsset) -> bool:
    found = s3.list_objects_v2(Bucket=file.bucket, Prefix=file.key, MaxKeys=1)
    return any(entry["Key"] == file.key for entry in found.get("Contents", []))


def _zipped(folder: Path) -> Path:
    """The folder as an archive beside it, the same bytes whoever makes it, and whole as soon as it is there.

    The CDK names the folder by its content, so an archive that is there already is of the same files.
    """
    archive = folder.with_name(f"{folder.name}.zip")
    if archive.exists():
        return archive
    part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as target:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                entry = zipfile.ZipInfo(str(path.relative_to(folder)), _ZIP_TIME)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = (0o755 if path.stat().st_mode & 0o100 else 0o644) << 16
                target.writestr(entry, path.read_bytes())
    part.replace(archive)
    return archive
