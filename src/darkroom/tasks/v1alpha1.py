"""The request of the guide's v1alpha1 API: an SD Web UI body whose `alwayson_scripts` also say what to do with it.

The guide's own API translates it into the same message as v1alpha2. So does `decode_request`:

| in `alwayson_scripts`  | becomes |
| ---------------------- | ------- |
| `task`                 | the task's kind |
| `id_task`              | the task's id |
| `save_dir`             | the prefix of the objects; `outputs` where it is missing, as in the guide's image-to-image |
| `sd_model_checkpoint`  | where the task is routed; kept in the content, where a dynamic runtime reads it |
| `image_link`           | `init_images` of the content |
| `override_settings`    | merged into the content's own `override_settings` |
| `uid`                  | nothing: the guide's API dropped it too |
"""

from __future__ import annotations

import msgspec

from darkroom.errors import Fault
from darkroom.tasks.draft import Draft, FieldReader
from darkroom.tasks.task import JsonObject, TaskKind

DEFAULT_PREFIX = "outputs"
_PATHS = {
    "id": "alwayson_scripts.id_task",
    "kind": "alwayson_scripts.task",
    "prefix": "alwayson_scripts.save_dir",
    "checkpoint": "alwayson_scripts.sd_model_checkpoint",
    "content": "",
}
_ROUTING_KEYS = ("task", "id_task", "uid", "save_dir", "image_link", "override_settings")


class AcceptedReply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the caller is told at once; `warnings` are as in v1alpha2."""

    id_task: str
    sd_model_checkpoint: str
    output_location: str
    warnings: tuple[Fault, ...] = ()


def decode_request(body: bytes | str) -> Draft:
    """Read a request body; what is wrong with it stands in the draft's `faults`."""
    reader = FieldReader()
    document = reader.document(body, "the request body")
    scripts = reader.required(document, "alwayson_scripts", "alwayson_scripts", dict)
    if scripts is None:
        return Draft(paths=_PATHS, faults=tuple(reader.faults))
    reader.optional(scripts, "image_link", "alwayson_scripts.image_link", str)
    reader.optional(scripts, "override_settings", "alwayson_scripts.override_settings", dict)
    prefix = reader.optional(scripts, "save_dir", _PATHS["prefix"], str)
    # The guide's own place for the picture of image-to-image.
    picture = {} if "init_images" in document else {"content.init_images": "alwayson_scripts.image_link"}
    return Draft(
        paths={**_PATHS, **picture},
        id=reader.required(scripts, "id_task", _PATHS["id"], str),
        kind=reader.required(scripts, "task", _PATHS["kind"], TaskKind),
        checkpoint=reader.required(scripts, "sd_model_checkpoint", _PATHS["checkpoint"], str),
        prefix=prefix if "save_dir" in scripts else DEFAULT_PREFIX,
        content=translate_content(document) if not reader.faults else {},
        faults=tuple(reader.faults),
    )


def translate_content(content: JsonObject) -> JsonObject:
    """The content in v1alpha2's form; one that is already in that form is returned as it is.

    Messages that the guide's own v1alpha1 API published still carry the routing keys, so the agent calls this too.
    """
    scripts = content.get("alwayson_scripts")
    if not isinstance(scripts, dict) or not any(key in scripts for key in _ROUTING_KEYS):
        return content
    translated = {key: value for key, value in content.items() if key != "s3_output_path"}
    translated["alwayson_scripts"] = {key: value for key, value in scripts.items() if key not in _ROUTING_KEYS}
    if isinstance(scripts.get("image_link"), str):
        translated["init_images"] = [scripts["image_link"]]
    if isinstance(scripts.get("override_settings"), dict):
        translated["override_settings"] = {**(content.get("override_settings") or {}), **scripts["override_settings"]}
    return translated
