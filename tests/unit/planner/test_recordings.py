"""What was recorded on real controllers, and what the simulation makes of the same arrivals."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import repeat
from pathlib import Path

import pytest

from darkroom.errors import SettingsError
from darkroom.planner.recording import Comparison, compare, disagreement, read_recording
from darkroom.planner.simulation.agents import Work
from darkroom.planner.simulation.engine import simulate
from darkroom.planner.simulation.results import Outcome
from darkroom.planner.simulation.settings import Behavior, Budget, Hpa, Karpenter, Phases, Policy, Rules, Settings

FOLDER = Path(__file__).parent / "recordings"
SYNC = 15.0


@pytest.fixture(params=["defaults", "up-at-once"])
def compared(request: pytest.FixtureRequest) -> Comparison:
    return compare(read_recording(FOLDER / f"{request.param}.jsonl"))


def test_pods_and_claims_are_as_many_within_one_sync(compared: Comparison) -> None:
    assert compared.off("replicas", SYNC) == []
    assert compared.off("claims", SYNC) == []


def test_node_seconds_are_within_five_per_cent(compared: Comparison) -> None:
    assert abs(compared.node_seconds_error) < 0.05


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_waiting_is_within_ten_per_cent_or_a_second(compared: Comparison, share: float) -> None:
    recorded, simulated = compared.waiting(share)
    assert abs(simulated - recorded) <= max(1.0, 0.1 * recorded)


def test_every_task_is_done_and_nothing_stays(compared: Comparison) -> None:
    assert compared.outcome.tasks == 60
    assert compared.outcome.claims.changes[-1][1] == 0


def test_wrong_rules_are_seen(compared: Comparison) -> None:
    """The comparison can fail: with the autoscaler's other rules, or another budget, pods and nodes are others."""
    settings = compared.recording.settings
    other = Hpa(Behavior()) if settings.hpa.behavior is None else Hpa()
    wrong = compare(replace(compared.recording, settings=replace(settings, hpa=other)))
    assert len(wrong.off("replicas", SYNC)) > 100
    budget = Budget(1.0) if settings.hpa.behavior is None else Budget(0.1)
    karpenter = replace(settings.karpenter, budgets=(budget,))
    wrong = compare(replace(compared.recording, settings=replace(settings, karpenter=karpenter)))
    assert abs(wrong.node_seconds_error) > 0.05


def test_the_comparison_of_curves() -> None:
    curve = [(0.0, 0), (100.0, 5)]
    assert disagreement(curve, [(0.0, 0), (112.0, 5)], SYNC, 200) == []
    assert [second for second, *_ in disagreement(curve, [(0.0, 0), (120.0, 5)], SYNC, 200)] == [
        float(second) for second in range(100, 105)
    ]
    assert disagreement(curve, [(0.0, 0), (100.0, 4)], SYNC, 200)[0] == (100.0, 5, 4)


def eight_tasks(settings: Settings) -> list[Outcome]:
    """Eight tasks of 6 s at once, for every moment at which Karpenter's loop may look."""
    phases = [replace(settings.phases, karpenter=float(at)) for at in range(0, 10, 2)]
    every = [replace(settings, phases=one) for one in phases]
    return [simulate(Work(iter([0.0] * 8), repeat(6.1)), one) for one in every]


ONE_STEP = Hpa(Behavior(Rules(0.0, (Policy("Pods", 100, 15.0),)), Rules(0.0, (Policy("Percent", 100, 15.0),))))
TOGETHER = Karpenter(consolidate_after=30.0, budgets=(Budget(1.0),))


@pytest.mark.parametrize(
    ("hpa", "karpenter", "queue_length", "hpa_looks", "node_seconds", "last_ends"),
    [
        # Other runs on the same controllers, of which only these figures were kept.
        (Hpa(), None, 1, 8.0, 2184, 56),
        (Hpa(), TOGETHER, 1, 8.0, 1322, 56),
        (ONE_STEP, TOGETHER, 1, 6.0, 880, 50),
        (ONE_STEP, TOGETHER, 4, 6.0, 305, 65),
    ],
    ids=["the defaults then", "empty nodes together", "and up in one step", "and four tasks for each pod"],
)
def test_eight_tasks_at_once(
    hpa: Hpa, karpenter: Karpenter | None, queue_length: int, hpa_looks: float, node_seconds: float, last_ends: float
) -> None:
    then = read_recording(FOLDER / "defaults.jsonl").settings
    settings = replace(
        then,
        hpa=hpa,
        karpenter=karpenter or then.karpenter,
        keda=replace(then.keda, queue_length=queue_length),
        phases=Phases(3.0, hpa_looks, 0.0),
    )
    outcomes = eight_tasks(settings)
    assert min(found.node_seconds for found in outcomes) <= node_seconds * 1.03
    assert max(found.node_seconds for found in outcomes) >= node_seconds * 0.97
    for found in outcomes:
        assert found.node_seconds == pytest.approx(node_seconds, rel=0.06)
        assert found.totals.percentile(1.0) == pytest.approx(last_ends, abs=1.5)


@pytest.mark.parametrize(
    ("text", "told"), [("", "no recording"), ("{}", "no recording"), (json.dumps({"scaling": {}, "grace": 1}), "'")]
)
def test_a_file_that_is_no_recording(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text(text)
    with pytest.raises(SettingsError, match=told):
        read_recording(file)


def test_the_page_and_its_picture_are_what_the_script_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).parents[3]
    monkeypatch.syspath_prepend(str(root / "bench" / "planner"))
    import recordings  # type: ignore[import-not-found]

    found = [compare(read_recording(FOLDER / f"{name}.jsonl")) for name in recordings.OURS]
    page = (root / "docs" / "planning.md").read_text()
    assert recordings.with_table(page, found) == page, "write it anew: python bench/planner/recordings.py"
    drawn = (root / "docs" / "planning-recordings.svg").read_text()
    assert recordings.recording_picture(found, list(recordings.OURS.values())) == drawn
