"""Whose tasks a request is about: the caller's own, or for an operator those that `?caller=` names."""

from __future__ import annotations

import msgspec

from darkroom.api import exchange
from darkroom.api.exchange import HttpReply, HttpRequest
from darkroom.errors import Fault
from darkroom.policy.callers import Callers

PARAMETER = "caller"
MAXIMUM_CALLER_LENGTH = 64


class Sight(msgspec.Struct, frozen=True):
    """Whose tasks are meant, in the order in which a task is looked for; and whether an operator asks."""

    callers: tuple[str, ...]
    is_operator: bool = False

    def covers(self, caller: str) -> bool:
        """Whether tasks of `caller` are meant."""
        return caller in self.callers


def whose_task(request: HttpRequest, callers: Callers) -> Sight | HttpReply:
    """Who may own the one task that a request names: an operator looks for his own first, then for nobody's."""
    return _sight(request, callers, (request.caller, ""))


def whose_tasks(request: HttpRequest, callers: Callers) -> Sight | HttpReply:
    """Whose tasks a request for many of them is about: an operator sees those of all who are known."""
    return _sight(request, callers, callers.everybody)


def _sight(request: HttpRequest, callers: Callers, for_operator: tuple[str, ...]) -> Sight | HttpReply:
    named = request.query.get(PARAMETER)
    if not callers.is_operator(request.caller):
        return Sight((request.caller,)) if named is None else exchange.not_the_operator(PARAMETER)
    if named is None:
        return Sight(for_operator, is_operator=True)
    if len(named) > MAXIMUM_CALLER_LENGTH or "/" in named or not named.isprintable():
        return exchange.at_fault(Fault(PARAMETER, "is no caller's name"))
    return Sight((named,), is_operator=True)
