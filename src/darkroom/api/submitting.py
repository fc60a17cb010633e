"""`POST /v1alpha1` and `/v1alpha2`: a submission is counted, recorded, published and answered."""

from __future__ import annotations

import logging
from collections.abc import Awaitable

import msgspec

from darkroom.api import exchange
from darkroom.api.exchange import HttpReply
from darkroom.api.ports import Counts, Ports, Records
from darkroom.api.submission import Submission
from darkroom.errors import AwsFailure, Fault
from darkroom.logs import log
from darkroom.policy.callers import Callers, month_of, next_month
from darkroom.tasks.idempotency import Answered, InWork, OtherRequest
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task import OnDuplicate


class Submitting:
    """Carries submissions out. `submit` may raise an `AwsFailure`; nothing was accepted then."""

    def __init__(self, ports: Ports, callers: Callers) -> None:
        self._ports = ports
        self._callers = callers

    async def submit(self, plan: Submission) -> HttpReply:
        """Accept the task, once for each idempotency key."""
        if plan.idempotency_key is None:
            return await self._accept(plan)
        return await self._accept_once(plan, plan.idempotency_key)

    async def _accept_once(self, plan: Submission, key: str) -> HttpReply:
        keys, caller, digest = self._ports.keys, plan.record.caller, plan.record.request_digest
        if keys is None or digest is None:
            return _needs_records("Idempotency-Key", "leave the header out")
        claim = await keys.claim(caller, key, digest, plan.record.submission_id, plan.record.created_at)
        match claim:
            case InWork():
                return exchange.in_work()
            case OtherRequest():
                return exchange.key_of_another_request()
            case Answered():
                return HttpReply(status=200, body=msgspec.Raw(claim.body.encode()))
        try:
            reply = await self._accept(plan.as_submission(claim.submission_id))
        except AwsFailure:
            await self._quietly(keys.give_up(caller, key, claim.submission_id))
            raise
        if reply.status == 200:
            await self._quietly(keys.answer(caller, key, claim.submission_id, reply.encode_body().decode()))
        else:
            await self._quietly(keys.give_up(caller, key, claim.submission_id))
        return reply

    async def _quietly(self, keeping: Awaitable[None]) -> None:
        """Keep what became of a key; where that fails, the next one with it goes on as the same submission."""
        try:
            await keeping
        except AwsFailure as failure:
            log(logging.ERROR, "front_door.key_not_kept", str(failure))

    async def _accept(self, plan: Submission) -> HttpReply:
        """Count the task where its caller has a limit for a month, keep its record, and publish it."""
        caller, counts = plan.record.caller, self._ports.counts
        most = self._callers.monthly_tasks(caller)
        if most is None or counts is None:
            return await self._publish(plan) or plan.reply
        now = plan.record.created_at
        month = month_of(now)
        if not await counts.count_task(caller, month, most):
            standing = await self._standing(plan)
            if standing is not None:
                return _duplicate(plan, standing)
            log(logging.WARNING, "front_door.month_used_up", f"{most} tasks of {month}", caller=caller)
            return exchange.month_used_up(most, month, next_month(now))
        try:
            instead = await self._publish(plan)
        except AwsFailure:
            await self._uncount(counts, caller, month)
            raise
        if instead is not None:
            await self._uncount(counts, caller, month)
        return instead or plan.reply

    async def _standing(self, plan: Submission) -> TaskRecord | None:
        """What stands under the task's id already, where its caller does not want another one: it is no new task."""
        if plan.on_duplicate is OnDuplicate.NEW or self._ports.records is None:
            return None
        return await self._ports.records.get(plan.record.id, plan.record.caller)

    async def _uncount(self, counts: Counts, caller: str, month: str) -> None:
        """Give back what a task was counted for that was not accepted."""
        try:
            await counts.uncount_task(caller, month)
        except AwsFailure as failure:
            log(logging.ERROR, "front_door.uncount_failed", str(failure), caller=caller)

    async def _publish(self, plan: Submission) -> HttpReply | None:
        """Publish the task; where it is not to be, what its caller is told instead."""
        ports, record = self._ports, plan.record
        if plan.payload is not None:
            await ports.bucket.put(plan.payload.key, plan.payload.body, exchange.JSON, owner=record.caller)
        try:
            if plan.on_duplicate is not OnDuplicate.NEW:
                if ports.records is None:
                    return _needs_records("task.metadata.on_duplicate", "leave it out")
                standing = await ports.records.put_if_new(record)
                if standing is not None:
                    return _duplicate(plan, standing)
            elif ports.records is not None:
                await ports.records.put(record)
            await ports.topic.publish(plan.text, plan.attributes, plan.payload_size, plan.group)
        except AwsFailure:
            if ports.records is not None:
                await self._withdraw(ports.records, record)
            raise
        return None

    async def _withdraw(self, records: Records, record: TaskRecord) -> None:
        """Take back the record of a task that was not accepted, or somebody would wait for it.

        The record of an earlier submission under the same id is the task's again.
        """
        try:
            await records.withdraw(record.id, record.submission_id, record.caller)
        except AwsFailure as failure:
            log(logging.ERROR, "front_door.withdraw_failed", str(failure), id=record.id)


def _duplicate(plan: Submission, standing: TaskRecord) -> HttpReply:
    """What is told of a task whose id its caller has used before, who did not want another one."""
    is_same = standing.request_digest == plan.record.request_digest
    if plan.on_duplicate is OnDuplicate.RETURN and is_same:
        return plan.reply  # the same request, so the same reply
    return exchange.id_taken(plan.record.id, standing.status, is_same=is_same)


def _needs_records(what: str, instead: str) -> HttpReply:
    fault = Fault(what, f"needs a table of task records, which this deployment does not have: {instead}")
    return exchange.error(400, "The request cannot be accepted as it is.", [fault])
