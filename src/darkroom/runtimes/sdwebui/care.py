"""What makes a sick SD Web UI well without a restart.

Two states were seen that outlast the request that caused them. An override of an option that the configuration file
lacks stays, and where its value has the wrong type every later request fails. And after a checkpoint that cannot be
read, every prompt that is not cached fails, until another checkpoint has been loaded: the same one again does not help.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from darkroom.errors import GenerationFailed, RuntimeFailure
from darkroom.runtimes.http import RuntimeHttp
from darkroom.runtimes.sdwebui.errors import failure_of
from darkroom.runtimes.sdwebui.models import OPTIONS_PATH, Checkpoint, SdWebuiModels
from darkroom.tasks.task import JsonObject

_QUICK_SECONDS = 10.0
_LOADING_SECONDS = 40.0
_MOST_CANDIDATES = 3
# The model is no setting like the others: it is switched, and takes its time.
_MODEL_OPTIONS = frozenset({"sd_model_checkpoint", "sd_checkpoint_hash"})


class Care:
    """Looks after one server. `keeps_its_model` says that it must end with the model that it had."""

    def __init__(self, http: RuntimeHttp, models: SdWebuiModels, *, keeps_its_model: bool) -> None:
        self._http = http
        self._models = models
        self._keeps_its_model = keeps_its_model
        self._options: JsonObject | None = None
        self._overridden: set[str] = set()
        self._unreadable: set[str] = set()
        self._home: Checkpoint | None = None

    def forget(self) -> None:
        """The server was down, so what it knew is gone."""
        self._options, self._home = None, None
        self._overridden.clear()

    def remember_options(self, options: JsonObject) -> None:
        """Keep the options as they were when the server was first seen."""
        if self._options is None:
            self._options = options

    def note_overrides(self, settings: Any) -> None:
        """A request is about to override these."""
        if isinstance(settings, Mapping):
            self._overridden.update(str(name) for name in settings)

    async def restore_options(self) -> bool:
        """Set back what differs from when the server was first seen; returns whether anything did."""
        wanted = await self._options_to_restore()
        if not wanted:
            return False
        answer = await self._http.post(OPTIONS_PATH, msgspec.json.encode(wanted), timeout_seconds=_QUICK_SECONDS)
        if answer.status != 200:
            raise failure_of(answer, OPTIONS_PATH)
        return True

    async def load_another_model(self) -> bool:
        """Load a checkpoint that is not loaded, and where the server keeps its model, that one again.

        Returns False where there is no other that can be loaded.
        """
        checkpoints = await self._models.listed()
        current = await self._models.read_loaded(_QUICK_SECONDS)
        others = [checkpoint for checkpoint in checkpoints if checkpoint.name != current]
        # One that has been loaded before has a hash, and is likely to be readable.
        others.sort(key=lambda checkpoint: (checkpoint.name in self._unreadable, checkpoint.hash is None))
        for checkpoint in others[:_MOST_CANDIDATES]:
            try:
                await self._models.switch_to(checkpoint, _LOADING_SECONDS)
            except GenerationFailed:
                self._unreadable.add(checkpoint.name)
                continue
            self._home = next((other for other in checkpoints if other.name == current), None)
            await self.go_home()
            return True
        return False

    async def go_home(self) -> None:
        """Load the model again that a remedy took away, where the server keeps its own. Raises `RuntimeFailure`."""
        if self._home is not None and self._keeps_its_model:
            await self._models.switch_to(self._home, _LOADING_SECONDS)
        self._home = None

    async def _options_to_restore(self) -> JsonObject:
        known = {name: value for name, value in (self._options or {}).items() if name not in _MODEL_OPTIONS}
        try:
            answer = await self._http.get(OPTIONS_PATH, timeout_seconds=_QUICK_SECONDS)
            if answer.status != 200:  # a value of the wrong type makes the server refuse to tell any
                return _only(known, self._overridden)
            now = msgspec.json.decode(answer.body, type=dict[str, Any])
        except (msgspec.DecodeError, RuntimeFailure):
            return _only(known, self._overridden)
        return _only(known, (name for name, value in known.items() if name in now and now[name] != value))


def _only(options: JsonObject, names: Iterable[str]) -> JsonObject:
    """Of `options`, those with these names; one that has no value cannot be set to it."""
    return {name: options[name] for name in names if options.get(name) is not None}
