"""How a job ends: what is stored, who is told, and what becomes of the message.

The order makes every end final. The pictures are stored first (`darkroom.agent.pictures`); then the `.out` object,
which also holds the notification: it is the moment at which the task has ended, and whoever comes second tells the
first one's end (`darkroom.agent.ends`). Then the end is notified, then it is recorded and counted as its caller's
usage, then the message is deleted. A crash anywhere leaves the message, and the next delivery goes on from there.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import msgspec

from darkroom.agent.clock import Clock
from darkroom.agent.ends import Ends, with_urls
from darkroom.agent.intake import Unreadable
from darkroom.agent.job import Job
from darkroom.agent.lease import Lease
from darkroom.agent.marking import Marking
from darkroom.agent.metrics import Metrics, NoMetrics
from darkroom.agent.outages import Outages
from darkroom.agent.pictures import Pictures, why_unsigned
from darkroom.agent.preparation import NotToBeRun
from darkroom.agent.spans import NoSpans, Spans
from darkroom.agent.task_records import TaskRecords
from darkroom.aws.bucket import Bucket
from darkroom.aws.queue import Queue
from darkroom.aws.task_table import Advanced
from darkroom.aws.topic import Topic
from darkroom.errors import AwsFailure, AwsRefused, DarkroomError
from darkroom.logs import log
from darkroom.policy.dead_letters import least_attributes, letter_attributes
from darkroom.policy.ends import Ended
from darkroom.policy.object_keys import TaskObjects
from darkroom.policy.telling import ended_without_pictures, fitted, told_error
from darkroom.runtimes.protocol import Generation
from darkroom.tasks.notification import (
    Notification,
    NotifiedError,
    bounded_warnings,
    encode_notification,
    notification_attributes,
)
from darkroom.tasks.task import JsonObject, Status

T = TypeVar("T")


class Settlement:
    """Ends jobs of one runtime."""

    def __init__(
        self,
        *,
        runtime_name: str,
        bucket: Bucket,
        topic: Topic,
        dead_letters: Queue | None,
        records: TaskRecords,
        outages: Outages,
        clock: Clock,
        spans: Spans | None = None,
        marking: Marking | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self._runtime_name = runtime_name
        self._ends = Ends(bucket)
        self._pictures = Pictures(bucket, self._persistently, marking)
        self._topic = topic
        self._dead_letters = dead_letters
        self._records = records
        self._outages = outages
        self._clock = clock
        self._spans = spans or NoSpans()
        self._metrics = metrics or NoMetrics()

    async def announce_running(self, job: Job, *, on_topic: bool) -> Advanced | None:
        """Say that a job has the device, unless its end was told: then return None.

        A fault is logged and no more: the task goes on.
        """
        notification = Notification(
            id=job.task.id, status=Status.RUNNING, runtime=self._runtime_name, context=job.task.context
        )
        # The record is first: it knows of an end that another agent has told in the meantime.
        advanced: Advanced | None = Advanced(is_to_be_stopped=False)
        try:
            advanced = await self._records.runs(job, notification)
        except AwsFailure as error:
            log(logging.WARNING, "task.announce_failed", str(error), **job.log_fields)
        try:
            if on_topic and advanced:
                await self._publish(notification, job.delivery.submission_id, job.audience)
        except AwsFailure as error:
            log(logging.WARNING, "task.announce_failed", str(error), **job.log_fields)
        return advanced

    async def complete(self, job: Job, generation: Generation) -> None:
        """Store the pictures and end the job as completed, unless it has ended in the meantime."""
        job.span.note(pictures=len(generation.outputs))
        with self._spans.part("outputs"):
            found = await self._persistently(lambda: self._ends.find(job.objects))
            ended = found.notification if isinstance(found, Ended) else await self._deliver(job, found, generation)
        await self._tell(job, ended, again=isinstance(found, Ended))

    async def _deliver(self, job: Job, names: TaskObjects, generation: Generation) -> Notification:
        pictures = await self._pictures.store(job, names, generation.outputs)
        urls, carried = [picture.url for picture in pictures], [picture.provenance for picture in pictures]
        for fault in (unsigned := why_unsigned(pictures)):
            log(logging.WARNING, "task.unsigned", fault, **job.log_fields)

        def completed(names: TaskObjects) -> Notification:
            return Notification(
                id=job.task.id,
                status=Status.COMPLETED,
                runtime=self._runtime_name,
                result=True,
                image_url=urls,
                output_url=names.url(names.output_key),
                context=job.task.context,
                warnings=bounded_warnings([*unsigned, *generation.warnings]),
                provenance=carried if any(carried) else msgspec.UNSET,
            )

        ended = await self._commit(names, completed, with_urls(generation, urls))
        job.stored_at = self._clock.now()
        return ended

    async def fail(self, job: Job, error: DarkroomError) -> None:
        """End the job as failed, for good."""
        await self._end(job, Status.FAILED, told_error(error))

    async def skip(self, job: Job, reason: NotToBeRun) -> None:
        """End the job as expired or cancelled."""
        told = NotifiedError(type=reason.status.value.capitalize(), message=reason.reason, retryable=True)
        await self._end(job, reason.status, told)

    async def repeat(self, job: Job, notification: Notification) -> None:
        """Tell once more how the job ended: whoever ended it may have gone before telling."""
        await self._tell(job, notification, again=True)

    async def drop(self, job: Job) -> None:
        """Delete a message of which a newer copy was received: that one sees to the end."""
        await self._persistently(job.lease.acknowledge)
        log(logging.INFO, "message.superseded", "a newer copy of the message sees to its task's end", **job.log_fields)

    async def dead_letter(self, job: Job, error: DarkroomError) -> None:
        """End the job as failed, and move its message to the dead letters with the reason."""
        ended = await self._commit(job.objects, self._failure(job, Status.FAILED, told_error(error)), {})
        with self._spans.part("notify"):
            told = fitted(ended, job.delivery.submission_id, job.audience)
            await self._persistently(lambda: self._publish(told, job.delivery.submission_id, job.audience))

            async def set_aside() -> None:
                if ended.result is not True:
                    await self._bury(job.lease, error, job.delivery.submission_id, job.task.id)
                await self._persistently(job.lease.acknowledge)

            await self._records.ended(job, told, then=set_aside)
        self._log_end(job, ended, "task.dead_lettered")

    async def bury_unreadable(self, lease: Lease, unreadable: Unreadable) -> None:
        """Move a message that is no task to the dead letters, and tell of it where its task's id is known.

        What is known decides how much of an end it gets: with a prefix, it has an `.out` object and a record as well.
        """
        error, submission_id = unreadable.error, unreadable.submission_id
        ended = None if unreadable.task_id is None else await self._end_unreadable(unreadable, unreadable.task_id)

        async def set_aside() -> None:
            if ended is None or ended.result is not True:
                await self._bury(lease, error, submission_id, unreadable.task_id)
            await self._persistently(lease.acknowledge)

        if ended is not None:
            told = fitted(ended, submission_id, unreadable.audience)
            await self._persistently(lambda: self._publish(told, submission_id, unreadable.audience))
            await self._records.ended_unreadable(unreadable, told, then=set_aside)
        else:
            await set_aside()
        self._metrics.ended(Status.FAILED, error.type)
        log(
            logging.ERROR,
            "message.dead_lettered",
            str(error),
            message_id=lease.message.message_id,
            task_id=unreadable.task_id,
        )

    async def _end_unreadable(self, unreadable: Unreadable, task_id: str) -> Notification:
        names, context = unreadable.objects, await self._records.context_of(unreadable)
        error = told_error(unreadable.error)
        failed = ended_without_pictures(task_id, Status.FAILED, self._runtime_name, context, error)
        if names is None:
            return failed
        # It may have come to another end before, when it could still be read.
        return await self._commit(
            names, lambda names: msgspec.structs.replace(failed, output_url=names.url(names.output_key)), {}
        )

    async def _end(self, job: Job, status: Status, error: NotifiedError) -> None:
        await self._tell(job, await self._commit(job.objects, self._failure(job, status, error), {}))

    async def _commit(
        self, names: TaskObjects, end_under: Callable[[TaskObjects], Notification], response: JsonObject
    ) -> Notification:
        """Write down how the job ended, and return how it really did: somebody may have been first."""
        return await self._persistently(lambda: self._ends.write(names, response, end_under))

    async def _tell(self, job: Job, notification: Notification, *, again: bool = False) -> None:
        notification = fitted(notification, job.delivery.submission_id, job.audience)
        with self._spans.part("notify"):
            await self._persistently(lambda: self._publish(notification, job.delivery.submission_id, job.audience))
            await self._records.ended(job, notification, then=lambda: self._persistently(job.lease.acknowledge))
        self._log_end(job, notification, f"task.{notification.status.value}", again=again)

    async def _publish(self, notification: Notification, submission_id: str, audience: Mapping[str, str]) -> None:
        await self._topic.publish(
            encode_notification(notification), notification_attributes(notification, submission_id, audience)
        )

    async def _bury(self, lease: Lease, error: DarkroomError, submission_id: str, task_id: str | None) -> None:
        if self._dead_letters is None:
            log(logging.ERROR, "message.no_dead_letters", str(error), message_id=lease.message.message_id)
            return
        dead_letters, message = self._dead_letters, lease.message

        async def send(attributes: dict[str, str]) -> None:
            await self._persistently(
                lambda: dead_letters.send(
                    message.body, attributes, group=message.group, trace_header=message.trace_header
                )
            )

        try:
            try:
                await send(
                    letter_attributes(
                        message.attributes,
                        body=message.body,
                        submission_id=submission_id,
                        error=error,
                        received=message.received,
                        task_id=task_id,
                    )
                )
            except AwsRefused:  # the queue of the dead letters may take less than SQS does
                await send(least_attributes(submission_id, error))
        except AwsRefused as refusal:
            # Kept, it would be told again and again, until it is too old for its queue.
            log(logging.ERROR, "message.no_dead_letters", f"{refusal}; {error}", message_id=message.message_id)

    def _failure(self, job: Job, status: Status, error: NotifiedError) -> Callable[[TaskObjects], Notification]:
        failed = ended_without_pictures(job.task.id, status, self._runtime_name, job.task.context, error)
        return lambda names: msgspec.structs.replace(failed, output_url=names.url(names.output_key))

    async def _persistently(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Do something at AWS, however long AWS is away: a finished picture has cost GPU time."""
        return await self._outages.persistently(operation)

    def _log_end(self, job: Job, notification: Notification, action: str, *, again: bool = False) -> None:
        if not again:
            self._metrics.ended(notification.status, notification.error.type if notification.error else None)
        fields: dict[str, Any] = dict(job.log_fields)
        job.span.note(outcome=notification.status.value)
        if notification.error:
            job.span.fail(notification.error.type)
            fields["error"] = notification.error.type
            fields["reason"] = notification.error.message
        fields["seconds"] = round(self._clock.monotonic() - job.received_at, 3)
        log(logging.INFO, action, f"task {job.task.id} {notification.status.value}", **fields)
