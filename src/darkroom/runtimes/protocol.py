"""What the agent asks of a Stable Diffusion runtime.

Only `run` occupies the device. What can be done before (building the request, uploading inputs) belongs into `prepare`,
and what can be done afterwards (decoding, downloading) into `collect`: while one task runs, the agent prepares the next
one and collects the last one, so the device need not wait.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from darkroom.errors import RuntimeFailure
from darkroom.policy.links import find_links
from darkroom.policy.media_types import PICTURES, Kinds
from darkroom.runtimes.memory import Memory, Unbounded
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
    """One task as a runtime sees it. `files` maps every link that was fetched for it to what it pointed to.

    `task_id` is the caller's word for it, and good for messages only: two submissions may have the same one. `memory`
    is for the runtime's answer: what is large is asked for there before it is read.
    """

    task_id: str
    kind: TaskKind
    content: JsonObject
    timeout_seconds: float
    files: Mapping[str, InputFile] = field(default_factory=dict)
    submission_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    memory: Memory = field(default_factory=Unbounded, compare=False, repr=False)


@dataclass(frozen=True, eq=False)
class Prepared:
    """A request that can be run without further ado. `payload` is the adapter's own.

    Two of them are never equal, not even two deliveries of one submission: `interrupt` stops the one that it is given.
    `model` is the checkpoint that it asks for, where the runtime switches models; `size_bytes` is what it holds in
    memory.
    """

    request: GenerationRequest
    payload: Any
    size_bytes: int
    model: str | None = None


@dataclass(frozen=True)
class Progress:
    """How far a generation has come: `fraction` from 0 to 1, and the seconds that the runtime expects to need still.

    `stage` says in words what the runtime is at, where it has stages, and `step` at which of how many `steps` of it.
    """

    fraction: float
    remaining_seconds: float | None = None
    stage: str | None = None
    step: int | None = None
    steps: int | None = None


ProgressListener = Callable[[Progress], None]


@dataclass(frozen=True)
class StreamedBody:
    """A file too large to hold: its first bytes, and all of it (those bytes included) in chunks.

    `chunks` begins at the file's beginning whenever it is called: a name that was free may turn out to be taken.
    """

    head: bytes
    chunks: Callable[[], AsyncIterator[bytes]]


@dataclass(frozen=True)
class Output:
    """One file that the runtime made. `path` is where its data stood in the response, to be replaced by its URL.

    `is_extra` marks what the runtime added of its own accord: a grid of all pictures, the map that a script worked
    with. Extras come after what was asked for. `extension` is what the runtime itself called the file (no dot): it
    counts where the bytes do not tell what the file is.
    """

    body: bytes | StreamedBody
    path: tuple[str | int, ...] | None = None
    is_extra: bool = False
    extension: str | None = None


@dataclass(frozen=True)
class Generation:
    """What a task came to: its files in order, and the runtime's full return, with None where their data stood.

    `warnings` say what of the request was not done, in a generation that succeeded all the same. `model` is what made
    the pictures, where the runtime says so.
    """

    outputs: tuple[Output, ...]
    response: JsonObject
    warnings: tuple[str, ...] = ()
    model: str | None = None


@dataclass(frozen=True)
class Remedy:
    """What may make a sick runtime well without a restart.

    `name` says it in words that complete "is well again after". `apply` returns whether it did anything, so that it is
    worth looking again.
    """

    name: str
    apply: Callable[[], Awaitable[bool]]


class Runtime(Protocol):
    """A Stable Diffusion runtime. Every method may raise a `RuntimeFailure`, and nothing else on purpose.

    Adapters inherit from this class, for what has a body here need not be written again.
    """

    @property
    def kinds(self) -> frozenset[TaskKind]:
        """The task types that it can do."""
        ...

    @property
    def queues(self) -> bool:
        """Whether `run` may be called for a task while another one runs: it then waits at the runtime's own door.

        A task's time limit counts from when the runtime turns to it.
        """
        return False

    @property
    def loaded_model(self) -> str | None:
        """The model that needs no switch, as in `Prepared.model`; None when that is not known, or does not matter."""
        return None

    @property
    def models(self) -> Sequence[str]:
        """The models that it can load, as far as that is known without asking."""
        return () if self.loaded_model is None else (self.loaded_model,)

    @property
    def fault(self) -> str | None:
        """Why nothing but a restart can help, where the adapter knows that by itself. The agent's health repeats it."""
        return None

    async def progress(self) -> Progress | None:
        """How far the running generation has come, or None when nothing runs or the runtime does not say."""
        return None

    async def check_ready(self) -> None:
        """Return when the runtime could take a task now. Raises `RuntimeUnavailable` otherwise."""
        ...

    async def canary(self) -> bool:
        """Have the device do a small request of the adapter's own that cannot fail where the runtime is well.

        It must be answered by work and not from a cache, so something in it has never been sent before. The agent
        calls it while nothing else is at the runtime, after a failure that may be the request's fault or the runtime's.
        Returns True when it came out well, False where the adapter has no such request; raises `RuntimeFailure` when it
        failed. To take less than 20 seconds.
        """
        await self.check_ready()
        return False

    def remedies(self) -> Sequence[Remedy]:
        """What to try when the canary has failed, in this order, each followed by the canary."""
        return ()

    async def lived_on(self, prepared: Prepared) -> bool:
        """Whether the runtime still is what `run` was cut off from, and not a new one that has taken its place since.

        Called right after `run` raised `RuntimeUnavailable`.
        """
        try:
            await self.check_ready()
        except RuntimeFailure:
            return False
        return True

    async def wanted_links(self, content: JsonObject) -> Mapping[str, Kinds]:
        """The links in a task's content that are to be fetched, and the kinds of files that each may lead to.

        Raises `GenerationRefused` for content that cannot be right.
        """
        return dict.fromkeys(find_links(content), PICTURES)

    async def prepare(self, request: GenerationRequest) -> Prepared:
        """Do all that needs no device. Raises `GenerationRefused` for content that cannot be right."""
        ...

    async def run(self, prepared: Prepared, report: ProgressListener) -> Any:
        """Occupy the device until the task is done, and return what `collect` takes.

        Where the runtime says how far it is, that is reported, of this very task alone: its caller is told.

        Raises `GenerationTimeout` after the request's time limit, having interrupted the runtime, and
        `GenerationInterrupted` after `interrupt`. When this coroutine is cancelled, it leaves the runtime as it is:
        call `interrupt`.
        """
        ...

    async def collect(self, result: Any) -> Generation:
        """Turn what `run` returned into files."""
        ...

    async def interrupt(self, prepared: Prepared) -> None:
        """Stop what `run` was called with this very object for, and nothing else, wherever the runtime has it."""
        ...

    async def close(self) -> None:
        """Give back connections."""
        ...


@dataclass(frozen=True)
class RuntimeContext:
    """What an adapter is made from.

    `base_url` is as the user wrote it; `http` is shared and not the adapter's to close. `link_inputs` names inputs
    whose links are fetched, where the adapter cannot know.
    """

    base_url: str
    http: aiohttp.ClientSession
    dynamic_model: bool = False
    client_id: str = "darkroom"
    link_inputs: tuple[str, ...] = ()


RuntimeFactory = Callable[[RuntimeContext], Runtime]
"""What an entry point in the group `darkroom.runtimes` names; the entry point's name is the runtime's type."""
