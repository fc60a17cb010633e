"""What the sender of webhooks is told."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from darkroom.settings.aws import AwsSettings, aws_of
from darkroom.settings.reader import LOG_LEVELS, EnvironmentReader


class WebhookSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The sender of webhooks. `callers` is a JSON list, which `darkroom.policy.webhook_callers` reads.

    The key that they are signed with lies in `keys_file`, or in AWS Secrets Manager under the ARN `keys_secret`.
    `metrics_namespace` is CloudWatch's, for figures in the log; Prometheus asks at `metrics_host` and `metrics_port`.
    """

    aws: AwsSettings
    queue_url: str
    dead_letter_queue_url: str
    task_table: str
    callers: str | None = None
    keys_file: str | None = None
    keys_secret: str | None = None
    allow_private: bool = False
    metrics_namespace: str | None = None
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = None
    log_level: str = "INFO"


def read_webhook_settings(environment: Mapping[str, str]) -> WebhookSettings:
    """The settings of the sender of webhooks. Raises `SettingsError` that lists every variable that is wrong."""
    read = EnvironmentReader(environment)
    keys_file, keys_secret = (read.optional_text(f"DARKROOM_WEBHOOK_KEYS_{where}") for where in ("FILE", "SECRET"))
    if keys_file is None and keys_secret is None:
        read.fault("neither DARKROOM_WEBHOOK_KEYS_FILE nor DARKROOM_WEBHOOK_KEYS_SECRET is set")
    settings = WebhookSettings(
        aws=aws_of(read),
        queue_url=read.text("DARKROOM_WEBHOOK_QUEUE_URL"),
        dead_letter_queue_url=read.text("DARKROOM_WEBHOOK_DEAD_LETTER_QUEUE_URL"),
        task_table=read.text("DARKROOM_TASK_TABLE"),
        callers=read.optional_text("DARKROOM_WEBHOOKS"),
        keys_file=keys_file,
        keys_secret=keys_secret,
        allow_private=read.boolean("DARKROOM_WEBHOOK_ALLOW_PRIVATE", False),
        metrics_namespace=read.optional_text("DARKROOM_METRICS_NAMESPACE"),
        metrics_host=read.text("DARKROOM_METRICS_HOST", "127.0.0.1"),
        metrics_port=read.port("DARKROOM_METRICS_PORT", 0) or None,
        log_level=read.choice("DARKROOM_LOG_LEVEL", LOG_LEVELS, "INFO"),
    )
    read.raise_faults("the sender of webhooks")
    return settings
