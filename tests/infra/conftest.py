"""The deployment as it is synthesised: once for the whole run, because it takes a while."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from darkroom.config.loader import parse_config
from darkroom.infra.template.assembly import Assembly
from darkroom.infra.template.synthesis import synthesise
from darkroom.testing.loopback_aws import loopback_aws
from tests.infra.chart import Chart, helm
from tests.infra.deployed import Deployed

# Who does not work on the deployment need not install the CDK; where all is tested, it must be there.
collect_ignore_glob: list[str] = []
if importlib.util.find_spec("aws_cdk") is None:
    if os.environ.get("CI"):
        raise ImportError("tests/infra needs what scripts/install-infra installs")
    collect_ignore_glob.append("test_*.py")

ASSET_BUCKET = "darkroom-assets"
CONFIG = """\
modelBucketArn: arn:aws:s3:::my-models
inputBucketArns: [arn:aws:s3:::my-inputs]
# So slow that a test can be too fast.
APIGW: {throttle: {rateLimit: 1, burstLimit: 60}}
modelsRuntime:
- {name: sdruntime, namespace: sd, type: sdwebui, modelFilename: v1-5-pruned-emaonly.safetensors}
- {name: anymodel, namespace: sd, type: sdwebui, dynamicModel: true, nodePool: shared}
- {name: workflows, namespace: flow, type: comfyui, nodePool: shared}
nodePools:
- {name: shared, instanceTypes: [g5.xlarge], limits: {nvidia.com/gpu: 8}}
clusterComponents: {desiredCount: 3, minimumCount: 2, maximumCount: 6}
alarms: {email: somebody@example.com, monthlySpendUsd: 500}
"""


@pytest.fixture(scope="session")
def full_assembly(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """Everything, for the region where the emulator is."""
    out = tmp_path_factory.mktemp("full")
    return synthesise(parse_config(CONFIG), region="us-east-1", out=out, asset_bucket=ASSET_BUCKET, for_emulator=True)


EXISTING = """\
modelBucketArn: arn:aws:s3:::my-models
cluster: {name: platform, nodeRole: KarpenterNodeRole-platform, kedaRole: keda-operator, charts: gitops}
modelsRuntime:
- {name: sdruntime, namespace: sd, type: sdwebui, modelFilename: v1-5-pruned-emaonly.safetensors}
- {name: workflows, namespace: flow, type: comfyui, nodePool: shared}
nodePools: [{name: shared, instanceTypes: [g5.xlarge]}]
"""


@pytest.fixture(scope="session")
def existing_assembly(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """What is made beside a cluster that is there."""
    out = tmp_path_factory.mktemp("existing")
    return synthesise(parse_config(EXISTING), region="us-east-1", out=out, asset_bucket=ASSET_BUCKET, for_emulator=True)


@pytest.fixture(scope="session")
def task_plane_assembly(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """The task plane alone."""
    out = tmp_path_factory.mktemp("task-plane")
    return synthesise(
        parse_config(CONFIG),
        region="us-east-1",
        out=out,
        asset_bucket=ASSET_BUCKET,
        for_emulator=True,
        task_plane_only=True,
    )


@pytest.fixture(scope="module")
def deployed(task_plane_assembly: Assembly, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """The task plane in an emulator, deployed anew for each file of tests."""
    with loopback_aws(tmp_path_factory.mktemp("infra-emulator")) as settings:
        yield Deployed(settings, task_plane_assembly, parse_config(CONFIG).api_gateway.stage_name)


@pytest.fixture(scope="session")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Chart:
    """The runtimes' chart, as Helm itself renders it."""
    folder = tmp_path_factory.mktemp("helm")
    return Chart(helm(folder), folder)


@pytest.fixture(scope="session")
def template(full_assembly: Assembly) -> dict[str, Any]:
    """The full stack's template."""
    return read_template(full_assembly)


def read_template(assembly: Assembly) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(Path(assembly.template.path).read_text())
    return document
