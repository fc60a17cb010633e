"""What the two doors of the API are told: the Lambda function, and the gateway."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

import msgspec

from darkroom.settings.aws import AwsSettings, aws_of
from darkroom.settings.reader import LOG_LEVELS, EnvironmentReader, Network

LOOPBACK: tuple[Network, ...] = (ipaddress.IPv4Network("127.0.0.0/8"), ipaddress.IPv6Network("::1/128"))


class FrontDoorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What both doors of the API need.

    `runtimes` is a JSON list, which `darkroom.policy.catalogue` reads; `callers` another, which may hold keys, for
    `darkroom.policy.callers`; `queues` a JSON object, which `darkroom.policy.queue_urls` reads.
    """

    topic_arn: str
    bucket: str
    runtimes: str
    task_table: str | None = None
    callers: str | None = None
    queues: str | None = None
    cors_origins: tuple[str, ...] = ()
    openai_file: str | None = None
    webhook_queue_url: str | None = None


class GatewaySettings(msgspec.Struct, frozen=True, kw_only=True):
    """The ASGI gateway. `rate_limit` is in requests per second for each key, `burst_limit` in requests.

    `openai_wait_seconds` is how long a request of OpenAI's API waits for its pictures, `openai_most_waiting` how many
    may wait at once.
    `metrics_from` has the networks that figures are told to; `metrics_callers`, whether these name callers.
    """

    aws: AwsSettings
    front_door: FrontDoorSettings
    stage: str
    api_keys: tuple[str, ...]
    rate_limit: float = 30.0
    burst_limit: int = 50
    openai_wait_seconds: float = 300.0
    openai_most_waiting: int = 200
    tells_events: bool = False
    allowed_hosts: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    port: int = 8000
    metrics_from: tuple[Network, ...] = LOOPBACK
    metrics_callers: bool = False
    log_level: str = "INFO"


def read_front_door_settings(environment: Mapping[str, str]) -> FrontDoorSettings:
    """What the Lambda function is told. Raises `SettingsError`."""
    read = EnvironmentReader(environment)
    settings = _front_door(read)
    read.raise_faults("the front door")
    return settings


def read_gateway_settings(environment: Mapping[str, str]) -> GatewaySettings:
    """The gateway's settings. Raises `SettingsError` that lists every variable that is missing or wrong."""
    read = EnvironmentReader(environment)
    front_door = _front_door(read)
    settings = GatewaySettings(
        aws=aws_of(read),
        front_door=front_door,
        stage=read.text("DARKROOM_STAGE", "prod"),
        api_keys=tuple(
            read.names("DARKROOM_API_KEYS") if front_door.callers else read.required_names("DARKROOM_API_KEYS")
        ),
        rate_limit=read.number("DARKROOM_RATE_LIMIT", float, 30.0, at_least=0.001),
        burst_limit=read.number("DARKROOM_BURST_LIMIT", int, 50, at_least=1),
        openai_wait_seconds=read.number("DARKROOM_OPENAI_WAIT_SECONDS", float, 300.0, at_least=1),
        allowed_hosts=tuple(read.names("DARKROOM_ALLOWED_HOSTS")),
        tells_events=read.boolean("DARKROOM_EVENTS", False),
        openai_most_waiting=read.number("DARKROOM_OPENAI_MOST_WAITING", int, 200, at_least=1),
        host=read.text("DARKROOM_HOST", "127.0.0.1"),
        port=read.port("DARKROOM_PORT", 8000),
        metrics_from=read.networks("DARKROOM_METRICS_FROM", LOOPBACK),
        metrics_callers=read.boolean("DARKROOM_METRICS_CALLERS", False),
        log_level=read.choice("DARKROOM_LOG_LEVEL", LOG_LEVELS, "INFO"),
    )
    read.raise_faults("the gateway")
    return settings


def _front_door(read: EnvironmentReader) -> FrontDoorSettings:
    return FrontDoorSettings(
        topic_arn=read.text("SNS_TOPIC_ARN"),
        bucket=read.text("S3_BUCKET"),
        runtimes=read.text("DARKROOM_RUNTIMES"),
        task_table=read.optional_text("DARKROOM_TASK_TABLE"),
        callers=read.optional_text("DARKROOM_CALLERS"),
        queues=read.optional_text("DARKROOM_QUEUES"),
        cors_origins=tuple(read.names("DARKROOM_CORS_ORIGINS")),
        openai_file=read.optional_text("DARKROOM_OPENAI_FILE"),
        webhook_queue_url=read.optional_text("DARKROOM_WEBHOOK_QUEUE_URL"),
    )
