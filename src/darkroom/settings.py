"""Typed settings: the only place that reads environment variables.

Each process reads its settings once, from a mapping, in its composition root. Every fault is reported at once.
The agent's variables without the prefix `DARKROOM_` are those that the guide's own chart sets.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from darkroom.errors import SettingsError

Number = TypeVar("Number", int, float)

_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off", ""})
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
LOOPBACK: tuple[Network, ...] = (ipaddress.IPv4Network("127.0.0.0/8"), ipaddress.IPv6Network("::1/128"))
# How long a task of low priority waits for others at most, where nobody says it.
LOW_PRIORITY_BOUND_SECONDS = 900.0
_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_LONGEST_POLL_SECONDS = 20  # Amazon SQS
_LAST_PORT = 65535
DEFAULT_BASE_URLS = {"sdwebui": "http://localhost:8080/sdapi/v1/", "comfyui": "localhost:8080"}


class AwsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where AWS is. `endpoint_url` is None for AWS itself; credentials are found by the AWS library, never by us."""

    region: str
    endpoint_url: str | None = None


class LinkSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What links in a request may lead to. `buckets` are the ones that s3:// links may name.

    `inputs` names inputs of nodes (`Class.input`, or `Class` for all) whose links are fetched, besides those known.
    """

    allow_private: bool = False
    buckets: tuple[str, ...] = ()
    maximum_bytes: int = 32 * 1024 * 1024
    timeout_seconds: float = 30.0
    inputs: tuple[str, ...] = ()


class ProvenanceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How pictures say that a machine made them.

    `certificate` is a file with the chain, or the ARN of a secret in AWS Secrets Manager; the key stands behind it,
    unless `kms_key_id` names one. Without it, pictures are not signed. `required`: what cannot be signed is no success.
    """

    enabled: bool = True
    required: bool = False
    certificate: str | None = None
    kms_key_id: str | None = None
    timestamp_authority: str | None = None
    include_prompts: bool = False


class AgentSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One queue agent. `maximum_held_bytes` bounds what it keeps in memory of tasks that wait or are being stored.

    `traces_url` takes traces by OTLP over HTTP; `metrics_namespace` is CloudWatch's, for figures in the log; None: they
    are not made. `agent_name` is None where the agent is called after its pod or host; `progress_seconds`, where a
    task's progress is not written down. `low_queue_url` is the queue of tasks of low priority, if there is one; no such
    task waits for others for more than `low_bound_seconds`.
    """

    aws: AwsSettings
    links: LinkSettings
    queue_url: str
    topic_arn: str
    bucket: str
    runtime_name: str
    runtime_type: str
    base_url: str
    agent_name: str | None = None
    progress_seconds: float | None = 2.0
    heartbeats: bool = True
    record_patience_seconds: float = 60.0
    dynamic_model: bool = False
    traces_url: str | None = None
    notify_when_running: bool = False
    dead_letter_queue_url: str | None = None
    low_queue_url: str | None = None
    low_bound_seconds: float = LOW_PRIORITY_BOUND_SECONDS
    task_table: str | None = None
    task_timeout_seconds: float = 300.0
    task_timeout_limit_seconds: float = 3600.0
    task_expiry_seconds: float | None = None
    sweep_seconds: float | None = 60.0
    trial_seconds: float = 120.0
    grace_period_seconds: float = 100.0
    receive_wait_seconds: int = 1
    model_window: int = 10
    most_overtakes: int = 8
    maximum_held_bytes: int = 48 * 1024 * 1024
    health_host: str = "127.0.0.1"
    health_port: int | None = None
    metrics_namespace: str | None = None
    log_level: str = "INFO"
    provenance: ProvenanceSettings = ProvenanceSettings()


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


def read_agent_settings(environment: Mapping[str, str]) -> AgentSettings:
    """The agent's settings. Raises `SettingsError` that lists every variable that is missing or wrong."""
    read = _Reader(environment)
    runtime_type = read.text("RUNTIME_TYPE").lower()
    bucket = read.text("S3_BUCKET")
    settings = AgentSettings(
        aws=_aws(read),
        links=LinkSettings(
            allow_private=read.boolean("DARKROOM_LINK_ALLOW_PRIVATE", False),
            buckets=tuple(read.names("DARKROOM_LINK_BUCKETS", bucket)),
            maximum_bytes=read.number("DARKROOM_LINK_MAX_BYTES", int, 32 * 1024 * 1024, at_least=1),
            timeout_seconds=read.number("DARKROOM_LINK_TIMEOUT_SECONDS", float, 30.0, at_least=0.1),
            inputs=tuple(read.names("DARKROOM_LINK_INPUTS")),
        ),
        queue_url=read.text("SQS_QUEUE_URL"),
        topic_arn=read.text("SNS_TOPIC_ARN"),
        bucket=bucket,
        runtime_name=read.text("RUNTIME_NAME"),
        runtime_type=runtime_type,
        base_url=read.text("API_BASE_URL", DEFAULT_BASE_URLS.get(runtime_type, "http://localhost:8080/")),
        agent_name=read.optional_text("DARKROOM_AGENT_NAME"),
        heartbeats=read.boolean("DARKROOM_HEARTBEATS", True),
        progress_seconds=read.number("DARKROOM_PROGRESS_SECONDS", float, 2.0, at_least=0) or None,
        dynamic_model=read.boolean("DYNAMIC_SD_MODEL", False),
        traces_url=None if read.boolean("DISABLE_XRAY", False) else _traces_url(read),
        notify_when_running=read.boolean("EXP_CALLBACK_WHEN_RUNNING", False),
        dead_letter_queue_url=read.optional_text("DARKROOM_DEAD_LETTER_QUEUE_URL"),
        low_queue_url=read.optional_text("DARKROOM_LOW_PRIORITY_QUEUE_URL"),
        low_bound_seconds=read.number(
            "DARKROOM_LOW_PRIORITY_BOUND_SECONDS", float, LOW_PRIORITY_BOUND_SECONDS, at_least=0
        ),
        task_table=read.optional_text("DARKROOM_TASK_TABLE"),
        task_timeout_seconds=read.number("DARKROOM_TASK_TIMEOUT_SECONDS", float, 300.0, at_least=1),
        task_timeout_limit_seconds=read.number("DARKROOM_TASK_TIMEOUT_LIMIT_SECONDS", float, 3600.0, at_least=1),
        task_expiry_seconds=read.number("DARKROOM_TASK_EXPIRY_SECONDS", float, 0.0, at_least=0) or None,
        trial_seconds=read.number("DARKROOM_TRIAL_SECONDS", float, 120.0, at_least=0),
        sweep_seconds=read.number("DARKROOM_SWEEP_SECONDS", float, 60.0, at_least=0) or None,
        grace_period_seconds=read.number("DARKROOM_GRACE_PERIOD_SECONDS", float, 100.0, at_least=0),
        receive_wait_seconds=read.number(
            "DARKROOM_RECEIVE_WAIT_SECONDS", int, 1, at_least=0, at_most=_LONGEST_POLL_SECONDS
        ),
        model_window=read.number("DARKROOM_MODEL_WINDOW", int, 10, at_least=1),
        most_overtakes=read.number("DARKROOM_MOST_OVERTAKES", int, 8, at_least=0),
        maximum_held_bytes=read.number("DARKROOM_MAX_HELD_BYTES", int, 48 * 1024 * 1024, at_least=1),
        health_host=read.text("DARKROOM_HEALTH_HOST", "127.0.0.1"),
        health_port=read.port("DARKROOM_HEALTH_PORT", 0) or None,
        metrics_namespace=read.optional_text("DARKROOM_METRICS_NAMESPACE"),
        log_level=read.choice("DARKROOM_LOG_LEVEL", _LOG_LEVELS, "INFO"),
        provenance=_provenance(read),
    )
    read.raise_faults("the agent")
    return settings


