"""What AWS Lambda loads beside the front door: it tells API Gateway the key in `Authorization: Bearer KEY`.

API Gateway itself looks for keys in `x-api-key` alone, which OpenAI's clients do not send. So that API takes them from
this function (`apiKeySource: AUTHORIZER`). It judges no key: whether there is such a key, and how much it may send,
API Gateway decides as for every other request. So the function needs no permission and knows no secret.
"""

from __future__ import annotations

import hashlib
from typing import Any

_ID_CHARACTERS = 16


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer one authorizer event of the kind TOKEN. The key is not logged."""
    scheme, _, key = str(event.get("authorizationToken", "")).strip().partition(" ")
    key = key.strip()
    if scheme.lower() != "bearer" or not key:
        raise Exception("Unauthorized")  # API Gateway answers 401 to this word alone
    # The answer is kept for the key, and so must hold for every path of this API's stage.
    stage = "/".join(str(event["methodArn"]).split("/")[:2])
    allow = {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": f"{stage}/*"}
    return {
        # Tells callers apart where API Gateway does not say which key it was; no key can be told from it.
        "principalId": hashlib.sha256(key.encode()).hexdigest()[:_ID_CHARACTERS],
        "usageIdentifierKey": key,
        "policyDocument": {"Version": "2012-10-17", "Statement": [allow]},
    }
