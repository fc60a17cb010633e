"""Deploy and destroy, step by step, against an emulator: in order, without effect when dry, mended when interrupted."""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from darkroom.aws.records import record_to_item
from darkroom.config.loader import load_config
from darkroom.config.model import DEFAULT_KUBERNETES, DarkroomConfig
from darkroom.errors import DarkroomError, LinkUnreachable, SettingsError, StackFailure
from darkroom.infra import buckets
from darkroom.infra.checks.findings import Verdict
from darkroom.infra.cloud import Cloud
from darkroom.infra.cluster_api import open_cluster
from darkroom.infra.cluster_objects import all_objects
from darkroom.infra.models import DEFAULT_MODEL, list_models, upload_model
from darkroom.infra.service_times import ServiceTime
from darkroom.infra.steps.deployment import Deployment
from darkroom.infra.steps.initial_config import Wishes, initial_config
from darkroom.infra.steps.removal import Removal
from darkroom.infra.steps.stack_operations import Timing
from darkroom.infra.template.assembly import Assembly
from darkroom.infra.template.pins import ADD_ONS, MOUNTPOINT_ADD_ON, OBSERVABILITY_ADD_ON, Pins
from darkroom.settings import AwsSettings
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task import Status
from darkroom.testing.loopback_aws import loopback_aws
from tests.infra.calls import Calls, denied, interrupted, is_read
from tests.infra.conftest import ASSETS, DEPLOYED
from tests.infra.emulated_account import Front, emulated_account
from tests.infra.fake_cluster import fake_cluster
from tests.infra.loopback_http import QuietHandler, serving

