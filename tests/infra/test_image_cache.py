"""The image cache on an emulator: each call in order, and nothing left behind whichever of them fails.

EC2 is moto's. No emulator has an instance that takes commands: Systems Manager's answers are the front's, see
tests/infra/emulated_account.py; whether a pull would succeed on a real Bottlerocket, nothing here can tell.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from darkroom.errors import AwsFailure, DarkroomError, SettingsError, StackFailure
from darkroom.infra.cloud import Cloud
from darkroom.infra.snapshots.cache_leftovers import KIND_TAG
from darkroom.infra.snapshots.image_cache import DATA_DEVICE, CacheRequest, ImageCache
from tests.infra.calls import Calls, denied, interrupted
from tests.infra.emulated_account import AMI, Front, emulated_account

IMAGES = ("123456789012.dkr.ecr.us-east-1.amazonaws.com/sd-on-eks/sdwebui:latest", "example.com/queue-agent:1.0")
REQUEST = CacheRequest(IMAGES, "builder", volume_gib=50)
COMMAND = ["ssm.SendCommand", "ssm.ListCommandInvocations", "ssm.ListCommandInvocations"]
# All calls of a build, in order: what the front makes wait is asked for twice.
CALLS = [
    "ec2.DescribeInstances",
    "ec2.DescribeSnapshots",
    "ssm.GetParameter",
    "ec2.RunInstances",
    "ssm.DescribeInstanceInformation",
    "ssm.DescribeInstanceInformation",
    *COMMAND,
    *COMMAND,
    *COMMAND,
    "ec2.StopInstances",
    "ec2.DescribeInstances",
    "ec2.DescribeInstances",
    "ec2.CreateSnapshot",
    "ec2.DescribeSnapshots",
    "ec2.DescribeSnapshots",
    "ec2.CreateTags",
    "ec2.TerminateInstances",
]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Account:
    """An account with an instance profile, and what is in it. Made once: botocore takes long to read what EC2 can."""

    def __init__(self, front: Front, endpoint_url: str) -> None:
        self.front = front
        session = boto3.Session(region_name="us-east-1")
        self.calls = Calls(session)
        clock = Clock()
        self.cloud = Cloud(session, "us-east-1", endpoint_url, clock, clock.sleep)
        self.ec2: Any = boto3.client("ec2", region_name="us-east-1", endpoint_url=endpoint_url)
        self._iam = boto3.client("iam", region_name="us-east-1", endpoint_url=endpoint_url)
        self.lines: list[str] = []

    def reset(self) -> None:
        self.front.reset()
        self._iam.create_instance_profile(InstanceProfileName="builder")
        self.calls.clear()
        self.lines.clear()

    def cache(self, later: timedelta = timedelta(), poll_seconds: float = 5.0) -> ImageCache:
        return ImageCache(self.cloud, self.lines.append, poll_seconds, now=lambda: datetime.now(UTC) + later)

    def instances(self) -> list[dict[str, Any]]:
        """The instances that cost money."""
        pages = self.ec2.describe_instances()["Reservations"]
        found = [instance for page in pages for instance in page["Instances"]]
        return [instance for instance in found if instance["State"]["Name"] not in ("shutting-down", "terminated")]

    def snapshots(self) -> dict[str, str]:
        """Our snapshots, and what they are tagged as."""
        found = self.ec2.describe_snapshots(OwnerIds=["self"], Filters=[{"Name": "tag-key", "Values": [KIND_TAG]}])
        return {
            snapshot["SnapshotId"]: next(tag["Value"] for tag in snapshot["Tags"] if tag["Key"] == KIND_TAG)
            for snapshot in found["Snapshots"]
        }


@pytest.fixture(scope="module")
def emulated(moto: str) -> Iterator[Account]:
    with emulated_account(moto) as (front, settings):
        yield Account(front, str(settings.endpoint_url))


@pytest.fixture
def account(emulated: Account) -> Account:
    emulated.reset()
    return emulated


def test_a_snapshot_is_built_call_by_call(account: Account) -> None:
    snapshot = account.cache().build(REQUEST)
    assert account.calls.made == CALLS
    assert account.snapshots() == {snapshot: "images"}
    assert account.instances() == []
    assert account.ec2.describe_volumes()["Volumes"] == [], "the volume goes with its instance"
    assert [re.split("[ =]", command)[-1] for command in account.front.commands] == ["kubelet", *IMAGES]
    assert [line for line in account.lines if line.startswith("pulling")] == [f"pulling {image}" for image in IMAGES]


def test_the_snapshot_is_of_an_encrypted_data_volume(account: Account) -> None:
    seen: dict[str, Any] = {}

    def look(command: str) -> tuple[str, str]:
        (seen["instance"],) = account.instances()
        (seen["volume"],) = account.ec2.describe_volumes()["Volumes"]
        return "Success", ""

    account.front.outcome = look
    snapshot = account.cache().build(REQUEST)
    (found,) = account.ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"]
    assert (seen["instance"]["ImageId"], seen["instance"]["InstanceType"]) == (AMI, "m6i.large")
    assert (seen["volume"]["Size"], seen["volume"]["VolumeType"], seen["volume"]["Encrypted"]) == (50, "gp3", True)
    assert seen["volume"]["Attachments"][0]["Device"] == DATA_DEVICE
    assert (found["VolumeId"], found["Encrypted"]) == (seen["volume"]["VolumeId"], True)


@pytest.mark.parametrize("failure", [denied, interrupted])
@pytest.mark.parametrize("number", range(len(CALLS)), ids=lambda number: f"{number}-{CALLS[number]}")
def test_whichever_call_fails_nothing_is_left_and_the_next_build_succeeds(
    account: Account, number: int, failure: Callable[[str], BaseException]
) -> None:
    account.calls.fail_at(number, failure)
    is_last = number == len(CALLS) - 1
    if is_last and failure is denied:
        account.cache().build(REQUEST)  # terminating is tried again
    else:
        with pytest.raises((AwsFailure, KeyboardInterrupt)):
            account.cache().build(REQUEST)
    assert account.calls.has_failed
    assert account.instances() == []
    assert list(account.snapshots().values()) == (["images"] if is_last else [])
    snapshot = account.cache().build(REQUEST)
    assert account.snapshots()[snapshot] == "images"
    assert account.instances() == []


@pytest.mark.parametrize("operation", ["RunInstances", "CreateSnapshot"])
def test_what_was_made_is_found_although_its_answer_never_came(account: Account, operation: str) -> None:
    """Ctrl-C while EC2 makes it: there is a new thing, and nobody knows its id."""

    def interrupt(**_: Any) -> None:
        raise KeyboardInterrupt

    events, moment = account.cloud.client("ec2").meta.events, f"after-call.ec2.{operation}"
    events.register(moment, interrupt)
    with pytest.raises(KeyboardInterrupt):
        account.cache().build(REQUEST)
    events.unregister(moment, interrupt)
    assert f"ec2.{operation}" in account.calls.made
    assert account.instances() == []
    assert account.snapshots() == {}


def test_a_profile_that_ec2_does_not_know_yet_is_waited_for(account: Account) -> None:
    message = "Value (builder) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name"
    unknown = ClientError({"Error": {"Code": "InvalidParameterValue", "Message": message}}, "RunInstances")
    account.calls.fail_at(CALLS.index("ec2.RunInstances"), lambda _: unknown)
    snapshot = account.cache().build(REQUEST)
    assert account.calls.has_failed
    assert account.snapshots() == {snapshot: "images"}


def test_a_pull_that_fails_says_why(account: Account) -> None:
    account.front.outcome = lambda command: ("Failed", "no such image") if "sdwebui" in command else ("Success", "")
    with pytest.raises(StackFailure, match=r"sdwebui:latest could not be pulled: no such image"):
        account.cache().build(REQUEST)
    assert account.instances() == []


def test_an_instance_that_never_answers_is_terminated(account: Account) -> None:
    account.front.is_silent = True
    with pytest.raises(StackFailure, match="to answer Systems Manager: not done within 120 minutes"):
        account.cache(poll_seconds=600).build(REQUEST)
    assert account.instances() == []


def test_an_instance_that_cannot_be_terminated_is_named_beside_the_snapshot(account: Account) -> None:
    account.calls.refused = "TerminateInstances"
    with pytest.raises(StackFailure, match=r"snap-\w+ is complete .* aws ec2 terminate-instances --instance-ids i-"):
        account.cache().build(REQUEST)
    assert list(account.snapshots().values()) == ["images"]


class Killed(BaseException):
    """SIGKILL: nothing is cleaned up."""


@pytest.fixture
def killed(account: Account) -> Account:
    """An account in which a build was killed while its snapshot was being written: no code of it ran any more."""
    account.calls.fail_at(CALLS.index("ec2.CreateTags"), interrupted)
    cache = account.cache()
    leftovers = cache._leftovers  # what a killed process does not come to

    class Dead:
        def remove(self) -> None:
            leftovers.remove()

        def remove_build(self, build: str, known: list[str]) -> None:
            raise Killed

    cache._leftovers = Dead()  # type: ignore[assignment]
    with pytest.raises(Killed):
        cache.build(REQUEST)
    assert len(account.instances()) == 1
    assert list(account.snapshots().values()) == ["unfinished"]
    account.lines.clear()
    return account


def test_what_a_killed_build_left_is_removed_by_a_later_one(killed: Account) -> None:
    (instance,), (unfinished,) = killed.instances(), killed.snapshots()
    snapshot = killed.cache(later=timedelta(hours=3, minutes=1)).build(REQUEST)
    assert killed.snapshots() == {snapshot: "images"}
    assert killed.instances() == []
    assert [line.partition(" ")[0] for line in killed.lines[:2]] == [instance["InstanceId"], unfinished]
    assert all("was left by a build that began at" in line for line in killed.lines[:2])


def test_what_may_belong_to_another_persons_build_is_named_and_left_alone(killed: Account) -> None:
    killed.cache(later=timedelta(hours=2, minutes=59)).build(REQUEST)
    assert sorted(killed.snapshots().values()) == ["images", "unfinished"]
    assert len(killed.instances()) == 1
    assert [line.rpartition(": ")[2] for line in killed.lines[:2]] == ["left alone", "left alone"]
    killed.cache().clean()
    assert len(killed.instances()) == 1
    killed.cache().clean(even_young=True)
    assert (killed.instances(), list(killed.snapshots().values())) == ([], ["images"])


@pytest.mark.parametrize("images", [(), ("Not An Image",), ("$(reboot)",), ("a;b",)])
def test_what_is_no_image_is_refused_before_anything_starts(account: Account, images: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError):
        account.cache().build(CacheRequest(images, "builder"))
    assert account.calls.made == []


def test_a_subnet_that_is_not_there_is_refused_by_name(account: Account) -> None:
    with pytest.raises(DarkroomError, match="subnet-12345678"):
        account.cache().build(CacheRequest(IMAGES, "builder", subnet="subnet-12345678"))
    assert account.instances() == []
