"""How each AWS service words what it cannot or may not do: HTTP status and error code."""

from __future__ import annotations

_REFUSALS: dict[str, dict[str, tuple[int, str]]] = {
    "error": {
        "s3": (500, "InternalError"),
        "dynamodb": (500, "InternalServerError"),
        "": (500, "InternalFailure"),
    },
    "unavailable": {"": (503, "ServiceUnavailable")},
    "throttled": {
        "s3": (503, "SlowDown"),
        "sns": (429, "Throttled"),
        "sqs": (400, "RequestThrottled"),
        "dynamodb": (400, "ProvisionedThroughputExceededException"),
        "": (400, "ThrottlingException"),
    },
    "denied": {
        "sns": (403, "AuthorizationError"),
        "dynamodb": (400, "AccessDeniedException"),
        "": (403, "AccessDenied"),
    },
    "expired": {
        "s3": (400, "ExpiredToken"),
        "dynamodb": (400, "ExpiredTokenException"),
        "": (403, "ExpiredToken"),
    },
    "skewed": {
        "s3": (403, "RequestTimeTooSkewed"),
        "dynamodb": (400, "InvalidSignatureException"),
        "": (403, "SignatureDoesNotMatch"),
    },
    # SQS has no conflicts; too many messages in flight is what it refuses for others' sake.
    "conflict": {
        "s3": (409, "OperationAborted"),
        "sns": (400, "ConcurrentAccess"),
        "sqs": (403, "OverLimit"),
        "dynamodb": (400, "TransactionConflictException"),
        "": (409, "ConflictException"),
    },
}


def refusal(service: str, what: str, *, is_conditional: bool = False) -> tuple[int, str]:
    """The HTTP status and the code by which `service` (AWS's short name) says `what`: one of the keys above.

    `is_conditional`: the request was to be done only if the object is, or is not, there.
    """
    if (service, what, is_conditional) == ("s3", "conflict", True):
        return 409, "ConditionalRequestConflict"
    by_service = _REFUSALS[what]
    return by_service.get(service, by_service[""])