ACCOUNT = "000000000000"
MODEL = b"checkpoint" * 1000
QUICK = Timing(time.monotonic, time.sleep, poll_seconds=0.05, limit_seconds=60)
# A thousand seconds go by with every look at the clock.
HASTY = replace(QUICK, clock=itertools.count(step=1000).__next__, poll_seconds=0, limit_seconds=1e9)
REGISTRY = "registry.example.com"  # not ECR, so nobody looks whether the images are there


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    """A model hub on loopback. Under /cut, it ends too early."""

    class Hub(QuietHandler):
        def do_GET(self) -> None:  # noqa: N802 - the library's name
            if self.path.startswith("/missing"):
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("content-length", str(len(MODEL)))
            self.end_headers()
            self.wfile.write(MODEL[: len(MODEL) // 2] if self.path.startswith("/cut") else MODEL)

    with serving(Hub) as url:
        yield url


class Account:
    """An emulated account, whose calls are recorded, and can be made to fail. Made once: botocore's start is slow."""

    def __init__(self, front: Front, settings: AwsSettings, hub: str, assembly: Assembly) -> None:
        session = boto3.Session(region_name=settings.region)
        self.calls = Calls(session)
        self.front = front
        self.settings = settings
        self.cloud = Cloud(session, settings.region, settings.endpoint_url)
        self.file = Path()
        self.lines: list[str] = []
        self.synthesised: list[DarkroomConfig] = []
        self.pinned: list[Pins] = []
        self._hub = hub
        self._assembly = assembly

    def reset(self, folder: Path) -> None:
        """Begin anew, with an account that has nothing in it."""
        self.front.reset()
        self.cloud = replace(self.cloud)  # with the clients, without what it has learnt of the account
        self.calls.clear()
        self.lines.clear()
        self.synthesised.clear()
        self.pinned.clear()
        folder.mkdir(exist_ok=True)
        self.file = folder / "config.yaml"

    def deployment(self, path: str = "/model", **more: Any) -> Deployment:
        def synthesis(config: DarkroomConfig, pins: Pins, out: Path, asset_bucket: str) -> Assembly:
            assert asset_bucket == ASSETS
            self.synthesised.append(config)
            self.pinned.append(pins)
            return self._assembly

        wishes = Wishes(model_url=self._hub + path, image_registry=REGISTRY)
        more = {"timing": QUICK, **more}
        return Deployment(
            self.cloud, self.file, wishes, self.lines.append, synthesis=synthesis, out=self.file.parent, **more
        )

    def removal(self) -> Removal:
        return Removal(self.cloud, load_config(self.file), self.lines.append, QUICK)


@pytest.fixture(scope="module")
def emulated(
    tmp_path_factory: pytest.TempPathFactory, moto: str, hub: str, deployment_assembly: Assembly
) -> Iterator[Account]:
    with (
        loopback_aws(tmp_path_factory.mktemp("deploy-emulator")) as ministack,
        emulated_account(moto, ministack.endpoint_url) as (front, settings),
    ):
        yield Account(front, settings, hub, deployment_assembly)


@pytest.fixture
def account(emulated: Account, tmp_path: Path) -> Account:
    emulated.reset(tmp_path)
    return emulated


def test_a_dry_run_changes_nothing_and_says_what_it_would_do(account: Account) -> None:
    steps, findings = account.deployment().plan()
    assert [step.name for step in steps] == [
        "model bucket", "model", "image cache", "configuration", "bootstrap", "versions", "synthesis", "deploy",
        "nodes",
        "verification",
    ]  # fmt: skip
    assert [step.name for step in steps if not step.is_needed] == ["image cache"]
    assert account.calls.changes == []
    assert not account.file.exists()
    assert {finding.verdict for finding in findings if "credentials" in finding.subject} == {Verdict.GOOD}


def test_deployed_means_that_nodes_can_come(account: Account, tmp_path: Path) -> None:
    (tmp_path / "tls").mkdir()
    with fake_cluster(tmp_path / "tls") as (cluster, url):
        cloud = Cloud(account.cloud.session, "us-east-1", url)
        in_cluster = {"open_cluster": lambda _cloud, _outputs: open_cluster(cloud, cluster.outputs)}
        account.deployment().run()
        objects = all_objects(load_config(account.file))
        for found in objects:
            cluster.add(found.path)
        cluster.add(objects[0].path, ready=False, reason="SubnetsReady=False")
        with pytest.raises(StackFailure, match=r"no task would be done:\n  EC2NodeClass .* SubnetsReady=False$"):
            account.deployment(**in_cluster, timing=HASTY).run()
        cluster.add(objects[0].path)
        account.lines.clear()
        account.deployment(**in_cluster).run()
        assert any(line.startswith("nodes: every NodePool, EC2NodeClass and ScaledObject") for line in account.lines)
        # It was removed, and the last node has not gone: CloudFormation is not asked before.
        cluster.add(objects[0].path, deletionTimestamp="2026-11-25T00:00:00Z")
        account.calls.clear()
        with pytest.raises(StackFailure, match="has been on its way out for 15 minutes"):
            account.deployment(**in_cluster, timing=HASTY).run()
        assert not [name for name in account.calls.changes if name.startswith("cloudformation.")]


def test_every_step_is_done_once_and_in_order(account: Account) -> None:
    outputs = account.deployment().run()
    assert {"FrontApiEndpoint", "sdNotificationLambdaARN", "OutputS3Bucket"} <= set(outputs)
    closing = ["PutPublicAccessBlock", "PutBucketEncryption", "PutBucketLifecycleConfiguration", "PutBucketPolicy"]
    making = [f"s3.{name}" for name in ("CreateBucket", *closing)]
    assert account.calls.changes == [
        *making,
        "s3.PutObject",
        *making,
        "iam.CreateServiceLinkedRole",
        *(f"iam.{name}" for name in ("CreateRole", "AttachRolePolicy")),
        "apigateway.UpdateAccount",
        "s3.PutObject",
        "s3.PutObject",
        "s3.PutObject",
        "cloudformation.CreateChangeSet",
        "cloudformation.ExecuteChangeSet",
    ]
    config = load_config(account.file)
    assert config.model_bucket == buckets.model_bucket_name("sdoneks", ACCOUNT, "us-east-1")
    (model,) = list_models(account.cloud, str(config.model_bucket))
    assert (model.key, model.size_bytes) == (f"Stable-diffusion/{DEFAULT_MODEL}", len(MODEL))


def test_what_stays_as_it_is_during_a_run_is_asked_once(account: Account) -> None:
    account.deployment().run()
    first = Counter(account.calls.made)
    account.calls.clear()
    account.deployment().run()
    second = Counter(account.calls.made)
    for asked in ("InstanceTypes", "InstanceTypeOfferings", "AvailabilityZones"):
        assert (first[f"ec2.Describe{asked}"], second[f"ec2.Describe{asked}"]) == (1, 0)
    assert first["eks.DescribeAddonVersions"] == len({*ADD_ONS, OBSERVABILITY_ADD_ON, MOUNTPOINT_ADD_ON})
    # The stack is looked at before the first change, before it is deployed, when that begins, and for its outputs.
    assert second["cloudformation.DescribeStacks"] == 4


def test_a_second_run_makes_nothing_anew(account: Account) -> None:
    first = account.deployment().run()
    account.calls.made.clear()
    steps, _ = account.deployment().plan()
    assert [step.name for step in steps if not step.is_needed] == [
        "model bucket",
        "model",
        "image cache",
        "configuration",
    ]
    assert account.calls.changes == []
    assert account.deployment().run() == first
    assert not {"s3.CreateBucket", "s3.PutObject", "cloudformation.ExecuteChangeSet"} & set(account.calls.changes)


def test_the_time_of_a_task_is_measured_where_it_is_not_told(account: Account) -> None:
    text = initial_config(Wishes(image_registry=REGISTRY))
    account.file.write_text(text.replace("  dynamicModel:", "  workOff: {withinSeconds: 60}\n  dynamicModel:"))
    outputs = account.deployment().run()
    table = account.cloud.client("dynamodb")
    for number in range(5):
        names = {"id": "a", "submission_id": f"{number}", "runtime": "sdruntime"}
        record = TaskRecord(**names, status=Status.COMPLETED, updated_at=1.0, device_seconds=6.0)
        table.put_item(TableName=outputs["TaskTable"], Item=record_to_item(record))
    account.calls.made.clear()
    assert account.deployment().measured() == {"sdruntime": ServiceTime(6.0, 5)}
    assert account.calls.changes == []
    account.deployment().run()
    first, second = (config.models_runtime[0] for config in account.synthesised)
    assert (first.scaling_value("queueLength", 3), second.scaling_value("queueLength", 3)) == (3, 10)
    said = [line for line in account.lines if line.startswith("time of a task of sdruntime: ")]
    assert said[0].endswith("none told or measured yet; queueLength is 3 until some are done and you deploy again")
    assert said[1].endswith("6 s measured (median of 5 recent ones), which workOff goes by")


def test_a_deployment_keeps_its_versions_until_somebody_asks_for_newer_ones(account: Account) -> None:
    account.deployment().run()
    (first,) = account.pinned
    assert (first.bottlerocket, first.node_release) == ("v1.50.0", f"{DEFAULT_KUBERNETES}.4-20261101")
    assert set(first.add_ons) == {*ADD_ONS, OBSERVABILITY_ADD_ON, MOUNTPOINT_ADD_ON}
    assert set(first.add_ons.values()) == {"v1.0.0"}, "what EKS takes by itself, not the newest"
    account.front.bottlerocket = "1.51.0"
    steps, _ = account.deployment().plan()
    (step,) = (step for step in steps if step.name == "versions")
    assert step.what.startswith(f"Kubernetes {DEFAULT_KUBERNETES}, Bottlerocket v1.49.0, component nodes")
    assert "newer, with --upgrade: Bottlerocket v1.51.0" in step.what
    account.deployment().run()
    account.deployment(renew=True).run()
    assert account.pinned[1] == DEPLOYED
    assert account.pinned[2].bottlerocket == "v1.51.0"


@pytest.mark.parametrize(("version", "said"), [("1.34", "EKS cannot go back to 1.34")])
def test_kubernetes_only_goes_forward(account: Account, version: str, said: str) -> None:
    account.deployment().run()
    text = account.file.read_text()
    account.file.write_text(f"{text}kubernetesVersion: '{version}'\n")
    account.calls.made.clear()
    with pytest.raises(SettingsError, match=said):
        account.deployment().run()
    assert account.calls.changes == []


def test_a_snapshot_with_the_images_is_built_once_where_nodes_start_from_one(account: Account) -> None:
    account.file.write_text(initial_config(Wishes(image_registry=REGISTRY)) + "fastStart: snapshot\n")
    steps, _ = account.deployment().plan()
    (step,) = (step for step in steps if step.name == "image cache")
    assert step.what.startswith("build a snapshot with 3 images")
    account.deployment().run()
    (pulled, *_) = (command for command in account.front.commands if "source=" in command)
    assert "aws-otel-collector" in pulled
    assert len([command for command in account.front.commands if "source=" in command]) == 3
    (snapshot,) = (config.models_runtime[0].snapshot_id for config in account.synthesised)
    assert snapshot is not None
    account.calls.made.clear()
    steps, _ = account.deployment().plan()
    assert next(step for step in steps if step.name == "image cache").why_not == "it is there"
    account.deployment().run()
    assert "ec2.RunInstances" not in account.calls.made
    assert account.synthesised[1].models_runtime[0].snapshot_id == snapshot


def test_whichever_call_fails_the_next_run_mends_it(account: Account, tmp_path: Path) -> None:
    account.deployment().run()
    calls = list(account.calls.made)
    # Whoever may not look at quotas, at what is in use, at models, and at an add-on's schema may still deploy; a role
    # for Spot may be there; events are for show.
    optional = {"s3.HeadBucket", "s3.ListBuckets", "iam.CreateServiceLinkedRole", "cloudformation.DescribeStackEvents"}
    optional |= {call for call in calls if call.startswith(("service-quotas.", "ec2.Describe", "eks.Describe"))}
    mended = set()
    for failure, (number, call) in itertools.product((denied, interrupted), enumerate(calls)):
        where = f"{failure.__name__} at call {number}, {call}"
        account.reset(tmp_path / f"{failure.__name__}-{number}")
        account.calls.fail_at(number, failure)
        try:
            account.deployment().run()
        except (DarkroomError, KeyboardInterrupt):
            pass
        else:
            assert (failure, call in optional) == (denied, True), f"{where}: nothing was said"
        assert account.calls.has_failed, where
        if failure is interrupted and "cloudformation.ExecuteChangeSet" in calls[:number]:
            assert "goes on by itself; run this again" in account.lines[-1], where
        # What the next run finds is what these calls did, and this file: whichever call to read failed in between, and
        # however it failed.
        left = (account.calls.effects, account.file.read_text() if account.file.exists() else None)
        if left in mended:
            continue
        mended.add(left)
        outputs = account.deployment().run()
        assert outputs["FrontApiEndpoint"].startswith("https://"), where
        bucket = str(load_config(account.file).model_bucket)
        assert [model.size_bytes for model in list_models(account.cloud, bucket)] == [len(MODEL)], where
        assert all(buckets.is_made(account.cloud, name) for name in (bucket, ASSETS)), where
    assert len(mended) > len([call for call in calls if not is_read(call)])


def test_whichever_call_of_destroy_fails_the_next_run_finishes(account: Account, tmp_path: Path) -> None:
    account.deployment().run()
    account.calls.clear()
    account.removal().run()
    calls = list(account.calls.made)
    finished: set[tuple[str, ...]] = set()
    is_deployed = False
    for failure, (number, call) in itertools.product((denied, interrupted), enumerate(calls)):
        where = f"{failure.__name__} at call {number}, {call}"
        if not is_deployed:
            account.reset(tmp_path / f"{failure.__name__}-{number}")
            account.deployment().run()
        account.calls.clear()
        account.calls.fail_at(number, failure)
        try:
            account.removal().run()
        except (DarkroomError, KeyboardInterrupt):
            pass
        else:
            assert (failure, call) == (denied, "cloudformation.DescribeStackEvents"), f"{where}: nothing was said"
        assert account.calls.has_failed, where
        # What the next run finds is what these calls did; where there are none, all is as it was.
        left = account.calls.effects
        is_deployed = not left
        if left in finished:
            continue
        finished.add(left)
        is_deployed = False
        account.removal().run()
        stacks = account.cloud.client("cloudformation").list_stacks()["StackSummaries"]
        assert {stack["StackStatus"] for stack in stacks} == {"DELETE_COMPLETE"}, where
        names = {bucket["Name"] for bucket in account.cloud.client("s3").list_buckets()["Buckets"]}
        assert {str(load_config(account.file).model_bucket), ASSETS} < names, where
    assert len(finished) > len([call for call in calls if not is_read(call)])


@pytest.mark.parametrize("path", ["/missing", "/cut"])
def test_half_a_model_is_never_left_behind(account: Account, path: str) -> None:
    with pytest.raises(LinkUnreachable):
        account.deployment(path).run()
    bucket = buckets.model_bucket_name("sdoneks", ACCOUNT, "us-east-1")
    assert list_models(account.cloud, bucket) == []
    account.deployment().run()
    assert len(list_models(account.cloud, bucket)) == 1


def test_nothing_is_done_when_the_users_own_bucket_or_model_is_missing(account: Account) -> None:
    account.file.write_text(initial_config(Wishes(bucket="nobodys-bucket", image_registry=REGISTRY)))
    with pytest.raises(StackFailure, match="it does not exist in this account"):
        account.deployment().run()
    assert account.calls.changes == []
    buckets.make(account.cloud, "nobodys-bucket")
    account.calls.made.clear()
    with pytest.raises(StackFailure, match="darkroom models upload"):
        account.deployment().run()
    assert account.calls.changes == []


def test_models_are_uploaded_under_the_names_that_runtimes_look_for(account: Account, tmp_path: Path, hub: str) -> None:
    buckets.make(account.cloud, "my-models")
    file = tmp_path / "from-civitai"
    file.write_bytes(MODEL)
    told: Callable[[str], None] = account.lines.append
    assert upload_model(account.cloud, "my-models", str(file), "Lora", told=told) == "Lora/from-civitai.ckpt"
    assert upload_model(account.cloud, "my-models", f"{hub}/a%20b.safetensors", told=told).endswith("/a b.safetensors")
    with pytest.raises(SettingsError, match="there is no folder 'loras'"):
        upload_model(account.cloud, "my-models", str(file), "loras", told=told)
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        upload_model(account.cloud, "my-models", str(tmp_path / "nothing.pt"), told=told)
    with pytest.raises(SettingsError, match="is not a model"):
        upload_model(account.cloud, "my-models", f"{hub}/model.exe", told=told)


def test_destroy_refuses_while_tasks_wait_and_keeps_both_buckets(account: Account) -> None:
    outputs = account.deployment().run()
    sqs = account.cloud.client("sqs")
    (queue,) = (url for url in sqs.list_queues()["QueueUrls"] if "InputQueue" in url)
    sqs.send_message(QueueUrl=queue, MessageBody="a task")
    account.calls.made.clear()
    with pytest.raises(StackFailure, match="1 messages in"):
        account.removal().run()
    assert account.calls.changes == []
    sqs.purge_queue(QueueUrl=queue)
    output_bucket = outputs["OutputS3Bucket"].rpartition(":")[2]
    kept = account.removal().run()
    assert kept == [f"s3://{load_config(account.file).model_bucket}", f"s3://{output_bucket}"]
    names = {bucket["Name"] for bucket in account.cloud.client("s3").list_buckets()["Buckets"]}
    assert {name.removeprefix("s3://") for name in kept} <= names
    assert account.removal().obstacles() == []
    assert account.removal().run() == kept[:1], "there is nothing left to remove"


def test_destroy_ends_nodes_that_outlived_karpenter(account: Account) -> None:
    account.deployment().run()
    ec2 = account.cloud.client("ec2")
    tags = [
        {"Key": "kubernetes.io/cluster/sdoneksStack", "Value": "owned"},
        {"Key": "karpenter.sh/nodepool", "Value": "sdruntime-gpu"},
    ]
    made = [
        ec2.run_instances(
            ImageId="ami-12345678",
            MinCount=1,
            MaxCount=1,
            TagSpecifications=[{"ResourceType": "instance", "Tags": chosen}],
        )["Instances"][0]["InstanceId"]
        for chosen in (tags, tags[:1])
    ]
    account.removal().run()
    states = [
        ec2.describe_instances(InstanceIds=[name])["Reservations"][0]["Instances"][0]["State"]["Name"] for name in made
    ]
    assert states == ["terminated", "running"]


def test_destroy_names_foreign_policies(account: Account) -> None:
    account.deployment().run()
    iam = account.cloud.client("iam")
    role = next(role["RoleName"] for role in iam.list_roles()["Roles"] if "FunctionRole" in role["RoleName"])
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}
    arn = iam.create_policy(PolicyName="foreign", PolicyDocument=json.dumps(document))["Policy"]["Arn"]
    iam.attach_role_policy(RoleName=role, PolicyArn=arn)
    assert [obstacle.what for obstacle in account.removal().obstacles()] == [f"the policy foreign on the role {role}"]
