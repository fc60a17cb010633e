"""`GET /v1alpha2/runtimes`: what does tasks, and how busy it is; with `?workflows=true`, what workflows there are."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from darkroom.api import exchange
from darkroom.api.exchange import HttpReply, HttpRequest
from darkroom.api.runtime_states import RuntimeStates
from darkroom.errors import Fault
from darkroom.openai.options import RuntimeOptions
from darkroom.policy.catalogue import Catalogue, RuntimeSpec
from darkroom.policy.estimates import RuntimeState, seconds_until_served
from darkroom.tasks.replies import RuntimeList, RuntimeView, WorkflowView

NO_OPTIONS: Mapping[str, RuntimeOptions] = {}


class RuntimeListing(msgspec.Struct, frozen=True):
    """A request for the runtimes; `workflows` asks for those that the deployment has for them."""

    workflows: bool = False


def plan_runtimes(request: HttpRequest) -> HttpReply | RuntimeListing:
    """Read the query; a refusal where it cannot be read."""
    workflows = request.query.get("workflows", "false").lower()
    if workflows not in ("true", "false"):
        return exchange.at_fault(Fault("workflows", f"must be true or false, not {workflows[:100]!r}"))
    return RuntimeListing(workflows == "true")


class RuntimeLister:
    """Lists the runtimes of `catalogue`; `options` has the workflows of those that have some."""

    def __init__(
        self, catalogue: Catalogue, states: RuntimeStates, options: Mapping[str, RuntimeOptions] = NO_OPTIONS
    ) -> None:
        self._catalogue = catalogue
        self._states = states
        self._workflows = {name: _workflows(option) for name, option in options.items()}

    async def list_runtimes(self, plan: RuntimeListing) -> HttpReply:
        """Say of each runtime what is known of it now."""
        views = []
        for runtime in self._catalogue:
            workflows = self._workflows.get(runtime.name, {}) if plan.workflows else {}
            views.append(_view(runtime, await self._states.read(runtime.name), workflows))
        return HttpReply(status=200, body=RuntimeList(runtimes=views))


def _workflows(options: RuntimeOptions) -> dict[str, WorkflowView]:
    templates = {"generate": options.generate, "edit": options.edit}
    return {
        kind: WorkflowView(workflow=template.workflow, slots={str(slot): at for slot, at in template.slots.items()})
        for kind, template in templates.items()
        if template is not None
    }


def _view(runtime: RuntimeSpec, state: RuntimeState, workflows: dict[str, WorkflowView]) -> RuntimeView:
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
        workflows=workflows,
    )
