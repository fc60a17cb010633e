"""The guide's sample requests, word for word, and a picture to send with them: what `verify` sends and docs show.

`v1alpha2-pipeline.json` is the exception: the guide leaves its content out, so it holds a plain text-to-image workflow
of ours.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import msgspec

SAMPLES = (
    "v1alpha2-text-to-image",
    "v1alpha2-image-to-image",
    "v1alpha2-extra-single-image",
    "v1alpha2-pipeline",
    "v1alpha1-text-to-image",
    "v1alpha1-image-to-image",
)


def read_sample(name: str) -> dict[str, Any]:
    """The request body of this name, which is one of `SAMPLES`."""
    return msgspec.json.decode((files(__name__) / f"{name}.json").read_bytes(), type=dict[str, Any])


def read_picture() -> bytes:
    """A PNG of a cat, 512 by 512 pixels."""
    return (files(__name__) / "cat.png").read_bytes()
