"""How pictures say that a machine made them."""

from __future__ import annotations

import msgspec

from darkroom.settings.reader import EnvironmentReader


class ProvenanceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How pictures say that a machine made them.

    `certificate` is a file with the chain, or the ARN of a secret in AWS Secrets Manager; the key stands behind it,
    unless `kms_key_id` names one. Without it, pictures are not signed. `required`: what cannot be signed is no success.
    `answer_seconds` is how long what reads the certificate, and AWS KMS for each signature, may take.
    """

    enabled: bool = True
    required: bool = False
    certificate: str | None = None
    kms_key_id: str | None = None
    timestamp_authority: str | None = None
    include_prompts: bool = False
    # Both answer within milliseconds, and the AWS library tries again by itself.
    answer_seconds: float = 10.0


def provenance_of(read: EnvironmentReader) -> ProvenanceSettings:
    """What an agent is told of it; what does not go together is a fault."""
    settings = ProvenanceSettings(
        enabled=read.boolean("DARKROOM_PROVENANCE_ENABLED", True),
        required=read.boolean("DARKROOM_PROVENANCE_REQUIRED", False),
        certificate=read.optional_text("DARKROOM_PROVENANCE_CERTIFICATE"),
        kms_key_id=read.optional_text("DARKROOM_PROVENANCE_KMS_KEY_ID"),
        timestamp_authority=read.url("DARKROOM_PROVENANCE_TIMESTAMP_AUTHORITY"),
        include_prompts=read.boolean("DARKROOM_PROVENANCE_INCLUDE_PROMPTS", False),
    )
    if settings.certificate is None:
        for name, said in (
            ("REQUIRED", settings.enabled and settings.required),
            ("KMS_KEY_ID", settings.kms_key_id is not None),
        ):
            if said:
                read.fault(
                    f"DARKROOM_PROVENANCE_{name} needs DARKROOM_PROVENANCE_CERTIFICATE too: the chain to sign with"
                )
    return settings
