"""Whether EKS takes what the deployment says to an add-on: it refuses a key that its own schema does not have."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from darkroom.config.model import DarkroomConfig
from darkroom.infra.checks.findings import Finding, Verdict
from darkroom.infra.cloud import Cloud, translated
from darkroom.infra.steps.pinning import recommended
from darkroom.infra.template.add_on_values import METRICS_FILE, observability_values
from darkroom.infra.template.pins import OBSERVABILITY_ADD_ON


def check_add_on_values(cloud: Cloud, config: DarkroomConfig) -> Iterator[Finding]:
    """The values of the add-on whose chart grows fastest, against its schema. Raises `AwsFailure`."""
    version = recommended(cloud, config.kubernetes_version, OBSERVABILITY_ADD_ON)
    if version is None:
        remedy = f"EKS has none for Kubernetes {config.kubernetes_version} in {cloud.region}"
        yield Finding(Verdict.MISSING, f"add-on {OBSERVABILITY_ADD_ON}", remedy)
        return
    with translated(f"reading the schema of {OBSERVABILITY_ADD_ON}"):
        found = cloud.client("eks").describe_addon_configuration(addonName=OBSERVABILITY_ADD_ON, addonVersion=version)
    schema = json.loads(found.get("configurationSchema") or "{}")
    cluster = config.cluster
    values = observability_values(container_insights=cluster.container_insights, agent_metrics=cluster.agent_metrics)
    refused = list(refused_keys(schema, schema, values))
    if refused:
        remedy = (
            f"version {version} does not take {', '.join(refused)}: use another Darkroom, or another kubernetesVersion"
        )
        if any(METRICS_FILE in key for key in refused):
            remedy += ", or set cluster.agentMetrics to false"
        yield Finding(Verdict.MISSING, f"add-on {OBSERVABILITY_ADD_ON}", remedy)
    else:
        yield Finding(Verdict.GOOD, f"add-on {OBSERVABILITY_ADD_ON} {version}")


def refused_keys(
    root: Mapping[str, Any], schema: Mapping[str, Any], values: Mapping[str, Any], at: str = ""
) -> Iterator[str]:
    """The keys of `values` that a closed object of the JSON schema does not have, with their paths."""
    schema = _resolved(root, schema)
    properties: Mapping[str, Any] = schema.get("properties", {})
    for key, value in values.items():
        if key not in properties:
            if schema.get("additionalProperties") is False:
                yield f"{at}{key}"
        elif isinstance(value, Mapping):
            yield from refused_keys(root, properties[key], value, f"{at}{key}.")


def _resolved(root: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in schema:
        found: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        schema = found
    return schema
