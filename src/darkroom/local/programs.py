"""The processes of a stack: how each one is started, and with which environment."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from darkroom.config.callers import caller_webhooks
from darkroom.config.model import DarkroomConfig, RuntimeConfig
from darkroom.errors import StackFailure
from darkroom.local.caller_keys import local_callers
from darkroom.local.supervisor import Program
from darkroom.policy.callers import encode_callers
from darkroom.policy.catalogue import encode_catalogue
from darkroom.policy.queue_urls import encode_queue_urls
from darkroom.policy.webhook_callers import encode_caller_webhooks
from darkroom.settings import AwsSettings, ProvenanceSettings
from darkroom.testing.loopback_aws import CREDENTIALS, emulator_command, emulator_environment, without_proxy

if TYPE_CHECKING:
    from darkroom.local.provisioning import ProvisionedPlane, ProvisionedQueue

# Long enough for any task that the fake runtime does; a stop of the whole stack must not take longer than seconds.
_AGENT_GRACE_SECONDS = 5
# Ten times what a loaded machine needs.
START_SECONDS = 60.0
GATEWAY, SENDER = "gateway", "sender"


def emulator_program(port: int, folder: Path) -> Program:
    """Describe the AWS emulator. It keeps everything in memory, so without it there is nothing left to supervise."""
    shutil.rmtree(folder, ignore_errors=True)  # what an earlier one has left
    folder.mkdir(parents=True)
    return Program(
        name="emulator",
        command=emulator_command(),
        environment=emulator_environment(port, folder),
        restart=False,
        loss="the AWS emulator's queues, tasks and pictures are gone with it. Start the stack again.",
        # It would only wait for connections that are still open: three seconds, each time.
        patience_seconds=0,
    )


def standby_program(name: str, server: str) -> Program:
    """Describe what `server` (agent, gateway, sender) is until it can be told what it works with."""
    return Program(name, [sys.executable, "-m", "darkroom.cli.standby", server], _base_environment())


def agent_name(runtime: RuntimeConfig) -> str:
    """What the program of a runtime's agent is called."""
    return f"agent-{runtime.name}"


def runtime_name(runtime: RuntimeConfig) -> str:
    """What the program of a runtime is called."""
    return f"runtime-{runtime.name}"


class LocalEngine(StrEnum):
    """What makes the pictures of SD Web UI and diffusers runtimes on this machine."""

    POCKET = "pocket"
    DIFFUSERS = "diffusers"
    FAKE = "fake"


def start_limit_seconds(engine: LocalEngine) -> float | None:
    """How long a runtime's start may take; None: for as long as it lives.

    A large model takes minutes to be read and compiled, and longer from a slow disk.
    """
    return None if engine is LocalEngine.DIFFUSERS else START_SECONDS


def runtime_program(runtime: RuntimeConfig, port: int, engine: LocalEngine, models: Path | None) -> Program:
    """Describe a runtime. Raises `StackFailure` for a type that nothing on this machine can stand in for."""
    if runtime.adapter == "comfyui":
        command = ["darkroom.testing.fake_comfyui", "--port", str(port)]
    elif runtime.adapter == "sdwebui" and engine is LocalEngine.FAKE:
        command = ["darkroom.testing.fake_sdwebui", "--port", str(port)]
        command += ["--model", runtime.model_filename] if runtime.model_filename else []
    elif runtime.adapter == "sdwebui":
        command = ["darkroom", "runtime", "--engine", engine, "--port", str(port), "--log-level"]
        # Whose start takes long is to say what it does.
        command += ["warning" if start_limit_seconds(engine) else "info"]
        command += ["--models", str(models)] if models else []
        if runtime.model_filename:
            command += ["--serve-as" if engine is LocalEngine.POCKET else "--model", runtime.model_filename]
    else:
        raise StackFailure(
            f"there is nothing to run for the runtime {runtime.name!r} of type {runtime.type!r} on this machine; "
            f"start it yourself and say where it listens: --runtime-url {runtime.name}=http://127.0.0.1:PORT"
        )
    return Program(
        name=runtime_name(runtime),
        command=[sys.executable, "-m", *command],
        environment=_base_environment(),
        patience_seconds=3.0,
    )


def agent_program(
    runtime: RuntimeConfig,
    plane: ProvisionedPlane,
    queue: ProvisionedQueue,
    aws: AwsSettings,
    base_url: str,
    health_port: int,
    input_buckets: Sequence[str] = (),
    provenance: ProvenanceSettings | None = None,
) -> Program:
    """Describe the agent beside a runtime; links may lead to the output bucket and to `input_buckets`.

    `provenance` says how pictures tell of their making; None: not at all.
    """
    environment = {
        **_base_environment(),
        **_aws_environment(aws),
        "SQS_QUEUE_URL": queue.url,
        "SNS_TOPIC_ARN": plane.output_topic_arn,
        "S3_BUCKET": plane.bucket,
        "RUNTIME_NAME": runtime.name,
        "RUNTIME_TYPE": runtime.adapter,
        "API_BASE_URL": base_url,
        "DYNAMIC_SD_MODEL": str(runtime.dynamic_model).lower(),
        "DARKROOM_TASK_TABLE": plane.table,
        "DARKROOM_LINK_ALLOW_PRIVATE": "true",
        "DARKROOM_LINK_BUCKETS": ",".join([plane.bucket, *input_buckets]),
        "DARKROOM_GRACE_PERIOD_SECONDS": str(_AGENT_GRACE_SECONDS),
        "DARKROOM_HEALTH_PORT": str(health_port),
    }
    if queue.low_url is not None:
        environment["DARKROOM_LOW_PRIORITY_QUEUE_URL"] = queue.low_url
    environment |= _provenance_environment(provenance or ProvenanceSettings(enabled=False))
    return Program(
        name=agent_name(runtime),
        command=[sys.executable, "-m", "darkroom", "agent"],
        environment=environment,
        patience_seconds=_AGENT_GRACE_SECONDS + 3.0,
    )


