"""CloudWatch's embedded metric format: a line of a log that CloudWatch Logs makes metrics of.

A line holds its figures beside `_aws`, which says what they are. CloudWatch asks that `_aws` stands at the line's root.
Each name under each set of dimensions is a metric that is paid for, so there is one set, and few names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

# CloudWatch's limits: of values under one name, and of names in one directive.
MOST_VALUES = 100
MOST_METRICS = 100


class Metric(msgspec.Struct, frozen=True):
    """A metric's name and its unit, in CloudWatch's words."""

    name: str
    unit: str = "Count"


def documents(
    figures: Mapping[Metric, Sequence[float]], *, namespace: str, dimensions: Mapping[str, str], now: float
) -> list[dict[str, Any]]:
    """What the lines are to hold: one for each hundred values. Metrics without a value are left out.

    `now` is in seconds since 1970. `dimensions` may be empty.
    """
    rounds = max((len(values) for values in figures.values()), default=0)
    found = []
    for start in range(0, rounds, MOST_VALUES):
        parts = {metric: list(values[start : start + MOST_VALUES]) for metric, values in figures.items()}
        parts = {metric: values for metric, values in parts.items() if values}
        found.append(
            {
                "_aws": {
                    "Timestamp": int(now * 1000),
                    "CloudWatchMetrics": [
                        {
                            "Namespace": namespace,
                            "Dimensions": [list(dimensions)],
                            "Metrics": [{"Name": metric.name, "Unit": metric.unit} for metric in parts],
                        }
                    ],
                },
                **dimensions,
                **{metric.name: values[0] if len(values) == 1 else values for metric, values in parts.items()},
            }
        )
    return found
