"""The agent's figures for Prometheus. Loaded only where somebody can ask for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import Counter, Histogram
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from darkroom.agent.health import Health
from darkroom.agent.metrics import reason
from darkroom.metrics.exposition import exposition, new_registry
from darkroom.tasks.task import Status

# From a task that finds an idle device to one that waited for half a day.
_WAITS = (0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 43200)
# From a small picture on a large device to a film.
_GENERATIONS = (0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 40, 80, 160, 320, 640, 1280, 3600)


class PrometheusMetrics:
    """Counts for the agent beside one runtime; `text` is what Prometheus is answered."""

    def __init__(self, runtime_name: str, health: Health) -> None:
        self._runtime_name = runtime_name
        self._health = health
        self._busy_seconds: Callable[[], float] = lambda: 0.0
        self._held: Callable[[], int] = lambda: 0
        self._registry = new_registry()
        self._waits = Histogram(
            "darkroom_agent_queue_wait_seconds",
            "Seconds from a task's submission until it had the device.",
            ["runtime"],
            buckets=_WAITS,
            registry=self._registry,
        ).labels(runtime_name)
        self._generations = Histogram(
            "darkroom_agent_generation_seconds",
            "Seconds that tasks had the device, where the runtime delivered.",
            ["runtime", "kind"],
            buckets=_GENERATIONS,
            registry=self._registry,
        )
        self._ends = Counter(
            "darkroom_agent_tasks",
            "Tasks that ended, by status and, where they did not complete, by the error's name.",
            ["runtime", "status", "reason"],
            registry=self._registry,
        )
        self._given_back = Counter(
            "darkroom_agent_given_back",
            "Messages that went back to the queue for another try, by the error's name.",
            ["runtime", "reason"],
            registry=self._registry,
        )
        self._switches = Counter(
            "darkroom_agent_model_switches",
            "How often the runtime loaded another model for a task.",
            ["runtime"],
            registry=self._registry,
        ).labels(runtime_name)
        self._registry.register(_Now(self._now))

    def watch(self, busy_seconds: Callable[[], float], held: Callable[[], int]) -> None:
        """See `Metrics`."""
        self._busy_seconds, self._held = busy_seconds, held

    def began(self, waited_seconds: float) -> None:
        """See `Metrics`."""
        self._waits.observe(max(0.0, waited_seconds))  # clocks differ

    def generated(self, kind: str, seconds: float) -> None:
        """See `Metrics`."""
        self._generations.labels(self._runtime_name, kind).observe(seconds)

    def switched_model(self) -> None:
        """See `Metrics`."""
        self._switches.inc()

    def ended(self, status: Status, error_type: str | None) -> None:
        """See `Metrics`."""
        self._ends.labels(self._runtime_name, status.value, reason(error_type)).inc()

    def given_back(self, error_type: str) -> None:
        """See `Metrics`."""
        self._given_back.labels(self._runtime_name, reason(error_type)).inc()

    def text(self, accept: str) -> tuple[bytes, str]:
        """All figures, and their content type, for a request with this header `Accept`."""
        return exposition(self._registry, accept)

    def _now(self) -> Iterator[Metric]:
        """What needs no counting, since it can be read when somebody asks."""
        labels, values = ["runtime"], [self._runtime_name]
        busy = CounterMetricFamily(
            "darkroom_agent_device_busy_seconds",
            "Seconds that the device was busy, the task that runs just now included: its rate is the duty.",
            labels=labels,
        )
        busy.add_metric(values, self._busy_seconds())
        held = GaugeMetricFamily("darkroom_agent_tasks_held", "Tasks that are on their way here.", labels=labels)
        held.add_metric(values, self._held())
        ready = GaugeMetricFamily("darkroom_agent_ready", "1 while tasks are taken, else 0.", labels=labels)
        ready.add_metric(values, int(self._health.ready))
        live = GaugeMetricFamily("darkroom_agent_live", "0 while only a restart can help, else 1.", labels=labels)
        live.add_metric(values, int(self._health.live))
        yield from (busy, held, ready, live)


class _Now(Collector):
    """Figures that are read when they are asked for."""

    def __init__(self, read: Callable[[], Iterator[Metric]]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        return self._read()
