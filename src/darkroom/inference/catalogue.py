"""The routes that list what there is: models, samplers, upscalers, memory.

Those that look into folders are plain functions: FastAPI runs them on a thread, and a slow disk holds nobody up.
"""

from __future__ import annotations

import os
from typing import Any

from fastapi import APIRouter, Request

from darkroom.inference.engine import Engine
from darkroom.inference.service import Service

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
async def cmd_flags() -> dict[str, Any]:
    """SD Web UI's clients ask for its command line; this server has none of those flags."""
    return {}


@router.get("/scripts")
async def scripts() -> dict[str, Any]:
    """There are no scripts."""
    return {"txt2img": [], "img2img": []}


@router.get("/script-info")
@router.get("/hypernetworks")
@router.get("/face-restorers")
@router.get("/prompt-styles")
@router.get("/extensions")
@router.get("/realesrgan-models")
async def nothing() -> list[Any]:
    """What SD Web UI lists and this runtime does not have."""
    return []


@router.get("/latent-upscale-modes")
async def latent_upscale_modes() -> list[dict[str, str]]:
    """What `hr_upscaler` may be beside the upscalers."""
    return [{"name": "Latent"}]
