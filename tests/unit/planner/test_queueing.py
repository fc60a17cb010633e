"""The simulation against queues whose waiting is known exactly.

A fixed number of pods that are there from the beginning is M/M/c or M/D/c. One run of a million tasks has a standard
deviation of 1.8 %, so the mean of several seeds is looked at.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from random import Random
from statistics import fmean

import pytest

from darkroom.planner.simulation.agents import Work
from darkroom.planner.simulation.engine import simulate
from darkroom.planner.simulation.results import Outcome
from darkroom.planner.simulation.settings import Agent, Hpa, Karpenter, Keda, Nodes, Phases, Settings
from darkroom.planner.simulation.streams import Duration, constant, poisson

pytestmark = pytest.mark.slow

AT_ONCE = Karpenter(batch_idle=0.0, batch_most=0.0, launch=0.0, consolidate_after=None)
READY = Nodes(boot=0.0, image=0.0, container=0.0, model=0.0)
EAGER = Agent(latency=0.0)
SEEDS, TASKS = range(8), 120_000


def fixed(pods: int) -> Settings:
    keda = Keda(queue_length=1, polling=600.0, minimum=pods, maximum=pods)
    return Settings(keda, Hpa(sync=600.0), AT_ONCE, READY, agent=EAGER, phases=Phases(0.0, 0.0, 0.0))


def outcomes(pods: int, load: float, service: Duration) -> list[Outcome]:
    rate = load * pods / service.mean
    return [
        simulate(
            Work(islice(later(poisson(rate, Random(seed))), TASKS), service.stream(Random(seed + 99))), fixed(pods)
        )
        for seed in SEEDS
    ]


def later(moments: Iterator[float]) -> Iterator[float]:
    """A moment later: the pods are there at 0 exactly."""
    return (at + 1e-6 for at in moments)


def erlang_c(pods: int, offered: float) -> float:
    blocked = 1.0
    for count in range(1, pods + 1):
        blocked = offered * blocked / (count + offered * blocked)
    load = offered / pods
    return blocked / (1 - load * (1 - blocked))


@pytest.mark.parametrize(("pods", "load"), [(1, 0.6), (4, 0.75), (10, 0.8)])
def test_exponential_services_wait_as_in_m_m_c(pods: int, load: float) -> None:
    found = outcomes(pods, load, Duration("exponential", 1.0))
    waits = erlang_c(pods, load * pods)
    mean = waits / (pods * (1 - load))
    p95 = max(0.0, math.log(waits / 0.05) / (pods * (1 - load)))
    assert fmean(one.waits.mean for one in found) == pytest.approx(mean, rel=0.02)
    assert fmean(one.waits.percentile(0.95) for one in found) == pytest.approx(p95, rel=0.02)
    assert fmean(one.waits.share_above(0.0) for one in found) == pytest.approx(waits, rel=0.02)
    assert all(one.tasks == TASKS for one in found)


@pytest.mark.parametrize(("pods", "load"), [(1, 0.6), (4, 0.75), (10, 0.8)])
def test_constant_services_wait_as_in_m_d_c(pods: int, load: float) -> None:
    found = outcomes(pods, load, Duration("constant", 1.0))
    assert fmean(one.waits.mean for one in found) == pytest.approx(m_d_c(pods, load * pods), rel=0.02)


def m_d_c(pods: int, rate: float) -> float:
    """Spitzer's sum for the mean waiting with services of one second."""
    total = 0.0
    for n in range(1, 400):
        mean = rate * n
        at_least = poisson_tail(mean, n * pods)
        one_more = poisson_tail(mean, n * pods + 1)
        term = (n * at_least - n * pods / rate * one_more) / n
        total += term
        if term < 1e-9:
            break
    return total


def poisson_tail(mean: float, least: int) -> float:
    """P(N >= least)."""
    return sum(math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(least, least + 400))


def test_a_queue_with_set_up() -> None:
    """M/G/1 whose server goes off after a time without tasks, and takes some to come back (Welch)."""
    rate, service, set_up, off_after = 1 / 40.0, 6.0, 60.0, 30.0
    keda = Keda(queue_length=1, polling=0.5, cooldown=off_after, minimum=0, maximum=1)
    settings = Settings(keda, Hpa(sync=600.0), AT_ONCE, replace(READY, model=set_up), agent=EAGER)
    found = [
        simulate(
            Work(islice(poisson(rate, Random(seed)), 20_000), Duration("constant", service).stream(Random(1))), settings
        )
        for seed in range(6)
    ]
    # A look comes up to half a second after a task. Until a cool-down is noticed, some more of the same passes.
    set_up, off_after = set_up + 0.25, off_after + 0.25
    load, p = rate * service, math.exp(-rate * off_after)
    queue = rate * service**2 / (2 * (1 - load))
    starts = p * (2 * set_up + rate * set_up**2) / (2 * (1 + rate * p * set_up))
    assert fmean(one.waits.mean for one in found) == pytest.approx(queue + starts, rel=0.02)


def test_nobody_waits_where_there_is_always_a_pod() -> None:
    found = simulate(Work(islice(later(constant(1.0)), 1000), Duration("constant", 0.9).stream(Random(1))), fixed(1))
    assert found.waits.percentile(1.0) == 0.0
    assert found.busy_seconds == pytest.approx(900.0)
