"""What a suspicious failure turns out to be, by the canary that followed it."""

from __future__ import annotations

import pytest

from darkroom.errors import (
    GenerationFailed,
    GenerationFailedAgain,
    GenerationInterrupted,
    GenerationRefused,
    GenerationTimeout,
    OutOfMemory,
    RequestSuspected,
    RuntimeFailure,
    RuntimeKilled,
    RuntimeSick,
    RuntimeUnavailable,
)
from darkroom.policy.diagnosis import (
    Healed,
    NoCanary,
    Sick,
    Verdict,
    Well,
    incident_of,
    is_suspicious,
    tell_whose_fault,
)
from darkroom.policy.failure_streak import FailureStreak
from darkroom.policy.incidents import Incident, IncidentKind, harmed_its_runtime, tell_story
from darkroom.policy.outcomes import DeadLetter, FailForGood, GiveBack, StartOver, Tries, decide_on_failure

FAULT, SUSPECT = GenerationFailed("a fault"), RequestSuspected("TypeError: of some kind")
TOO_LARGE = OutOfMemory("Tried to allocate 2.00 GiB")


def judged(error: RuntimeFailure, verdict: Verdict, *earlier: Incident, was_well: bool = True) -> RuntimeFailure:
    incident = incident_of(error, verdict, was_well=was_well, at=1.0, where="a pod")
    return tell_whose_fault(error, verdict, [] if incident is None else [*earlier, incident])


def fault(text: str, kind: IncidentKind = IncidentKind.FAULT) -> Incident:
    return Incident(0.0, text, kind, "another pod")


@pytest.mark.parametrize(
    ("error", "suspicious"),
    [
        (FAULT, True),
        (SUSPECT, True),
        (TOO_LARGE, True),
        (GenerationTimeout("300 s"), True),
        (GenerationRefused("no such sampler"), False),
        (GenerationInterrupted("by somebody"), False),
        (RuntimeUnavailable("went away"), False),
        (RuntimeSick("already known"), False),
    ],
)
def test_only_what_may_be_anybodys_fault_is_worth_a_canary(error: RuntimeFailure, suspicious: bool) -> None:
    assert is_suspicious(error) is suspicious


def test_what_a_wrong_request_causes_is_its_fault_where_the_runtime_is_well() -> None:
    verdict = judged(SUSPECT, Well())
    assert type(verdict) is GenerationRefused
    assert isinstance(decide_on_failure(verdict, Tries(1, 6), 0.5), FailForGood)


def test_a_fault_on_a_runtime_that_is_well_has_one_more_try() -> None:
    assert judged(FAULT, Well()) is FAULT
    assert isinstance(decide_on_failure(FAULT, Tries(1, 6), 0.5), GiveBack)
    assert judged(FAULT, Well(), fault("another fault")) is FAULT
    again = judged(FAULT, Well(), fault("another fault"), fault("a fault"))
    assert type(again) is GenerationFailedAgain
    assert "a fault" in str(again)
    assert isinstance(decide_on_failure(again, Tries(2, 6), 0.5), DeadLetter)


def test_figures_make_no_fault_another_one() -> None:
    error = GenerationFailed("failed at 0x7f1a after 12.5 s in file_00012.png")
    earlier = fault("failed at 0x55ee after 3 s in file_00007.png")
    assert type(judged(error, Well(), earlier)) is GenerationFailedAgain


def test_lack_of_memory_has_one_more_try_however_it_is_told() -> None:
    assert judged(TOO_LARGE, Well()) is TOO_LARGE
    earlier = fault("DefaultCPUAllocator: can't", IncidentKind.NO_MEMORY)
    assert type(judged(TOO_LARGE, Well(), earlier)) is GenerationFailedAgain


@pytest.mark.parametrize("verdict", [Sick("CUDA error"), Healed("another model was loaded")])
@pytest.mark.parametrize("error", [FAULT, SUSPECT, TOO_LARGE])
def test_no_task_loses_a_try_to_a_sick_runtime(error: RuntimeFailure, verdict: Verdict) -> None:
    told = judged(error, verdict, was_well=False)
    assert type(told) is RuntimeSick
    assert str(error) in str(told)
    for received in range(1, 6):
        assert isinstance(decide_on_failure(told, Tries(received, 6), 0.5), StartOver)
    assert incident_of(error, verdict, was_well=False, at=0.0, where="") is None


@pytest.mark.parametrize("verdict", [Sick("CUDA error"), Healed("another model was loaded")])
def test_who_leaves_a_well_runtime_sick_twice_is_set_aside(verdict: Verdict) -> None:
    assert type(judged(FAULT, verdict)) is RuntimeSick
    told = judged(FAULT, verdict, fault("a fault", IncidentKind.SICKNESS))
    assert type(told) is RuntimeKilled
    assert "took its runtime down or left it sick 2 times: another pod: a fault; a pod: a fault" in str(told)


def test_a_death_and_a_sickness_are_two() -> None:
    incidents = [Incident(0.0, "went away", where="a pod"), fault("failed", IncidentKind.SICKNESS)]
    assert harmed_its_runtime(incidents)
    assert not harmed_its_runtime([*incidents[:1], fault("failed"), fault("failed")])
    assert tell_story(incidents[:1] * 2) == (
        "the task took its runtime down 2 times: a pod: went away; a pod: went away"
    )


def test_without_a_canary_a_fault_stays_what_it_is() -> None:
    assert judged(FAULT, NoCanary(), fault("a fault"), fault("a fault")) is FAULT
    assert judged(SUSPECT, NoCanary()) is SUSPECT


def test_without_a_canary_a_streak_of_different_submissions_tells() -> None:
    streak = FailureStreak()
    for _ in range(5):
        streak.record_failure("one", "poison")
    assert streak.fault is None
    streak.record_failure("two", "lost")
    assert streak.fault == "the runtime failed 6 times in a row, last: lost"
    streak.reset()
    assert streak.fault is None
