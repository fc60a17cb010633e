"""Write docs/grafana-dashboard.json anew: the fleet's figures, for a Grafana that asks a Prometheus.

python scripts/write_grafana.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[1] / "docs" / "grafana-dashboard.json"
_SOURCE = {"type": "prometheus", "uid": "${source}"}
# Each panel takes a half, a third or a quarter of so many columns.
_COLUMNS = 24
_HEIGHT = 8
_OF_RUNTIME = 'runtime=~"$runtime"'
_INTERVAL = "[$__rate_interval]"

# Queries, each with what its lines are called.
Queries = list[tuple[str, str]]


def _quantiles(metric: str, by: str, of: str, called: str, *quantiles: float) -> Queries:
    rate = f"sum by (le, {by}) (rate({metric}_bucket{of}{_INTERVAL}))"
    return [(f"histogram_quantile({quantile:g}, {rate})", f"{called} p{quantile * 100:g}") for quantile in quantiles]


def _panel(title: str, unit: str, queries: Queries, *, kind: str = "timeseries", what: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": kind,
        "title": title,
        "description": what,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "options": {},
        "targets": [
            {"refId": chr(ord("A") + number), "datasource": _SOURCE, "expr": expression, "legendFormat": called}
            for number, (expression, called) in enumerate(queries)
        ],
    }
    return found


def _rows() -> list[tuple[str, list[dict[str, Any]]]]:
    runtimes = f"{{{_OF_RUNTIME}}}"
    duty = f"avg by (runtime) (rate(darkroom_agent_device_busy_seconds_total{runtimes}{_INTERVAL}))"
    ends = f"sum by (runtime, status) (rate(darkroom_agent_tasks_total{runtimes}{_INTERVAL}))"
    failed = f'{{{_OF_RUNTIME}, status="failed"}}'
    failures = f"sum by (runtime, reason) (rate(darkroom_agent_tasks_total{failed}{_INTERVAL}))"
    given_back = f"sum by (runtime, reason) (rate(darkroom_agent_given_back_total{runtimes}{_INTERVAL}))"
    requests = f"sum by (route, method, status) (rate(darkroom_gateway_requests_total{_INTERVAL}))"
    # A process's own figures know no runtime: it is put to them by the address that both were asked at.
    of_agents = f"darkroom_agent_ready{runtimes} * 0 + on (instance) group_left"
    memory = f"max by (runtime) ({of_agents} process_resident_memory_bytes)"
    cpu = f"avg by (runtime) ({of_agents} rate(process_cpu_seconds_total{_INTERVAL}))"
    return [
        (
            "Devices",
            [
                _panel(
                    "Duty", "percentunit", [(duty, "{{runtime}}")], what="The share of its time that a device works."
                ),
                _panel(
                    "Agents that take tasks",
                    "short",
                    [(f"sum by (runtime) (darkroom_agent_ready{runtimes})", "{{runtime}}")],
                    kind="stat",
                ),
                _panel(
                    "Agents that only a restart can help",
                    "short",
                    [(f"sum by (runtime) (1 - darkroom_agent_live{runtimes})", "{{runtime}}")],
                    kind="stat",
                ),
                _panel(
                    "Tasks on their way in agents",
                    "short",
                    [(f"sum by (runtime) (darkroom_agent_tasks_held{runtimes})", "{{runtime}}")],
                ),
            ],
        ),
        (
            "Tasks",
            [
                _panel("Ends", "ops", [(ends, "{{runtime}} {{status}}")]),
                _panel("Failures by reason", "ops", [(failures, "{{runtime}} {{reason}}")]),
                _panel(
                    "Given back for another try",
                    "ops",
                    [(given_back, "{{runtime}} {{reason}}")],
                    what="TooEarly, ShuttingDown: another agent may begin sooner; the others: docs/agent.md.",
                ),
                _panel(
                    "From submission to the device",
                    "s",
                    _quantiles("darkroom_agent_queue_wait_seconds", "runtime", runtimes, "{{runtime}}", 0.5, 0.95),
                ),
                _panel(
                    "On the device",
                    "s",
                    _quantiles(
                        "darkroom_agent_generation_seconds",
                        "runtime, kind",
                        runtimes,
                        "{{runtime}} {{kind}}",
                        0.5,
                        0.95,
                    ),
                ),
                _panel(
                    "Switches of the model",
                    "ops",
                    [
                        (
                            f"sum by (runtime) (rate(darkroom_agent_model_switches_total{runtimes}{_INTERVAL}))",
                            "{{runtime}}",
                        )
                    ],
                ),
            ],
        ),
        (
            "Gateway",
            [
                _panel("Requests", "reqps", [(requests, "{{method}} {{route}} {{status}}")]),
                _panel(
                    "Time of an answer",
                    "s",
                    _quantiles("darkroom_gateway_request_duration_seconds", "route", "", "{{route}}", 0.5, 0.99),
                ),
                _panel("Requests in progress", "short", [("sum(darkroom_gateway_requests_in_progress)", "requests")]),
            ],
        ),
        (
            "Webhooks",
            [
                _panel(
                    "Tries by what came of them",
                    "ops",
                    [(f"sum by (outcome) (rate(darkroom_webhook_tries_total{_INTERVAL}))", "{{outcome}}")],
                ),
                _panel(
                    "Time of a try",
                    "s",
                    [
                        (
                            "histogram_quantile(0.95, sum by (le) "
                            f"(rate(darkroom_webhook_try_duration_seconds_bucket{_INTERVAL})))",
                            "p95",
                        )
                    ],
                ),
            ],
        ),
        (
            "Processes of agents",
            [
                _panel("Memory, the largest", "bytes", [(memory, "{{runtime}}")]),
                _panel("Processor time for each second", "percentunit", [(cpu, "{{runtime}}")]),
            ],
        ),
    ]


def _variable(name: str, label: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "label": label, **more}


def dashboard() -> dict[str, Any]:
    """The dashboard, as Grafana imports it."""
    panels: list[dict[str, Any]] = []
    top = 0
    for title, row in _rows():
        panels.append(
            {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": _place(0, top, _COLUMNS, 1)}
        )
        top += 1
        across = 2 if len(row) in (2, 4) else 3
        width = _COLUMNS // across
        for number, panel in enumerate(row):
            panels.append(
                {**panel, "gridPos": _place(number % across * width, top + number // across * _HEIGHT, width)}
            )
        top += -(-len(row) // across) * _HEIGHT
    for number, panel in enumerate(panels, start=1):
        panel["id"] = number
    runtimes = "label_values(darkroom_agent_ready, runtime)"
    return {
        "uid": "darkroom",
        "title": "Darkroom",
        "description": "The fleet: devices, tasks, the gateway, webhooks. See docs/metrics.md.",
        "tags": ["darkroom"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {
            "list": [
                _variable("source", "Prometheus", type="datasource", query="prometheus"),
                _variable(
                    "runtime",
                    "Runtime",
                    type="query",
                    datasource=_SOURCE,
                    query=runtimes,
                    refresh=2,
                    multi=True,
                    includeAll=True,
                    allValue=".*",
                    current={"text": ["All"], "value": ["$__all"]},
                ),
            ]
        },
        "panels": panels,
    }


def _place(left: int, top: int, width: int, height: int = _HEIGHT) -> dict[str, int]:
    return {"x": left, "y": top, "w": width, "h": height}


def text() -> str:
    """What the file holds."""
    return json.dumps(dashboard(), indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())
