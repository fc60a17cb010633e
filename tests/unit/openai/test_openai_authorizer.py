"""The function that tells API Gateway the key: it hands it on, and judges nothing."""

from __future__ import annotations

import pytest

from darkroom.api.bearer_authorizer import handler

ARN = "arn:aws:execute-api:eu-west-1:123456789012:api/prod/POST/v1/images/generations"


def test_the_key_is_handed_on_for_every_path_of_the_stage() -> None:
    answer = handler({"authorizationToken": "Bearer  the-key ", "methodArn": ARN}, None)
    assert answer["usageIdentifierKey"] == "the-key"
    (statement,) = answer["policyDocument"]["Statement"]
    assert statement["Resource"] == "arn:aws:execute-api:eu-west-1:123456789012:api/prod/*"


def test_the_principal_tells_callers_apart_and_no_key() -> None:
    ids = [handler({"authorizationToken": f"bearer {key}", "methodArn": ARN}, None)["principalId"] for key in "aab"]
    assert ids[0] == ids[1] != ids[2]
    assert "the-key" not in handler({"authorizationToken": "Bearer the-key", "methodArn": ARN}, None)["principalId"]


@pytest.mark.parametrize("token", ["", "Bearer", "Bearer ", "Basic x", "the-key"])
def test_what_is_no_bearer_key_is_unauthorized(token: str) -> None:
    with pytest.raises(Exception, match=r"^Unauthorized$"):
        handler({"authorizationToken": token, "methodArn": ARN}, None)
