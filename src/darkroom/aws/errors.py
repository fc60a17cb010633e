"""AWS's errors, translated here and nowhere else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, IncompleteReadError
from botocore.exceptions import ConnectionError as BotoConnectionError

from darkroom.errors import AwsFailure, AwsRefused, AwsUnavailable, LeaseLost

_PASSING_CODES = frozenset(
    {
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "KMS.ThrottlingException",
        "KMSThrottling",
        "KmsThrottled",
        "LimitExceededException",
        "OverLimit",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "SlowDown",
        "Throttled",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
_LEASE_CODES = frozenset(
    {
        "AWS.SimpleQueueService.MessageNotInflight",
        "MessageNotInflight",
        "ReceiptHandleIsInvalid",
    }
)


class AlreadyExists(AwsRefused):
    """A conditional write found that somebody was there before."""


class NotFound(AwsRefused):
    """There is no such object, queue, topic or table."""


class TooLarge(AwsRefused):
    """An object is larger than the reader takes."""


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Raise AWS's and the connection's errors as `AwsFailure`s; `doing` says what was tried, for the reader."""
    try:
        yield
    except ClientError as error:
        raise translate(error, doing) from error
    except _passing_errors() as error:
        raise AwsUnavailable(f"{doing}: {type(error).__name__}: {error}") from error
    except BotoCoreError as error:
        raise AwsRefused(f"{doing}: {error}") from error


def _passing_errors() -> tuple[type[Exception], ...]:
    """What a connection may raise: botocore's, Python's, and aiohttp's while a body is read.

    AWS Lambda has boto3 alone: where aiohttp was never loaded, nothing of its can be raised.
    """
    aiohttp = sys.modules.get("aiohttp")
    own = () if aiohttp is None else (aiohttp.ClientError,)
    return (BotoConnectionError, HTTPClientError, IncompleteReadError, ConnectionError, TimeoutError, *own)


def translate(error: ClientError, doing: str) -> AwsFailure:
    """Translate what a service answered, by its code, or by its HTTP status where the code says nothing."""
    details = error.response.get("Error", {})
    code = details.get("Code", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    text = f"{doing}: {code}: {details.get('Message', '')}"
    if code in _LEASE_CODES or (code == "InvalidParameterValue" and "receipt" in str(error).lower()):
        return LeaseLost(text)
    if code in _PASSING_CODES or status >= 500 or status == 429:
        return AwsUnavailable(text)
    if code in ("PreconditionFailed", "ConditionalCheckFailedException", "ConditionalRequestConflict"):
        return AlreadyExists(text)
    if status == 404 or code in ("404", "NotFound", "NoSuchKey", "ResourceNotFoundException"):
        return NotFound(text)
    return AwsRefused(text)
