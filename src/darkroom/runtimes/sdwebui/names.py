"""The samplers and schedules that a server has, asked for only where one that it lacks has to be told of."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeVar

import msgspec

from darkroom.errors import RuntimeFailure
from darkroom.runtimes.http import RuntimeHttp

_QUICK_SECONDS = 10.0


class _Sampler(msgspec.Struct):
    name: str
    aliases: list[str] | None = None


class _Upscaler(msgspec.Struct):
    name: str
    model_path: str | None = None


class _Scheduler(msgspec.Struct):
    label: str


T = TypeVar("T")


class Names:
    """Asks a server for its names. What it does not tell is unknown, and no error: something else is being told."""

    def __init__(self, http: RuntimeHttp) -> None:
        self._http = http

    async def samplers(self) -> list[str]:
        """The samplers' names."""
        return [sampler.name for sampler in await self._read("sdapi/v1/samplers", list[_Sampler])]

    async def schedulers(self) -> list[str]:
        """The schedules' labels; none where the server is older than schedules of their own."""
        return [scheduler.label for scheduler in await self._read("sdapi/v1/schedulers", list[_Scheduler])]

    async def is_alias(self, asked: str | None, used: str) -> bool:
        """Whether `asked` is another name of the sampler `used`, on a server that goes by aliases or ignores case."""
        if asked is None or asked.lower() == used.lower():
            return True
        samplers = await self._read("sdapi/v1/samplers", list[_Sampler])
        return any(sampler.name == used and asked in (sampler.aliases or ()) for sampler in samplers)

    async def without_weights(self, names: Collection[str]) -> list[str]:
        """Of these upscalers, those that the server lists with an address to fetch their weights from, and no file."""
        upscalers = await self._read("sdapi/v1/upscalers", list[_Upscaler]) if names else []
        return [
            upscaler.name
            for upscaler in upscalers
            if upscaler.name in names and (upscaler.model_path or "").startswith(("http://", "https://"))
        ]

    async def _read(self, path: str, kind: type[list[T]]) -> list[T]:
        try:
            answer = await self._http.get(path, timeout_seconds=_QUICK_SECONDS)
            return msgspec.json.decode(answer.body, type=kind) if answer.status == 200 else []
        except (msgspec.DecodeError, RuntimeFailure):
            return []
