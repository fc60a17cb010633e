"""`GET /v1alpha2/runtimes`: what does tasks, and how busy it is; with `?workflows=true`, what workflows there are."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import msgspec

from darkroom.api import exchange
from darkroom.api.exchange import HttpReply, HttpRequest
from darkroom.api.ports import DeadLetters
from darkroom.api.runtime_states import RuntimeStates
from darkroom.errors import AwsFailure, Fault
from darkroom.logs import log
from darkroom.openai.options import RuntimeOptions
from darkroom.policy.callers import Callers
from darkroom.policy.catalogue import Catalogue, RuntimeSpec
from darkroom.policy.estimates import RuntimeState, oldest_wait, seconds_until_served
from darkroom.tasks.replies import AgentView, RuntimeList, RuntimeView, WorkflowView

NO_OPTIONS: Mapping[str, RuntimeOptions] = {}


class RuntimeListing(msgspec.Struct, frozen=True):
    """A request for the runtimes; an operator is told more. `workflows` asks for what the deployment has of them."""

    for_operator: bool = False
    workflows: bool = False


def plan_runtimes(request: HttpRequest, callers: Callers) -> HttpReply | RuntimeListing:
    """Read the query; a refusal where it cannot be read."""
    if unknown := list(exchange.unknown_parameters(request.query, ("workflows",), "runtimes")):
        return exchange.at_fault(*unknown)
    workflows = request.query.get("workflows", "false").lower()
    if workflows not in ("true", "false"):
        return exchange.at_fault(Fault("workflows", f"must be true or false, not {workflows[:100]!r}"))
    return RuntimeListing(callers.is_operator(request.caller), workflows == "true")


class RuntimeLister:
    """Lists the runtimes of `catalogue`. `clock` tells seconds since 1970 (UTC); `options` has their workflows."""

    def __init__(
        self,
        catalogue: Catalogue,
        states: RuntimeStates,
        letters: DeadLetters | None,
        clock: Callable[[], float],
        options: Mapping[str, RuntimeOptions] = NO_OPTIONS,
    ) -> None:
        self._catalogue = catalogue
        self._states = states
        self._letters = letters
        self._clock = clock
        self._workflows = {name: _workflows(option) for name, option in options.items()}

    async def list_runtimes(self, plan: RuntimeListing) -> HttpReply:
        """Say of each runtime what is known of it now."""
        views = []
        for runtime in self._catalogue:
            state = await self._states.read(runtime.name)
            workflows = self._workflows.get(runtime.name, {}) if plan.workflows else {}
            view = _view(runtime, state, self._clock(), workflows)
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


def _workflows(options: RuntimeOptions) -> dict[str, WorkflowView]:
    templates = {"generate": options.generate, "edit": options.edit}
    return {
        kind: WorkflowView(workflow=template.workflow, slots={str(slot): at for slot, at in template.slots.items()})
        for kind, template in templates.items()
        if template is not None
    }


def _view(runtime: RuntimeSpec, state: RuntimeState, now: float, workflows: dict[str, WorkflowView]) -> RuntimeView:
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
        workflows=workflows,
    )
