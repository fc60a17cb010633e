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
from darkroom.config.model import DEFAULT_KUBERNETES
from darkroom.infra.steps.initial_config import Wishes, initial_config
from darkroom.infra.template.assembly import Assembly, read_assembly
from darkroom.infra.template.pins import ADD_ONS, MOUNTPOINT_ADD_ON, OBSERVABILITY_ADD_ON, Pins
from darkroom.infra.template.synthesis import synthesise
from darkroom.testing.loopback_aws import loopback_aws
from tests.infra.chart import Chart, helm
from tests.infra.deployed import Deployed
from tests.infra.emulated_account import moto_server
from tests.infra.judges import Judges, judging
from tests.infra.other_regions import CENTRAL, CENTRAL_REGION, CHINA, CHINA_REGION, PINS, SMALL, SMALL_REGION, made
from tests.infra.scanners import Checkov, checkov

# Who does not work on the deployment need not install the CDK; where all is tested, it must be there.
collect_ignore_glob: list[str] = []
if importlib.util.find_spec("aws_cdk") is None:
    if os.environ.get("CI"):
        raise ImportError("tests/infra needs what scripts/install-infra installs")
    collect_ignore_glob.append("test_*.py")

ASSET_BUCKET = "darkroom-assets"
ASSETS = "darkroom-assets-000000000000-us-east-1"  # the emulated account's
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


EXISTING = """\
modelBucketArn: arn:aws:s3:::my-models
cluster: {name: platform, nodeRole: KarpenterNodeRole-platform, kedaRole: keda-operator, charts: gitops}
modelsRuntime:
- {name: sdruntime, namespace: sd, type: sdwebui, modelFilename: v1-5-pruned-emaonly.safetensors}
- {name: workflows, namespace: flow, type: comfyui, nodePool: shared}
nodePools: [{name: shared, instanceTypes: [g5.xlarge]}]
"""


# What the emulated account's stack says of itself once it is there.
DEPLOYED = Pins(
    kubernetes=DEFAULT_KUBERNETES,
    bottlerocket="v1.49.0",
    node_release=f"{DEFAULT_KUBERNETES}.1-20260801",
    add_ons=dict.fromkeys((*ADD_ONS, OBSERVABILITY_ADD_ON, MOUNTPOINT_ADD_ON), "v0.9.0"),
)


def synthesised(config: str, out: Path, *, asset_bucket: str = ASSET_BUCKET, **more: Any) -> Assembly:
    return synthesise(
        parse_config(config), region="us-east-1", out=out, asset_bucket=asset_bucket, for_emulator=True, **more
    )


Make = Callable[[Path], Assembly]
SHARED: dict[str, Make] = {
    "full": partial(synthesised, CONFIG),
    "existing": partial(synthesised, EXISTING),
    "task-plane": partial(synthesised, CONFIG, task_plane_only=True),
    "deployment": partial(
        synthesised, initial_config(Wishes()), asset_bucket=ASSETS, task_plane_only=True, pins=DEPLOYED
    ),
}


def made_once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Make) -> Assembly:
    """The assembly that `make` writes into a folder: written by the first process that asks for `name`.

    Where there are several processes, that one also makes what the others will ask for: the CDK takes as long to start
    as four stacks to synthesise, so it starts in no more processes than it has to.
    """
    own = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return _made(own, name, make)
    # The parent of pytest-xdist's processes' folders is one run's, and no other run's.
    with (own.parent / "assemblies.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for shared, make_shared in SHARED.items():
            _made(own.parent, shared, make_shared)
        return _made(own.parent, name, make)


def _made(folder: Path, name: str, make: Make) -> Assembly:
    made = folder / f"{name}.made"
    if not made.exists():
        made.write_text(make(folder / name).stack_name)
    return read_assembly(folder / name, made.read_text())


@pytest.fixture(scope="session")
def full_assembly(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """Everything, for the region where the emulator is."""
    return made_once(tmp_path_factory, "full", SHARED["full"])


@pytest.fixture(scope="session")
def existing_assembly(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """What is made beside a cluster that is there."""
    return made_once(tmp_path_factory, "existing", SHARED["existing"])


@pytest.fixture(scope="session")
def task_plane_assembly(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """The task plane alone."""
    return made_once(tmp_path_factory, "task-plane", SHARED["task-plane"])


@pytest.fixture(scope="session")
def deployment_assembly(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """What `darkroom deploy` makes in the emulated account."""
    return made_once(tmp_path_factory, "deployment", SHARED["deployment"])


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """A region with two zones, one component node, and a cluster that tells little and is reached from within."""
    return made(SMALL, SMALL_REGION, tmp_path_factory.mktemp(SMALL_REGION))


@pytest.fixture(scope="session")
def central(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """A region with three zones, which were chosen, and a cluster that some networks reach."""
    return made(CENTRAL, CENTRAL_REGION, tmp_path_factory.mktemp(CENTRAL_REGION), PINS)


@pytest.fixture(scope="session")
def china(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """Another partition."""
    return made(CHINA, CHINA_REGION, tmp_path_factory.mktemp(CHINA_REGION))


@pytest.fixture(scope="session")
def checkov_found(
    full_assembly: Assembly, existing_assembly: Assembly, small: Assembly, central: Assembly, china: Assembly
) -> Checkov:
    """What checkov finds in all templates, the chart and the Dockerfiles."""
    return checkov([full_assembly, existing_assembly, small, central, china])


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an emulator that knows EC2. Whoever uses it resets it first."""
    with moto_server(tmp_path_factory.mktemp("moto")) as url:
        yield url


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
