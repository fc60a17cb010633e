"""What the C2PA library itself reads of a picture, for tests that do not believe our own words."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

from c2pa import Context, Reader

_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_KINDS = {"image/apng": "image/png"}


@dataclass(frozen=True)
class Credentials:
    """The verdict, the active manifest, and the codes of what was found wrong."""

    state: str
    manifest: dict[str, Any]
    faults: set[str]

    @property
    def actions(self) -> list[tuple[str, str | None]]:
        """Each action with its source type's name."""
        return [
            (action["action"], (action.get("digitalSourceType") or "").removeprefix(_SOURCE_TYPE) or None)
            for action in self._actions
        ]

    @property
    def deed(self) -> dict[str, Any]:
        """The last action: what the runtime did."""
        return self._actions[-1]

    @property
    def ingredients(self) -> list[tuple[str, bool]]:
        """The relationship of each ingredient, and whether it has credentials of its own."""
        return [
            (ingredient["relationship"], "active_manifest" in ingredient)
            for ingredient in self.manifest.get("ingredients", [])
        ]

    @property
    def generator(self) -> dict[str, Any]:
        """Who made the claim."""
        (generator,) = self.manifest["claim_generator_info"]
        return dict(generator)

    @property
    def _actions(self) -> list[dict[str, Any]]:
        assertions = {entry["label"]: entry["data"] for entry in self.manifest["assertions"]}
        return list(assertions["c2pa.actions.v2"]["actions"])


def read(data: bytes, content_type: str, anchors: bytes, sidecar: bytes | None = None) -> Credentials:
    """What stands in a file, or beside it, in the eyes of somebody who trusts `anchors`. Raises where there is none."""
    kind = _KINDS.get(content_type, content_type)
    with (
        Context.from_dict({"trust": {"user_anchors": anchors.decode()}}) as context,
        Reader(kind, io.BytesIO(data), sidecar, context=context) as reader,
    ):
        document = json.loads(reader.json())
        faults = {entry["code"] for entry in document.get("validation_status", [])}
        manifest = document["manifests"][document["active_manifest"]]
        return Credentials(str(reader.get_validation_state()), manifest, faults)
