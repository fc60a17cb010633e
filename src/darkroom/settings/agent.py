"""What the queue agent is told. Variables without the prefix `DARKROOM_` are those that the guide's own chart sets."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from darkroom.settings.aws import AwsSettings, aws_of
from darkroom.settings.provenance import ProvenanceSettings, provenance_of
from darkroom.settings.reader import LOG_LEVELS, EnvironmentReader

# How long a task of low priority waits for others at most, where nobody says it.
LOW_PRIORITY_BOUND_SECONDS = 900.0
DEFAULT_BASE_URLS = {"sdwebui": "http://localhost:8080/sdapi/v1/", "comfyui": "localhost:8080"}
_LONGEST_POLL_SECONDS = 20  # Amazon SQS


class LinkSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What links in a request may lead to. `buckets` are the ones that s3:// links may name.

    `inputs` names inputs of nodes (`Class.input`, or `Class` for all) whose links are fetched, besides those known.
    """

    allow_private: bool = False
    buckets: tuple[str, ...] = ()
    maximum_bytes: int = 32 * 1024 * 1024
    timeout_seconds: float = 30.0
    inputs: tuple[str, ...] = ()


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


def read_agent_settings(environment: Mapping[str, str]) -> AgentSettings:
    """The agent's settings. Raises `SettingsError` that lists every variable that is missing or wrong."""
    read = EnvironmentReader(environment)
    runtime_type = read.text("RUNTIME_TYPE").lower()
    bucket = read.text("S3_BUCKET")
    settings = AgentSettings(
        aws=aws_of(read),
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
        log_level=read.choice("DARKROOM_LOG_LEVEL", LOG_LEVELS, "INFO"),
        provenance=provenance_of(read),
    )
    read.raise_faults("the agent")
    return settings


def _traces_url(read: EnvironmentReader) -> str | None:
    """Where traces go, by OpenTelemetry's own variables: the whole URL, or the one that its usual path is added to."""
    base = read.url("OTEL_EXPORTER_OTLP_ENDPOINT")
    return read.url("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or (None if base is None else f"{base.rstrip('/')}/v1/traces")
