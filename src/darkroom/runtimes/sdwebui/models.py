"""The checkpoints of an SD Web UI: finding one by any of its names, and switching to it for certain.

The server takes a wrong name in silence and goes on with the current model, and it answers 200 to a switch that failed,
so nothing here believes it before the options say so.
"""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

from darkroom.errors import GenerationFailed, GenerationRefused
from darkroom.runtimes.http import Answer, RuntimeHttp
from darkroom.runtimes.sdwebui.errors import failure_of

T = TypeVar("T")

MODELS_PATH = "sdapi/v1/sd-models"
OPTIONS_PATH = "sdapi/v1/options"
_REFRESH_PATH = "sdapi/v1/refresh-checkpoints"
_QUICK_SECONDS = 10.0
_SHORT_HASH = re.compile(r"\s*\[[0-9a-f]{8,64}\]$")
_EXTENSIONS = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")


class Checkpoint(msgspec.Struct, frozen=True):
    """One entry of `sd-models`. Its title gains the hash, and `hash` a value, once the model has been loaded."""

    title: str
    model_name: str
    filename: str
    hash: str | None = None
    sha256: str | None = None

    @property
    def name(self) -> str:
        """The title without the hash, so the same before and after the first load."""
        return _SHORT_HASH.sub("", self.title)

    def is_called(self, name: str) -> bool:
        """Whether `name` is its title (with or without the hash), model name, file name, path or hash."""
        plain = _SHORT_HASH.sub("", name)
        names = {self.name, self.model_name, self.filename, base_name(self.filename), stem(self.filename)}
        return plain in names or name in (self.hash, self.sha256)


class _Options(msgspec.Struct, frozen=True):
    sd_model_checkpoint: str | None = None


class SdWebuiModels:
    """What is known of a server's checkpoints. `loaded` is the name of the current one, None while that is unknown."""

    def __init__(self, http: RuntimeHttp) -> None:
        self._http = http
        self._checkpoints: list[Checkpoint] = []
        self.loaded: str | None = None

    @property
    def names(self) -> list[str]:
        """The checkpoints that were listed last; else the one that is loaded, if that is known."""
        listed = [checkpoint.name for checkpoint in self._checkpoints]
        return listed or ([] if self.loaded is None else [self.loaded])

    async def find(self, name: str, timeout_seconds: float) -> Checkpoint:
        """The checkpoint called `name`. One that is not listed may have been added since the start: then refresh.

        Raises `GenerationRefused` that lists what exists.
        """
        for refresh in (None, False, True):
            if refresh is not None:
                await self._list(refresh, timeout_seconds)
            for checkpoint in self._checkpoints:
                if checkpoint.is_called(name):
                    return checkpoint
        known = ", ".join(sorted(checkpoint.name for checkpoint in self._checkpoints)) or "none"
        raise GenerationRefused(f"the runtime has no model {name!r}; it has: {known}")

    async def listed(self) -> list[Checkpoint]:
        """The checkpoints that the server knows of now."""
        await self._list(False, _QUICK_SECONDS)
        return list(self._checkpoints)

    def note_loaded(self, title: str | None) -> None:
        """The options named `title` as the current checkpoint."""
        self.loaded = _SHORT_HASH.sub("", title) if title else None

    async def switch_to(self, checkpoint: Checkpoint, timeout_seconds: float) -> None:
        """Load `checkpoint` unless it is loaded. Raises `GenerationFailed` when the server could not."""
        if self.loaded is None:
            await self.read_loaded(_QUICK_SECONDS)
        if self.loaded == checkpoint.name:
            return
        self.loaded = None
        wanted = msgspec.json.encode({"sd_model_checkpoint": checkpoint.title})
        answer = await self._http.post(OPTIONS_PATH, wanted, timeout_seconds=timeout_seconds)
        if answer.status != 200:
            raise failure_of(answer, OPTIONS_PATH)
        await self.read_loaded(_QUICK_SECONDS)
        if self.loaded != checkpoint.name:
            loaded = "none" if self.loaded is None else repr(self.loaded)
            raise GenerationFailed(f"the runtime could not load the model {checkpoint.name!r}; it has {loaded} loaded")

    async def _list(self, refresh: bool, timeout_seconds: float) -> None:
        if refresh:
            # It waits for the running generation.
            await self._http.post(_REFRESH_PATH, b"", timeout_seconds=timeout_seconds)
        answer = await self._http.get(MODELS_PATH, timeout_seconds=_QUICK_SECONDS)
        self._checkpoints = _decode(answer, MODELS_PATH, list[Checkpoint])

    async def read_loaded(self, timeout_seconds: float) -> str | None:
        """Ask the server which checkpoint is loaded, and return its name."""
        answer = await self._http.get(OPTIONS_PATH, timeout_seconds=timeout_seconds)
        self.note_loaded(_decode(answer, OPTIONS_PATH, _Options).sd_model_checkpoint)
        return self.loaded


def base_name(path: str) -> str:
    """The last part of a path of either system."""
    return re.split(r"[\\/]", path)[-1]


def stem(path: str) -> str:
    """The file name without the extension of a model file: what `info.sd_model_name` says."""
    name = base_name(path)
    for extension in _EXTENSIONS:
        name = name.removesuffix(extension)
    return name


def _decode(answer: Answer, path: str, kind: type[T]) -> T:
    if answer.status != 200:
        raise failure_of(answer, path)
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except msgspec.DecodeError as error:
        raise GenerationFailed(f"the runtime's answer to {path} cannot be read: {error}") from None
