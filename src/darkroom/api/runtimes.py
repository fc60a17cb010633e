"""`GET /v1alpha2/runtimes`: what there is to do tasks, and how busy it is."""

from __future__ import annotations

from darkroom.api.exchange import HttpReply
from darkroom.api.runtime_states import RuntimeStates
from darkroom.policy.catalogue import Catalogue, RuntimeSpec
from darkroom.policy.estimates import RuntimeState, seconds_until_served
from darkroom.tasks.replies import RuntimeList, RuntimeView


class RuntimeListing:
    """A request for the runtimes: it has no parameters."""


class RuntimeLister:
    """Lists the runtimes of `catalogue`."""

    def __init__(self, catalogue: Catalogue, states: RuntimeStates) -> None:
        self._catalogue = catalogue
        self._states = states

    async def list_runtimes(self) -> HttpReply:
        """Say of each runtime what is known of it now."""
        views = [_view(runtime, await self._states.read(runtime.name)) for runtime in self._catalogue]
        return HttpReply(status=200, body=RuntimeList(runtimes=views))


def _view(runtime: RuntimeSpec, state: RuntimeState) -> RuntimeView:
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
    )
