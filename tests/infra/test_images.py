"""Images and the chart: which programs are started, and that a registry is ready for them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import boto3
import pytest

from darkroom.errors import SettingsError
from darkroom.infra.cloud import Cloud
from darkroom.infra.commands import Images, log_in_with, push_chart
from darkroom.infra.registry import PushTarget
from darkroom.infra.template.synthesis import chart_folder
from darkroom.testing.loopback_aws import loopback_aws
from tests.command_line import darkroom

IMAGES = Path(__file__).parents[2] / "images"
ECR = "000000000000.dkr.ecr.us-east-1.amazonaws.com"


class Programs:
    """Programs that are not started, but written down; what they were told on their input too."""

    def __init__(self) -> None:
        self.ran: list[list[str]] = []
        self.inputs: list[str] = []

    def __call__(self, command: Sequence[str], text: str | None = None) -> None:
        self.ran.append(list(command))
        if text is not None:
            self.inputs.append(text)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with loopback_aws(tmp_path_factory.mktemp("images")) as settings:
        yield Cloud(boto3.Session(region_name=settings.region), settings.region, settings.endpoint_url)


def push_target(address: str, programs: Programs, cloud: Cloud, program: Sequence[str] = ("docker",)) -> PushTarget:
    return PushTarget(address, lambda region: cloud, log_in_with(program, programs), lambda line: None)


def repositories(cloud: Cloud) -> set[str]:
    return {found["repositoryName"] for found in cloud.client("ecr").describe_repositories()["repositories"]}


def test_images_are_built_pushed_and_mirrored(cloud: Cloud) -> None:
    programs = Programs()
    ran = programs.ran
    images = Images(programs, IMAGES)
    target = push_target("example.com/team", programs, cloud)
    (reference,) = images.build(["queue-agent"], "1.0")
    assert ran.pop() == [
        "docker", "build", "--platform", "linux/amd64", "--tag", "darkroom/queue-agent:1.0",
        "--file", str(IMAGES / "queue-agent" / "Dockerfile"), str(IMAGES.parent),
    ]  # fmt: skip
    assert images.push([reference], target) == ["example.com/team/darkroom/queue-agent:1.0"]
    copies = images.mirror(target)
    assert "example.com/team/aws-observability/aws-otel-collector:v0.49.0" in copies
    assert [command[1] for command in ran] == ["tag", "push", *["buildx"] * len(copies)]
    with pytest.raises(SettingsError, match="there are: queue-agent, inference, sdwebui, comfyui"):
        images.build(["queueagent"], "1.0")
    with pytest.raises(SettingsError, match="run this in Darkroom's checkout"):
        Images(programs, Path("elsewhere")).build(["queue-agent"], "1.0")


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_script_gets_the_names_and_nothing_that_docker_says(tmp_path: Path, options: list[str]) -> None:
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\necho layer 1 of 7\n")
    docker.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    built = darkroom(
        *("images", "build", "queue-agent", "--tag", "1", "--folder", str(IMAGES), *options),
        environment={**os.environ, "PATH": path},
    )
    assert built.returncode == 0, built.stderr
    assert "layer 1 of 7" in built.stderr
    said = json.loads(built.stdout)["image"] if options else built.stdout.rstrip("\n")
    assert said == "darkroom/queue-agent:1"


def test_ecr_is_made_ready_before_the_first_push(cloud: Cloud) -> None:
    programs = Programs()
    target = push_target(f"{ECR}/team", programs, cloud)
    pushed = Images(programs, IMAGES).push(["darkroom/queue-agent:1.0", "darkroom/sdwebui:1.0"], target)
    assert pushed == [f"{ECR}/team/darkroom/queue-agent:1.0", f"{ECR}/team/darkroom/sdwebui:1.0"]
    assert programs.ran[0] == ["docker", "login", "--username", "AWS", "--password-stdin", ECR]
    assert [command[1] for command in programs.ran[1:]] == ["tag", "push", "tag", "push"]
    (password,) = programs.inputs
    assert not any(password in argument for command in programs.ran for argument in command)
    assert {"team/darkroom/queue-agent", "team/darkroom/sdwebui"} <= repositories(cloud)


def test_ecr_is_made_ready_for_the_chart(cloud: Cloud, tmp_path: Path) -> None:
    programs = Programs()
    target = push_target(f"{ECR}/charts", programs, cloud, ["helm", "registry"])
    push_chart(chart_folder(), f"oci://{ECR}/charts", tmp_path, programs, target)
    assert [command[1] for command in programs.ran] == ["package", "registry", "push"]
    assert "charts/darkroom-runtime" in repositories(cloud)


@pytest.mark.parametrize(
    ("repository", "last"), [("oci://example.com/charts", "push"), ("https://example.com/charts/", "repo")]
)
def test_the_chart_is_packaged_and_pushed(tmp_path: Path, repository: str, last: str) -> None:
    ran: list[list[str]] = []

    def run(command: list[str]) -> None:
        ran.append(command)
        if command[1] == "package":
            (tmp_path / "darkroom-runtime-0.1.0.tgz").touch()

    push_chart(chart_folder(), repository, tmp_path, lambda command: run(list(command)))
    assert [command[1] for command in ran] == ["package", last]
    with pytest.raises(SettingsError, match="must begin with oci://"):
        push_chart(chart_folder(), "s3://charts", tmp_path, lambda command: run(list(command)))
