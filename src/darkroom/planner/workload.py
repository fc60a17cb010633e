"""What a month asks of a deployment: the questions of `darkroom cost`, with the guide's answers where it has some."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Workload:
    """A month. Sizes in bytes, times in seconds.

    `downloads` says how often a picture leaves AWS, `uploads` how many pictures are sent for one, `lookups` how often a
    caller asks for its task. `keyed` (with an idempotency key), `webhooks`, `traced` and `spot` are shares between 0
    and 1; `spot` None is what Karpenter does, Spot wherever the runtime may. `wake_ups`: how often a month begins anew
    with no GPU up. `switches`: models that are loaded for a picture, on average. `mix`: the runtimes' shares; empty:
    equal.
    """

    pictures: int = 1_000_000
    # The guide's assumptions, so that its table and ours can be held side by side.
    seconds: float = 1.5
    picture_bytes: float = 150_000
    request_bytes: float = 16_384
    months_stored: float = 1.0
    downloads: float = 1.0
    uploads: float = 0.0
    lookups: float = 0.0
    keyed: float = 0.0
    webhooks: float = 0.0
    traced: float = 0.05
    spot: float | None = None
    # Ten times on each of 22 working days.
    wake_ups: int = 220
    switches: float = 0.0
    switch_seconds: float = 15.0
    instance_type: str | None = None
    mix: Mapping[str, float] = field(default_factory=dict)
