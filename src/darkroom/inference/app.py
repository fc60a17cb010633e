"""The routes: SD Web UI's API over a `Service`, and what Kubernetes and Prometheus ask for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.responses import JSONResponse

from darkroom.inference import problems
from darkroom.inference.answers import Answer, Written
from darkroom.inference.base64_text import encode_base64
from darkroom.inference.catalogue import router as catalogue
from darkroom.inference.extras import describe
from darkroom.inference.infotext_reading import DEFAULTS as INFOTEXT_DEFAULTS
from darkroom.inference.infotext_reading import read_infotext, with_infotext
from darkroom.inference.intake import Intake, described, parsed
from darkroom.inference.limits import MAX_BODY, MAX_HELD
from darkroom.inference.requests import (
    ExtraBatchBody,
    ExtrasBody,
    ExtraSingleBody,
    GenerationBody,
    ImageToImageBody,
    PngInfoBody,
    TextToImageBody,
)
from darkroom.inference.service import Service

#: nginx's status for a client that has left; nobody reads it but the access log.
CLIENT_LEFT = 499

router = APIRouter(prefix="/sdapi/v1")


def create_app(service: Service, *, largest_body: int = MAX_BODY, most_held: int = MAX_HELD) -> FastAPI:
    """The ASGI application. The service starts with it, and ends with it.

    `largest_body`: bytes of one request's; `most_held`: bytes of all bodies and answers that are under way.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # HTTP is up only once the model is: a client that is refused tries again, one that waits may give up.
        await service.start()
        yield
        service.close()

    app = FastAPI(title="Darkroom's built-in runtime", lifespan=lifespan)
    app.state.service = service
    app.add_middleware(Intake, largest=largest_body, most=most_held)
    problems.install(app)
    app.include_router(router)
    app.include_router(catalogue)
    app.include_router(operations)
    return app


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


@router.post("/txt2img", openapi_extra=described("txt2img", TextToImageBody))
async def text_to_image(
    request: Request, body: Annotated[TextToImageBody, Depends(parsed(TextToImageBody))]
) -> Response:
    """Make pictures from text."""
    return await _generate(request, "txt2img", body)


@router.post("/img2img", openapi_extra=described("img2img", ImageToImageBody))
async def image_to_image(
    request: Request, body: Annotated[ImageToImageBody, Depends(parsed(ImageToImageBody))]
) -> Response:
    """Make pictures from text and a picture, or redraw the masked part of one."""
    return await _generate(request, "img2img", body)


async def _generate(request: Request, kind: str, body: GenerationBody) -> Response:
    body = with_infotext(body)
    made = await _service(request).generate(kind, body, request.is_disconnected)
    if made is None:
        return Response(status_code=CLIENT_LEFT)
    request.state.hold(sum(map(len, made.images)))
    parameters = body
    if isinstance(body, ImageToImageBody) and not body.include_init_images:
        parameters = body.model_copy(update={"init_images": None, "mask": None})
    return Answer(
        {
            "images": made.images if body.send_images else [],
            "parameters": Written(parameters.model_dump_json()),
            "info": made.info,
        }
    )


@router.post("/extra-single-image", openapi_extra=described("extra-single-image", ExtraSingleBody))
async def extra_single_image(
    request: Request, body: Annotated[ExtraSingleBody, Depends(parsed(ExtraSingleBody))]
) -> Response:
    """Upscale a picture."""
    results = await _enlarge(request, "extra-single-image", body, {"image": body.image})
    if results is None:
        return Response(status_code=CLIENT_LEFT)
    return Answer({"html_info": describe(body), "image": results[0]})


@router.post("/extra-batch-images", openapi_extra=described("extra-batch-images", ExtraBatchBody))
async def extra_batch_images(
    request: Request, body: Annotated[ExtraBatchBody, Depends(parsed(ExtraBatchBody))]
) -> Response:
    """Upscale pictures."""
    texts: dict[str, str | None] = {f"imageList.{index}.data": item.data for index, item in enumerate(body.imageList)}
    results = await _enlarge(request, "extra-batch-images", body, texts)
    if results is None:
        return Response(status_code=CLIENT_LEFT)
    return Answer({"html_info": describe(body) if results else "<p></p>", "images": results})


async def _enlarge(request: Request, kind: str, body: ExtrasBody, texts: dict[str, str | None]) -> list[bytes] | None:
    results = await _service(request).enlarge(kind, body, texts, request.is_disconnected)
    request.state.hold(sum(map(len, results or ())))
    return results


