"""A deployment on AWS as its clients need it, read from what its stack says of itself."""

from __future__ import annotations

from dataclasses import dataclass

from botocore.exceptions import ClientError

from darkroom.config.model import STACK_SUFFIX
from darkroom.config.runtime_facts import RuntimeFacts, decode_runtime_facts
from darkroom.errors import StackFailure
from darkroom.infra.cloud import Cloud, translated


@dataclass(frozen=True)
class DeployedStack:
    """`endpoint` goes up to and including the stage. `api_key` is a secret: do not print it."""

    name: str
    region: str
    endpoint: str
    api_key: str
    task_table: str
    runtimes: tuple[RuntimeFacts, ...]


def find_deployed_stack(cloud: Cloud, name: str) -> DeployedStack:
    """Find a stack by its own name, or by the `stackName` of its config.yaml.

    Raises `StackFailure` where there is none, or where it was not deployed by this version of Darkroom; `AwsFailure`.
    """
    outputs = find_outputs(cloud, name)
    missing = [output for output in ("FrontApiEndpoint", "ApiKeyId", "TaskTable", "Runtimes") if output not in outputs]
    if missing:
        raise StackFailure(f"the stack {name} lacks the outputs {', '.join(missing)}: run `darkroom deploy` again")
    with translated("reading the API key"):
        key = cloud.client("apigateway").get_api_key(apiKey=outputs["ApiKeyId"], includeValue=True)["value"]
    return DeployedStack(
        name=name,
        region=cloud.region,
        endpoint=outputs["FrontApiEndpoint"].rstrip("/"),
        api_key=key,
        task_table=outputs["TaskTable"],
        runtimes=decode_runtime_facts(outputs["Runtimes"]),
    )


def find_cluster_facts(cloud: Cloud, name: str) -> tuple[tuple[RuntimeFacts, ...], dict[str, str]]:
    """The runtimes of a stack, found as `find_deployed_stack` does, and all of its outputs. Raises the same."""
    outputs = find_outputs(cloud, name)
    if "Runtimes" not in outputs:
        raise StackFailure(f"the stack {name} lacks the output Runtimes: run `darkroom deploy` again")
    return decode_runtime_facts(outputs["Runtimes"]), outputs


def find_outputs(cloud: Cloud, name: str) -> dict[str, str]:
    """All that a stack says of itself, found by its name as `find_deployed_stack` does. Raises the same."""
    with translated(f"looking for the stack {name}"):
        outputs = _outputs(cloud, name) or _outputs(cloud, name + STACK_SUFFIX)
    if outputs is None:
        raise StackFailure(f"there is no stack {name} or {name}{STACK_SUFFIX} in {cloud.region}: deploy it, or name it")
    return outputs


def _outputs(cloud: Cloud, name: str) -> dict[str, str] | None:
    try:
        (stack,) = cloud.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if "does not exist" in str(error):
            return None
        raise
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