def read_aws_settings(environment: Mapping[str, str]) -> AwsSettings:
    """Where AWS is. Raises `SettingsError`."""
    read = _Reader(environment)
    settings = _aws(read)
    read.raise_faults("the connection to AWS")
    return settings


def read_front_door_settings(environment: Mapping[str, str]) -> FrontDoorSettings:
    """What the Lambda function is told. Raises `SettingsError`."""
    read = _Reader(environment)
    settings = _front_door(read)
    read.raise_faults("the front door")
    return settings


def read_gateway_settings(environment: Mapping[str, str]) -> GatewaySettings:
    """The gateway's settings. Raises `SettingsError` that lists every variable that is missing or wrong."""
    read = _Reader(environment)
    front_door = _front_door(read)
    settings = GatewaySettings(
        aws=_aws(read),
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
        log_level=read.choice("DARKROOM_LOG_LEVEL", _LOG_LEVELS, "INFO"),
    )
    read.raise_faults("the gateway")
    return settings


def read_webhook_settings(environment: Mapping[str, str]) -> WebhookSettings:
    """The settings of the sender of webhooks. Raises `SettingsError` that lists every variable that is wrong."""
    read = _Reader(environment)
    keys_file, keys_secret = (read.optional_text(f"DARKROOM_WEBHOOK_KEYS_{where}") for where in ("FILE", "SECRET"))
    if keys_file is None and keys_secret is None:
        read.fault("neither DARKROOM_WEBHOOK_KEYS_FILE nor DARKROOM_WEBHOOK_KEYS_SECRET is set")
    settings = WebhookSettings(
        aws=_aws(read),
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
        log_level=read.choice("DARKROOM_LOG_LEVEL", _LOG_LEVELS, "INFO"),
    )
    read.raise_faults("the sender of webhooks")
    return settings


class RuntimeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the built-in runtime finds in the environment, where the command line does not say.

    `compilation` is auto, always or never; `compile_cache` the folder for what was compiled.
    """

    compilation: str = "auto"
    compile_cache: str | None = None
    keep_models: int = 2


def read_runtime_settings(environment: Mapping[str, str]) -> RuntimeSettings:
    """The built-in runtime's settings. Raises `SettingsError` that lists every variable that is wrong."""
    read = _Reader(environment)
    settings = RuntimeSettings(
        compilation=read.choice("DARKROOM_COMPILE", ("auto", "always", "never"), "auto"),
        compile_cache=read.optional_text("DARKROOM_COMPILE_CACHE"),
        keep_models=read.number("DARKROOM_KEEP_MODELS", int, 2, at_least=1),
    )
    read.raise_faults("the built-in runtime")
    return settings


class ClientSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What `darkroom submit` and `verify` find in the environment, where the command line does not say."""

    endpoint: str | None = None
    api_key: str | None = None


def read_client_settings(environment: Mapping[str, str]) -> ClientSettings:
    """Which front door to use, and with which key."""
    read = _Reader(environment)
    return ClientSettings(
        endpoint=read.optional_text("DARKROOM_ENDPOINT"), api_key=read.optional_text("DARKROOM_API_KEY")
    )


def _aws(read: _Reader) -> AwsSettings:
    region = read.text("AWS_DEFAULT_REGION", read.optional_text("AWS_REGION"))
    return AwsSettings(region=region, endpoint_url=read.url("AWS_ENDPOINT_URL"))


def _provenance(read: _Reader) -> ProvenanceSettings:
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


def _traces_url(read: _Reader) -> str | None:
    """Where traces go, by OpenTelemetry's own variables: the whole URL, or the one that its usual path is added to."""
    base = read.url("OTEL_EXPORTER_OTLP_ENDPOINT")
    return read.url("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or (None if base is None else f"{base.rstrip('/')}/v1/traces")


def _front_door(read: _Reader) -> FrontDoorSettings:
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


class _Reader:
    """Reads typed values and collects what is wrong. An empty variable counts as a missing one."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._faults: list[str] = []

    def fault(self, text: str) -> None:
        self._faults.append(text)

    def optional_text(self, name: str) -> str | None:
        return self._environment.get(name, "").strip() or None

    def text(self, name: str, default: str | None = None) -> str:
        value = self.optional_text(name) or default
        if value is None:
            self._faults.append(f"{name} is not set")
            return ""
        return value

    def url(self, name: str) -> str | None:
        value = self.optional_text(name)
        if value is not None and not value.startswith(("http://", "https://")):
            self._faults.append(f"{name} must be an http(s) URL, not {value!r}")
        return value

    def choice(self, name: str, choices: tuple[str, ...], default: str) -> str:
        """One of these words, in whatever letters it is written."""
        value = self.optional_text(name) or default
        for choice in choices:
            if choice.lower() == value.lower():
                return choice
        self._faults.append(f"{name} must be one of {', '.join(choices)}, not {value!r}")
        return default

    def names(self, name: str, default: str = "") -> list[str]:
        value = self._environment.get(name) or default
        return [part.strip() for part in value.split(",") if part.strip()]

    def required_names(self, name: str) -> list[str]:
        names = self.names(name)
        if not names:
            self._faults.append(f"{name} is not set")
        return names

    def networks(self, name: str, default: tuple[Network, ...]) -> tuple[Network, ...]:
        """Networks, or addresses; `none` is none."""
        texts, found = self.names(name), list[Network]()
        if not texts:
            return default
        for text in texts if texts != ["none"] else []:
            try:
                found.append(ipaddress.ip_network(text))
            except ValueError as error:
                self._faults.append(f"{name} must be networks such as 10.0.0.0/16, or none: {error}")
        return tuple(found)

    def boolean(self, name: str, default: bool) -> bool:
        value = self._environment.get(name)
        if value is None:
            return default
        if value.strip().lower() in _TRUE:
            return True
        if value.strip().lower() not in _FALSE:
            self._faults.append(f"{name} must be true or false, not {value!r}")
        return False

    def port(self, name: str, default: int) -> int:
        return self.number(name, int, default, at_least=0, at_most=_LAST_PORT)

    def number(
        self, name: str, kind: Callable[[str], Number], default: Number, *, at_least: float, at_most: float = math.inf
    ) -> Number:
        value = self.optional_text(name)
        if value is None:
            return default
        try:
            number = kind(value)
        except ValueError:
            number = None
        if number is None or math.isinf(number):
            self._faults.append(f"{name} must be a {'whole ' if kind is int else ''}number, not {value!r}")
            return default
        if not number >= at_least:
            self._faults.append(f"{name} must be at least {at_least:g}, not {value}")
        if number > at_most:
            self._faults.append(f"{name} must be at most {at_most:g}, not {value}")
        return number

    def raise_faults(self, who: str) -> None:
        if self._faults:
            raise SettingsError(f"{who} cannot start:\n" + "\n".join(f"  {fault}" for fault in self._faults))
