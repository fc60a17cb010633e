"""What a person sees who types the deployment's commands, without an AWS account and with an emulated one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from typer.testing import CliRunner

from darkroom.cli.deployment import app
from darkroom.cli.exit_codes import WrongCommandLine
from darkroom.errors import DarkroomError, SettingsError
from darkroom.settings import AwsSettings
from darkroom.testing.loopback_aws import loopback_aws
from tests.infra.emulated_account import Front, emulated_account

REGISTRY = "registry.example.com"  # not ECR, so nobody looks whether the images are there


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


@pytest.fixture
def without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsSettings]:
    with loopback_aws(tmp_path_factory.mktemp("cli-emulator")) as settings:
        yield settings


@pytest.fixture(scope="module")
def account(moto: str, emulator: AwsSettings) -> Iterator[tuple[Front, Callable[[str], Any], list[str]]]:
    """An account with all that a deployment looks at: what it hears, a way to look into it, the options to name it."""
    with emulated_account(moto, emulator.endpoint_url) as (front, settings):

        def client(service: Any) -> Any:
            return boto3.client(service, region_name=settings.region, endpoint_url=settings.endpoint_url)

        yield front, client, ["-R", settings.region, "--endpoint-url", str(settings.endpoint_url)]


def output(*arguments: str, code: int = 0) -> str:
    outcome = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert outcome.exit_code == code, outcome.output
    return outcome.output


def test_init_validate_show(folder: Path) -> None:
    assert "config.yaml written" in output("config", "init", "-t", "comfyui", "-r", "flow", "-n", "mine")
    assert "runtimes: flow" in output("config", "validate")
    shown = yaml.safe_load(output("config", "show"))
    assert shown["stackName"] == "mine"
    assert shown["APIGW"]["throttle"] == {"rateLimit": 30.0, "burstLimit": 50}
    assert shown["network"]["natGateways"] == 3
    assert json.loads(output("config", "schema"))["$defs"]["ChartValues"]
    with pytest.raises(SettingsError, match="exists already"):
        output("config", "init")


@pytest.mark.usefixtures("without_credentials")
@pytest.mark.parametrize("region", [[], ["--region", "us-west-2"]])
def test_a_dry_run_without_an_account_says_that_a_snapshot_would_be_built(folder: Path, region: list[str]) -> None:
    output("config", "init", "--image-registry", REGISTRY)
    with (folder / "config.yaml").open("a") as file:
        file.write("fastStart: snapshot\n")
    assert "build a snapshot with 3 images" in output("deploy", "--dry-run", *region, code=1)


@pytest.mark.usefixtures("without_credentials")
@pytest.mark.parametrize("region", [[], ["--region", "us-west-2"]])
def test_a_dry_run_without_an_account_ends_with_the_plan_and_what_is_missing(folder: Path, region: list[str]) -> None:
    output("config", "init")
    text = output("deploy", "--dry-run", *region, code=1)
    assert "create or update the stack sdoneksStack" in text or "create the stack sdoneksStack" in text
    assert "343.32" in text
    assert text.rstrip().splitlines()[-1] == (
        f"Missing: AWS {'credentials' if region else 'region'}, images of sdruntime"
    )
    assert sorted(path.name for path in folder.iterdir()) == ["config.yaml"]


def test_a_dry_run_with_an_account_names_what_is_missing_there(
    folder: Path, account: tuple[Front, Callable[[str], Any], list[str]]
) -> None:
    front, _, where = account
    front.reset()
    output("config", "init", "-b", "nobodys-bucket")
    text = output("deploy", "-d", *where, code=1)
    missing = text.rstrip().splitlines()[-1]
    assert missing.startswith("Missing: ")
    assert "images of sdruntime" in missing
    assert "model bucket nobodys-bucket" in missing


def test_a_dry_run_creates_nothing_and_shows_plan_cost_and_checks(
    folder: Path, account: tuple[Front, Callable[[str], Any], list[str]]
) -> None:
    front, client, where = account
    front.reset()
    text = output("deploy", "--dry-run", "--image-registry", REGISTRY, *where)
    _, _, *rows = (line.split("  ")[0] for line in text.splitlines())  # after the title and the headings
    steps = [
        "model bucket",
        "model",
        "image cache",
        "configuration",
        "bootstrap",
        "versions",
        "synthesis",
        "deploy",
        "nodes",
        "verification",
    ]
    assert rows[: len(steps)] == steps
    assert "make sdoneks-model-bucket-" in text
    assert "create the stack sdoneksStack" in text
    assert "EKS cluster" in text
    assert "343.32" in text
    assert "instance types of sdruntime: offered in us-east-1a" in text
    assert text.rstrip().splitlines()[-1] == "Nothing is missing."
    reads = ("Get", "List", "Describe", "HEAD", "GET")
    assert front.heard, "it did look"
    assert [request for request in front.heard if not request.partition(".")[2].startswith(reads)] == []
    assert client("s3").list_buckets()["Buckets"] == []
    assert client("cloudformation").list_stacks()["StackSummaries"] == []
    assert client("ec2").describe_instances()["Reservations"] == []
    assert list(folder.iterdir()) == []


def test_a_dry_run_ends_with_what_is_missing_in_the_account(
    folder: Path, account: tuple[Front, Callable[[str], Any], list[str]]
) -> None:
    front, _, where = account
    front.reset()
    front.quotas |= {"L-DB2E81BA": 0, "L-3819A6DF": 0}
    text = output("deploy", "--dry-run", "--image-registry", REGISTRY, *where, code=1)
    names = ["quota Running On-Demand G and VT instances", "quota All G and VT Spot Instance Requests"]
    assert text.rstrip().splitlines()[-1] == f"Missing: {', '.join(names)}"


@pytest.mark.usefixtures("without_credentials")
def test_a_region_without_prices_here_is_told_so_and_given_no_other_s_as_its_own(folder: Path) -> None:
    output("config", "init", "--image-registry", REGISTRY)
    text = output("deploy", "--dry-run", "--region", "eu-central-1", code=1)
    assert "there are no prices of eu-central-1 here: for comparison, those of us-east-1" in text
    assert "network.natGateways: 1" in text, "what could be cheaper"
    assert "make None" not in text


@pytest.mark.usefixtures("without_credentials")
def test_what_has_no_price_does_not_vanish_from_the_sum(folder: Path) -> None:
    output("config", "init", "--image-registry", REGISTRY)
    with (folder / "config.yaml").open("a") as file:
        file.write("clusterComponents: {instanceType: x9z.large}\n")
    text = output("deploy", "--dry-run", "--region", "us-east-1", code=1)
    assert "together, without 2 x x9z.large for components, whose price is not known here" in text
    assert "more than 224.18" in text


@pytest.mark.parametrize("command", [["deploy", "--dry-run"], ["destroy"], ["synth"]])
def test_a_region_that_aws_does_not_have_is_refused(folder: Path, command: list[str]) -> None:
    output("config", "init")
    with pytest.raises(SettingsError, match="moon-1 is no region of AWS"):
        output(*command, "--region", "moon-1")
    with pytest.raises(SettingsError, match="did you mean eu-central-1"):
        output(*command, "--region", "eu-centrl-1")


def test_a_configuration_that_is_named_and_not_there_is_a_fault_and_no_new_stack(folder: Path) -> None:
    with pytest.raises(SettingsError, match=r"nope.yaml is not there: write one with darkroom config init nope.yaml"):
        output("deploy", "--dry-run", "-c", "nope.yaml", "--region", "us-east-1")


@pytest.mark.usefixtures("without_credentials")
def test_a_script_gets_the_plan_as_json(folder: Path) -> None:
    output("config", "init")
    plan = json.loads(output("deploy", "--dry-run", "--region", "us-east-1", "--json", code=1))
    assert (plan["stack"], plan["prices"]["region"]) == ("sdoneksStack", "us-east-1")
    assert plan["missing"] == ["AWS credentials", "images of sdruntime"]
    assert next(step["step"] for step in plan["steps"] if step["is_needed"]) == "model bucket"
    assert plan["each_month"]["usd"] == pytest.approx(343.32, abs=0.01)
    assert sum(line["usd"] for line in plan["by_use"]["lines"]) == pytest.approx(plan["by_use"]["usd"], abs=0.01)
    assert [choice["queue_length"] for choice in plan["bursts"][0]["choices"] if choice["is_chosen"]] == [3]
    assert {check["verdict"] for check in plan["checks"]} <= {"ok", "limited", "missing", "not checked"}


def test_a_script_gets_what_each_command_of_a_deployment_did_as_json(folder: Path, emulator: AwsSettings) -> None:
    def told(*arguments: str) -> Any:
        outcome = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
        assert outcome.exit_code == 0, outcome.output
        return json.loads(outcome.stdout)

    where = ["--region", "us-east-1", "--endpoint-url", str(emulator.endpoint_url)]
    assert told("config", "init") == {"file": "config.yaml"}
    assert told("config", "show")["modelsRuntime"][0]["name"] == "sdruntime"
    boto3.client("s3", region_name="us-east-1", endpoint_url=emulator.endpoint_url).create_bucket(Bucket="for-scripts")
    (folder / "a.safetensors").write_bytes(b"x")
    uploaded = told("models", "upload", "a.safetensors", "-b", "for-scripts", *where)
    assert uploaded == {"bucket": "for-scripts", "key": "Stable-diffusion/a.safetensors"}
    assert told("cache", "clean", *where) == {"removed": [], "left_alone": []}
    removal = told("destroy", "--dry-run", *where)
    assert (removal["stack"], removal["removed"], removal["in_the_way"]) == ("sdoneksStack", [], [])
    with pytest.raises(WrongCommandLine, match="--json asks nobody: say --yes too"):
        told("destroy", *where)
    gone = told("destroy", "--yes", *where)
    assert gone == {"stack": "sdoneksStack", "region": "us-east-1", "kept": []}


def test_models_are_uploaded_and_listed(folder: Path, emulator: AwsSettings) -> None:
    client = boto3.client("s3", region_name="us-east-1", endpoint_url=emulator.endpoint_url)
    client.create_bucket(Bucket="cli-models")
    (folder / "vae.safetensors").write_bytes(b"x" * 1000)
    where = ["-b", "cli-models", "-R", "us-east-1", "--endpoint-url", str(emulator.endpoint_url)]
    assert "s3://cli-models/VAE/vae.safetensors: uploaded" in output(
        "models", "upload", "vae.safetensors", "--folder", "VAE", *where
    )
    assert "VAE/vae.safetensors" in output("models", "list", *where)


def test_wrong_options_say_what_is_right(folder: Path) -> None:
    with pytest.raises(DarkroomError, match="must be sdwebui, comfyui or diffusers, not 'invoke'"):
        output("deploy", "-t", "invoke")
    with pytest.raises(DarkroomError, match="darkroom config init"):
        output("config", "validate", "nothing.yaml")
