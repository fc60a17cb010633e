"""What builds of image caches leave behind, and how it is found and removed again.

Everything that a build makes is tagged with the build's own number, and with what it is: so a build finds what it made
even if the answer to its request was lost, and never touches what another person's build is using.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from darkroom.errors import AwsFailure
from darkroom.infra.cloud import Cloud, Told, translated

T = TypeVar("T")
KIND_TAG = "darkroom:image-cache"
BUILD_TAG = "darkroom:image-cache-build"
BUILDER = "builder"  # an instance
UNFINISHED = "unfinished"  # a snapshot whose id nobody was told yet
SNAPSHOT = "images"  # a snapshot that can be used
_STATES = ["pending", "running", "stopping", "stopped"]
_TRIES = 3
_PAUSE_SECONDS = 5.0
# Longer than a build may take, so that what is older belongs to no build that still runs.
_MARGIN = timedelta(hours=1)


@dataclass(frozen=True)
class Cleaned:
    """Which instances and snapshots were removed, and which may belong to a build that runs."""

    removed: list[str]
    left_alone: list[str]


@dataclass(frozen=True)
class Leftovers:
    """Finds and removes them. A build that runs is given up after `limit_seconds`, so what is older is left over."""

    cloud: Cloud
    told: Told
    limit_seconds: float
    now: Callable[[], datetime]

    def remove(self, *, even_young: bool = False) -> Cleaned:
        """Remove what earlier builds left, and name what may belong to one that runs. Raises `AwsFailure`.

        With `even_young`, that goes too: nobody may be building then.
        """
        oldest = self.now() - timedelta(seconds=self.limit_seconds) - _MARGIN
        with translated("looking for what earlier builds left"):
            found = self._instances(KIND_TAG, BUILDER) + self._snapshots(KIND_TAG, UNFINISHED)
        cleaned = Cleaned([], [])
        for name, began in found:
            if even_young or began < oldest:
                self.told(f"{name} was left by a build that began at {began:%Y-%m-%d %H:%M} UTC: removing it")
                self.remove_one(name)
                cleaned.removed.append(name)
            else:
                self.told(f"{name} belongs to a build that began at {began:%Y-%m-%d %H:%M} UTC: left alone")
                cleaned.left_alone.append(name)
        return cleaned

    def remove_build(self, build: str, known: Sequence[str]) -> None:
        """Remove all that a build that failed has made: what is known of it, and what its tags find.

        The tags find what was made by a request whose answer never came. Raises `AwsFailure`, when all was tried.
        """
        problem: AwsFailure | None = None
        for name in known:
            try:
                self.remove_one(name)
            except AwsFailure as error:
                problem = error
        if not known:
            self.cloud.sleep(_PAUSE_SECONDS)  # EC2 needs a moment until it finds by tags what it has just made
        found = self._insist(
            f"looking for what is tagged {BUILD_TAG}={build}; remove it by hand",
            lambda: self._instances(BUILD_TAG, build) + self._snapshots(BUILD_TAG, build),
        )
        for name, _ in found or []:
            if name not in known:
                self.remove_one(name)
        if problem is not None:
            raise problem

    def remove_one(self, name: str) -> None:
        """Terminate an instance, or delete a snapshot. What has gone already is no error. Raises `AwsFailure`."""
        ec2 = self.cloud.client("ec2")
        if name.startswith("i-"):
            doing = f"terminating the instance {name}; do it by hand: aws ec2 terminate-instances --instance-ids {name}"
            self._insist(doing, lambda: ec2.terminate_instances(InstanceIds=[name]))
        else:
            doing = f"deleting the snapshot {name}; do it by hand: aws ec2 delete-snapshot --snapshot-id {name}"
            self._insist(doing, lambda: ec2.delete_snapshot(SnapshotId=name))

    def _insist(self, doing: str, action: Callable[[], T]) -> T | None:
        """Try a few times: what is left costs money until somebody notices."""
        for number in range(1, _TRIES + 1):
            with translated(doing):
                try:
                    return action()
                except KeyboardInterrupt:  # somebody is in a hurry, but not to pay for it; a second one ends this too
                    action()
                    raise
                except (ClientError, BotoCoreError) as error:
                    if ".NotFound" in str(error):
                        return None
                    if number == _TRIES:
                        raise
            self.cloud.sleep(_PAUSE_SECONDS)
        raise AssertionError("the last try returns or raises")

    def _instances(self, tag: str, value: str) -> list[tuple[str, datetime]]:
        """Instances that are not terminated, and when they were started."""
        filters = [{"Name": f"tag:{tag}", "Values": [value]}, {"Name": "instance-state-name", "Values": _STATES}]
        pages = self.cloud.client("ec2").get_paginator("describe_instances").paginate(Filters=filters)
        return [
            (instance["InstanceId"], instance["LaunchTime"])
            for page in pages
            for reservation in page["Reservations"]
            for instance in reservation["Instances"]
        ]

    def _snapshots(self, tag: str, value: str) -> list[tuple[str, datetime]]:
        """Snapshots of our own account, and when they were begun."""
        filters = [{"Name": f"tag:{tag}", "Values": [value]}]
        pages = (
            self.cloud.client("ec2").get_paginator("describe_snapshots").paginate(OwnerIds=["self"], Filters=filters)
        )
        return [(snapshot["SnapshotId"], snapshot["StartTime"]) for page in pages for snapshot in page["Snapshots"]]
