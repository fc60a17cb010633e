"""Whether pictures could be signed: the certificate in its secret, and the key in KMS that it was issued for."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import date

from darkroom.config.model import DarkroomConfig
from darkroom.errors import AwsRefused, SigningUnavailable
from darkroom.infra.checks.findings import Finding, Verdict
from darkroom.infra.cloud import Cloud, translated
from darkroom.provenance.certificate import SigningMaterial, certificates_in, read_material

SUBJECT = "signatures of pictures"
_SOON_DAYS = 30
_NOT_SIGNED = (
    "pictures only say that a machine made them; to sign them, set provenance.certificate (docs/provenance.md)"
)


def said_of_signing(config: DarkroomConfig) -> Iterator[Finding]:
    """What can be known of the configuration alone."""
    if not config.provenance.enabled:
        remedy = "pictures do not say that a machine made them, which the law may ask for: docs/provenance.md"
        yield Finding(Verdict.LIMITED, SUBJECT, remedy)
    elif config.provenance.certificate is None:
        yield Finding(Verdict.LIMITED, SUBJECT, _NOT_SIGNED)


def check_signing(cloud: Cloud, config: DarkroomConfig, today: date) -> Iterator[Finding]:
    """Look at the secret and the key. Raises `AwsFailure` where that is not allowed."""
    signing = config.provenance
    if not signing.enabled or signing.certificate is None:
        return
    # Without it, pictures are stored without signatures; where those are required, no task would end.
    broken = Verdict.MISSING if signing.required else Verdict.LIMITED
    try:
        with translated(f"reading the secret {signing.certificate}"):
            reply = cloud.client("secretsmanager").get_secret_value(SecretId=signing.certificate)
        material = read_material(reply.get("SecretString", "").encode() or reply.get("SecretBinary", b""))
        _require_key(cloud, signing.kms_key_id, material)
    except AwsRefused as error:
        yield Finding(broken, SUBJECT, str(error))
        return
    except SigningUnavailable as error:
        yield Finding(broken, SUBJECT, error.reason)
        return
    certificate = material.certificate
    days = (certificate.not_after.date() - today).days
    if days < 0:
        remedy = (
            f"the certificate of {certificate.holder} expired on {certificate.not_after:%Y-%m-%d}: put a new one there"
        )
        yield Finding(broken, SUBJECT, remedy)
    elif days < _SOON_DAYS:
        remedy = f"the certificate of {certificate.holder} expires in {days} days: have a new one issued"
        yield Finding(Verdict.LIMITED, SUBJECT, remedy)
    else:
        yield Finding(Verdict.GOOD, f"{SUBJECT}, by {certificate.holder} until {certificate.not_after:%Y-%m-%d}")


def _require_key(cloud: Cloud, key_id: str | None, material: SigningMaterial) -> None:
    """Raise `SigningUnavailable` where nothing could sign, or not with this certificate."""
    if key_id is None:
        if material.key is None:
            raise SigningUnavailable("the secret holds no private key: add it, or set provenance.kmsKeyId")
        return
    with translated(f"asking for the public key of {key_id}"):
        public: bytes = cloud.client("kms").get_public_key(KeyId=key_id)["PublicKey"]
    own = certificates_in(material.chain)[0]
    if public not in base64.b64decode(b"".join(own.splitlines()[1:-1])):
        raise SigningUnavailable("the certificate was issued for another key than provenance.kmsKeyId names")
