"""The key that a deployment on AWS signs webhooks with, in AWS Secrets Manager."""

from __future__ import annotations

from darkroom.errors import StackFailure
from darkroom.infra.cloud import Cloud, translated
from darkroom.infra.deployed_stack import find_outputs
from darkroom.webhooks.signatures import SigningKeys, decode_keys, encode_keys, rotated


def read_deployed_keys(cloud: Cloud, name: str) -> SigningKeys:
    """The key of the stack `name`. Raises as `find_deployed_stack` does, and `SettingsError`."""
    return _read(cloud, _secret_arn(cloud, name))


def rotate_deployed_secret(cloud: Cloud, name: str, caller: str, now: float) -> SigningKeys:
    """Give `caller` a new secret; the sender knows it within a minute. Raises as `read_deployed_keys` does."""
    arn = _secret_arn(cloud, name)
    keys = rotated(_read(cloud, arn), caller, now)
    with translated("writing the key that webhooks are signed with"):
        cloud.client("secretsmanager").put_secret_value(SecretId=arn, SecretString=encode_keys(keys).decode())
    return keys


def _secret_arn(cloud: Cloud, name: str) -> str:
    outputs = find_outputs(cloud, name)
    if "WebhookKeys" not in outputs:
        raise StackFailure(f"the stack {name} lacks the output WebhookKeys: run `darkroom deploy` again")
    return outputs["WebhookKeys"]


def _read(cloud: Cloud, arn: str) -> SigningKeys:
    with translated("reading the key that webhooks are signed with"):
        text: str = cloud.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"]
    return decode_keys(text, f"the secret {arn}")
