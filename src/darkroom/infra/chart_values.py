"""The chart's values for one runtime: what the user wrote, and over it what only the deployment knows."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from darkroom.config.model import DIFFUSERS, DarkroomConfig, RuntimeConfig

SERVICE_ACCOUNT_SUFFIX = "runtime"


def service_account_of(runtime: RuntimeConfig) -> str:
    """The name of the Kubernetes service account that the runtime's pods run under."""
    return f"{runtime.name}-{SERVICE_ACCOUNT_SUFFIX}"


def runtime_values(
    config: DarkroomConfig,
    runtime: RuntimeConfig,
    *,
    region: str,
    queue_url: str,
    dead_letter_queue_url: str,
    output_topic_arn: str,
    output_bucket: str,
    task_table: str,
    node_role_name: str,
    tracing: bool,
    bottlerocket_version: str | None = None,
) -> dict[str, Any]:
    """The values to install the chart with. The order of precedence is the guide's: the deployment's own values win."""
    deployment: dict[str, Any] = {
        "global": {"awsRegion": region, "stackName": config.cloudformation_stack_name, "runtime": runtime.name},
        "karpenter": {"nodeTemplate": {"iamRole": node_role_name}},
        "runtime": {
            "type": runtime.type,
            "serviceAccountName": service_account_of(runtime),
            "inferenceApi": {"modelFilename": runtime.model_filename or ""},
            "queueAgent": {
                "runtimeType": runtime.adapter,
                "dynamicModel": runtime.dynamic_model,
                "s3Bucket": output_bucket,
                "snsTopicArn": output_topic_arn,
                "sqsQueueUrl": queue_url,
                "deadLetterQueueUrl": dead_letter_queue_url,
                "taskTable": task_table,
            },
            "persistence": {
                "enabled": True,
                "s3": {"enabled": config.model_bucket is not None, "modelBucket": config.model_bucket or ""},
            },
        },
        "fastStart": config.fast_start_of(runtime),
    }
    if config.network.private_subnet_ids:
        deployment["karpenter"]["nodeTemplate"]["subnetIds"] = list(config.network.private_subnet_ids)
    if not tracing:
        deployment["runtime"]["queueAgent"]["xray"] = {"enabled": False}
    proposed: dict[str, Any] = {}
    if bottlerocket_version:
        proposed = {"karpenter": {"nodeTemplate": {"amiVersion": bottlerocket_version}}}
    if config.mirrors.image_registry:
        proposed = merge(proposed, _images(config.mirrors.image_registry, runtime))
    return merge(proposed, runtime.extra_values, deployment)


def _images(registry: str, runtime: RuntimeConfig) -> dict[str, Any]:
    """Where `darkroom images push` puts the images."""
    names = {"sdwebui": "darkroom/sdwebui", "comfyui": "darkroom/comfyui", DIFFUSERS: "darkroom/inference"}
    values: dict[str, Any] = {"queueAgent": {"image": {"repository": f"{registry}/darkroom/queue-agent"}}}
    collector = f"{registry}/aws-observability/aws-otel-collector"
    values["queueAgent"]["xray"] = {"daemon": {"image": {"repository": collector}}}
    if runtime.type in names:
        values["inferenceApi"] = {"image": {"repository": f"{registry}/{names[runtime.type]}"}}
    return {"runtime": values}


def merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """One mapping of several, merged at every depth; later ones win, and lists replace each other."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            if isinstance(value, Mapping) and isinstance(merged.get(key), dict):
                merged[key] = merge(merged[key], value)
            else:
                merged[key] = merge(value) if isinstance(value, Mapping) else copy.deepcopy(value)
    return merged
