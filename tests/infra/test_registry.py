"""ECR before a push: the repository is there, and docker may come in."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest

from darkroom.infra.cloud import Cloud
from darkroom.infra.registry import EcrRegistry, ecr_registry, ensure_repository, registry_login
from darkroom.testing.loopback_aws import loopback_aws

HOST = "000000000000.dkr.ecr.us-east-1.amazonaws.com"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with loopback_aws(tmp_path_factory.mktemp("registry")) as settings:
        yield Cloud(boto3.Session(region_name=settings.region), settings.region, settings.endpoint_url)


@pytest.mark.parametrize("address", [HOST, f"{HOST}/team/pictures"])
def test_ecr_is_known_by_its_address(address: str) -> None:
    assert ecr_registry(address) == EcrRegistry(HOST, "000000000000", "us-east-1")


def test_ecr_in_china_is_known_too() -> None:
    found = ecr_registry("123456789012.dkr.ecr.cn-northwest-1.amazonaws.com.cn")
    assert found is not None
    assert found.region == "cn-northwest-1"


@pytest.mark.parametrize("address", ["ghcr.io/somebody", "harbor.example.com", "public.ecr.aws/x", f"x{HOST}", ""])
def test_other_registries_are_left_to_docker(address: str) -> None:
    assert ecr_registry(address) is None


def test_a_repository_is_made_once(cloud: Cloud) -> None:
    registry = EcrRegistry(HOST, cloud.account, "us-east-1")
    lines: list[str] = []
    for _ in range(2):
        ensure_repository(cloud, registry, "darkroom/queue-agent", lines.append)
    assert lines == ["repository darkroom/queue-agent: made"]
    found = cloud.client("ecr").describe_repositories()["repositories"]
    assert [repository["repositoryName"] for repository in found] == ["darkroom/queue-agent"]


def test_docker_gets_a_password(cloud: Cloud) -> None:
    login = registry_login(cloud, EcrRegistry(HOST, cloud.account, "us-east-1"))
    assert login.user == "AWS"
    assert login.password
