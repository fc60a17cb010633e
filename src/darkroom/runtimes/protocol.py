"""What the agent asks of a Stable Diffusion runtime.

Only `run` occupies the device. What can be done before (building the request, uploading inputs) belongs into `prepare`,
and what can be done afterwards (decoding, downloading) into `collect`: while one task runs, the agent prepares the next
one and collects the last one, so the device need not wait.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from darkroom.tasks.task import JsonObject, TaskKind

if TYPE_CHECKING:
    import aiohttp


@dataclass(frozen=True)
class InputFile:
    """A file that a link in the request's content pointed to. `extension` has no dot and comes from the bytes."""

    url: str
    data: bytes
    content_type: str
    extension: str


@dataclass(frozen=True)
class GenerationRequest:
    """One task as a runtime sees it. `files` maps every link that the content holds to what it pointed to."""

    task_id: str
    kind: TaskKind
    content: JsonObject
    timeout_seconds: float
    files: Mapping[str, InputFile] = field(default_factory=dict)


@dataclass(frozen=True)
class Prepared:
    """A request that can be run without further ado. `payload` is the adapter's own.

    `model` is the checkpoint that it asks for, where the runtime switches models; `size_bytes` is what it holds in
    memory.
    """

    request: GenerationRequest
    payload: Any
    size_bytes: int
    model: str | None = None


@dataclass(frozen=True)
class Progress:
    """How far a generation has come: `fraction` from 0 to 1, and the seconds that the runtime expects to need still."""

    fraction: float
    remaining_seconds: float | None = None


ProgressListener = Callable[[Progress], None]


@dataclass(frozen=True)
class StreamedBody:
    """A file too large to hold: its first bytes, and all of it (those bytes included), once, in chunks."""

    head: bytes
    chunks: Callable[[], AsyncIterator[bytes]]


@dataclass(frozen=True)
class Output:
    """One file that the runtime made. `path` is where its data stood in the response, to be replaced by its URL."""

    body: bytes | StreamedBody
    path: tuple[str | int, ...] | None = None


@dataclass(frozen=True)
class Generation:
    """What a task came to: its files in order, and the runtime's full return without their data."""

    outputs: tuple[Output, ...]
    response: JsonObject


class Runtime(Protocol):
    """A Stable Diffusion runtime. Every method may raise a `RuntimeFailure`, and nothing else on purpose."""

    @property
    def kinds(self) -> frozenset[TaskKind]:
        """The task types that it can do."""
        ...

    async def check_ready(self) -> None:
        """Return when the runtime could take a task now. Raises `RuntimeUnavailable` otherwise."""
        ...

    async def prepare(self, request: GenerationRequest) -> Prepared:
        """Do all that needs no device. Raises `GenerationRefused` for content that cannot be right."""
        ...

    async def run(self, prepared: Prepared, report: ProgressListener) -> Any:
        """Occupy the device until the task is done, and return what `collect` takes.

        Raises `GenerationTimeout` after the request's time limit, having interrupted the runtime. When this coroutine
        is cancelled, it leaves the runtime as it is: call `interrupt`.
        """
        ...

    async def collect(self, result: Any) -> Generation:
        """Turn what `run` returned into files."""
        ...

    async def interrupt(self, prepared: Prepared) -> None:
        """Stop this task, and no other, wherever the runtime has it."""
        ...

    async def close(self) -> None:
        """Give back connections."""
        ...


@dataclass(frozen=True)
class RuntimeContext:
    """What an adapter is made from.

    `base_url` is as the user wrote it; `http` is shared and not the adapter's to close.
    """

    base_url: str
    http: aiohttp.ClientSession
    dynamic_model: bool = False
    client_id: str = "darkroom"


RuntimeFactory = Callable[[RuntimeContext], Runtime]
"""What an entry point in the group `darkroom.runtimes` names; the entry point's name is the runtime's type."""
