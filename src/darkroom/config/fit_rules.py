"""What must hold between a runtime's pods and its nodes, with the chart's defaults for what is not said.

Each of these is taken by the API servers, or by Helm, and then fails or never works: half an hour later.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from darkroom.config.document import ConfigFault, Path
from darkroom.config.kubernetes_text import amount_of

# The chart's own; a test holds the two together.
DEFAULT_MOST_PODS = 20
# Why so many tasks for each pod: docs/architecture.md.
DEFAULT_QUEUE_LENGTH = 3
DEFAULT_TASK_TIMEOUT_SECONDS = 300
DEFAULT_SECURITY: dict[str, dict[str, Any]] = {
    "inferenceApi": {"allowPrivilegeEscalation": False},
    "queueAgent": {"allowPrivilegeEscalation": False, "runAsNonRoot": True, "runAsUser": 10001},
}
DEFAULT_RESOURCES: dict[str, dict[str, Any]] = {
    "inferenceApi": {
        "limits": {"nvidia.com/gpu": "1", "memory": "24Gi"},
        "requests": {"nvidia.com/gpu": "1", "cpu": "2500m", "memory": "6Gi"},
    },
    "queueAgent": {"limits": {"memory": "512Mi"}, "requests": {"cpu": "500m", "memory": "512Mi"}},
}
POD_GRACE_BEYOND_TASK_SECONDS = 30

GPU = "nvidia.com/gpu"
# What the chart gives the containers itself. Two of a name are refused when they are applied.
OWN_ENVIRONMENT = {
    "inferenceApi": {
        "MODEL_FOLDER": "modelMountPath",
        "EXTRA_CMD_ARG": "commandArguments",
        "SD_MODEL_CHECKPOINT": "modelFilename of the runtime",
        "DYNAMIC_SD_MODEL": "dynamicModel of the runtime",
        "API_ONLY": "",
        "CONFIG_FILE": "",
    },
    "queueAgent": {
        "AWS_DEFAULT_REGION": "",
        "RUNTIME_NAME": "name of the runtime",
        "RUNTIME_TYPE": "type of the runtime",
        "API_BASE_URL": "inferenceApi.port",
        "SQS_QUEUE_URL": "",
        "SNS_TOPIC_ARN": "",
        "S3_BUCKET": "",
        "DYNAMIC_SD_MODEL": "dynamicModel of the runtime",
        "EXP_CALLBACK_WHEN_RUNNING": "notifyWhenRunning",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "xray.enabled",
        "DISABLE_XRAY": "xray.enabled",
        "DARKROOM_DEAD_LETTER_QUEUE_URL": "",
        "DARKROOM_LOW_PRIORITY_QUEUE_URL": "",
        "DARKROOM_LINK_BUCKETS": "inputBucketArns",
        "DARKROOM_TASK_TABLE": "",
        "DARKROOM_TASK_TIMEOUT_SECONDS": "taskTimeoutSeconds",
        "DARKROOM_GRACE_PERIOD_SECONDS": "taskTimeoutSeconds",
        "DARKROOM_HEALTH_HOST": "",
        "DARKROOM_HEALTH_PORT": "",
        "DARKROOM_METRICS_NAMESPACE": "metrics.cloudWatchNamespace",
        "DARKROOM_PROVENANCE_ENABLED": "provenance.enabled",
        "DARKROOM_PROVENANCE_REQUIRED": "provenance.required",
        "DARKROOM_PROVENANCE_CERTIFICATE": "provenance.certificate",
        "DARKROOM_PROVENANCE_KMS_KEY_ID": "provenance.kmsKeyId",
        "DARKROOM_PROVENANCE_TIMESTAMP_AUTHORITY": "provenance.timestampAuthority",
        "DARKROOM_PROVENANCE_INCLUDE_PROMPTS": "provenance.includePrompts",
    },
}
# Keys that the chart writes into a map itself, by the map's place. Two of a key make the whole unreadable.
OWN_KEYS: dict[tuple[str, ...], frozenset[str]] = {
    ("runtime", "labels"): frozenset(
        {
            "helm.sh/chart", "app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/version",
            "app.kubernetes.io/managed-by", "darkroom/runtime-type",
        }
    ),
    ("runtime", "annotations"): frozenset({"darkroom/config"}),
    ("runtime", "nodeSelector"): frozenset({"karpenter.sh/nodepool"}),
    ("karpenter", "provisioner", "labels"): frozenset({"darkroom/runtime", "darkroom/node-pool"}),
    ("karpenter", "nodeTemplate", "tags"): frozenset({"stack", "runtime", "node-pool"}),
}  # fmt: skip
OWN_KEYS["runtime", "persistence", "labels"] = OWN_KEYS["runtime", "labels"]
OWN_TAINTS = (GPU, "runtime")


def at(values: Any, *path: str) -> Any:
    """What stands at this path, or None."""
    for key in path:
        values = values.get(key) if isinstance(values, dict) else None
    return values


def unfit_environment(path: Path, runtime: dict[str, Any]) -> Iterator[ConfigFault]:
    """Variables in `extraEnv` that the chart sets itself, or that stand there twice."""
    for container, own in OWN_ENVIRONMENT.items():
        extra = at(runtime, "extraValues", "runtime", container, "extraEnv")
        here = (*path, "extraValues", "runtime", container, "extraEnv")
        if isinstance(extra, dict):
            named: list[tuple[Path, Any]] = [((*here, name), name) for name in extra]
        else:
            listed = extra if isinstance(extra, list) else []
            named = [((*here, index), at(entry, "name")) for index, entry in enumerate(listed)]
        seen: set[str] = set()
        for place, name in named:
            if not isinstance(name, str):
                continue  # its type is somebody else's to say
            if name in own:
                instead = f"say it with {own[name]}" if own[name] else "remove it"
                yield ConfigFault(place, f"{name} is set by the deployment itself: {instead}")
            elif name in seen:
                yield ConfigFault(place, f"{name} stands twice")
            seen.add(name)


def unfit_keys(path: Path, extra: Any, root: tuple[str, ...] = ()) -> Iterator[ConfigFault]:
    """Labels, tags and taints that the chart sets itself, in values that begin below `root` of the chart's."""
    for place, own in OWN_KEYS.items():
        said = at(extra, *place[len(root) :]) if place[: len(root)] == root else None
        for key in sorted(own & set(said)) if isinstance(said, dict) else ():
            yield ConfigFault((*path, *place[len(root) :], key), "is set by the deployment itself: remove it")
    taints_at = ("karpenter", "provisioner", "extraTaints")[len(root) :]
    taints = at(extra, *taints_at)
    for index, taint in enumerate(taints if isinstance(taints, list) else []):
        if at(taint, "key") in OWN_TAINTS and at(taint, "effect") == "NoSchedule":
            yield ConfigFault((*path, *taints_at, index), f"{taint['key']} is set by the deployment itself: remove it")


