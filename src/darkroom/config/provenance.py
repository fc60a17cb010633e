"""What pictures say of their making, and who signs that: the section `provenance` of config.yaml."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field

from darkroom.config.document import ConfigFault
from darkroom.config.keys import ConfigModel

_PARTITION = r"arn:aws(-cn|-us-gov)?"
_REGION_AT = 3  # which part of an ARN the region is
SecretArn = Annotated[str, Field(pattern=rf"^{_PARTITION}:secretsmanager:[a-z0-9-]+:\d{{12}}:secret:[\w/+=.@-]+$")]
KeyArn = Annotated[str, Field(pattern=rf"^{_PARTITION}:kms:[a-z0-9-]+:\d{{12}}:key/[0-9A-Za-z-]+$")]


class Provenance(ConfigModel):
    """Content Credentials and IPTC's digital source type; a stack on one machine has a certificate for trials."""

    enabled: bool = Field(default=True, description="pictures say that a machine made them")
    required: bool = Field(
        default=False, description="what cannot be signed is not stored, and its task is tried again; needs certificate"
    )
    certificate: SecretArn | None = Field(
        default=None,
        description="secret with the certificate chain as PEM, and its key unless kmsKeyId has it; not set: not signed",
    )
    kms_key_id: KeyArn | None = Field(
        default=None, description="ARN of a key of AWS KMS that signs, in place of a key in the secret"
    )
    timestamp_authority: Annotated[str, Field(pattern=r"^https?://[^\s]+$")] | None = Field(
        default=None, description="URL of a timestamp authority (RFC 3161); signatures then outlast their certificate"
    )
    include_prompts: bool = Field(default=False, description="sign prompts along, for anybody to read")

    def agent_values(self) -> dict[str, Any]:
        """The same as the chart's values below `runtime.queueAgent.provenance`."""
        return {key: value for key, value in self.model_dump(by_alias=True).items() if value is not None}


def unfit_provenance(section: Any, region: str | None) -> Iterator[ConfigFault]:
    """What does not go together in the section; `region` is where it would be deployed, if that is known."""
    if not isinstance(section, dict):
        return
    if section.get("kmsKeyId") and not section.get("certificate"):
        reason = "needs certificate too: the secret with the chain that was issued for this key"
        yield ConfigFault(("provenance", "kmsKeyId"), reason)
    if region is None:
        return
    if section.get("required") is True and section.get("enabled", True) is not False and not section.get("certificate"):
        reason = "needs certificate too: without one no picture can be signed, and no task would ever end"
        yield ConfigFault(("provenance", "required"), reason)
    for key in ("certificate", "kmsKeyId"):
        arn = section.get(key)
        if isinstance(arn, str) and arn.count(":") > _REGION_AT and arn.split(":")[_REGION_AT] != region:
            reason = f"is in {arn.split(':')[_REGION_AT]}; agents in {region} ask their own region"
            yield ConfigFault(("provenance", key), reason)
