"""`darkroom cache build`: an EBS snapshot of a Bottlerocket data volume that has the images already.

A Bottlerocket instance is started, told over Systems Manager to pull the images, stopped, and its data volume is
snapshot. Whatever happens, the instance is terminated, and a snapshot that nobody was told of is deleted; what a build
leaves behind that was killed, the next one removes (darkroom.infra.snapshots.cache_leftovers).
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from darkroom.config.model import DEFAULT_KUBERNETES
from darkroom.errors import AwsFailure, SettingsError, StackFailure
from darkroom.infra.cloud import Cloud, Told, translated
from darkroom.infra.snapshots.cache_leftovers import (
    BUILD_TAG,
    BUILDER,
    KIND_TAG,
    SNAPSHOT,
    UNFINISHED,
    Cleaned,
    Leftovers,
)

DATA_DEVICE = "/dev/xvdb"
# As large as the chart makes the nodes' volumes, which must not be smaller than their snapshot.
DEFAULT_VOLUME_GIB = 100
# Says which images a snapshot holds (see `darkroom.infra.snapshots.cached_images`).
CONTENTS_TAG = "darkroom:image-cache-contents"
_IMAGE = re.compile(r"^[a-z0-9][a-z0-9.:_/-]*[a-z0-9](:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?$")
_PULL_LIMIT_SECONDS = 3600.0


@dataclass(frozen=True)
class CacheRequest:
    """What is to be cached, and on what."""

    images: Sequence[str]
    instance_profile: str
    kubernetes_version: str = DEFAULT_KUBERNETES
    instance_type: str = "m6i.large"
    volume_gib: int = DEFAULT_VOLUME_GIB
    subnet: str | None = None

    def validate(self) -> None:
        """Raises `SettingsError` for images that no registry could have."""
        wrong = [image for image in self.images if not _IMAGE.match(image)]
        if not self.images:
            raise SettingsError("no image is named: give at least one")
        if wrong:
            raise SettingsError(f"not an image: {', '.join(wrong)}; write REGISTRY/NAME:TAG")


def contents_of(images: Sequence[str]) -> str:
    """The value of `CONTENTS_TAG` for a snapshot that holds these images."""
    return hashlib.sha256("\n".join(sorted(images)).encode()).hexdigest()[:32]


class ImageCache:
    """Builds snapshots in one account and region. A build that is not done after `limit_seconds` is given up."""

    def __init__(
        self,
        cloud: Cloud,
        told: Told,
        poll_seconds: float = 5.0,
        limit_seconds: float = 7200.0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._cloud = cloud
        self._told = told
        self._poll_seconds = poll_seconds
        self._limit_seconds = limit_seconds
        self._leftovers = Leftovers(cloud, told, limit_seconds, now)
        self._end = 0.0

    def build(self, request: CacheRequest) -> str:
        """Build a snapshot and return its id. Raises `SettingsError`, `StackFailure` and `AwsFailure`."""
        request.validate()
        self._leftovers.remove()
        self._end = self._cloud.clock() + self._limit_seconds
        build = uuid.uuid4().hex
        made: list[str] = []
        try:
            snapshot = self._fill(request, build, made)
        except BaseException:
            self._leftovers.remove_build(build, made)
            raise
        try:
            self._leftovers.remove_one(made[0])
        except AwsFailure as error:
            raise StackFailure(f"{snapshot} is complete and can be used, but {error}") from error
        return snapshot

    def clean(self, *, even_young: bool = False) -> Cleaned:
        """Remove what builds that were killed left behind; with `even_young`, also what may belong to one that runs."""
        return self._leftovers.remove(even_young=even_young)

    def _fill(self, request: CacheRequest, build: str, made: list[str]) -> str:
        """Do all but the cleaning up, and write into `made` what has to be cleaned up: first the instance."""
        instance = self._start(request, build)
        made.append(instance)
        self._told(f"instance {instance}: starting Bottlerocket")
        self._wait(lambda: self._is_reachable(instance), f"{instance} to answer Systems Manager")
        self._run(instance, "the kubelet could not be stopped", ["apiclient exec admin sheltie systemctl stop kubelet"])
        for image in request.images:
            self._told(f"pulling {image}")
            self._run(instance, f"{image} could not be pulled", [_pull_command(image)])
        self._told(f"instance {instance}: stopping, so that its volume is whole")
        with translated("stopping the instance"):
            self._cloud.client("ec2").stop_instances(InstanceIds=[instance])
            self._wait(lambda: self._state(instance) == "stopped", f"{instance} to stop")
        snapshot = self._begin_snapshot(instance, request, build)
        made.append(snapshot)
        self._told(f"{snapshot}: being written")
        self._wait(lambda: self._is_complete(snapshot), f"{snapshot} to be complete")
        with translated(f"marking {snapshot} as finished"):
            tags = {KIND_TAG: SNAPSHOT, CONTENTS_TAG: contents_of(request.images)}
            self._cloud.client("ec2").create_tags(
                Resources=[snapshot], Tags=[{"Key": key, "Value": value} for key, value in tags.items()]
            )
        return snapshot

    def _start(self, request: CacheRequest, build: str) -> str:
        name = f"/aws/service/bottlerocket/aws-k8s-{request.kubernetes_version}/x86_64/latest/image_id"
        with translated("starting the instance"):
            image = self._cloud.client("ssm").get_parameter(Name=name)["Parameter"]["Value"]
            network = {"SubnetId": request.subnet} if request.subnet else {}
            volume = {"VolumeSize": request.volume_gib, "VolumeType": "gp3", "Encrypted": True}
            reply = self._run_instance(
                ImageId=image,
                InstanceType=request.instance_type,
                MinCount=1,
                MaxCount=1,
                IamInstanceProfile={"Name": request.instance_profile},
                BlockDeviceMappings=[{"DeviceName": DATA_DEVICE, "Ebs": {**volume, "DeleteOnTermination": True}}],
                MetadataOptions={"HttpTokens": "required"},
                UserData="[settings.host-containers.admin]\nenabled = true\n",
                TagSpecifications=[{"ResourceType": "instance", "Tags": _tags(BUILDER, build)}],
                **network,
            )
        instance: str = reply["Instances"][0]["InstanceId"]
        return instance

    def _run_instance(self, **parameters: Any) -> Any:
        """Start it; a profile that has just been made is known to EC2 only some seconds later."""
        for _ in self._polls("waited for EC2 to know the instance profile"):
            try:
                return self._cloud.client("ec2").run_instances(**parameters)
            except ClientError as error:
                if "Invalid IAM Instance Profile" not in str(error):
                    raise
        raise AssertionError("the polls end in an error")

    def _state(self, instance: str) -> str:
        found = self._cloud.client("ec2").describe_instances(InstanceIds=[instance])
        state: str = found["Reservations"][0]["Instances"][0]["State"]["Name"]
        return state

    def _is_reachable(self, instance: str) -> bool:
        filters = [{"Key": "InstanceIds", "Values": [instance]}]
        with translated("asking Systems Manager"):
            found = self._cloud.client("ssm").describe_instance_information(Filters=filters)
        return any(entry["PingStatus"] == "Online" for entry in found["InstanceInformationList"])

    def _run(self, instance: str, problem: str, commands: list[str]) -> None:
        """Run commands on the instance, and wait for their end."""
        ssm = self._cloud.client("ssm")
        with translated(problem):
            sent = ssm.send_command(
                InstanceIds=[instance],
                DocumentName="AWS-RunShellScript",
                Parameters={"commands": commands, "executionTimeout": [str(int(_PULL_LIMIT_SECONDS))]},
            )
        command = sent["Command"]["CommandId"]
        for _ in self._polls(problem):
            with translated(problem):
                found = ssm.list_command_invocations(CommandId=command, InstanceId=instance, Details=True)
            for invocation in found["CommandInvocations"]:
                if invocation["Status"] == "Success":
                    return
                if invocation["Status"] in ("Failed", "Cancelled", "TimedOut"):
                    output = " ".join(plugin.get("Output", "") for plugin in invocation.get("CommandPlugins", []))
                    raise StackFailure(f"{problem}: {output.strip() or invocation['Status']}")

    def _begin_snapshot(self, instance: str, request: CacheRequest, build: str) -> str:
        ec2 = self._cloud.client("ec2")
        with translated("making the snapshot"):
            found = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
            volume = next(
                mapping["Ebs"]["VolumeId"]
                for mapping in found["BlockDeviceMappings"]
                if mapping["DeviceName"] == DATA_DEVICE
            )
            snapshot: str = ec2.create_snapshot(
                VolumeId=volume,
                Description=f"Darkroom: {', '.join(request.images)}"[:255],
                TagSpecifications=[{"ResourceType": "snapshot", "Tags": _tags(UNFINISHED, build)}],
            )["SnapshotId"]
        return snapshot

    def _is_complete(self, snapshot: str) -> bool:
        with translated(f"looking at {snapshot}"):
            (found,) = self._cloud.client("ec2").describe_snapshots(SnapshotIds=[snapshot])["Snapshots"]
        if found["State"] == "error":
            raise StackFailure(f"AWS could not write {snapshot}: {found.get('StateMessage', 'no reason given')}")
        return bool(found["State"] == "completed")

    def _wait(self, is_so: Callable[[], bool], what: str) -> None:
        for _ in self._polls(f"waited for {what}"):
            if is_so():
                return

    def _polls(self, what: str) -> Iterator[None]:
        while self._cloud.clock() < self._end:
            yield
            self._cloud.sleep(self._poll_seconds)
        raise StackFailure(f"{what}: not done within {self._limit_seconds / 60:.0f} minutes")


def _tags(kind: str, build: str) -> list[dict[str, str]]:
    return [{"Key": KIND_TAG, "Value": kind}, {"Key": BUILD_TAG, "Value": build}]


def _pull_command(image: str) -> str:
    """Pull into the kubelet's own namespace, with the label that tells Kubernetes' part of containerd of the image.

    Bottlerocket's `host-ctr` does it, with which it pulls its own containers: for ECR it asks for a token with the
    instance's role. `ctr` could not pull from ECR without a password, which would stay in the history of commands.
    Source: sources/host-ctr/cmd/host-ctr/main.go of bottlerocket-os/bottlerocket-core-kit, as of 2024-10.
    """
    pull = (
        "host-ctr --containerd-socket=/run/containerd/containerd.sock --namespace=k8s.io pull-image "
        "--registry-config=/etc/host-containers/host-ctr.toml "
        f"--label=io.cri-containerd.image=managed --source={image}"
    )
    return f"apiclient exec admin sheltie {pull}"