@router.post("/png-info", openapi_extra=described("png-info", PngInfoBody))
async def png_info(request: Request, body: Annotated[PngInfoBody, Depends(parsed(PngInfoBody))]) -> dict[str, Any]:
    """The texts hidden in a picture, and what its infotext says."""
    text, others = await _service(request).notes(body.image)
    said = read_infotext(text)
    missing = {name: value for name, value in INFOTEXT_DEFAULTS.items() if name not in said}
    return {"info": text, "items": others, "parameters": {**said, **missing}}


@router.get("/progress")
async def progress(request: Request, skip_current_image: bool = Query(False)) -> dict[str, Any]:
    """How far the running job is; `state.job_count` is 0 when the device is idle."""
    service = _service(request)
    wanted = service.options().live_previews_enable and not skip_current_image
    preview = await service.preview() if wanted else None
    status = service.device.status
    return {
        "progress": status.progress,
        "eta_relative": status.seconds_left,
        "state": {
            "skipped": status.skipped,
            "interrupted": status.interrupted,
            "stopping_generation": False,
            "job": status.job,
            "job_count": status.rounds if status.job else 0,
            "job_timestamp": status.job_started.strftime("%Y%m%d%H%M%S") if status.job_started else "0",
            "job_no": status.round,
            "sampling_step": status.step,
            "sampling_steps": status.steps,
        },
        "current_image": b"".join(encode_base64(preview)).decode() if preview is not None else None,
        "textinfo": f"{status.waiting} waiting" if status.waiting else None,
    }


@router.post("/interrupt")
async def interrupt(request: Request) -> dict[str, Any]:
    """Stop the running job; it answers with the pictures it has."""
    _service(request).device.interrupt()
    return {}


@router.post("/skip")
async def skip(request: Request) -> None:
    """Stop the running batch; the job goes on with its next."""
    _service(request).device.skip()


@router.get("/options")
async def get_options(request: Request) -> dict[str, Any]:
    """The options as they are."""
    return _service(request).options().shown()


@router.post("/options", openapi_extra=described("options", dict[str, Any]))
async def set_options(request: Request, values: Annotated[dict[str, Any], Depends(parsed(dict[str, Any]))]) -> None:
    """Change options, the model among them. Unlike SD Web UI, a model that cannot be loaded is an error."""
    await _service(request).set_options(values)


@router.post("/refresh-checkpoints")
async def refresh_checkpoints(request: Request) -> None:
    """Look for new models."""
    await _service(request).refresh()


@router.post("/refresh-vae")
async def refresh_vae(request: Request) -> None:
    """Look for new VAEs."""
    await _service(request).refresh()


@router.post("/refresh-embeddings")
async def refresh_embeddings(request: Request) -> None:
    """Look for new textual inversions."""
    await _service(request).refresh()


@router.post("/refresh-loras")
async def refresh_loras(request: Request) -> None:
    """Look for new LoRAs."""
    await _service(request).refresh()


@router.post("/unload-checkpoint")
async def unload_checkpoint(request: Request) -> dict[str, Any]:
    """Free the device's memory; the next request loads the model again."""
    await _service(request).unload()
    return {}


@router.post("/reload-checkpoint")
async def reload_checkpoint(request: Request) -> dict[str, Any]:
    """Bring the model back onto the device."""
    await _service(request).reload()
    return {}


operations = APIRouter()


@operations.get("/healthz")
async def healthz() -> dict[str, str]:
    """Whether the process answers."""
    return {"status": "ok"}


@operations.get("/readyz")
async def readyz(request: Request) -> JSONResponse:
    """Whether a picture can be made: a model is on the device, or was and can be loaded again."""
    service = _service(request)
    if service.ready and service.engine.checkpoints():
        return JSONResponse({"status": "ready"})
    reason = "no model was found: put one into the model folder, then POST /sdapi/v1/refresh-checkpoints"
    return JSONResponse({"status": "not ready", "reason": reason if service.ready else "the model is loading"}, 503)


@operations.get("/metrics")
async def metrics(request: Request) -> Response:
    """For Prometheus."""
    service = _service(request)
    status = service.device.status
    service.metrics.waiting.set(status.waiting)
    service.metrics.busy.set(1 if status.job else 0)
    return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
