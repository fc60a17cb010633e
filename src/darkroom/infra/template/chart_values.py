"""The chart's values for a runtime or a pool: what the user wrote, and over it what only the deployment knows."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from darkroom.config.fit_rules import DEFAULT_TASK_TIMEOUT_SECONDS
from darkroom.config.model import DarkroomConfig, FastStart, RuntimeConfig
from darkroom.config.node_pool import NodePoolConfig, own_nodes_release
from darkroom.config.partition import partition_facts
from darkroom.infra.image_names import image_parts
from darkroom.infra.metrics_names import metrics_namespace
from darkroom.infra.template.versions import TRACE_COLLECTOR, darkroom_version
from darkroom.policy.catalogue import DIFFUSERS

# What every gp3 volume has; more is paid for.
PLAIN_VOLUME = {"iops": 3000, "throughput": 125}
SERVICE_ACCOUNT_SUFFIX = "runtime"
# Pools' releases are here. In kube-system, a pool could be called like a component.
NODE_POOL_NAMESPACE = "default"
# What the chart takes where nobody says another image; a test holds the two together.
DEFAULT_AGENT_IMAGE = "darkroom/queue-agent"
SAMPLE_IMAGES = {
    "sdwebui": "public.ecr.aws/bingjiao/sd-on-eks/sdwebui",
    "comfyui": "public.ecr.aws/bingjiao/sd-on-eks/comfyui",
    DIFFUSERS: "darkroom/inference",
}


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
    """The values to install the pods with. The order of precedence is the guide's: the deployment's own values win."""
    deployment: dict[str, Any] = {
        "global": {"awsRegion": region, "stackName": config.cloudformation_stack_name, "runtime": runtime.name},
        "karpenter": _nodes(config, runtime, node_role_name),
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
                "inputBuckets": config.input_buckets,
                "provenance": config.provenance.agent_values(),
            },
            "persistence": {
                "enabled": True,
                "s3": {"enabled": config.model_bucket is not None, "modelBucket": config.model_bucket or ""},
            },
        },
        "fastStart": config.fast_start_of(runtime),
    }
    if runtime.work_off is not None:
        deployment["runtime"]["scaling"] = runtime.work_off.scaling_values()
    if not tracing:
        deployment["runtime"]["queueAgent"]["xray"] = {"enabled": False}
    proposed = _images(config.mirrors.image_registry, runtime) if config.mirrors.image_registry else {}
    namespace = metrics_namespace(config.cloudformation_stack_name) if config.cluster.agent_metrics else ""
    proposed = merge(proposed, {"runtime": {"queueAgent": {"metrics": {"cloudWatchNamespace": namespace}}}})
    if runtime.makes_its_nodes:
        nodes = _proposed_nodes(config.fast_start_of(runtime), region, bottlerocket_version)
        return merge(proposed, nodes, runtime.extra_values, deployment)
    said = {key: value for key, value in runtime.extra_values.items() if key != "karpenter"}
    return merge(proposed, said, deployment)


def node_values(
    config: DarkroomConfig,
    runtime: RuntimeConfig,
    *,
    region: str,
    node_role_name: str,
    bottlerocket_version: str | None = None,
) -> dict[str, Any]:
    """The values with which the chart makes the runtime's own nodes, in a release of their own, and no pods."""
    said = {"karpenter": runtime.extra_values.get("karpenter", {})}
    return merge(
        _proposed_nodes(config.fast_start_of(runtime), region, bottlerocket_version),
        said,
        _nodes_only(config, runtime, [runtime], region, node_role_name),
    )


def node_pool_values(
    config: DarkroomConfig,
    pool: NodePoolConfig,
    *,
    region: str,
    node_role_name: str,
    bottlerocket_version: str | None = None,
) -> dict[str, Any]:
    """The values with which the chart makes the nodes of a shared pool, and no pods."""
    runtimes = [runtime for runtime in config.models_runtime if runtime.node_pool == pool.name]
    only = _nodes_only(config, pool, runtimes, region, node_role_name)
    proposed = _proposed_nodes(config.fast_start_of(pool), region, bottlerocket_version)
    return merge(proposed, {"karpenter": pool.chart_values()}, only)


def _nodes_only(
    config: DarkroomConfig,
    nodes: RuntimeConfig | NodePoolConfig,
    runtimes: list[RuntimeConfig],
    region: str,
    node_role_name: str,
) -> dict[str, Any]:
    timeout = max((runtime.task_timeout_seconds for runtime in runtimes), default=DEFAULT_TASK_TIMEOUT_SECONDS)
    return {
        "global": {"awsRegion": region, "stackName": config.cloudformation_stack_name},
        "karpenter": _own_nodes(config, node_role_name),
        # The nodes last as long as their longest tasks.
        "runtime": {"enabled": False, "queueAgent": {"taskTimeoutSeconds": timeout}},
        "fastStart": config.fast_start_of(nodes),
    }


