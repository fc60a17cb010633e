"""The identity of the instance that pulls images, made on the emulator."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from darkroom.infra.cloud import Cloud
from darkroom.infra.snapshots.builder_profile import ensure_builder_profile
from darkroom.testing.loopback_aws import loopback_aws


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with loopback_aws(tmp_path_factory.mktemp("builder-profile")) as settings:
        yield Cloud(boto3.Session(region_name=settings.region), settings.region, settings.endpoint_url)


def test_the_profile_is_made_once_and_mended(cloud: Cloud) -> None:
    lines: list[str] = []
    name = ensure_builder_profile(cloud, lines.append)
    assert lines == [f"role {name}: made, and kept for the next build"]
    iam = cloud.client("iam")
    iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=name)
    assert ensure_builder_profile(cloud, lines.append) == name
    assert len(lines) == 1
    (role,) = iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]["Roles"]
    assert role["RoleName"] == name
    (attached,) = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    assert attached["PolicyName"] == "AmazonSSMManagedInstanceCore"


def test_it_may_pull_and_nothing_else(cloud: Cloud) -> None:
    name = ensure_builder_profile(cloud, lambda _: None)
    (policy,) = cloud.client("iam").list_role_policies(RoleName=name)["PolicyNames"]
    found = cloud.client("iam").get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
    document: dict[str, Any] = found if isinstance(found, dict) else json.loads(urllib.parse.unquote(found))
    actions = {action for statement in document["Statement"] for action in _listed(statement["Action"])}
    assert actions == {
        "ecr:GetAuthorizationToken",
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:GetDownloadUrlForLayer",
    }


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