def gateway_program(
    config: DarkroomConfig,
    plane: ProvisionedPlane,
    aws: AwsSettings,
    keys: Mapping[str, str],
    port: int,
    openai_file: Path | None = None,
) -> Program:
    """Describe the front door, which the keys by their callers' names open.

    `openai_file` holds what `config` says of OpenAI's API, if it says anything.
    """
    # A caller that nobody has named has everybody's limits, which are told below.
    limits = {} if config.callers else {"rate_limit": None, "burst_limit": None}
    named = [
        msgspec.structs.replace(caller, key_sha256=_digest(keys[caller.name]), **limits)
        for caller in local_callers(config)
    ]
    environment = {
        **_base_environment(),
        **_aws_environment(aws),
        "SNS_TOPIC_ARN": plane.input_topic_arn,
        "S3_BUCKET": plane.bucket,
        "DARKROOM_RUNTIMES": encode_catalogue(config.catalogue_specs()),
        "DARKROOM_TASK_TABLE": plane.table,
        "DARKROOM_EVENTS": "true",
        "DARKROOM_CORS_ORIGINS": ",".join(config.api_gateway.cors_origins),
        "DARKROOM_QUEUES": encode_queue_urls(
            {queue.runtime: queue.url for queue in plane.queues},
            low={queue.runtime: queue.low_url for queue in plane.queues if queue.low_url is not None},
        ),
        "DARKROOM_WEBHOOK_QUEUE_URL": plane.webhooks.url,
        "DARKROOM_STAGE": config.api_gateway.stage_name,
        "DARKROOM_CALLERS": encode_callers(named),
        "DARKROOM_RATE_LIMIT": str(config.api_gateway.throttle.rate_limit),
        "DARKROOM_BURST_LIMIT": str(config.api_gateway.throttle.burst_limit),
        "DARKROOM_HOST": "127.0.0.1",
        "DARKROOM_PORT": str(port),
        **({"DARKROOM_OPENAI_FILE": str(openai_file)} if openai_file else {}),
    }
    return Program(
        name=GATEWAY,
        command=[sys.executable, "-m", "darkroom", "gateway"],
        environment=environment,
        patience_seconds=4.0,
    )


def sender_program(config: DarkroomConfig, plane: ProvisionedPlane, aws: AwsSettings, keys_file: Path) -> Program:
    """Describe the sender of webhooks, which signs them with the key in `keys_file`."""
    environment = {
        **_base_environment(),
        **_aws_environment(aws),
        "DARKROOM_WEBHOOK_QUEUE_URL": plane.webhooks.url,
        "DARKROOM_WEBHOOK_DEAD_LETTER_QUEUE_URL": plane.webhooks.dead_letter_url,
        "DARKROOM_TASK_TABLE": plane.table,
        "DARKROOM_WEBHOOK_KEYS_FILE": str(keys_file),
        "DARKROOM_WEBHOOKS": encode_caller_webhooks(caller_webhooks(config.callers)),
        "DARKROOM_WEBHOOK_ALLOW_PRIVATE": "true",
    }
    return Program(
        name=SENDER,
        command=[sys.executable, "-m", "darkroom", "sender"],
        environment=environment,
        patience_seconds=5.0,
    )


def _provenance_environment(provenance: ProvenanceSettings) -> dict[str, str]:
    environment = {
        "DARKROOM_PROVENANCE_ENABLED": str(provenance.enabled).lower(),
        "DARKROOM_PROVENANCE_INCLUDE_PROMPTS": str(provenance.include_prompts).lower(),
    }
    if provenance.certificate is not None:
        environment["DARKROOM_PROVENANCE_CERTIFICATE"] = provenance.certificate
        environment["DARKROOM_PROVENANCE_REQUIRED"] = str(provenance.required).lower()
    return environment


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _base_environment(base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return this process's environment without whatever would lead a part of the stack to real AWS."""
    kept = {name: value for name, value in base.items() if not name.startswith(("AWS_", "DARKROOM_"))}
    return {**kept, **without_proxy(kept), "PYTHONUNBUFFERED": "1"}


def _aws_environment(aws: AwsSettings) -> dict[str, str]:
    return {**CREDENTIALS, "AWS_DEFAULT_REGION": aws.region, "AWS_ENDPOINT_URL": aws.endpoint_url or ""}
