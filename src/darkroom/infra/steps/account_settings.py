"""What is set once for an account and a region, and shared by all that is in it: it outlives every stack.

API Gateway writes logs with one role for the whole account and region. A stack that set it would take another's away,
and leave the name of a role that is gone when it is removed. A tag counts in budgets once it is activated.
"""

from __future__ import annotations

import json

from botocore.exceptions import ClientError

from darkroom.infra.checks.findings import Finding, Verdict
from darkroom.infra.cloud import Cloud, Told, translated
from darkroom.infra.snapshots.builder_profile import unless_there

COST_TAG = "stack"
# Where Cost Explorer is, in the one partition that has budgets.
COST_REGION = "us-east-1"


def ensure_api_logging(cloud: Cloud, told: Told) -> str:
    """See to it that API Gateway may write logs in this region, and return its role's ARN. Raises `AwsFailure`.

    A role that is set and exists stays, whoever made it.
    """
    api, iam = cloud.client("apigateway"), cloud.client("iam")
    name = f"darkroom-apigateway-logs-{cloud.region}"
    with translated("looking at API Gateway's role for logs"):
        current: str = api.get_account().get("cloudwatchRoleArn") or ""
        if current and _exists(cloud, current.rpartition("/")[2]):
            return current
    with translated(f"making the role {name} for API Gateway's logs"):
        trust = {"Effect": "Allow", "Principal": {"Service": "apigateway.amazonaws.com"}, "Action": "sts:AssumeRole"}
        unless_there(
            iam.create_role,
            RoleName=name,
            Description="API Gateway writes its logs with it, in all of the account: darkroom deploy",
            AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
        )
        policy = f"arn:{cloud.facts.name}:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
        iam.attach_role_policy(RoleName=name, PolicyArn=policy)
        arn: str = iam.get_role(RoleName=name)["Role"]["Arn"]
        _set_role(cloud, arn)
    told(f"bootstrap: API Gateway writes logs as {name}, which stays")
    return arn


def _set_role(cloud: Cloud, arn: str) -> None:
    """A role that has just been made is known to API Gateway only some seconds later."""
    end = cloud.clock() + 60.0
    while True:
        try:
            change = [{"op": "replace", "path": "/cloudwatchRoleArn", "value": arn}]
            cloud.client("apigateway").update_account(patchOperations=change)
            return
        except ClientError as error:
            if error.response["Error"]["Code"] != "BadRequestException" or cloud.clock() > end:
                raise
            cloud.sleep(5.0)


def _exists(cloud: Cloud, role: str) -> bool:
    try:
        cloud.client("iam").get_role(RoleName=role)
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchEntity":
            return False
        raise
    return True


def activate_cost_tag(cloud: Cloud, told: Told) -> None:
    """Have the bill count the stack's tag; says so where it cannot be done now. Raises nothing of AWS's."""
    finding = cost_tag(cloud)
    if finding.verdict is Verdict.GOOD:
        return
    try:
        cloud.client("ce", COST_REGION).update_cost_allocation_tags_status(
            CostAllocationTagsStatus=[{"TagKey": COST_TAG, "Status": "Active"}]
        )
    except ClientError as error:
        told(f"budget: it counts nothing yet: {finding.remedy} ({error.response['Error']['Code']})")
    else:
        told(f"budget: the tag {COST_TAG} is activated; AWS counts it from tomorrow on")


def cost_tag(cloud: Cloud) -> Finding:
    """Whether budgets count the stack's tag."""
    subject = f"cost-allocation tag {COST_TAG}"
    try:
        found = cloud.client("ce", COST_REGION).list_cost_allocation_tags(TagKeys=[COST_TAG])["CostAllocationTags"]
    except ClientError as error:
        remedy = f"the budget counts nothing unless it is active, which may not be read: {error}"
        return Finding(Verdict.UNKNOWN, subject, remedy)
    if any(tag["Status"] == "Active" for tag in found):
        return Finding(Verdict.GOOD, f"{subject} is active")
    remedy = "AWS knows a tag a day after something has it: deploy again then, or activate it under Billing, "
    return Finding(Verdict.LIMITED, subject, f"{remedy}Cost allocation tags, in the account that pays")
