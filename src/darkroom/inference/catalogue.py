"""The routes that list what there is: models, samplers, upscalers, memory.

Those that look into folders are plain functions: FastAPI runs them on a thread, and a slow disk holds nobody up.
"""

from __future__ import annotations

import os
from typing import Any

from fastapi import APIRouter, Request

from darkroom.inference.always_on import SCRIPTS
from darkroom.inference.engine import Engine
from darkroom.inference.limits import MAX_ROUNDS
from darkroom.inference.service import Service
from darkroom.inference.upscaling import LATENT_UPSCALERS

router = APIRouter(prefix="/sdapi/v1")


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _engine(request: Request) -> Engine:
    return _service(request).engine


@router.get("/sd-models")
async def sd_models(request: Request) -> list[dict[str, Any]]:
    """The models found at the last refresh."""
    return [
        {
            "title": checkpoint.title,
            "model_name": checkpoint.name,
            "hash": checkpoint.hash,
            "sha256": checkpoint.sha256,
            "filename": str(checkpoint.file),
            "config": None,
        }
        for checkpoint in _engine(request).checkpoints()
    ]


@router.get("/samplers")
async def samplers(request: Request) -> list[dict[str, Any]]:
    """What `sampler_name` may be."""
    return [
        {"name": sampler.name, "aliases": list(sampler.aliases), "options": dict(sampler.options)}
        for sampler in _engine(request).samplers
    ]


@router.get("/schedulers")
async def schedulers(request: Request) -> list[dict[str, Any]]:
    """What `scheduler` may be (SD Web UI has this route since 1.9)."""
    automatic = {
        "name": "automatic",
        "label": "Automatic",
        "aliases": None,
        "default_rho": -1.0,
        "need_inner_model": False,
    }
    return [automatic] + [
        {**automatic, "name": scheduler.name, "label": scheduler.label} for scheduler in _engine(request).schedulers
    ]


@router.get("/upscalers")
def upscalers(request: Request) -> list[dict[str, Any]]:
    """What `upscaler_1` may be; `model_path` is null where weights are missing or not needed."""
    return [
        {
            "name": upscaler.name,
            "model_name": upscaler.file.stem if upscaler.file else None,
            "model_path": str(upscaler.file) if upscaler.file else None,
            "model_url": None,
            "scale": upscaler.scale,
        }
        for upscaler in _service(request).upscaling.list()
    ]


@router.get("/sd-vae")
def sd_vae(request: Request) -> list[dict[str, Any]]:
    """What the option `sd_vae` may be."""
    return [{"model_name": file.name, "filename": str(file)} for file in _engine(request).files("vae")]


@router.get("/loras")
def loras(request: Request) -> list[dict[str, Any]]:
    """What `<lora:name:weight>` in a prompt may name."""
    return [
        {"name": file.stem, "alias": file.stem, "path": str(file), "metadata": {}}
        for file in _engine(request).files("lora")
    ]


@router.get("/embeddings")
def embeddings(request: Request) -> dict[str, Any]:
    """The textual inversions whose names prompts can use."""
    loaded = {
        file.stem: {"step": None, "sd_checkpoint": None, "sd_checkpoint_name": None, "shape": 0, "vectors": 0}
        for file in _engine(request).files("embedding")
    }
    return {"loaded": loaded, "skipped": {}}


@router.get("/memory")
def memory(request: Request) -> dict[str, Any]:
    """Bytes of the process's and the accelerator's memory."""
    device = _engine(request).device_memory()
    cuda: dict[str, Any] = {"error": "unavailable"}
    if device is not None:
        used = device["total"] - device["free"]
        cuda = {
            "system": {"free": device["free"], "used": used, "total": device["total"]},
            "active": {"current": used, "peak": device["peak"]},
        }
    return {"ram": _ram(), "cuda": cuda}


def _ram() -> dict[str, Any]:
    """Without a library for it: what POSIX tells, and /proc for the process's own part."""
    page = os.sysconf("SC_PAGE_SIZE")
    total = page * os.sysconf("SC_PHYS_PAGES")
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - a kernel's answer, not a file
        used = page * int(file.read().split()[1])
    return {"free": float(total - used), "used": used, "total": float(total)}


@router.get("/cmd-flags")
async def cmd_flags(request: Request) -> dict[str, Any]:
    """SD Web UI's command line as far as it can be said of this server: an API without a page, on this address."""
    host, port = request.scope.get("server") or ("127.0.0.1", None)
    return {
        "api": True,
        "nowebui": True,
        "api_auth": None,
        "api_server_stop": False,
        "listen": host not in ("127.0.0.1", "localhost", "::1"),
        "server_name": host,
        "port": port,
        "max_batch_count": MAX_ROUNDS,
        "allow_code": False,
        "share": False,
    }


@router.get("/scripts")
async def scripts() -> dict[str, Any]:
    """SD Web UI's own scripts that a request may name; what they are asked for is judged with the request."""
    names = [script.name for script in SCRIPTS]
    return {"txt2img": names, "img2img": names}


@router.get("/script-info")
async def script_info() -> list[dict[str, Any]]:
    """Their arguments, with the defaults that may be sent."""
    return [script.shown(is_image_to_image) for is_image_to_image in (False, True) for script in SCRIPTS]


@router.get("/realesrgan-models")
def realesrgan_models(request: Request) -> list[dict[str, Any]]:
    """The upscalers of that family whose weights are there."""
    return [
        {"name": upscaler.name, "path": str(upscaler.file), "scale": round(upscaler.scale)}
        for upscaler in _service(request).upscaling.list()
        if upscaler.folder == "RealESRGAN" and upscaler.file is not None
    ]


@router.get("/hypernetworks")
@router.get("/face-restorers")
@router.get("/prompt-styles")
@router.get("/extensions")
async def nothing() -> list[Any]:
    """What SD Web UI lists and this runtime does not have."""
    return []


@router.get("/latent-upscale-modes")
async def latent_upscale_modes() -> list[dict[str, str]]:
    """What `hr_upscaler` may be beside the upscalers."""
    return [{"name": name} for name in LATENT_UPSCALERS]
