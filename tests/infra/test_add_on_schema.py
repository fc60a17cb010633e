"""EKS refuses an add-on's values that its schema does not have: before the deployment, not after half an hour."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from darkroom.config.loader import parse_config
from darkroom.config.model import DEFAULT_KUBERNETES
from darkroom.infra.checks.add_on_schema import check_add_on_values, refused_keys
from darkroom.infra.checks.findings import Finding, Verdict
from darkroom.infra.cloud import Cloud

OPEN = {"type": "object"}
CLOSED: dict[str, Any] = {
    "$ref": "#/definitions/Values",
    "definitions": {
        "Values": {
            "additionalProperties": False,
            "properties": {
                "containerLogs": OPEN,
                "containerInsights": OPEN,
                "neuronMonitor": OPEN,
                "dcgmExporter": OPEN,
                "manager": {"$ref": "#/definitions/Manager"},
            },
        },
        "Manager": {"additionalProperties": False, "properties": {"tolerations": {"type": "array"}}},
    },
}


def checked(schema: dict[str, Any], *versions: str) -> Finding:
    cloud = Cloud(boto3.Session(region_name="us-east-1"), "us-east-1")
    name = "amazon-cloudwatch-observability"
    offered = [{"addonVersion": version, "compatibilities": [{"defaultVersion": True}]} for version in versions]
    with Stubber(cloud.client("eks")) as stub:
        asked = {"kubernetesVersion": DEFAULT_KUBERNETES, "addonName": name}
        stub.add_response("describe_addon_versions", {"addons": [{"addonVersions": offered}]}, asked)
        answer = {"configurationSchema": json.dumps(schema)}
        stub.add_response("describe_addon_configuration", answer, {"addonName": name, "addonVersion": "v6.4.0"})
        (finding,) = check_add_on_values(cloud, parse_config("modelsRuntime: [{name: a, type: comfyui}]"))
    return finding


def test_what_the_schema_has_is_well() -> None:
    assert checked(CLOSED, "v6.4.0").verdict is Verdict.GOOD
    assert checked({}, "v6.4.0").verdict is Verdict.GOOD


def test_a_key_that_it_does_not_have_is_named_with_the_version() -> None:
    older = {**CLOSED, "definitions": {**CLOSED["definitions"], "Manager": {"additionalProperties": False}}}
    finding = checked(older, "v6.4.0")
    assert finding.verdict is Verdict.MISSING
    assert "version v6.4.0 does not take manager.tolerations" in finding.remedy
    assert "agentMetrics" not in finding.remedy


def test_where_fluent_bit_takes_no_file_of_ours_the_finding_says_how_to_do_without() -> None:
    files = {"additionalProperties": False, "properties": {"application-log.conf": {"type": "string"}}}
    config = {"properties": {"config": {"properties": {"extraFiles": files}}}}
    logs = {"additionalProperties": False, "properties": {"enabled": {}, "fluentBit": config}}
    values = CLOSED["definitions"]["Values"]
    closed = {**values, "properties": {**values["properties"], "containerLogs": logs}}
    finding = checked({**CLOSED, "definitions": {**CLOSED["definitions"], "Values": closed}}, "v6.4.0")
    assert finding.verdict is Verdict.MISSING
    assert "containerLogs.fluentBit.config.extraFiles.darkroom-metrics.conf" in finding.remedy
    assert "set cluster.agentMetrics to false" in finding.remedy


def test_an_add_on_that_this_kubernetes_does_not_have_is_missing() -> None:
    finding = checked(CLOSED)
    assert (finding.verdict, finding.remedy) == (
        Verdict.MISSING,
        f"EKS has none for Kubernetes {DEFAULT_KUBERNETES} in us-east-1",
    )


@pytest.mark.parametrize(("schema", "refused"), [(OPEN, []), ({"additionalProperties": False}, ["a", "b"])])
def test_only_a_closed_object_refuses(schema: dict[str, Any], refused: list[str]) -> None:
    assert list(refused_keys(schema, schema, {"a": 1, "b": {"c": 2}})) == refused
