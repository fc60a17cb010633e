"""`/v1alpha2/dead-letters`: tasks that failed on every try, for operators to see and to put back.

Whoever looks holds the letters for as long as that takes, and what one request does is bounded, so that it is answered
in time. A letter is only deleted when its task is in the queue again; one that is redriven twice is one submission.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from darkroom.api import exchange
from darkroom.api.exchange import HttpReply, HttpRequest
from darkroom.api.ports import DeadLetters, Ports
from darkroom.errors import Fault
from darkroom.policy.callers import Callers
from darkroom.policy.catalogue import Catalogue
from darkroom.policy.dead_letters import DeadLetter
from darkroom.redaction import without_url_secrets
from darkroom.tasks.dead_letter_replies import DeadLetterList, DeadLetterView, LetterLeft, Redriven
from darkroom.tasks.message import owner_of

LONGEST_PAGE, USUAL_PAGE = 100, 50
MOST_REDRIVEN = 100
# So many letters are looked through for those that are meant: each ten of them are a call.
MOST_LOOKED_AT = 500
_PARAMETERS = ("runtime", "limit")
_LONGEST_NAME = 200
_FOR_OPERATORS = "Dead letters are for callers of the role operator: they may be anybody's."


class LetterListing(msgspec.Struct, frozen=True):
    """List up to `limit` dead letters of a runtime."""

    runtime: str
    limit: int = USUAL_PAGE


class LetterRedrive(msgspec.Struct, frozen=True, kw_only=True):
    """Put letters of a runtime back: those of these ids, or those of a type, or with neither of both, all."""

    runtime: str
    ids: tuple[str, ...] = ()
    type: str | None = None

    def means(self, letter: DeadLetter) -> bool:
        """Whether this letter is to be redriven."""
        return letter.id in self.ids if self.ids else self.type in (None, letter.type)


class RequestRedrive(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which dead letters of a runtime are put back: those of `ids`, those of a `type`, or `all`; one of the three."""

    runtime: str
    ids: list[str] | None = None
    type: str | None = None
    all: bool = False


def plan_letter_listing(request: HttpRequest, callers: Callers, catalogue: Catalogue) -> LetterListing | HttpReply:
    """Decide what a request for dead letters needs."""
    if not callers.is_operator(request.caller):
        return exchange.error(403, _FOR_OPERATORS)
    if faults := list(_listing_faults(request.query, catalogue)):
        return exchange.at_fault(*faults)
    return LetterListing(request.query["runtime"], int(request.query.get("limit", USUAL_PAGE)))


def plan_letter_redrive(request: HttpRequest, callers: Callers, catalogue: Catalogue) -> LetterRedrive | HttpReply:
    """Decide what a request to put letters back needs."""
    if not callers.is_operator(request.caller):
        return exchange.error(403, _FOR_OPERATORS)
    if not exchange.is_json(request.content_type):
        return exchange.not_json(request.content_type)
    try:
        asked = msgspec.json.decode(request.body, type=RequestRedrive)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return exchange.at_fault(Fault("", str(error)[:_LONGEST_NAME]))
    if faults := list(_redrive_faults(asked, catalogue)):
        return exchange.at_fault(*faults)
    return LetterRedrive(runtime=asked.runtime, ids=tuple(asked.ids or ()), type=asked.type)


def _listing_faults(query: Mapping[str, str], catalogue: Catalogue) -> Iterator[Fault]:
    yield from exchange.unknown_parameters(query, _PARAMETERS, "dead letters")
    yield from _runtime_faults(query.get("runtime", ""), catalogue)
    limit = query.get("limit", str(USUAL_PAGE))
    if not (limit.isascii() and limit.isdecimal() and len(limit) < 9 and 1 <= int(limit) <= LONGEST_PAGE):
        yield Fault("limit", f"must be a number from 1 to {LONGEST_PAGE}, not {limit[:_LONGEST_NAME]!r}")


def _redrive_faults(asked: RequestRedrive, catalogue: Catalogue) -> Iterator[Fault]:
    yield from _runtime_faults(asked.runtime, catalogue)
    if [asked.ids is not None, asked.type is not None, asked.all].count(True) != 1:
        yield Fault("", "say which letters are meant, by one of `ids`, `type` and `all`")
    if asked.ids is not None and not 1 <= len(asked.ids) <= MOST_REDRIVEN:
        yield Fault("ids", f"must be 1 to {MOST_REDRIVEN} ids of letters")


def _runtime_faults(name: str, catalogue: Catalogue) -> Iterator[Fault]:
    names = [runtime.name for runtime in catalogue]
    if name not in names:
        yield Fault("runtime", f"must be one of {', '.join(names)}, not {name[:_LONGEST_NAME]!r}")


class DeadLetterDesk:
    """Carries both out. Every method may raise an `AwsFailure`: no letter is lost by that."""

    def __init__(self, ports: Ports) -> None:
        self._letters = ports.dead_letters

    async def list(self, plan: LetterListing) -> HttpReply:
        """Hold some letters, say what they are, and give them back."""
        if self._letters is None:
            return _unknown_queues()
        async with self._letters.held(plan.runtime) as held:
            letters = sorted(await held.all(plan.limit), key=lambda letter: letter.sent_at)
        total = max(len(letters), await self._letters.count(plan.runtime) or 0)
        views = [_view(letter, plan.runtime) for letter in letters]
        return HttpReply(status=200, body=DeadLetterList(dead_letters=views, total=total))

    async def redrive(self, plan: LetterRedrive) -> HttpReply:
        """Put back what is meant, one after the other."""
        if self._letters is None:
            return _unknown_queues()
        return HttpReply(status=200, body=await _redrive(plan, self._letters))


async def _redrive(plan: LetterRedrive, letters: DeadLetters) -> Redriven:
    redriven: list[str] = []
    left: list[LetterLeft] = []
    looked_at = 0
    async with letters.held(plan.runtime) as held:
        while looked_at < MOST_LOOKED_AT and len(redriven) < MOST_REDRIVEN:
            batch = await held.receive()
            looked_at += len(batch)
            for letter in batch:
                if not plan.means(letter):
                    continue
                if letter.unreadable is not None:
                    left.append(LetterLeft(letter.id, without_url_secrets(letter.unreadable)))
                else:
                    await held.redrive(letter)
                    redriven.append(letter.id)
            if not batch or _all_found(plan.ids, redriven, left):
                gone = set(plan.ids) - {*redriven, *(one.id for one in left)}
                reason = "it is not among the dead letters (any more)"
                left += [LetterLeft(name, reason) for name in plan.ids if name in gone]
                return Redriven(redriven=redriven, left=left, more=False)
    return Redriven(redriven=redriven, left=left, more=True)


def _all_found(ids: Sequence[str], redriven: Sequence[str], left: Sequence[LetterLeft]) -> bool:
    return bool(ids) and len(redriven) + len(left) == len(set(ids))


def _view(letter: DeadLetter, runtime: str) -> DeadLetterView:
    return DeadLetterView(
        id=letter.id,
        runtime=runtime,
        type=letter.type,
        reason=without_url_secrets(letter.reason),
        sent_at=datetime.fromtimestamp(int(letter.sent_at), UTC),
        caller=owner_of(letter.attributes),
        task_id=letter.task_id,
        tries=letter.tries,
        unreadable=None if letter.unreadable is None else without_url_secrets(letter.unreadable),
    )


def _unknown_queues() -> HttpReply:
    message = (
        "This front door was not told where its runtimes' queues are (DARKROOM_QUEUES). `darkroom dlq` finds them."
    )
    return exchange.error(404, message)
