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
| `sd_vae`               | `sd_vae` of the content's `override_settings`, unless it is there already |
| `uid`                  | nothing: the guide's API dropped it too |

And in a unit of ControlNet's script, `image_link` becomes `image`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from darkroom.errors import Fault
from darkroom.tasks.draft import Draft, FieldReader
from darkroom.tasks.task import JsonObject, TaskKind, object_or_empty

DEFAULT_PREFIX = "outputs"
_PATHS = {
    "id": "alwayson_scripts.id_task",
    "kind": "alwayson_scripts.task",
    "prefix": "alwayson_scripts.save_dir",
    "checkpoint": "alwayson_scripts.sd_model_checkpoint",
    "content": "",
}
_ROUTING_KEYS = ("task", "id_task", "uid", "save_dir", "image_link", "override_settings", "sd_vae")
_CONTROLNET = "controlnet"  # in whatever case: the extension compares it so
_UNIT_PICTURES = ("image", "input_image")  # ControlNet's own names for it, the newer and the older


class AcceptedReply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the caller is told at once; the URLs and `warnings` are as in v1alpha2."""

    id_task: str
    sd_model_checkpoint: str
    output_location: str
    status_url: str | None = None
    cancel_url: str | None = None
    warnings: tuple[Fault, ...] = ()


def decode_request(body: bytes | str) -> Draft:
    """Read a request body; what is wrong with it stands in the draft's `faults`."""
    reader = FieldReader()
    document = reader.document(body, "the request body")
    scripts = reader.required(document, "alwayson_scripts", "alwayson_scripts", dict)
    if scripts is None:
        return Draft(paths=_PATHS, faults=tuple(reader.faults))
    check_content(reader, document, "")
    prefix = reader.optional(scripts, "save_dir", _PATHS["prefix"], str)
    # The guide's own place for the picture of image-to-image.
    picture = {} if "init_images" in document else {"content.init_images": "alwayson_scripts.image_link"}
    return Draft(
        paths={**_PATHS, **picture},
        id=reader.required(scripts, "id_task", _PATHS["id"], str),
        kind=reader.required(scripts, "task", _PATHS["kind"], TaskKind),
        checkpoint=reader.required(scripts, "sd_model_checkpoint", _PATHS["checkpoint"], str),
        prefix=prefix if "save_dir" in scripts else DEFAULT_PREFIX,
        content=translate_content(document),
        faults=tuple(reader.faults),
    )


def check_content(reader: FieldReader, content: JsonObject, at: str) -> None:
    """Find what `translate_content` cannot translate; `at` is the path at which the content stands."""
    scripts = content.get("alwayson_scripts")
    if not isinstance(scripts, dict):
        return
    path = f"{at}alwayson_scripts."
    reader.optional(scripts, "image_link", f"{path}image_link", str)
    reader.optional(scripts, "sd_vae", f"{path}sd_vae", str)
    reader.optional(scripts, "override_settings", f"{path}override_settings", dict)
    if ("override_settings" in scripts or "sd_vae" in scripts) and content.get("override_settings") is not None:
        reader.optional(content, "override_settings", f"{at}override_settings", dict)
    for name, number, unit in _linked_units(scripts):
        where = f"{path}{name}.args.{number}"
        reader.optional(unit, "image_link", f"{where}.image_link", str)
        for other in _UNIT_PICTURES:
            if unit.get(other):
                reader.faults.append(Fault(where, f"holds both image_link and {other}: leave out one of them"))


def translate_content(content: JsonObject) -> JsonObject:
    """The content in v1alpha2's form; one that is already in that form is returned as it is.

    Messages that the guide's own v1alpha1 API published still carry the routing keys, so the agent calls this too.
    What `check_content` finds fault with is left out.
    """
    scripts = content.get("alwayson_scripts")
    if not isinstance(scripts, dict):
        return content
    linked = list(_linked_units(scripts))
    if not linked and not any(key in scripts for key in _ROUTING_KEYS):
        return content
    translated = {key: value for key, value in content.items() if key != "s3_output_path"}
    translated["alwayson_scripts"] = {key: value for key, value in scripts.items() if key not in _ROUTING_KEYS}
    if isinstance(scripts.get("image_link"), str):
        translated["init_images"] = [scripts["image_link"]]
    overrides = {
        **({"sd_vae": scripts["sd_vae"]} if scripts.get("sd_vae") and isinstance(scripts["sd_vae"], str) else {}),
        **object_or_empty(content.get("override_settings")),
        **object_or_empty(scripts.get("override_settings")),
    }
    if overrides or isinstance(scripts.get("override_settings"), dict):
        translated["override_settings"] = overrides
    for name in {name for name, _, _ in linked}:
        script = scripts[name]
        translated["alwayson_scripts"][name] = {**script, "args": [_without_link(unit) for unit in script["args"]]}
    return translated


def _linked_units(scripts: JsonObject) -> Iterator[tuple[str, int, JsonObject]]:
    """ControlNet's units that have a link beside their fields: the script's name, the unit's number, the unit."""
    for name, script in scripts.items():
        if name.lower() == _CONTROLNET and isinstance(script, dict) and isinstance(script.get("args"), list):
            for number, unit in enumerate(script["args"]):
                if isinstance(unit, dict) and "image_link" in unit:
                    yield name, number, unit


def _without_link(unit: Any) -> Any:
    if not isinstance(unit, dict) or "image_link" not in unit:
        return unit
    others = {key: value for key, value in unit.items() if key != "image_link"}
    link = unit["image_link"]
    return {**others, "image": link} if isinstance(link, str) and not others.get("image") else others