def unfit_resources(path: Path, runtime: dict[str, Any]) -> Iterator[ConfigFault]:
    """Requests above limits, and GPUs whose request is not their limit."""
    for container in DEFAULT_RESOURCES:
        here = (*path, "extraValues", "runtime", container, "resources")
        said = at(runtime, "extraValues", "runtime", container, "resources")
        if not isinstance(said, dict):
            continue
        limits, requests = (merged(container, said, part) for part in ("limits", "requests"))
        for resource, request in requests.items():
            limit = limits.get(resource)
            part = "requests" if at(said, "requests", resource) is not None else "limits"
            wanted, most = amount(request), amount(limit)
            if wanted is None or (limit is not None and most is None):
                continue
            if resource == GPU and wanted != most:
                reason = f"must be the same in requests ({request}) and limits ({limit}): GPUs are not shared"
                yield ConfigFault((*here, part, resource), reason)
            elif most is not None and wanted > most:
                reason = f"is {request} in requests, more than {limit} in limits"
                yield ConfigFault((*here, part, resource), reason)


def unfit_security(path: Path, runtime: dict[str, Any]) -> Iterator[ConfigFault]:
    """Security contexts that contradict what the chart says of the same container."""
    for container, defaults in DEFAULT_SECURITY.items():
        place = ("extraValues", "runtime", container, "securityContext")
        said = at(runtime, *place)
        if not isinstance(said, dict):
            continue
        context = {**defaults, **said}
        if context["allowPrivilegeEscalation"] is False and "allowPrivilegeEscalation" not in said:
            needed = "needs allowPrivilegeEscalation: true beside it, for the chart has false"
            if context.get("privileged") is True:
                yield ConfigFault((*path, *place, "privileged"), needed)
            added = at(said, "capabilities", "add")
            if isinstance(added, list) and "CAP_SYS_ADMIN" in added:
                yield ConfigFault((*path, *place, "capabilities", "add"), f"has CAP_SYS_ADMIN, which {needed}")
        if context.get("runAsNonRoot") is True and context.get("runAsUser") == 0 and "runAsNonRoot" not in said:
            reason = "is 0, which is root: the chart has runAsNonRoot for this container, which then never starts"
            yield ConfigFault((*path, *place, "runAsUser"), reason)


def unfit_grace(path: Path, place: tuple[str, ...], nodes: dict[str, Any], timeout: int) -> Iterator[ConfigFault]:
    """Nodes that would cut tasks off: their grace, at `place` within `nodes`, is shorter than the pod's."""
    said = at(nodes, *place, "terminationGracePeriod")
    if not isinstance(said, str) or not re.fullmatch(r"([0-9]+[smh])+", said):
        return
    units = {"s": 1, "m": 60, "h": 3600}
    seconds = sum(int(number) * units[unit] for number, unit in re.findall(r"([0-9]+)([smh])", said))
    least = timeout + POD_GRACE_BEYOND_TASK_SECONDS
    if seconds < least:
        reason = (
            f"is {said}, which would cut tasks off: taskTimeoutSeconds is {timeout}, so it must be at least {least}s"
        )
        yield ConfigFault((*path, *place, "terminationGracePeriod"), reason)


def task_timeout(runtime: dict[str, Any]) -> int:
    """How long a task of this runtime may take."""
    found = at(runtime, "extraValues", "runtime", "queueAgent", "taskTimeoutSeconds")
    return found if isinstance(found, int) else DEFAULT_TASK_TIMEOUT_SECONDS


def merged(container: str, said: dict[str, Any], part: str) -> dict[str, Any]:
    """What a container asks for, or has at most (`part`): what is said over the chart's own."""
    own = said.get(part)
    return {**DEFAULT_RESOURCES[container][part], **(own if isinstance(own, dict) else {})}


def amount(quantity: Any) -> float | None:
    """The number that a quantity stands for; None where it is none."""
    try:
        return amount_of(quantity) if isinstance(quantity, str | int) else None
    except ValueError:
        return None
