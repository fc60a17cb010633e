"""What config.yaml may say reaches processes as environment variables: their own readers take all of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from darkroom.config.loader import parse_config
from darkroom.config.model import DarkroomConfig
from darkroom.errors import SettingsError
from darkroom.local.programs import agent_program, gateway_program, sender_program
from darkroom.local.provisioning import ProvisionedPlane, ProvisionedQueue, ProvisionedWebhooks
from darkroom.policy.callers import decode_callers
from darkroom.policy.catalogue import decode_catalogue
from darkroom.policy.queue_urls import decode_queue_urls
from darkroom.policy.webhook_callers import decode_caller_webhooks
from darkroom.settings import AwsSettings, read_agent_settings, read_gateway_settings, read_webhook_settings

AWS = AwsSettings(region="us-east-1", endpoint_url="http://127.0.0.1:4566")
SMALLEST = """\
APIGW: {stageName: a, throttle: {rateLimit: 0.001, burstLimit: 1}}
callers: [{name: a, rateLimit: 0.0001, burstLimit: 1, monthlyTasks: 1}]
modelsRuntime: [{name: a, type: sdwebui, limits: {maxSteps: 1, maxSide: 64, maxBatchSize: 1, maxRounds: 1}}]
"""
LARGEST = f"""\
APIGW:
  stageName: {"Z_9-" * 32}
  throttle: {{rateLimit: 10000, burstLimit: 5000}}
  corsOrigins: ['*', 'https://studio.example:8443', 'http://10.0.0.1']
callers:
- {{name: {"a" * 40}, rateLimit: 10000, burstLimit: 5000, monthlyTasks: 1000000000, role: operator}}
- {{name: b, webhook: {{url: 'https://example.com/darkroom?a=b', events: [task.completed]}}}}
inputBucketArns: ['arn:aws:s3:::pictures-of-others']
modelsRuntime:
- name: {"r" * 30}
  type: comfyui
  lowPriority: true
  deviceHourUsd: 9999.5
  limits: {{maxSteps: 10000, maxSide: 16384, maxBatchSize: 256, maxRounds: 10000}}
- name: own
  type: my-type_2
  taskTypes: [text-to-image]
  extraValues: {{runtime: {{inferenceApi: {{image: {{repository: mine}}}}}}}}
- {{name: sd, type: sdwebui, dynamicModel: true, modelFilename: 'a model, of "mine" ü.safetensors'}}
"""


@pytest.mark.parametrize("text", [SMALLEST, LARGEST], ids=["the smallest", "the largest"])
def test_every_process_on_one_machine_takes_what_may_be_said(text: str, tmp_path: Path) -> None:
    config = parse_config(text)
    plane = plane_of(config)

    keys = {caller.name: f"key of {caller.name}" for caller in config.caller_specs()}
    gateway = read_gateway_settings(gateway_program(config, plane, AWS, keys, 8000).environment)
    throttle = config.api_gateway.throttle
    assert (gateway.rate_limit, gateway.burst_limit) == (throttle.rate_limit, throttle.burst_limit)
    assert gateway.stage == config.api_gateway.stage_name
    assert list(gateway.front_door.cors_origins) == config.api_gateway.cors_origins
    callers = {caller.name: caller for caller in decode_callers(gateway.front_door.callers)}
    for spec in config.caller_specs():
        caller = callers[spec.name]
        told = (caller.rate_limit, caller.burst_limit, caller.monthly_tasks)
        assert told == (spec.rate_limit, spec.burst_limit, spec.monthly_tasks)
    specs = {spec.name: spec for spec in decode_catalogue(gateway.front_door.runtimes)}
    assert specs == {spec.name: spec for spec in config.catalogue_specs()}
    assert decode_queue_urls(gateway.front_door.queues).normal == {queue.runtime: queue.url for queue in plane.queues}

    sender = read_webhook_settings(sender_program(config, plane, AWS, tmp_path / "keys").environment)
    assert decode_caller_webhooks(sender.callers).keys() == {c.name for c in config.callers if c.webhook is not None}

    for runtime, queue in zip(config.models_runtime, plane.queues, strict=True):
        program = agent_program(runtime, plane, queue, AWS, "http://127.0.0.1:1", 2, config.input_buckets)
        agent = read_agent_settings(program.environment)
        assert (agent.runtime_name, agent.runtime_type) == (runtime.name, runtime.adapter)
        assert agent.links.buckets == (plane.bucket, *config.input_buckets)


def plane_of(config: DarkroomConfig) -> ProvisionedPlane:
    queues = tuple(
        ProvisionedQueue(
            runtime.name, f"http://q/{runtime.name}", f"http://d/{runtime.name}",
            f"http://l/{runtime.name}" if runtime.low_priority else None,
        )
        for runtime in config.models_runtime
    )  # fmt: skip
    return ProvisionedPlane("in", "out", "b", "t", queues, ProvisionedWebhooks("http://q/w", "http://q/d"))


def test_a_rate_that_the_gateway_refuses_is_refused_before() -> None:
    with pytest.raises(SettingsError, match=r"greater than or equal to 0\.001"):
        parse_config("APIGW: {throttle: {rateLimit: 0.0001}}\nmodelsRuntime: [{name: a, type: sdwebui}]")
