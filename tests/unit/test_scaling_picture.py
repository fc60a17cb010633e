"""The picture in docs/scaling.md is what its script draws, and its simulation is close to what was recorded."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(ROOT / "bench" / "scaling"))
    import expected  # type: ignore[import-not-found]

    yield expected
    for name in ("expected", "draw"):
        sys.modules.pop(name, None)


def test_the_simulation_is_close_to_what_was_recorded(bench: ModuleType) -> None:
    data = bench.recorded()
    recorded = bench.node_seconds(data["runs"]["changed"])
    computed = bench.expected(data["arrivals"], **bench.AS_RECORDED)
    assert computed.node_seconds == pytest.approx(recorded, rel=0.05)
    assert abs(computed.claims.most - max(count for _, count in data["runs"]["changed"])) <= 1
    assert computed.tasks == len(data["arrivals"])


@pytest.mark.parametrize(("cooldown", "most"), [(60, 1300), (10, 900)])
def test_eight_tasks_cost_what_they_may(bench: ModuleType, cooldown: int, most: int) -> None:
    found = bench.expected([0.0] * 8, 6.0, cooldown=cooldown, queue_length=1)
    assert found.node_seconds <= most
    assert found.claims.changes[-1][1] == 0


def test_the_last_of_eight_tasks_begins_as_soon_as_the_page_says(bench: ModuleType) -> None:
    begins = bench.whenever_they_come()
    assert bench.said_of_all(begins) in " ".join((ROOT / "docs" / "scaling.md").read_text().split())
    # With the moments that were recorded, as it is to be seen again on real controllers.
    assert bench.expected([0.0] * 8, 6.0, queue_length=1).waits.percentile(1.0) <= 45


def test_four_tasks_after_eight_get_four_pods(bench: ModuleType) -> None:
    changes = bench.expected([0.0] * 8 + [300.0] * 4, 6.0, queue_length=1, cooldown=60).claims.changes
    assert max(count for at, count in changes if at < 290) == 8
    assert max(count for at, count in changes if at >= 290) == 4


def test_the_page_says_what_the_simulation_says(bench: ModuleType) -> None:
    page = (ROOT / "docs" / "scaling.md").read_text()
    for label, run in bench.eight_tasks().items():
        assert f"| {label} | {round(run.node_seconds, -1):,.0f} | {bench.last_end(run):.0f} s |" in page
    sixty = bench.expected(bench.recorded()["arrivals"])
    assert f"{round(sixty.node_seconds, -1):,.0f} expected now" in page


def test_the_picture_is_what_the_script_draws(
    bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import draw  # type: ignore[import-not-found]

    monkeypatch.setattr(draw, "OUT", tmp_path / "scaling.svg")
    draw.main()
    drawn = (tmp_path / "scaling.svg").read_text()
    assert drawn == (ROOT / "docs" / "scaling.svg").read_text(), "draw it anew: python bench/scaling/draw.py"
