"""A cluster that is there: nothing of it is made, its pods get what they need, and values are the same always."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
import yaml
from botocore.stub import Stubber
from typer.testing import CliRunner

from darkroom.aws.records import record_to_item
from darkroom.cli.deployment import app
from darkroom.config.loader import parse_config
from darkroom.config.model import DEFAULT_KUBERNETES
from darkroom.config.runtime_facts import RuntimeFacts, encode_runtime_facts
from darkroom.errors import SettingsError
from darkroom.infra.checks.existing_cluster import check_cluster
from darkroom.infra.checks.findings import Verdict
from darkroom.infra.cloud import Cloud
from darkroom.infra.releases import releases
from darkroom.infra.steps.chart_installation import ChartInstallation
from darkroom.infra.template.assembly import Assembly
from darkroom.infra.template.pins import Pins, encode_pins
from darkroom.planner.idle_costs import fixed_costs
from darkroom.planner.prices import PRICED_REGION, load_prices
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task import Status
from tests.infra.chart import CHART, Chart
from tests.infra.conftest import EXISTING, read_template
from tests.infra.deployed import Deployed
from tests.infra.test_template import of_type

NAMES = ("sdruntime", "workflows")
OUTPUTS = {
    "Runtimes": encode_runtime_facts(
        RuntimeFacts(
            name=name, type="sdwebui", queue_url=f"https://sqs/{name}", dead_letter_queue_url="https://sqs/dead"
        )
        for name in NAMES
    ),
    "sdNotificationOutputArn": "arn:aws:sns:us-east-1:123456789012:done",
    "OutputS3Bucket": "arn:aws:s3:::pictures",
    "TaskTable": "tasks",
    "Versions": encode_pins(Pins(kubernetes=DEFAULT_KUBERNETES, bottlerocket="v1.50.0")),
}


def test_the_task_plane_roles_and_associations_are_made_and_nothing_of_a_cluster(existing_assembly: Assembly) -> None:
    template = read_template(existing_assembly)
    kinds = {resource["Type"].rpartition("::")[0] for resource in template["Resources"].values()}
    assert not {"AWS::EKS::Cluster", "AWS::EKS::Nodegroup", "AWS::EKS::Addon", "Custom::AWSCDK-EKS-HelmChart"} & {
        resource["Type"] for resource in template["Resources"].values()
    }
    assert "AWS::EC2" not in kinds
    associations = of_type(template, "AWS::EKS::PodIdentityAssociation")
    assert {(found["ClusterName"], found["Namespace"], found["ServiceAccount"]) for found in associations} == {
        ("platform", "sd", "sdruntime-runtime"),
        ("platform", "flow", "workflows-runtime"),
    }
    policies = {
        name: resource["Properties"]
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::IAM::ManagedPolicy"
    }
    (keda,) = (policy for name, policy in policies.items() if "Keda" in name)
    assert keda["Roles"] == ["keda-operator"]
    assert {"ClusterName", "KedaPolicy", "MountpointPolicy", "Runtimes", "Versions"} <= set(template["Outputs"])


def test_only_pods_of_that_cluster_get_the_roles(existing_assembly: Assembly) -> None:
    text = json.dumps(of_type(read_template(existing_assembly), "AWS::IAM::Role"))
    assert text.count(":cluster/platform") == 2


def test_the_values_render_nodes_first_then_pods_with_a_service_account(chart: Chart) -> None:
    config = parse_config(EXISTING)
    found = releases(config, OUTPUTS, "us-east-1")
    assert [(release.name, release.namespace, release.brings_nodes) for release in found] == [
        ("shared", "default", True),
        ("sdruntime-nodes", "sd", True),
        ("sdruntime", "sd", False),
        ("workflows", "flow", False),
    ]
    for release in found:
        manifests = chart.render(release.values, release.name, namespace=release.namespace)
        kinds = {manifest["kind"]: manifest for manifest in manifests}
        if release.brings_nodes:
            spec = kinds["EC2NodeClass"]["spec"]
            assert spec["role"] == "KarpenterNodeRole-platform"
            assert spec["subnetSelectorTerms"] == [{"tags": {"karpenter.sh/discovery": "platform"}}]
            assert spec["securityGroupSelectorTerms"] == [{"tags": {"aws:eks:cluster-name": "platform"}}]
            assert spec["amiSelectorTerms"] == [{"alias": "bottlerocket@v1.50.0"}]
            assert "Deployment" not in kinds
        else:
            account = kinds["ServiceAccount"]["metadata"]
            assert (account["name"], account["namespace"]) == (f"{release.name}-runtime", release.namespace)
            assert kinds["Deployment"]["spec"]["template"]["spec"]["serviceAccountName"] == account["name"]
            assert "NodePool" not in kinds


def test_the_values_are_the_same_whoever_asks() -> None:
    config = parse_config(EXISTING)
    assert releases(config, OUTPUTS, "us-east-1") == releases(config, dict(reversed(OUTPUTS.items())), "us-east-1")


def test_where_nodes_go_can_be_said_otherwise() -> None:
    own = "extraValues: {karpenter: {nodeTemplate: {subnetSelector: {team: gpu}}}}"
    config = parse_config(
        f"cluster: {{name: platform, nodeRole: r}}\nmodelsRuntime: [{{name: sdruntime, type: comfyui, {own}}}]"
    )
    (nodes, _) = releases(config, OUTPUTS, "us-east-1")
    assert nodes.values["karpenter"]["nodeTemplate"]["subnetSelector"] == {"team": "gpu"}


def test_values_are_printed_for_a_stack_that_is_deployed(
    deployed: Deployed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(
        "modelBucketArn: arn:aws:s3:::my-models\ncluster: {name: platform, nodeRole: r, charts: gitops}\n"
        "modelsRuntime: [{name: sdruntime, type: sdwebui, modelFilename: a.ckpt}]\n"
    )
    where = ["-R", deployed.settings.region, "--endpoint-url", str(deployed.settings.endpoint_url)]
    command = ["config", "values", "sdruntime", *where]
    said = [CliRunner().invoke(app, [*command, *more]).output for more in ([], ["--nodes"])]
    pods, nodes = (yaml.safe_load(text) for text in said)
    assert pods["runtime"]["queueAgent"]["sqsQueueUrl"] == deployed.queue_url("InputQueuesdruntime")
    assert pods["runtime"]["createServiceAccount"] is True
    assert nodes["runtime"]["enabled"] is False
    assert said[1].startswith("# release sdruntime-nodes, namespace default")
    for_scripts = json.loads(CliRunner().invoke(app, [*command, "--json"]).output)
    assert for_scripts == {"release": "sdruntime", "namespace": "default", "values": pods}


def test_printed_values_say_what_time_of_a_task_they_go_by(
    deployed: Deployed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(
        "modelBucketArn: arn:aws:s3:::my-models\ncluster: {name: platform, nodeRole: r, charts: gitops}\n"
        "modelsRuntime: [{name: anymodel, type: sdwebui, dynamicModel: true, workOff: {withinSeconds: 60}}]\n"
    )
    where = ["-R", deployed.settings.region, "--endpoint-url", str(deployed.settings.endpoint_url)]
    before = CliRunner().invoke(app, ["config", "values", "anymodel", *where]).output
    assert before.startswith("# time of a task of anymodel: none told or measured yet; queueLength is 3 until")
    for number in range(5):
        record = TaskRecord(
            id="a", submission_id=f"measured-{number}", runtime="anymodel", status=Status.COMPLETED, device_seconds=6.0
        )
        deployed.client("dynamodb").put_item(TableName=deployed.outputs["TaskTable"], Item=record_to_item(record))
    after = CliRunner().invoke(app, ["config", "values", "anymodel", *where]).output
    assert after.startswith("# time of a task of anymodel: 6 s measured (median of 5 recent ones), which workOff goes")
    assert yaml.safe_load(after)["runtime"]["scaling"] == {"queueLength": 10}


@pytest.fixture
def cloud(moto: str) -> Cloud:
    """An account with the cluster in it."""
    httpx.post(f"{moto}/moto-api/reset").raise_for_status()
    found = Cloud(boto3.Session(region_name="us-east-1"), "us-east-1", moto)
    role = "arn:aws:iam::123456789012:role/eks"
    found.client("eks").create_cluster(name="platform", version="1.35", roleArn=role, resourcesVpcConfig={})
    return found


ADD_ONS = ("eks-pod-identity-agent", "aws-mountpoint-s3-csi-driver")


@contextmanager
def cluster_with(*add_ons: str) -> Iterator[Cloud]:
    """What EKS says of the cluster: moto knows no add-ons."""
    found = Cloud(boto3.Session(region_name="us-east-1"), "us-east-1")
    with Stubber(found.client("eks")) as stub:
        stub.add_response("list_clusters", {"clusters": ["platform"]})
        stub.add_response("describe_cluster", {"cluster": {"name": "platform", "version": "1.35"}})
        stub.add_response("list_addons", {"addons": list(add_ons)})
        if "aws-mountpoint-s3-csi-driver" in add_ons:
            stub.add_response("describe_addon", {"addon": {"addonVersion": "v1.14.1-eksbuild.1"}})
        yield found


def deployments(*images: str) -> str:
    def deployment(image: str) -> dict[str, Any]:
        return {"spec": {"template": {"spec": {"containers": [{"image": image}]}}}}

    return json.dumps({"items": [deployment(image) for image in images]})


def test_what_the_cluster_lacks_is_told_with_what_to_do() -> None:
    asked: list[Sequence[str]] = []

    def ask(arguments: Sequence[str]) -> str:
        asked.append(arguments)
        return deployments("ghcr.io/kedacore/keda:2.9.1", "example.com/other:1.0")

    with cluster_with() as cloud:
        found = {finding.subject: finding for finding in check_cluster(cloud, parse_config(EXISTING), ask)}
    assert found["Kubernetes 1.35"].verdict is Verdict.GOOD
    assert found["EKS Pod Identity"].verdict is Verdict.MISSING
    assert "aws eks create-addon --cluster-name platform" in found["EKS Pod Identity"].remedy
    assert (found["KEDA 2.9"].verdict, found["KEDA 2.9"].remedy) == (
        Verdict.MISSING,
        "needs 2.12 or newer: upgrade it",
    )
    assert found["Karpenter"].verdict is Verdict.MISSING
    assert asked == [["get", "deployments", "--all-namespaces", "--output", "json"]]


def test_versions_that_are_new_enough_are_well_and_a_cluster_that_cannot_be_asked_is_not_guessed() -> None:
    images = deployments(
        "public.ecr.aws/karpenter/controller:1.14.1@sha256:abc",
        "ghcr.io/kedacore/keda:2.20.2",
        "ghcr.io/kedacore/keda-metrics-apiserver:2.20.2",
    )
    config = parse_config(EXISTING)
    with cluster_with(*ADD_ONS) as cloud:
        found = {finding.subject: finding.verdict for finding in check_cluster(cloud, config, lambda _: images)}
    assert (found["KEDA 2.20"], found["Karpenter 1.14"]) == (Verdict.GOOD, Verdict.GOOD)
    assert (found["EKS Pod Identity"], found["S3 driver 1.14"]) == (Verdict.GOOD, Verdict.MISSING)
    with cluster_with(*ADD_ONS) as cloud:
        unknown = {finding.subject: finding.verdict for finding in check_cluster(cloud, config, lambda _: None)}
    assert (unknown["KEDA"], unknown["Karpenter"]) == (Verdict.UNKNOWN, Verdict.UNKNOWN)


def test_a_cluster_that_is_not_there_is_told_with_those_that_are(cloud: Cloud) -> None:
    other = parse_config(EXISTING.replace("name: platform", "name: elsewhere"))
    (gone,) = check_cluster(cloud, other, lambda _: None)
    assert (gone.verdict, gone.remedy) == (Verdict.MISSING, "not in us-east-1; there are: platform")


def test_the_deployment_installs_nodes_before_pods_and_removes_them_after(cloud: Cloud, tmp_path: Path) -> None:
    config = parse_config(EXISTING)
    ran: list[list[str]] = []
    installation = ChartInstallation(cloud, config, CHART, tmp_path, lambda c: ran.append(list(c)), lambda line: None)
    there = releases(config, OUTPUTS, "us-east-1")
    installation.install(there)
    installation.uninstall(there)
    verbs = [(command[1], command[3] if command[1] == "upgrade" else command[2]) for command in ran]
    names = [release.name for release in there]
    assert verbs == [*(("upgrade", name) for name in names), *(("uninstall", name) for name in reversed(names))]
    for command in ran:
        waits = "--wait" in command
        assert waits == any(name in command for name in ("shared", "sdruntime-nodes")), command
    values = json.loads((tmp_path / "sd-sdruntime.values.json").read_text())
    assert values["runtime"]["queueAgent"]["sqsQueueUrl"] == "https://sqs/sdruntime"
    access = json.loads((tmp_path / "kubeconfig").read_text())
    assert access["users"][0]["user"]["exec"]["args"][:4] == ["eks", "get-token", "--cluster-name", "platform"]


def test_a_cluster_that_is_there_costs_nothing_more() -> None:
    lines = [cost.what for cost in fixed_costs(parse_config(EXISTING), load_prices(PRICED_REGION))]
    assert not [line for line in lines if "EKS" in line or "NAT" in line or "components" in line]


def test_what_is_shown_is_read_again() -> None:
    config = parse_config(EXISTING)
    shown = yaml.safe_dump(config.model_dump(by_alias=True, mode="json", exclude_none=True))
    assert parse_config(shown) == config


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "cluster: {name: platform, nodeRole: r, containerInsights: false}",
            "cluster.containerInsights is for a cluster that is made",
        ),
        ("cluster: {name: platform, nodeRole: r}\nnetwork: {natGateways: 1}", "network is for a cluster that is made"),
        ("cluster: {name: platform}", "cluster.name needs nodeRole too"),
        ("cluster: {kedaRole: r}", "cluster.kedaRole is for a cluster that you have: it needs cluster.name too"),
    ],
)
def test_what_does_not_go_with_a_cluster_that_is_there_is_a_fault(text: str, fault: str) -> None:
    with pytest.raises(SettingsError, match=fault):
        parse_config(f"modelsRuntime: [{{name: a, type: comfyui}}]\n{text}\n")
