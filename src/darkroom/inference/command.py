"""`darkroom runtime`: starts the built-in runtime. The composition root of this process."""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from darkroom.errors import MissingExtra
from darkroom.logs import configure_logs
from darkroom.settings import read_runtime_settings

if TYPE_CHECKING:
    from fastapi import FastAPI

    from darkroom.inference.engine import Engine

T = TypeVar("T")

#: SD Web UI's model folders, below the folder that --models names (the guide's layout).
CHECKPOINT_FOLDER = "Stable-diffusion"


class Compile(StrEnum):
    """When networks are compiled."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class EngineName(StrEnum):
    """What makes the pictures."""

    POCKET = "pocket"
    DIFFUSERS = "diffusers"


def runtime(
    engine: Annotated[
        EngineName,
        typer.Option(help="pocket: the small model inside the package. diffusers: Stable Diffusion checkpoints."),
    ] = EngineName.POCKET,
    models: Annotated[
        Path | None,
        typer.Option(help="Folder with Stable-diffusion/, VAE/, Lora/, embeddings/, ESRGAN/ and so on."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The checkpoint to load first; the first one found if missing.")
    ] = None,
    serve_as: Annotated[
        str | None,
        typer.Option(
            help="pocket only: the file name of a checkpoint that it stands in for. Requests that name this "
            "checkpoint are then done by pocket, as on a machine where you test what will run elsewhere."
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)] = 7860,
    threads: Annotated[int, typer.Option(help="Processor cores that the engine may use; 0 for all.", min=0)] = 0,
    compilation: Annotated[
        Compile | None,
        typer.Option(
            "--compile",
            help="diffusers only: compile networks where it pays (auto), on a CPU too (always), or never. "
            "Else DARKROOM_COMPILE; auto.",
        ),
    ] = None,
    compile_cache: Annotated[
        Path | None,
        typer.Option(
            help="Folder for what was compiled, so that a restart need not do it again. Else DARKROOM_COMPILE_CACHE."
        ),
    ] = None,
    keep_models: Annotated[
        int | None,
        typer.Option(
            help="diffusers only: how many checkpoints stay in the host's memory. Else DARKROOM_KEEP_MODELS; 2.",
            min=1,
        ),
    ] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """Serve pictures over SD Web UI's API, with a model that is built in or with your own checkpoints."""
    if models is not None and not models.is_dir():
        raise typer.BadParameter(
            f"there is no folder {models}; create it, or name the one with your models", param_hint="--models"
        )
    if engine is EngineName.DIFFUSERS and models is None:
        raise typer.BadParameter(
            f"the engine 'diffusers' needs --models: the folder that holds {CHECKPOINT_FOLDER}/", param_hint="--models"
        )
    if serve_as is not None and engine is not EngineName.POCKET:
        raise typer.BadParameter("only the engine 'pocket' stands in for a checkpoint", param_hint="--serve-as")
    configure_logs(log_level.upper())
    settings = read_runtime_settings(os.environ)
    cache = compile_cache or settings.compile_cache
    if cache is not None:
        # torch's own name for it; there is no other way to tell every part of its compiler.
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(Path(cache).absolute())
    app = build_app(
        engine,
        models,
        first_model=model,
        threads=threads,
        serve_as=serve_as,
        compilation=compilation.value if compilation is not None else settings.compilation,
        keep_models=keep_models or settings.keep_models,
    )
    import uvicorn

    uvicorn.run(app, host=host, port=port, log_level=log_level.lower(), timeout_graceful_shutdown=30)


def build_app(
    engine: EngineName,
    models: Path | None,
    *,
    first_model: str | None = None,
    threads: int = 0,
    serve_as: str | None = None,
    compilation: str = "auto",
    keep_models: int = 2,
) -> FastAPI:
    """The application with everything it needs. Raises `MissingExtra` when a library is not installed."""
    made = needs(
        "inference",
        "the built-in runtime",
        lambda: _engine(engine, models, threads, serve_as, compilation, keep_models),
    )

    def assemble() -> FastAPI:
        from darkroom.inference.app import create_app
        from darkroom.inference.neural_upscaling import SpandrelScaler
        from darkroom.inference.service import Service
        from darkroom.inference.upscaling import Upscaling

        return create_app(Service(made, Upscaling(models, SpandrelScaler()), first_model=first_model))

    return needs("inference", "the built-in runtime", assemble)


def needs(extra: str, what: str, build: Callable[[], T]) -> T:
    """What `build` returns. Raises `MissingExtra` when an import of somebody else's library fails in it."""
    try:
        return build()
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.split(".")[0] == "darkroom":
            raise
        raise MissingExtra(extra, what) from error


def _engine(
    name: EngineName, models: Path | None, threads: int, serve_as: str | None, compilation: str, keep_models: int
) -> Engine:
    if name is EngineName.POCKET or models is None:
        from darkroom.inference.pocket.engine import PocketEngine

        return PocketEngine(threads=threads, serve_as=serve_as)

    def stable_diffusion() -> Engine:
        from darkroom.inference.stable_diffusion.opening import open_engine

        return open_engine(models, compilation=compilation, keep=keep_models, threads=threads)

    return needs("diffusers", "the engine 'diffusers'", stable_diffusion)
