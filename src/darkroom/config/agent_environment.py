"""What `extraEnv` tells the queue agent, judged by the agent's own reader of settings."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from darkroom.config.document import ConfigFault, Path
from darkroom.config.fit_rules import at
from darkroom.errors import SettingsError
from darkroom.settings import read_agent_settings

_OURS = "DARKROOM_"
# What the chart sets, as far as the agent needs it to read the others.
_REST = dict.fromkeys(
    ("AWS_DEFAULT_REGION", "SQS_QUEUE_URL", "SNS_TOPIC_ARN", "S3_BUCKET", "RUNTIME_NAME", "RUNTIME_TYPE"), "x"
)


class _Asked(dict[str, str]):
    """An environment that remembers what it was asked for."""

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__(values)
        self.names: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.names.add(name)
        return super().get(name, default)


def unfit_agent_settings(path: Path, runtime: dict[str, Any]) -> Iterator[ConfigFault]:
    """Variables that the agent would refuse, and those of its kind that it does not know."""
    here = ("extraValues", "runtime", "queueAgent", "extraEnv")
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
    environment = _Asked({**_REST, **values})
    try:
        read_agent_settings(environment)
    except SettingsError as error:
        for line in str(error).splitlines()[1:]:
            name, _, reason = line.strip().partition(" ")
            if name in places:
                yield ConfigFault(places[name], reason)
    for name, found in places.items():
        if name.startswith(_OURS) and name not in environment.names:
            close = difflib.get_close_matches(name, environment.names, n=1)
            hint = f"did you mean {close[0]}?" if close else "docs/agent.md has all of them"
            yield ConfigFault(found, f"{name} is no setting of the agent; {hint}")
