"""Callers' own webhooks, as config.yaml has them: which of them are switched off, and on again.

A receiver that answers 410 wants no more (Standard Webhooks). A webhook that a task names ends with its one delivery; a
caller's is told of every task, so it is switched off: what comes for it is written down as `gone` and not sent. Whoever
has one of these sent again asks its receiver anew: where it takes that, the webhook is on again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from darkroom.aws.webhook_switches import WebhookSwitches
from darkroom.logs import log
from darkroom.policy.webhook_tries import Delivered, GiveUp, Verdict
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.webhook import SwitchedOff, Webhook, WebhookDelivery
from darkroom.webhooks.clock import Clock

# How long a sender goes by what it has read: one question to the table for each caller and so many seconds.
_FRESH_SECONDS = 10.0


class Endpoints:
    """The webhooks of `callers`, by name. Methods that ask or write may raise an `AwsFailure`."""

    def __init__(self, callers: Mapping[str, Webhook], switches: WebhookSwitches, clock: Clock) -> None:
        self._callers = callers
        self._switches = switches
        self._clock = clock
        self._known: dict[str, tuple[float, SwitchedOff | None]] = {}

    def of(self, record: TaskRecord) -> Webhook | None:
        """Who is to be told of a task: its own webhook takes the place of its caller's."""
        return record.webhook or self._callers.get(record.caller)

    async def why_off(self, caller: str, url: str) -> str | None:
        """Why nothing is sent to this URL of a caller's, in words; None where something is."""
        off = await self._off(caller, url)
        return None if off is None else f"it is switched off: the receiver answered 410 to {off.delivery_id}"

    async def ended(self, delivery: WebhookDelivery, verdict: Verdict, began_at: float) -> None:
        """Switch off or on as a try has ended that began at `began_at` (seconds since 1970)."""
        caller, fields = delivery.caller, {"caller": delivery.caller, "delivery_id": delivery.id}
        match verdict:
            case GiveUp(is_gone=True) if self._is_callers(caller, delivery.url):
                off = SwitchedOff(caller, delivery.url, self._clock.now(), delivery.id)
                await self._switches.switch_off(off)
                self._keep(caller, off)
                log(logging.ERROR, "webhook.switched_off", "the receiver answered 410: it wants no more", **fields)
            case Delivered():
                off_now = await self._off(caller, delivery.url)
                # One that was on its way when another was answered 410 says nothing new.
                if off_now is not None and off_now.since < began_at:
                    await self._switches.switch_on(caller)
                    self._keep(caller, None)
                    log(logging.INFO, "webhook.switched_on", "the receiver takes webhooks again", **fields)

    async def _off(self, caller: str, url: str) -> SwitchedOff | None:
        if not self._is_callers(caller, url):
            return None
        known = self._known.get(caller)
        if known is None or not 0 <= self._clock.monotonic() - known[0] < _FRESH_SECONDS:
            known = self._keep(caller, await self._switches.read(caller))
        off = known[1]
        return off if off is not None and off.url == url else None

    def _is_callers(self, caller: str, url: str) -> bool:
        webhook = self._callers.get(caller)
        return webhook is not None and webhook.url == url

    def _keep(self, caller: str, off: SwitchedOff | None) -> tuple[float, SwitchedOff | None]:
        self._known[caller] = known = (self._clock.monotonic(), off)
        return known
