"""How a request of OpenAI's API gets its reply: it looks at its task until the end, and tells what became of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import msgspec

from darkroom.api.exchange import HttpReply
from darkroom.api.openai_beginning import Waited
from darkroom.api.openai_errors import as_openai, aws_failed, reply_of
from darkroom.api.openai_pictures import Pictures
from darkroom.api.openai_waiting import Pace, Pause, looks
from darkroom.api.ports import ProgressReports, Records
from darkroom.errors import AwsFailure
from darkroom.openai.replies import Failure, ImagesReply, comment, error_event, events, failed_task, failure, not_yet
from darkroom.tasks.progress import SECONDS_BETWEEN_REPORTS
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task import Status

EVENT_STREAM = "text/event-stream"
_COMMENT_SECONDS = 10.0


class Stream(msgspec.Struct, frozen=True):
    """A reply that is told as it happens. `close` is to be called when nobody listens any more, begun or not."""

    events: AsyncIterator[bytes]
    close: Callable[[], None]


class Finishing:
    """Waits and replies. `monotonic` tells seconds that only grow; `pause_in_stream` is needed for streams alone."""

    def __init__(
        self,
        pictures: Pictures,
        records: Records | None,
        progress: ProgressReports | None,
        pace: Pace,
        *,
        monotonic: Callable[[], float],
        pause_in_stream: Pause,
    ) -> None:
        self._pictures = pictures
        self._records = records
        self._progress = progress
        self._pace = pace
        self._monotonic = monotonic
        self._pause_in_stream = pause_in_stream

    async def reply(self, waited: Waited, pause: Pause) -> HttpReply:
        """Wait for the end of the task, of the door's patience, or of the client's; give the place back, and reply."""
        try:
            return await self._reply(waited, pause)
        except AwsFailure as failed:
            return as_openai(aws_failed(failed))
        finally:
            waited.place.give_back()

    def stream(self, waited: Waited) -> Stream:
        """Tell the same as it happens."""
        return Stream(self._told(waited), waited.place.give_back)

    async def _reply(self, waited: Waited, pause: Pause) -> HttpReply:
        record = waited.record
        async for look in self._looks(waited, pause):
            record = look
        outcome = await self._outcome(waited, record)
        headers = {"x-request-id": record.submission_id}
        if isinstance(outcome, Failure):
            reply = reply_of(outcome)
            return msgspec.structs.replace(reply, headers={**reply.headers, **headers})
        if waited.stream:  # at a door whose replies come in one piece
            told = b"".join(events(waited.kind, outcome))
            return HttpReply(status=200, body=told, media_type=EVENT_STREAM, headers=headers)
        return HttpReply(status=200, body=outcome, headers=headers)

    async def _told(self, waited: Waited) -> AsyncIterator[bytes]:
        """The events of a stream: comments while the task waits and runs, then its pictures or its error."""
        try:
            record, asked, spoke = waited.record, self._monotonic(), self._monotonic()
            said = text = f"{record.id} {record.status}"
            yield comment(text)
            async for look in self._looks(waited, self._pause_in_stream):
                record, now = look, self._monotonic()
                if record.status is not Status.RUNNING:
                    text = f"{record.id} {record.status}"
                elif now - asked >= SECONDS_BETWEEN_REPORTS or "running" not in text:
                    asked, text = now, f"{record.id} {record.status}{await self._progress_of(record)}"
                if text != said or now - spoke >= _COMMENT_SECONDS:
                    spoke, said = now, text
                    yield comment(text)
            outcome = await self._outcome(waited, record)
            if isinstance(outcome, Failure):
                yield error_event(outcome.error)
                return
            for event in events(waited.kind, outcome):
                yield event
        except AwsFailure as failed:
            aws_failed(failed)
            text = f"A service behind the front door is not available; the task {waited.record.id!r} goes on."
            yield error_event(failure(503, text, task=waited.record.id).error)
        finally:
            waited.place.give_back()

    async def _outcome(self, waited: Waited, record: TaskRecord) -> ImagesReply | Failure:
        if record.status is Status.COMPLETED:
            # Clients of a stream read base64 alone.
            wanted = "b64_json" if waited.stream else waited.response_format
            return await self._pictures.reply(record, waited.made, wanted)
        return failed_task(record) if record.status.is_terminal else not_yet(record, waited.seconds)

    async def _progress_of(self, record: TaskRecord) -> str:
        """How far a task is that runs, as the end of a comment."""
        if self._progress is None:
            return ""
        found = (await self._progress.read([record.submission_id])).get(record.submission_id)
        if found is None:
            return ""
        steps = "" if found.step is None or found.steps is None else f", step {found.step} of {found.steps}"
        return f", {found.value:.0%}{steps}"

    def _looks(self, waited: Waited, pause: Pause) -> AsyncIterator[TaskRecord]:
        if self._records is None:
            raise AssertionError("without records nothing is begun")
        return looks(waited.record, self._records, waited.until, self._monotonic, pause, self._pace)
