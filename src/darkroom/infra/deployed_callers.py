"""The callers of a deployment on AWS, and their keys."""

from __future__ import annotations

from darkroom.errors import StackFailure
from darkroom.infra.cloud import Cloud, translated
from darkroom.infra.deployed_stack import find_outputs
from darkroom.policy.callers import DEFAULT_CALLER, CallerSpec, decode_callers


def find_deployed_callers(cloud: Cloud, name: str) -> list[CallerSpec]:
    """The callers of the stack `name`, each with the id of its key and its limits.

    A stack of before has no list where config.yaml names none: it is the one there is then, with what its usage plan
    says. Raises as `find_deployed_stack` does.
    """
    outputs = find_outputs(cloud, name)
    told = outputs.get("Callers") or outputs.get("OnlyCaller")
    if told:
        return list(decode_callers(told))
    if "ApiKeyId" not in outputs:
        raise StackFailure(f"the stack {name} lacks the output ApiKeyId: run `darkroom deploy` again")
    key_id = outputs["ApiKeyId"]
    with translated("reading the usage plan of the API key"):
        plans = cloud.client("apigateway").get_usage_plans(keyId=key_id)["items"]
    throttle = plans[0].get("throttle", {}) if plans else {}
    rate, burst = throttle.get("rateLimit"), throttle.get("burstLimit")
    return [CallerSpec(name=DEFAULT_CALLER, id=key_id, rate_limit=rate, burst_limit=burst)]


def read_deployed_key(cloud: Cloud, caller: CallerSpec) -> str:
    """The caller's key, a secret. Raises `AwsFailure`."""
    with translated(f"reading the API key of {caller.name}"):
        key: str = cloud.client("apigateway").get_api_key(apiKey=str(caller.id), includeValue=True)["value"]
    return key
