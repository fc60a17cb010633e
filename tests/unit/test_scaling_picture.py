"""The picture in docs/scaling.md is what its script draws, and its simulation is close to what was recorded."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def simulation(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(ROOT / "bench" / "scaling"))
    import simulate  # type: ignore[import-not-found]

    yield simulate
    for name in ("simulate", "draw"):
        sys.modules.pop(name, None)


def test_the_simulation_is_close_to_what_was_recorded(simulation: ModuleType) -> None:
    data = simulation.recorded()
    recorded = simulation.node_seconds(data["runs"]["changed"])
    computed = simulation.simulate(data["arrivals"], simulation.Settings(nodes_stay=30, poll=5))
    assert computed.node_seconds == pytest.approx(recorded, rel=0.1)
    assert max(computed.nodes) == max(count for _, count in data["runs"]["changed"])
    assert len(computed.waits) == len(data["arrivals"])


@pytest.mark.parametrize(("stay", "most"), [(60, 1300), (10, 900)])
def test_eight_tasks_cost_what_they_may(simulation: ModuleType, stay: int, most: int) -> None:
    for found in simulation.whenever_they_come(8, simulation.Settings(task=6, pods_stay=stay)):
        assert found.node_seconds <= most
        assert found.nodes[-1] == 0


def test_the_last_of_eight_tasks_begins_as_soon_as_the_page_says(simulation: ModuleType) -> None:
    runs = simulation.whenever_they_come(8, simulation.Settings(task=6))
    last = [max(run.waits) for run in runs]
    said = f"begins between {min(last)} and {max(last)} s after it came, at {sum(last) / len(last):.1f} s on average"
    assert said in " ".join((ROOT / "docs" / "scaling.md").read_text().split())
    # With the moments that were recorded, as it is to be seen again on real controllers.
    assert max(simulation.simulate([0.0] * 8, simulation.Settings(task=6)).waits) <= 45


def test_four_tasks_after_eight_get_four_pods(simulation: ModuleType) -> None:
    found = simulation.simulate([0.0] * 8 + [300.0] * 4, simulation.Settings(task=6))
    assert max(found.nodes[:290]) == 8
    assert max(found.nodes[290:]) == 4


def test_the_page_says_what_the_simulation_says(simulation: ModuleType) -> None:
    page = (ROOT / "docs" / "scaling.md").read_text()
    settings = simulation.Settings
    for label, found in (
        ("the defaults (expected)", settings(task=6)),
        ("and `cooldownPeriod: 10` (expected)", settings(task=6, pods_stay=10)),
        ("the defaults and four tasks for each pod (expected)", settings(task=6, queue_length=4)),
    ):
        run = simulation.simulate([0.0] * 8, found)
        assert f"| {label} | {round(run.node_seconds, -1):,} | {max(run.waits) + 6} s |" in page
    sixty = simulation.simulate(simulation.recorded()["arrivals"], settings())
    assert f"{round(sixty.node_seconds, -1):,} expected now" in page


def test_the_picture_is_what_the_script_draws(
    simulation: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import draw  # type: ignore[import-not-found]

    monkeypatch.setattr(draw, "OUT", tmp_path / "scaling.svg")
    draw.main()
    drawn = (tmp_path / "scaling.svg").read_text()
    assert drawn == (ROOT / "docs" / "scaling.svg").read_text(), "draw it anew: python bench/scaling/draw.py"
