"""What AWS answers, and what that means: final is what is listed here, and everything else is asked again."""

from __future__ import annotations

import pytest
from botocore import exceptions as boto
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError
from botocore.session import Session

from darkroom.aws.errors import AlreadyExists, Conflict, NotFound, translate, translated
from darkroom.errors import AwsDenied, AwsFailure, AwsRefused, AwsUnavailable, AwsUnexplained, LeaseLost
from darkroom.testing.aws_refusals import refusal

# Of the codes in the library's own descriptions of the services: those that can never be otherwise.
FINAL = {
    "s3": {"InvalidObjectState", "InvalidRequest", "TooManyParts", "UnsupportedMediaType", "NoSuchKey", "NoSuchUpload"},
    "sqs": {
        "BatchEntryIdsNotDistinct",
        "BatchRequestTooLong",
        "EmptyBatchRequest",
        "InvalidAttributeName",
        "InvalidAttributeValue",
        "InvalidBatchEntryId",
        "InvalidMessageContents",
        "TooManyEntriesInBatchRequest",
        "UnsupportedOperation",
    },
    "sns": {
        "BatchEntryIdsNotDistinct",
        "BatchRequestTooLong",
        "EmptyBatchRequest",
        "InvalidBatchEntryId",
        "InvalidParameter",
        "ParameterValueInvalid",
        "TooManyEntriesInBatchRequest",
        "ValidationException",
    },
    "dynamodb": {"ConditionalCheckFailedException", "ItemCollectionSizeLimitExceededException"},
}
DENIED = {
    "s3": {"AccessDenied", "NoSuchBucket"},
    "sqs": {
        "InvalidSecurity",
        "KmsAccessDenied",
        "KmsDisabled",
        "KmsInvalidKeyUsage",
        "KmsInvalidState",
        "KmsNotFound",
        "KmsOptInRequired",
        "QueueDeletedRecently",
        "QueueDoesNotExist",
        "ResourceNotFoundException",
    },
    "sns": {
        "AuthorizationError",
        "InvalidSecurity",
        "KMSAccessDenied",
        "KMSDisabled",
        "KMSInvalidState",
        "KMSNotFound",
        "KMSOptInRequired",
        "NotFound",
        "ResourceNotFound",
    },
    "dynamodb": {"ResourceNotFoundException", "TableNotFoundException"},
}
LEASE = {"sqs": {"InvalidIdFormat", "MessageNotInflight", "ReceiptHandleIsInvalid"}}


def answer(code: str, status: int = 400, message: str = "") -> AwsFailure:
    response = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return translate(ClientError(response, "Operation"), "doing")  # type: ignore[arg-type]


def codes_of(service: str) -> set[str]:
    shapes = Session().get_component("data_loader").load_service_model(service, "service-2")["shapes"]
    return {shape.get("error", {}).get("code", name) for name, shape in shapes.items() if shape.get("exception", False)}


@pytest.mark.parametrize("service", ["s3", "sqs", "sns", "dynamodb"])
def test_of_every_code_that_a_service_has_only_those_listed_are_final(service: str) -> None:
    kinds = {code: type(answer(code)) for code in codes_of(service)}
    assert len(kinds) > 15
    assert {code for code, kind in kinds.items() if issubclass(kind, AwsRefused)} == FINAL[service]
    assert {code for code, kind in kinds.items() if kind is AwsDenied} == DENIED[service]
    assert {code for code, kind in kinds.items() if kind is LeaseLost} == LEASE.get(service, set())
    others = set(kinds) - FINAL[service] - DENIED[service] - LEASE.get(service, set())
    assert all(issubclass(kinds[code], AwsUnavailable) and kinds[code].retryable for code in others)


@pytest.mark.parametrize("status", [400, 404, 405, 412, 418])
def test_an_answer_that_nobody_knows_is_asked_again(status: int) -> None:
    assert type(answer("SomethingNewIn2027", status)) is AwsUnexplained
    assert AwsUnexplained.retryable


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("ConditionalRequestConflict", 409, AwsUnavailable),
        ("OperationAborted", 409, AwsUnavailable),
        ("SomeOtherConflict", 409, AwsUnavailable),
        ("ExpiredToken", 400, AwsUnavailable),
        ("RequestTimeTooSkewed", 403, AwsUnavailable),
        ("SignatureDoesNotMatch", 403, AwsUnavailable),
        ("InvalidAccessKeyId", 403, AwsUnavailable),
        ("UnrecognizedClientException", 400, AwsUnavailable),
        ("SomethingNew", 500, AwsUnavailable),
        ("SomethingNew", 429, AwsUnavailable),
        ("SomethingNew", 403, AwsDenied),
        ("AccessDenied", 403, AwsDenied),
        ("AWS.SimpleQueueService.NonExistentQueue", 400, AwsDenied),
        ("PreconditionFailed", 412, AlreadyExists),
        ("ConditionalCheckFailedException", 400, AlreadyExists),
        ("NoSuchKey", 404, NotFound),
        ("404", 404, NotFound),
        ("KeyTooLongError", 400, AwsRefused),
        ("ValidationException", 400, AwsRefused),
        ("AWS.SimpleQueueService.MessageNotInflight", 400, LeaseLost),
    ],
)
def test_what_an_answer_means(code: str, status: int, kind: type[AwsFailure]) -> None:
    assert type(answer(code, status)) is kind


def test_a_receipt_that_is_not_valid_any_more_is_a_lost_lease_and_another_value_is_not() -> None:
    assert type(answer("InvalidParameterValue", message="The receipt handle has expired.")) is LeaseLost
    assert type(answer("InvalidParameterValue", message="Value for VisibilityTimeout is invalid.")) is AwsRefused


@pytest.mark.parametrize("service", ["s3", "sqs", "sns", "dynamodb"])
@pytest.mark.parametrize("what", ["error", "unavailable", "throttled", "denied", "expired", "skewed", "conflict"])
def test_nothing_that_the_fault_proxy_says_is_final(service: str, what: str) -> None:
    for is_conditional in (False, True):
        status, code = refusal(service, what, is_conditional=is_conditional)
        kind = AwsDenied if what == "denied" else AwsUnavailable
        assert type(answer(code, status)) is (Conflict if code == "TransactionConflictException" else kind)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (boto.NoCredentialsError(), AwsUnavailable),
        (boto.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"), AwsUnavailable),
        (boto.CredentialRetrievalError(provider="eks", error_msg="timed out"), AwsUnavailable),
        (boto.MetadataRetrievalError(error_msg="timed out"), AwsUnavailable),
        (boto.NoAuthTokenError(), AwsUnavailable),
        (boto.FlexibleChecksumError(error_msg="torn"), AwsUnavailable),
        (boto.UnseekableStreamError(stream_object=object()), AwsUnavailable),
        (boto.NoRegionError(), AwsUnavailable),
        (ResponseParserError("an answer that is no XML"), AwsUnavailable),
        (ConnectionResetError(), AwsUnavailable),
        (TimeoutError(), AwsUnavailable),
        (boto.ParamValidationError(report="Key must not be empty"), AwsRefused),
        (boto.UnsupportedS3ArnError(arn="arn:x", msg="no bucket"), AwsRefused),
    ],
)
def test_the_librarys_own_errors_are_final_where_they_are_about_what_was_asked(
    error: Exception, kind: type[AwsFailure]
) -> None:
    with pytest.raises(AwsFailure) as caught, translated("doing"):
        raise error
    assert type(caught.value) is kind
