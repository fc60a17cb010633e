"""`GET /v1alpha2/runtimes`: what there is to do tasks, and how busy it is."""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from darkroom.api.exchange import HttpReply
from darkroom.api.ports import DeadLetters
from darkroom.api.runtime_states import RuntimeStates
from darkroom.errors import AwsFailure
from darkroom.logs import log
from darkroom.policy.catalogue import Catalogue, RuntimeSpec
from darkroom.policy.estimates import RuntimeState, oldest_wait, seconds_until_served
from darkroom.tasks.replies import AgentView, RuntimeList, RuntimeView


class RuntimeListing(msgspec.Struct, frozen=True):
    """A request for the runtimes: it has no parameters; an operator is told more."""

    for_operator: bool = False


class RuntimeLister:
    """Lists the runtimes of `catalogue`. `clock` tells seconds since 1970 (UTC)."""

    def __init__(
        self, catalogue: Catalogue, states: RuntimeStates, letters: DeadLetters | None, clock: Callable[[], float]
    ) -> None:
        self._catalogue = catalogue
        self._states = states
        self._letters = letters
        self._clock = clock

    async def list_runtimes(self, plan: RuntimeListing) -> HttpReply:
        """Say of each runtime what is known of it now."""
        views = []
        for runtime in self._catalogue:
            state = await self._states.read(runtime.name)
            view = _view(runtime, state, self._clock())
            views.append(await self._for_operator(view, state) if plan.for_operator else view)
        return HttpReply(status=200, body=RuntimeList(runtimes=views))

    async def _for_operator(self, view: RuntimeView, state: RuntimeState) -> RuntimeView:
        now = self._clock()
        agents = [AgentView.of(beat, now) for beat in sorted(state.agents, key=lambda beat: beat.agent)]
        return msgspec.structs.replace(view, agents=agents, dead_letters=await self._count(view.name))

    async def _count(self, runtime: str) -> int | None:
        try:
            return None if self._letters is None else await self._letters.count(runtime)
        except AwsFailure as failure:  # the others are told all the same
            log(logging.WARNING, "front_door.dead_letters_unknown", str(failure), runtime=runtime)
            return None


def _view(runtime: RuntimeSpec, state: RuntimeState, now: float) -> RuntimeView:
    fixed = (runtime.model,) if runtime.model is not None and not runtime.dynamic else ()
    return RuntimeView(
        name=runtime.name,
        type=runtime.type,
        tasktypes=sorted(runtime.accepted_kinds),
        models=list(fixed or state.models or state.loaded),
        loaded=list(state.loaded),
        loads_models=runtime.dynamic,
        waiting=state.waiting,
        in_work=state.in_flight,
        agents_ready=state.ready,
        estimated_wait_seconds=seconds_until_served(state),
        service_seconds=None if state.service_seconds is None else round(state.service_seconds, 3),
        oldest_seconds=oldest_wait(state, now),
    )
