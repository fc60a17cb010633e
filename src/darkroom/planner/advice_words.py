"""Advice in words: the lines of config.yaml with a reason for each, and why a target cannot be met."""

from __future__ import annotations

from collections.abc import Iterator

from darkroom.planner.advice import Advice
from darkroom.planner.choice import WORKING_HOURS, Choice, Point
from darkroom.planner.run_picture import in_words
from darkroom.planner.simulation.deployment import DEFAULT_COOLDOWN_SECONDS, DEFAULT_POLLING_SECONDS, start_seconds
from darkroom.planner.simulation.settings import Settings


def config_lines(runtime: str, point: Point, now: Choice, task_seconds: float, start: float) -> str:
    """What to write into config.yaml, each line with its reason."""
    choice = point.choice
    lines = [
        "modelsRuntime:",
        f"- name: {runtime}",
        "  extraValues:",
        *_nodes(choice, now),
        "    runtime:",
        "      scaling:",
        *(f"        {key}: {value}  # {why}" for key, value, why in _values(choice, task_seconds, start)),
    ]
    if choice.scheduled > choice.minimum:
        lines += [
            "        schedules:  # working hours begin without a cold start",
            f'        - {{start: "0 {choice.hours[0]} * * 1-5", end: "0 {choice.hours[1]} * * 1-5", timezone: Etc/UTC, '
            f"replicas: {choice.scheduled}}}",
        ]
    return "\n".join(lines)


def _values(choice: Choice, task_seconds: float, start: float) -> Iterator[tuple[str, int, str]]:
    length, cooling = choice.queue_length, choice.cooldown
    if length == 1:
        yield "queueLength", 1, "a pod for each task: nobody waits for another's"
    else:
        work = in_words(length * task_seconds)
        yield "queueLength", length, f"{work} of work for a pod; another one would take {in_words(start)} to start"
    if choice.minimum:
        yield "minReplicaCount", choice.minimum, "always there: the first task begins at once"
    else:
        yield "minReplicaCount", 0, "nothing runs while nothing waits"
    yield "maxReplicaCount", choice.maximum, "the most that pays: more would start for bursts that are over by then"
    if cooling < DEFAULT_COOLDOWN_SECONDS:
        yield "cooldownPeriod", cooling, "warm pods would wait longer for the next task than they save"
    elif cooling > DEFAULT_COOLDOWN_SECONDS:
        yield (
            "cooldownPeriod",
            cooling,
            f"the next task often comes within {in_words(cooling)}: a warm pod saves a start",
        )
    else:
        yield "cooldownPeriod", cooling, "the default"
    yield "pollingInterval", choice.polling, _why_so_often(choice)


def _why_so_often(choice: Choice) -> str:
    usd = f"{choice.usd_for_looks:.2f} USD a month" if choice.price.request else "a request each"
    if choice.polling <= DEFAULT_POLLING_SECONDS:
        return f"the first task of a burst waits no longer for a look at the queue; looks cost {usd}"
    if choice.minimum:
        return f"where pods are always there, nobody waits for a look; looks cost {usd}"
    return f"a start takes far longer than the wait for a look; looks cost {usd}"


def _nodes(choice: Choice, now: Choice) -> list[str]:
    found = []
    if choice.price.instance_type != now.price.instance_type:
        found.append(f"        instanceType: [{choice.price.instance_type}]  # the cheapest for what it does")
    if (choice.spot, choice.fallback) != (now.spot, now.fallback):
        told = "spot: false, onDemand: true}  # nothing is taken back"
        if choice.spot:
            told = "spot: true, onDemand: true}  # cheaper, and what is taken back is done again"
            if not choice.fallback:
                told = "spot: true, onDemand: false}  # waiting for Spot where it has no node costs less than on demand"
        found.append(f"        capacityType: {{{told}")
    return ["    karpenter:", "      provisioner:", *found] if found else []


def why_not(advice: Advice, p95: float, budget: float | None, settings: Settings) -> str:
    """Why no setting meets the target, and what comes nearest."""
    fastest, cheapest = advice.frontier[-1], advice.frontier[0]
    start = start_seconds(settings.nodes)
    meets = [point for point in advice.frontier if point.p95 <= p95]
    if not meets:
        where = " that may come within twice the budget" if advice.simulated < advice.considered else ""
        told = [f"No setting{where} has a 95th percentile of {in_words(p95)}: the best has {in_words(fastest.p95)}"]
        if fastest.p95 >= 0.8 * start:
            told.append(f"a start alone takes {in_words(start)}, and more than one task of twenty meets one")
        else:
            told.append(
                "what waits then waits for pods that are at work, not for a start: more of them have to be there"
            )
        if where:
            told.append("allow a larger budget")
        told.append("make nodes start faster (image cache, smaller images), or keep more pods: minReplicaCount")
        return "; ".join(told) + "."
    least = min(meets, key=lambda point: point.usd_per_month)
    within = [point for point in advice.frontier if budget is not None and point.usd_per_month <= budget]
    told = [
        f"A 95th percentile of {in_words(p95)} costs {least.usd_per_month:,.0f} USD a month at least, "
        f"for GPU nodes alone, and {budget or 0:,.0f} are allowed"
    ]
    if within:
        best = min(within, key=lambda point: point.p95)
        told.append(f"the best within the budget waits {in_words(best.p95)} for {best.usd_per_month:,.0f}")
    else:
        told.append(f"the cheapest of all costs {cheapest.usd_per_month:,.0f} and waits {in_words(cheapest.p95)}")
    if start > p95:
        told.append(f"a start takes {in_words(start)}, so pods have to be there before the tasks")
    return "; ".join(told) + "."


def in_short(choice: Choice) -> str:
    """A choice in a few words."""
    parts = [f"queueLength {choice.queue_length}", f"{choice.minimum} to {choice.maximum} pods"]
    parts.append(f"warm for {choice.cooldown} s")
    if choice.scheduled > choice.minimum:
        opens, closes = choice.hours
        hours = "" if choice.hours == WORKING_HOURS else f" ({opens} to {closes} h)"
        parts.append(f"{choice.scheduled} in working hours{hours}")
    if choice.polling != DEFAULT_POLLING_SECONDS:
        parts.append(f"a look every {choice.polling} s")
    bought = ("Spot" if choice.fallback else "Spot alone") if choice.spot else "on demand"
    parts.append(f"{choice.price.instance_type}, {bought}")
    return ", ".join(parts)
