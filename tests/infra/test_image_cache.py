"""The image cache: each call in order, and nothing left behind when one of them fails.

Whether a pull succeeds is for an instance to say, and no emulator runs one: EC2 and Systems Manager are played here,
over botocore's own checks of parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from darkroom.errors import AwsFailure, SettingsError, StackFailure
from darkroom.infra.cloud import Cloud
from darkroom.infra.image_cache import DATA_DEVICE, CacheRequest, ImageCache

IMAGES = ("123456789012.dkr.ecr.us-east-1.amazonaws.com/sd-on-eks/sdwebui:latest", "example.com/queue-agent:1.0")
INSTANCE = "i-0123456789abcdef0"
REQUEST = CacheRequest(IMAGES, "builder")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Play:
    """The answers of EC2 and SSM, in the order in which they are asked."""

    def __init__(self) -> None:
        clock = Clock()
        self.cloud = Cloud(boto3.Session(region_name="us-east-1"), "us-east-1", clock=clock, sleep=clock.sleep)
        self.ec2, self.ssm = Stubber(self.cloud.client("ec2")), Stubber(self.cloud.client("ssm"))
        self.ec2.activate()
        self.ssm.activate()
        self.lines: list[str] = []
        self.cache = ImageCache(self.cloud, self.lines.append)

    def starts(self) -> None:
        self.ssm.add_response("get_parameter", {"Parameter": {"Value": "ami-1"}}, {"Name": ANY})
        self.ec2.add_response("run_instances", {"Instances": [{"InstanceId": INSTANCE}]}, None)
        self.ssm.add_response("describe_instance_information", {"InstanceInformationList": []}, None)
        online = {"InstanceInformationList": [{"InstanceId": INSTANCE, "PingStatus": "Online"}]}
        self.ssm.add_response("describe_instance_information", online, None)

    def runs(self, text: str, status: str = "Success", output: str = "") -> None:
        command = "00000000-0000-0000-0000-000000000000"
        self.ssm.add_response("send_command", {"Command": {"CommandId": command}}, _WithCommand(text))
        found = {"Status": status, "CommandPlugins": [{"Output": output}]}
        self.ssm.add_response("list_command_invocations", {"CommandInvocations": [found]}, None)

    def runs_all(self) -> None:
        self.runs("systemctl stop kubelet")
        for image in IMAGES:
            self.runs(f"--label=io.cri-containerd.image=managed --source={image}")

    def stops(self) -> None:
        self.ec2.add_response("stop_instances", {}, {"InstanceIds": [INSTANCE]})
        self.ec2.add_response("describe_instances", _instance("stopped"), None)

    def snapshots(self, state: str) -> None:
        self.ec2.add_response("describe_instances", _instance("stopped"), None)
        self.ec2.add_response("create_snapshot", {"SnapshotId": "snap-1"}, None)
        found = {"Snapshots": [{"SnapshotId": "snap-1", "State": state, "StateMessage": "disk full"}]}
        self.ec2.add_response("describe_snapshots", found, {"SnapshotIds": ["snap-1"]})

    def terminates(self) -> None:
        self.ec2.add_response("terminate_instances", {}, {"InstanceIds": [INSTANCE]})

    def is_over(self) -> None:
        self.ec2.assert_no_pending_responses()
        self.ssm.assert_no_pending_responses()


class _WithCommand(dict[str, Any]):
    """Expected parameters of `send_command` whose command ends with a text."""

    def __init__(self, text: str) -> None:
        super().__init__(InstanceIds=[INSTANCE], DocumentName="AWS-RunShellScript", Parameters=_Ending(text))


class _Ending:
    def __init__(self, text: str) -> None:
        self._text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, dict) and other["commands"][0].endswith(self._text)

    __hash__ = None  # type: ignore[assignment]


def _instance(state: str) -> dict[str, Any]:
    volumes = [
        {"DeviceName": "/dev/xvda", "Ebs": {"VolumeId": "vol-os"}},
        {"DeviceName": DATA_DEVICE, "Ebs": {"VolumeId": "vol-data"}},
    ]
    return {"Reservations": [{"Instances": [{"State": {"Name": state}, "BlockDeviceMappings": volumes}]}]}


def test_a_snapshot_is_built() -> None:
    play = Play()
    play.starts()
    play.runs_all()
    play.stops()
    play.snapshots("completed")
    play.terminates()
    assert play.cache.build(REQUEST) == "snap-1"
    play.is_over()
    assert [line for line in play.lines if line.startswith("pulling")] == [f"pulling {image}" for image in IMAGES]


def _pull_fails(play: Play) -> None:
    play.starts()
    play.runs("systemctl stop kubelet")
    play.runs(IMAGES[0], "Failed", "no such image")


def _stop_fails(play: Play) -> None:
    play.starts()
    play.runs_all()
    play.ec2.add_client_error("stop_instances", "RequestLimitExceeded")


def _snapshot_fails(play: Play) -> None:
    play.starts()
    play.runs_all()
    play.stops()
    play.snapshots("error")
    play.ec2.add_response("delete_snapshot", {}, {"SnapshotId": "snap-1"})


@pytest.mark.parametrize(
    ("fails", "expected"),
    [(_pull_fails, "no such image"), (_stop_fails, "RequestLimitExceeded"), (_snapshot_fails, "disk full")],
)
def test_nothing_is_left_behind_by_a_failure(fails: Callable[[Play], None], expected: str) -> None:
    play = Play()
    fails(play)
    play.terminates()
    with pytest.raises((StackFailure, AwsFailure), match=expected):
        play.cache.build(REQUEST)
    play.is_over()


def test_an_instance_that_never_answers_is_terminated() -> None:
    play = Play()
    play.ssm.add_response("get_parameter", {"Parameter": {"Value": "ami-1"}}, {"Name": ANY})
    play.ec2.add_response("run_instances", {"Instances": [{"InstanceId": INSTANCE}]}, None)
    for _ in range(720):
        play.ssm.add_response("describe_instance_information", {"InstanceInformationList": []}, None)
    play.terminates()
    with pytest.raises(StackFailure, match="not done after 60 minutes"):
        play.cache.build(REQUEST)
    play.is_over()


@pytest.mark.parametrize("images", [(), ("Not An Image",), ("$(reboot)",), ("a;b",)])
def test_what_is_no_image_is_refused_before_anything_starts(images: tuple[str, ...]) -> None:
    play = Play()
    with pytest.raises(SettingsError):
        play.cache.build(CacheRequest(images, "builder"))
    play.is_over()
