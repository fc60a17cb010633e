"""From a task's content to the request body that SD Web UI takes."""

from __future__ import annotations

from dataclasses import dataclass

from darkroom.errors import GenerationRefused
from darkroom.runtimes.body import FilledBody, encode_filled
from darkroom.runtimes.protocol import GenerationRequest
from darkroom.tasks.hints import quoted
from darkroom.tasks.message import CHECKPOINT_ATTRIBUTE
from darkroom.tasks.task import JsonObject, TaskKind
from darkroom.tasks.v1alpha1 import translate_content

PATHS = {
    TaskKind.TEXT_TO_IMAGE: "sdapi/v1/txt2img",
    TaskKind.IMAGE_TO_IMAGE: "sdapi/v1/img2img",
    TaskKind.EXTRA_SINGLE_IMAGE: "sdapi/v1/extra-single-image",
    TaskKind.EXTRA_BATCH_IMAGES: "sdapi/v1/extra-batch-images",
}
_GENERATING = (TaskKind.TEXT_TO_IMAGE, TaskKind.IMAGE_TO_IMAGE)


@dataclass(frozen=True)
class AskedModel:
    """The checkpoint that a request names. `through_override` says that it stands in `override_settings`."""

    name: str
    through_override: bool


def asked_model(request: GenerationRequest) -> AskedModel | None:
    """The checkpoint that the request names, if any. Raises `GenerationRefused` when it names two."""
    if request.kind not in _GENERATING:
        return None
    scripts = _object(request.content, "alwayson_scripts")
    overrides = _object(request.content, "override_settings")
    routed, overriding = scripts.get(CHECKPOINT_ATTRIBUTE), overrides.get(CHECKPOINT_ATTRIBUTE)
    if routed and overriding and routed != overriding:
        raise GenerationRefused(
            f"the request names two models: {quoted(routed)} in alwayson_scripts and {quoted(overriding)} in "
            "override_settings; name one"
        )
    for name, through_override in ((overriding, True), (routed, False)):
        if name:
            if not isinstance(name, str):
                raise GenerationRefused(f"the model's name must be a string, not {quoted(name)}")
            return AskedModel(name, through_override)
    return None


def encode_body(request: GenerationRequest, *, drop_override: bool) -> FilledBody:
    """The body to post: routing keys taken out, links replaced by base64.

    `drop_override` takes the checkpoint out of `override_settings`, for a runtime whose model is switched beforehand.
    """
    content = dict(translate_content(request.content))
    if request.kind in _GENERATING:
        scripts = _object(content, "alwayson_scripts")
        content["alwayson_scripts"] = {key: value for key, value in scripts.items() if key != CHECKPOINT_ATTRIBUTE}
        overrides = _object(content, "override_settings")
        if drop_override and CHECKPOINT_ATTRIBUTE in overrides:
            content["override_settings"] = {k: value for k, value in overrides.items() if k != CHECKPOINT_ATTRIBUTE}
        # Without its pictures an answer is of no use to anybody here.
        content["send_images"] = True
    return encode_filled(content, {url: file.data for url, file in request.files.items()})


def _object(content: JsonObject, key: str) -> JsonObject:
    value = content.get(key)
    return value if isinstance(value, dict) else {}
