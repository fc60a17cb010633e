"""Carries out what the service has planned, over the ports: the part that both doors share."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime

from darkroom.api import exchange
from darkroom.api.exchange import HttpReply, HttpRequest
from darkroom.api.ports import Ports, Records
from darkroom.api.service import Cancellation, Lookup, Service, Submission
from darkroom.errors import AwsFailure, SettingsError
from darkroom.logs import log
from darkroom.policy.callers import Callers, month_of, next_month
from darkroom.tasks.notification import decode_end
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.replies import Links, TaskView

LINK_SECONDS = 3600
# A link signed with a role's credentials is up to 3 KB long, and AWS Lambda returns 6 MB at most.
MOST_LINKS = 1000
_NOBODY = Callers()


class FrontDoor:
    """Answers requests.

    `clock` tells seconds since 1970 (UTC); `new_submission_id` makes an id that no other submission has. The tasks of
    those of `callers` who have a limit for a month are counted in the task table: `SettingsError` where there is none.
    """

    def __init__(
        self,
        service: Service,
        ports: Ports,
        *,
        clock: Callable[[], float],
        new_submission_id: Callable[[], str],
        callers: Callers = _NOBODY,
    ) -> None:
        if callers.are_counted and ports.records is None:
            raise SettingsError("monthlyTasks are counted in the task table: set DARKROOM_TASK_TABLE, or remove them")
        self._callers = callers
        self._service = service
        self._ports = ports
        self._clock = clock
        self._new_submission_id = new_submission_id

    async def answer(self, request: HttpRequest) -> HttpReply:
        """Do what `request` asks for and return the reply, whatever AWS does. Neither key nor payload is logged."""
        plan = self._service.plan(request, self._new_submission_id(), self._clock())
        try:
            match plan:
                case Submission():
                    return await self._submit(plan)
                case Lookup():
                    return await self._look_up(plan)
                case Cancellation():
                    return await self._cancel(plan)
        except AwsFailure as failure:
            # Not `exc_info`: botocore's own exceptions may quote what was sent.
            log(logging.ERROR, "front_door.aws_failed", str(failure), error_type=failure.type)
            return exchange.try_again() if failure.retryable else exchange.out_of_order()
        return plan

    async def _submit(self, plan: Submission) -> HttpReply:
        caller, records = plan.record.caller, self._ports.records
        most = self._callers.monthly_tasks(caller)
        if most is None or caller is None or records is None:
            return await self._publish(plan)
        now = plan.record.created_at
        month = month_of(now)
        if not await records.count_task(caller, month, most):
            log(logging.WARNING, "front_door.month_used_up", f"{most} tasks of {month}", caller=caller)
            return exchange.month_used_up(most, month, next_month(now))
        try:
            return await self._publish(plan)
        except AwsFailure:
            await self._uncount(records, caller, month)
            raise

    async def _uncount(self, records: Records, caller: str, month: str) -> None:
        """Give back what a task was counted for that was not accepted."""
        try:
            await records.uncount_task(caller, month)
        except AwsFailure as failure:
            log(logging.ERROR, "front_door.uncount_failed", str(failure), caller=caller)

    async def _publish(self, plan: Submission) -> HttpReply:
        ports, record = self._ports, plan.record
        if plan.payload is not None:
            await ports.bucket.put(plan.payload.key, plan.payload.body, exchange.JSON)
        try:
            if ports.records is not None:
                await ports.records.put(record)
            await ports.topic.publish(plan.text, plan.attributes, plan.payload_size, plan.group)
        except AwsFailure:
            if ports.records is not None:
                await self._withdraw(ports.records, record)
            raise
        return plan.reply

    async def _withdraw(self, records: Records, record: TaskRecord) -> None:
        """Take back the record of a task that was not accepted, or somebody would wait for it.

        The record of an earlier submission under the same id is the task's again.
        """
        try:
            await records.withdraw(record.id, record.submission_id)
        except AwsFailure as failure:
            log(logging.ERROR, "front_door.withdraw_failed", str(failure), id=record.id)

    async def _look_up(self, plan: Lookup) -> HttpReply:
        if self._ports.records is None:
            return _no_records()
        record = await self._ports.records.get(plan.task_id)
        if record is None:
            return _no_such_task(plan.task_id)
        return HttpReply(
            status=200, body=TaskView.of(record, await self._links(record, plan.first) if plan.links else None)
        )

    async def _cancel(self, plan: Cancellation) -> HttpReply:
        if self._ports.records is None:
            return _no_records()
        record = await self._ports.records.request_cancel(plan.task_id)
        if record is None:
            return _no_such_task(plan.task_id)
        return HttpReply(status=200 if record.status.is_terminal else 202, body=TaskView.of(record))

    async def _links(self, record: TaskRecord, first: int) -> Links | None:
        pictures = await self._pictures(record)
        if not pictures and record.output_url is None:
            return None
        return Links(
            image_url=[await self._link(url) for url in pictures[first - 1 :][:MOST_LINKS]],
            output_url=None if record.output_url is None else await self._link(record.output_url),
            expires_at=datetime.fromtimestamp(int(self._clock()) + LINK_SECONDS, UTC),
        )

    async def _pictures(self, record: TaskRecord) -> list[str]:
        """The s3:// URLs of a task's pictures: from its record, or from its `.out` object where they are too many."""
        if not record.image_url_omitted or record.output_url is None:
            return record.image_url
        document = await self._ports.bucket.find(self._key(record.output_url))
        end = None if document is None else decode_end(document)
        return [] if end is None else end.notification.image_url or []

    def _key(self, url: str) -> str:
        return url.removeprefix(f"s3://{self._ports.bucket.name}/")

    async def _link(self, url: str) -> str:
        return await self._ports.bucket.presigned_url(self._key(url), LINK_SECONDS)


def _no_records() -> HttpReply:
    return exchange.error(404, "This deployment keeps no records of tasks; subscribe to its output topic instead.")


def _no_such_task(task_id: str) -> HttpReply:
    return exchange.error(404, f"There is no task {task_id!r}, or it ended more than 14 days ago.")
