"""A fault in Darkroom that reading a message brings to light is the end of that message, with a reason."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from darkroom.agent.clock import Clock
from darkroom.agent.intake import Intake, Unreadable
from darkroom.agent.lease import Lease
from darkroom.aws.queue import ReceivedMessage
from darkroom.errors import AwsUnavailable
from darkroom.policy.catalogue import RuntimeSpec
from darkroom.tasks.message import PayloadPointer, encode_pointer

TEXT = '{"metadata": {"id": "t1", "runtime": "r", "tasktype": "text-to-image", "prefix": "p"}, "content": {}}'


class _Broken(RuntimeSpec, frozen=True):
    """A runtime's description with a fault that nobody expects."""

    @property
    def accepted_kinds(self) -> Any:
        raise RecursionError("maximum recursion depth exceeded")


class _Bucket:
    """A bucket whose reads end as it is told."""

    name = "bucket"

    def __init__(self, error: BaseException) -> None:
        self._error = error

    async def get(self, key: str, *, maximum_bytes: int) -> bytes:
        raise self._error


def reading(body: str, spec: RuntimeSpec, bucket: Any = None) -> Any:
    message = ReceivedMessage(
        body=body, message_id="m1", receipt_handle="h", received=1, sent_at=0.0, attributes={"submission_id": "s1"}
    )
    clock = Clock(now=lambda: 1.0)  # a second after it was sent
    lease = Lease(None, message, 30.0, clock, 0.0)  # type: ignore[arg-type]  # a queue is not needed for reading
    return Intake(spec, bucket, 6, clock).read(lease)


async def test_an_unexpected_fault_is_an_end_with_its_name(caplog: pytest.LogCaptureFixture) -> None:
    found = await reading(TEXT, _Broken(name="r", type="sdwebui"))
    assert isinstance(found, Unreadable)
    assert found.submission_id == "s1"
    assert "RecursionError: maximum recursion depth exceeded" in str(found.error)
    assert any("m1 cannot be read" in line for line in caplog.messages)


@pytest.mark.parametrize("error", [AwsUnavailable("away"), asyncio.CancelledError()])
async def test_a_passing_fault_and_being_stopped_are_none(error: BaseException) -> None:
    pointer = encode_pointer(PayloadPointer("bucket", "darkroom-payloads/s1"))
    with pytest.raises(type(error)):
        await reading(pointer, RuntimeSpec(name="r", type="sdwebui"), _Bucket(error))
