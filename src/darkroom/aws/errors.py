"""AWS's errors, translated here and nowhere else.

What is final is listed, by the services' own documentation; everything else is asked again. A code that nobody has
thought of must not end a task whose pictures are done.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from botocore import exceptions as boto
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from darkroom.errors import AwsDenied, AwsFailure, AwsRefused, AwsUnavailable, AwsUnexplained, LeaseLost

# What was asked for is not valid, whoever asks and whenever. Names are unique enough not to be kept by service.
_FINAL_CODES = frozenset(
    {
        # S3
        "EntityTooLarge",
        "EntityTooSmall",
        "InvalidArgument",
        "InvalidBucketName",
        "InvalidObjectState",  # archived: it can be read after it was restored, which takes hours and somebody
        "InvalidRange",
        "InvalidRequest",
        "InvalidStorageClass",
        "InvalidURI",
        "KeyTooLong",
        "KeyTooLongError",
        "MalformedXML",
        "MaxMessageLengthExceeded",
        "MetadataTooLarge",
        "MethodNotAllowed",
        "TooManyParts",
        "UnsupportedMediaType",
        # SQS
        "BatchEntryIdsNotDistinct",
        "BatchRequestTooLong",
        "EmptyBatchRequest",
        "InvalidAttributeName",
        "InvalidAttributeValue",
        "InvalidBatchEntryId",
        "InvalidMessageContents",
        "InvalidParameterCombination",
        "MissingParameter",
        "TooManyEntriesInBatchRequest",
        "UnsupportedOperation",
        # SNS
        "InvalidParameter",
        "InvalidParameterValue",
        "ParameterValueInvalid",
        # DynamoDB, and SNS
        "ItemCollectionSizeLimitExceededException",
        "SerializationException",
        "ValidationError",
        "ValidationException",
    }
)
# Somebody has to mend it, and may: policies, keys, and what was not made yet or was removed.
_DENIED_CODES = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AccountProblem",
        "AllAccessDisabled",
        "AuthorizationError",
        "InvalidSecurity",
        "KMS.DisabledException",
        "KMSAccessDenied",
        "KMSDisabled",
        "KMSInvalidState",
        "KMSNotFound",
        "KMSOptInRequired",
        "KmsAccessDenied",
        "KmsDisabled",
        "KmsInvalidKeyUsage",
        "KmsInvalidState",
        "KmsNotFound",
        "KmsOptInRequired",
        "NoSuchBucket",
        "NonExistentQueue",
        "NotFound",  # SNS: the topic
        "QueueDeletedRecently",
        "QueueDoesNotExist",
        "ResourceNotFound",
        "ResourceNotFoundException",
        "TableNotFoundException",
        "UnauthorizedOperation",
    }
)
# They pass by themselves: a second later, when credentials are rotated, when a clock is set.
_PASSING_CODES = frozenset(
    {
        "BadDigest",
        "ConcurrentAccess",
        "ConditionalRequestConflict",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteBody",
        "IncompleteSignature",
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "InvalidToken",
        "KMS.ThrottlingException",
        "KMSThrottling",
        "KmsThrottled",
        "LimitExceededException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "OperationAborted",
        "OptInRequired",
        "OverLimit",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "ReplicatedWriteConflictException",
        "RequestExpired",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestTimeTooSkewed",
        "RequestTimeout",
        "RequestTimeoutException",
        "ResourceInUseException",
        "ServiceUnavailable",
        "SignatureDoesNotMatch",
        "SlowDown",
        "TableInUseException",
        "Throttled",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TokenRefreshRequired",
        "TooManyRequestsException",
        "TransactionInProgressException",
        "UnrecognizedClientException",
    }
)
_PASSING_STATUSES = frozenset({401, 408, 409, 425, 429})
_LEASE_CODES = frozenset({"InvalidIdFormat", "MessageNotInflight", "ReceiptHandleIsInvalid"})
_EXISTS_CODES = frozenset({"ConditionalCheckFailedException", "PreconditionFailed"})
_CONFLICT_CODES = frozenset({"TransactionConflict", "TransactionConflictException"})
_MISSING_CODES = frozenset({"404", "NoSuchKey", "NoSuchUpload", "NoSuchVersion"})
# What a transaction calls the exceptions that single writes raise.
_REASONS = {
    "ConditionalCheckFailed": "ConditionalCheckFailedException",
    "ItemCollectionSizeLimitExceeded": "ItemCollectionSizeLimitExceededException",
    "ProvisionedThroughputExceeded": "ProvisionedThroughputExceededException",
    "ThrottlingError": "ThrottlingException",
}
_SQS_PREFIX = "AWS.SimpleQueueService."

# The library's own errors about what it was given; its others are about credentials, settings and connections.
_FINAL_ERRORS: tuple[type[BotoCoreError], ...] = (
    boto.AliasConflictParameterError,
    boto.InvalidDNSNameError,
    boto.InvalidHostLabelError,
    boto.MissingParametersError,
    boto.ParamValidationError,
    boto.RangeError,
    boto.UnknownKeyError,
    boto.UnknownParameterError,
    boto.UnsupportedOutpostResourceError,
    boto.UnsupportedS3AccesspointConfigurationError,
    boto.UnsupportedS3ArnError,
)


class AlreadyExists(AwsRefused):
    """A conditional write found that somebody was there before."""


class Conflict(AwsUnavailable):
    """Somebody else writes the same thing at this moment."""


class NotFound(AwsRefused):
    """There is no such object, or no such upload of one."""


class TooLarge(AwsRefused):
    """An object is larger than the reader takes."""


@contextmanager
def translated(doing: str, what: str = "") -> Iterator[None]:
    """Raise AWS's and the connection's errors as `AwsFailure`s; `doing` says what was tried, for the reader.

    `what` is the same for everything that is away together; by default it is `doing`.
    """
    try:
        try:
            yield
        except ClientError as error:
            raise translate(error, doing) from error
        except _FINAL_ERRORS as error:
            raise AwsRefused(f"{doing}: {error}") from error
        except _other_errors() as error:
            raise AwsUnavailable(f"{doing}: {type(error).__name__}: {error}") from error
    except AwsFailure as failure:
        failure.what = failure.what or what or doing
        raise


def _other_errors() -> tuple[type[Exception], ...]:
    """What else a call may raise: botocore's errors, Python's, and aiohttp's while a body is read.

    AWS Lambda has boto3 alone: where aiohttp was never loaded, nothing of its can be raised.
    """
    aiohttp = sys.modules.get("aiohttp")
    own = () if aiohttp is None else (aiohttp.ClientError,)
    return (BotoCoreError, ResponseParserError, OSError, *own)


def translate(error: ClientError, doing: str) -> AwsFailure:
    """Translate what a service answered, by its code, or by its HTTP status where the code says nothing."""
    details = error.response.get("Error", {})
    code = details.get("Code", "").removeprefix(_SQS_PREFIX)
    if code == "TransactionCanceledException":
        code = _why_cancelled(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return _kind(code, status, details.get("Message", ""))(f"{doing}: {code}: {details.get('Message', '')}")


def _why_cancelled(error: ClientError) -> str:
    """Why DynamoDB did not do a transaction, as one write would have been refused: a condition first of all."""
    reasons: list[dict[str, str]] = error.response.get("CancellationReasons", [])  # type: ignore[assignment]
    codes = [code for reason in reasons if (code := reason.get("Code", "None")) != "None"]
    for failed in ("ConditionalCheckFailed", *codes):
        if failed in codes:
            return _REASONS.get(failed, failed)
    return "TransactionCanceledException"


def _kind(code: str, status: int, message: str) -> type[AwsFailure]:
    if code in _LEASE_CODES or (code == "InvalidParameterValue" and "receipt" in message.lower()):
        return LeaseLost
    for kind, codes in (
        (AlreadyExists, _EXISTS_CODES),
        (Conflict, _CONFLICT_CODES),
        (NotFound, _MISSING_CODES),
        (AwsRefused, _FINAL_CODES),
        (AwsDenied, _DENIED_CODES),
        (AwsUnavailable, _PASSING_CODES),
    ):
        if code in codes:
            return kind
    if status >= 500 or status in _PASSING_STATUSES:
        return AwsUnavailable
    return AwsDenied if status == 403 else AwsUnexplained
