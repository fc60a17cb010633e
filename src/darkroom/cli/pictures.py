"""Pictures on their way into a folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from darkroom.client import Picture


def save_pictures(pictures: Iterable[Picture], folder: Path) -> list[Path]:
    """Write each picture under its own name and return the paths. The folder is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for picture in pictures:
        # The name comes from a server: it must not lead out of the folder.
        path = folder / Path(picture.name.replace("\\", "/")).name
        path.write_bytes(picture.data)
        paths.append(path)
    return paths