def _nodes(config: DarkroomConfig, runtime: RuntimeConfig, node_role_name: str) -> dict[str, Any]:
    """Which nodes the runtime's pods go to; those may have taints that they must bear."""
    if runtime.makes_its_nodes:
        return _own_nodes(config, node_role_name)
    if not runtime.uses_karpenter:
        return {"enabled": False}
    taints = config.node_values_of(runtime).get("provisioner", {}).get("extraTaints", [])
    release, namespace = node_release_of(runtime)
    return {"nodePool": release, "nodePoolNamespace": namespace, "provisioner": {"extraTaints": taints}}


def node_release_of(runtime: RuntimeConfig) -> tuple[str, str]:
    """Name and namespace of the release that makes the nodes of this runtime."""
    if runtime.node_pool:
        return runtime.node_pool, NODE_POOL_NAMESPACE
    return own_nodes_release(runtime.name), runtime.namespace


def _own_nodes(config: DarkroomConfig, node_role_name: str) -> dict[str, Any]:
    template: dict[str, Any] = {"iamRole": node_role_name}
    if config.network.private_subnet_ids:
        template["subnetIds"] = list(config.network.private_subnet_ids)
    return {"nodeTemplate": template}


def _proposed_nodes(fast_start: FastStart, region: str, bottlerocket_version: str | None) -> dict[str, Any]:
    """What holds for nodes where the user says nothing else: what preflight judges is what is deployed.

    With SOCI, images lie on the node's local disks: a faster volume beside them would be paid for nothing.
    """
    template: dict[str, Any] = {"dataVolume": PLAIN_VOLUME} if fast_start == "soci" else {}
    if bottlerocket_version:
        template["amiVersion"] = bottlerocket_version
    types = list(partition_facts(region).default_gpu_instance_types)
    return {"karpenter": {"provisioner": {"instanceType": types}, "nodeTemplate": template}}


def _images(registry: str, runtime: RuntimeConfig) -> dict[str, Any]:
    """Where `darkroom images push` puts what `darkroom images build` made, by the tags that it gives."""
    tag = darkroom_version()
    names = {"sdwebui": "darkroom/sdwebui", "comfyui": "darkroom/comfyui", DIFFUSERS: "darkroom/inference"}
    values: dict[str, Any] = {"queueAgent": {"image": {"repository": f"{registry}/darkroom/queue-agent", "tag": tag}}}
    collector = f"{registry}/{image_parts(TRACE_COLLECTOR).repository}"
    values["queueAgent"]["xray"] = {"daemon": {"image": {"repository": collector}}}
    if runtime.type in names:
        values["inferenceApi"] = {"image": {"repository": f"{registry}/{names[runtime.type]}", "tag": tag}}
    return {"runtime": values}


def pod_images(config: DarkroomConfig, runtime: RuntimeConfig, *, tracing: bool) -> list[str]:
    """Every image that the pods of this runtime pull, as the chart has it."""
    registry = config.mirrors.image_registry
    found = merge(_images(registry, runtime) if registry else {}, runtime.extra_values).get("runtime", {})
    agent = found.get("queueAgent", {})
    images = [
        _reference(agent.get("image", {}), DEFAULT_AGENT_IMAGE, darkroom_version()),
        _reference(found.get("inferenceApi", {}).get("image", {}), SAMPLE_IMAGES.get(runtime.type, ""), "latest"),
    ]
    # The guide's schema also spells the key XRay.
    trace = agent.get("XRay", agent.get("xray", {}))
    if tracing and trace.get("enabled", True):
        repository, _, tag = TRACE_COLLECTOR.rpartition(":")
        images.append(_reference(agent.get("xray", {}).get("daemon", {}).get("image", {}), repository, tag))
    return images


def _reference(image: Mapping[str, Any], repository: str, tag: str) -> str:
    repository = image.get("repository") or repository
    return f"{repository}@{image['digest']}" if image.get("digest") else f"{repository}:{image.get('tag') or tag}"


def images_of(registry: str, runtime: RuntimeConfig) -> list[str]:
    """The images of the runtime's pods that come from that registry; what the user says about an image counts."""
    found = merge(_images(registry, runtime), runtime.extra_values)["runtime"]
    images = [found["queueAgent"]["image"], found.get("inferenceApi", {}).get("image", {})]
    return [
        _reference(image, image["repository"], image["tag"])
        for image in images
        if image.get("repository", "").startswith(f"{registry}/") and image.get("tag")
    ]


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
