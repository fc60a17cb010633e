"""Errors as clients of OpenAI's API read them, whoever finds them: our own replies are put into its form."""

from __future__ import annotations

import logging

import msgspec

from darkroom.api import exchange
from darkroom.api.exchange import HttpReply
from darkroom.errors import AwsFailure
from darkroom.logs import log
from darkroom.openai.replies import NO_RETRY, ErrorBody, Failure, failure, said
from darkroom.tasks.replies import ErrorReply

PATH = "/v1/"


def is_openai(path: str) -> bool:
    """Whether a path, without the stage, is one of this API."""
    return path == PATH.rstrip("/") or path.startswith(PATH)


def reply_of(found: Failure) -> HttpReply:
    """The reply that tells a failure."""
    return HttpReply(status=found.status, body=ErrorBody(found.error), headers=found.headers)


def no_key() -> HttpReply:
    """There is no API key, or an unknown one."""
    return reply_of(
        failure(401, "The header Authorization must be 'Bearer' and a valid API key; x-api-key will do too.")
    )


def aws_failed(failed: AwsFailure) -> HttpReply:
    """The reply, in our own form, where AWS did not do what was needed; the log says what that was."""
    log(logging.ERROR, "openai.aws_failed", str(failed), error_type=failed.type)
    return exchange.try_again() if failed.retryable else exchange.out_of_order()


def as_openai(reply: HttpReply) -> HttpReply:
    """`reply` in this API's form, if it is an error in our own."""
    if not isinstance(reply.body, ErrorReply):
        return reply
    if reply.status == 413:
        return reply_of(failure(413, "The request is larger than 6 MB: send smaller pictures."))
    text = " ".join(part for part in (reply.body.message, said(reply.body.errors)) if part)
    # The month's tasks are used up: nobody should try again in a second.
    is_quota = reply.status == 429 and "Retry-After" not in reply.headers
    found = failure(reply.status, text, faults=reply.body.errors, code="insufficient_quota" if is_quota else None)
    headers = {**reply.headers, **(NO_RETRY if is_quota or reply.status == 500 else {})}
    return reply_of(msgspec.structs.replace(found, headers=headers))
