"""Carries out what the service has planned, over the ports: the part that both doors share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from darkroom.api import exchange
from darkroom.api.cancelling import Cancellation, Cancelling
from darkroom.api.dead_letters import DeadLetterDesk, LetterListing, LetterRedrive
from darkroom.api.exchange import HttpReply, HttpRequest
from darkroom.api.listing import Listing, TaskLister
from darkroom.api.looking_up import LookingUp, Lookup
from darkroom.api.ports import Ports
from darkroom.api.runtime_states import RuntimeStates
from darkroom.api.runtimes import NO_OPTIONS, RuntimeLister, RuntimeListing
from darkroom.api.service import Service
from darkroom.api.submission import Submission
from darkroom.api.submitting import Submitting
from darkroom.api.uploading import Upload, Uploading
from darkroom.api.using import UsageQuery, UsageTelling
from darkroom.api.waiting import Waiter
from darkroom.api.webhook_deliveries import DeliveryListing, DeliveryRetry, WebhookDeliveries
from darkroom.errors import AwsFailure, SettingsError
from darkroom.logs import log
from darkroom.openai.options import RuntimeOptions
from darkroom.policy.callers import Callers

_NOBODY = Callers()


class FrontDoor:
    """Answers requests.

    `clock` tells seconds since 1970 (UTC); `new_submission_id` makes an id that no other submission has. The tasks of
    those of `callers` who have a limit for a month are counted in the task table: `SettingsError` where there is none.
    `waiter` is how somebody waits for a task; without one, every look-up is answered at once.
    `options` are what the deployment says of its runtimes, such as their workflows. `on_change` is called with the
    caller of a task that was taken, or that is to be stopped.
    """

    def __init__(
        self,
        service: Service,
        ports: Ports,
        *,
        clock: Callable[[], float],
        new_submission_id: Callable[[], str],
        callers: Callers = _NOBODY,
        waiter: Waiter | None = None,
        options: Mapping[str, RuntimeOptions] = NO_OPTIONS,
        on_change: Callable[[str], None] = lambda _: None,
    ) -> None:
        if callers.are_counted and ports.counts is None:
            raise SettingsError("monthlyTasks are counted in the task table: set DARKROOM_TASK_TABLE, or remove them")
        self._service = service
        self._clock = clock
        self._new_submission_id = new_submission_id
        self._on_change = on_change
        self._submitting = Submitting(ports, callers)
        states = RuntimeStates(ports, clock)
        self._dead_letters = DeadLetterDesk(ports)
        self._looking_up = LookingUp(ports, clock, states, waiter)
        self._runtimes = RuntimeLister(service.catalogue, states, ports.dead_letters, clock, options)
        self._uploading = Uploading(ports, clock)
        self._cancelling = Cancelling(ports, clock)
        self._lister = TaskLister(ports)
        self._usage = UsageTelling(ports)
        self._webhook_deliveries = WebhookDeliveries(ports, clock)

    async def answer(self, request: HttpRequest) -> HttpReply:
        """Do what `request` asks for and return the reply, whatever AWS does. Neither key nor payload is logged."""
        plan = self._service.plan(request, self._new_submission_id(), self._clock())
        try:
            match plan:
                case Submission():
                    reply = await self._submitting.submit(plan)
                    self._on_change(plan.record.caller)
                    return reply
                case Listing():
                    return await self._lister.list_tasks(plan)
                case RuntimeListing():
                    return await self._runtimes.list_runtimes(plan)
                case UsageQuery():
                    return await self._usage.tell(plan)
                case Lookup():
                    return await self._looking_up.look_up(plan)
                case Upload():
                    return await self._uploading.sign(plan)
                case Cancellation():
                    reply = await self._cancelling.cancel(plan)
                    for caller in plan.sight.callers:
                        self._on_change(caller)
                    return reply
                case DeliveryListing():
                    return await self._webhook_deliveries.list(plan)
                case LetterListing():
                    return await self._dead_letters.list(plan)
                case LetterRedrive():
                    return await self._dead_letters.redrive(plan)
                case DeliveryRetry():
                    return await self._webhook_deliveries.retry(plan)
        except AwsFailure as failure:
            # Not `exc_info`: botocore's own exceptions may quote what was sent.
            log(logging.ERROR, "front_door.aws_failed", str(failure), error_type=failure.type)
            return exchange.try_again() if failure.retryable else exchange.out_of_order()
        return plan
