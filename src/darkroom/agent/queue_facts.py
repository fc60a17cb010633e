"""What an agent has to know of its queue before it begins: its attributes, and where its dead letters are."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from darkroom.agent.clock import Clock
from darkroom.aws.connection import Aws
from darkroom.aws.queue import Queue, QueueAttributes
from darkroom.errors import AwsDenied, AwsUnavailable
from darkroom.logs import log
from darkroom.policy.outcomes import outage_seconds
from darkroom.settings import AgentSettings

# What SQS itself takes where a queue does not say.
_DEFAULT_VISIBILITY_SECONDS = 30
_MOST_DENIALS = 3

T = TypeVar("T")


async def read_attributes(queue: Queue, clock: Clock) -> QueueAttributes:
    """What the queue says of itself, or what goes without saying where the agent may not ask. Raises `AwsRefused`."""
    try:
        return await _patiently(queue.read_attributes, clock)
    except AwsDenied as error:
        # The guide's own policy does not allow it. Then nothing is known of dead letters either.
        log(logging.WARNING, "queue.attributes_refused", str(error), assumed_visibility=_DEFAULT_VISIBILITY_SECONDS)
        return QueueAttributes(visibility_timeout_seconds=_DEFAULT_VISIBILITY_SECONDS, visible=0, in_flight=0)


async def open_dead_letters(
    aws: Aws, settings: AgentSettings, attributes: QueueAttributes, clock: Clock
) -> Queue | None:
    """The queue for what cannot be done: the one that is named, or else the queue's own; None where there is none."""
    if settings.dead_letter_queue_url:
        return aws.queue(settings.dead_letter_queue_url)
    arn = attributes.dead_letter_arn
    if arn is None:
        return None
    try:
        return await _patiently(lambda: aws.queue_of_arn(arn), clock)
    except AwsDenied as error:
        log(logging.WARNING, "queue.no_dead_letters", str(error))
        return None


async def _patiently(ask: Callable[[], Awaitable[T]], clock: Clock) -> T:
    """Ask AWS what the agent goes by for as long as it runs: it must not be guessed because AWS was away.

    Raises `AwsDenied` when it was denied three times, and `AwsRefused`.
    """
    attempt = denied = 0
    while True:
        try:
            return await ask()
        except AwsUnavailable as error:
            attempt += 1
            denied += isinstance(error, AwsDenied)
            if denied == _MOST_DENIALS:
                raise
            log(logging.WARNING, "aws.retrying", str(error), attempt=attempt)
            await clock.sleep(outage_seconds(attempt, clock.chance()))
