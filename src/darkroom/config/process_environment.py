"""What `extraEnv` tells the queue agent and the built-in runtime, judged by their own readers of settings."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from darkroom.config.document import ConfigFault, Path
from darkroom.config.fit_rules import at
from darkroom.errors import SettingsError
from darkroom.policy.catalogue import DIFFUSERS
from darkroom.settings import read_agent_settings, read_runtime_settings

_OURS = "DARKROOM_"


class _Process(NamedTuple):
    """A process of ours in a pod: how it is called, its settings' reader, and what the chart sets that this needs."""

    name: str
    read: Callable[[Mapping[str, str]], object]
    rest: tuple[str, ...]
    page: str


_AGENT = _Process(
    "the agent",
    read_agent_settings,
    ("AWS_DEFAULT_REGION", "SQS_QUEUE_URL", "SNS_TOPIC_ARN", "S3_BUCKET", "RUNTIME_NAME", "RUNTIME_TYPE"),
    "docs/agent.md",
)
_BUILT_IN = _Process("the built-in runtime", read_runtime_settings, (), "docs/built-in-runtime.md")


class _Asked(dict[str, str]):
    """An environment that remembers what it was asked for."""

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__(values)
        self.names: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.names.add(name)
        return super().get(name, default)


def unfit_settings(path: Path, runtime: dict[str, Any]) -> Iterator[ConfigFault]:
    """Variables that a process of ours would refuse, and those of its kind that it does not know."""
    yield from _unfit(path, runtime, "queueAgent", _AGENT)
    if runtime.get("type") == DIFFUSERS:
        yield from _unfit(path, runtime, "inferenceApi", _BUILT_IN)


def _unfit(path: Path, runtime: dict[str, Any], container: str, process: _Process) -> Iterator[ConfigFault]:
    here = ("extraValues", "runtime", container, "extraEnv")
    said = at(runtime, *here)
    places: dict[str, Path] = {}
    values: dict[str, str] = {}
    listed = enumerate(said) if isinstance(said, list) else ()
    for place, name, value in (
        [(key, key, value) for key, value in said.items()]
        if isinstance(said, dict)
        else [(index, at(item, "name"), at(item, "value")) for index, item in listed]
    ):
        if isinstance(name, str):
            places[name] = (*path, *here, place)
            if isinstance(value, str):
                values[name] = value
    environment = _Asked({**dict.fromkeys(process.rest, "x"), **values})
    try:
        process.read(environment)
    except SettingsError as error:
        for line in str(error).splitlines()[1:]:
            name, _, reason = line.strip().partition(" ")
            if name in places:
                yield ConfigFault(places[name], reason)
    for name, found in places.items():
        if name.startswith(_OURS) and name not in environment.names:
            close = difflib.get_close_matches(name, environment.names, n=1)
            hint = f"did you mean {close[0]}?" if close else f"{process.page} has all of them"
            yield ConfigFault(found, f"{name} is no setting of {process.name}; {hint}")
