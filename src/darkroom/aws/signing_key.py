"""A key in AWS KMS that signs and never leaves it."""

from __future__ import annotations

import hashlib
from typing import Any

from darkroom.aws.errors import translated
from darkroom.errors import AwsRefused

# C2PA's name of an algorithm: KMS's, and the digest that KMS is sent in place of what is signed, which may be too long.
_ALGORITHMS = {
    "es256": ("ECDSA_SHA_256", "sha256"),
    "es384": ("ECDSA_SHA_384", "sha384"),
    "es512": ("ECDSA_SHA_512", "sha512"),
    "ps256": ("RSASSA_PSS_SHA_256", "sha256"),
}


class SigningKey:
    """One key, through an open client."""

    def __init__(self, client: Any, key_id: str) -> None:
        self._client = client
        self._key_id = key_id

    async def sign(self, data: bytes, algorithm: str) -> bytes:
        """Sign `data`, by C2PA's name of an algorithm. Raises an `AwsFailure`."""
        if algorithm not in _ALGORITHMS:
            raise AwsRefused(f"AWS KMS does not sign by {algorithm}; take a certificate for a key of ECDSA P-256")
        name, digest = _ALGORITHMS[algorithm]
        with translated(f"signing with the key {self._key_id}"):
            reply = await self._client.sign(
                KeyId=self._key_id,
                Message=hashlib.new(digest, data).digest(),
                MessageType="DIGEST",
                SigningAlgorithm=name,
            )
        signature: bytes = reply["Signature"]
        return signature
