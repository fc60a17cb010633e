"""The deployment as it is synthesised: once for the whole run, because it takes a while.

Where the files of tests run side by side, in processes of pytest-xdist, the first that needs a stack makes it for all.
"""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from darkroom.config.loader import parse_config
from darkroom.infra.template.assembly import Assembly, read_assembly
from darkroom.infra.template.synthesis import synthesise
from darkroom.testing.loopback_aws import loopback_aws
from tests.infra.chart import Chart, helm
from tests.infra.deployed import Deployed
from tests.infra.judges import Judges, judging

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
- {name: anymodel, namespace: sd, type: sdwebui, dynamicModel: true, nodePool: shared, lowPriority: true}
- name: workflows
  namespace: flow
  type: comfyui
  nodePool: shared
  openai:
    generate:
      workflow:
        "6": {class_type: CLIPTextEncode, inputs: {text: ""}}
        "9": {class_type: SaveImage, inputs: {images: ["6", 0]}}
      slots: {prompt: 6.text}
nodePools:
- {name: shared, instanceTypes: [g5.xlarge], limits: {nvidia.com/gpu: 8}}
clusterComponents: {desiredCount: 3, minimumCount: 2, maximumCount: 6}
alarms: {email: somebody@example.com, monthlySpendUsd: 500}
"""


def made_once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Assembly]) -> Assembly:
    """The assembly that `make` writes into a folder: written by the first process that asks for `name`."""
    # The parent of pytest-xdist's processes' folders is one run's, and no other run's.
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    made = shared / f"{name}.made"
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            made.write_text(make(shared / name).stack_name)
    return read_assembly(shared / name, made.read_text())


def synthesised(config: str, out: Path, *, task_plane_only: bool = False) -> Assembly:
    return synthesise(
        parse_config(config),
        region="us-east-1",
        out=out,
        asset_bucket=ASSET_BUCKET,
        for_emulator=True,
        task_plane_only=task_plane_only,
    )


@pytest.fixture(scope="session")
def full_assembly(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """Everything, for the region where the emulator is."""
    return made_once(tmp_path_factory, "full", partial(synthesised, CONFIG))


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
    return made_once(tmp_path_factory, "existing", partial(synthesised, EXISTING))


@pytest.fixture(scope="session")
def task_plane_assembly(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """The task plane alone."""
    return made_once(tmp_path_factory, "task-plane", partial(synthesised, CONFIG, task_plane_only=True))


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
def judges() -> Iterator[Judges]:
    """The published schemas, which judge manifests."""
    with judging() as found:
        yield found


@pytest.fixture(scope="session")
def template(full_assembly: Assembly) -> dict[str, Any]:
    """The full stack's template."""
    return read_template(full_assembly)


def read_template(assembly: Assembly) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(Path(assembly.template.path).read_text())
    return document
