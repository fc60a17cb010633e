"""The identity of the instance that `darkroom cache build` starts: what it may do, and nothing else.

The role and its instance profile are made once for each region of an account and stay: they cost nothing, and the next
build finds them.
"""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError

from darkroom.infra.cloud import Cloud, Told, translated

_POLICY = "pull-images"


def ensure_builder_profile(cloud: Cloud, told: Told) -> str:
    """Make what is missing of the role and the instance profile, and return the profile's name.

    Raises `AwsFailure`. IAM tells EC2 of a new profile some seconds later; who starts an instance with it has to wait.
    """
    name = f"darkroom-image-cache-{cloud.region}"
    iam = cloud.client("iam")
    partition = cloud.facts.name
    with translated(f"making the role {name} for the instance that pulls the images"):
        made = unless_there(
            iam.create_role,
            RoleName=name,
            Description="Pulls images for a snapshot: darkroom cache build",
            AssumeRolePolicyDocument=_document(
                Effect="Allow", Principal={"Service": cloud.facts.ec2_principal}, Action="sts:AssumeRole"
            ),
        )
        if made:
            told(f"role {name}: made, and kept for the next build")
        iam.attach_role_policy(RoleName=name, PolicyArn=f"arn:{partition}:iam::aws:policy/AmazonSSMManagedInstanceCore")
        iam.put_role_policy(RoleName=name, PolicyName=_POLICY, PolicyDocument=_pulling(partition))
        unless_there(iam.create_instance_profile, InstanceProfileName=name)
        held = iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]["Roles"]
        if name not in {role["RoleName"] for role in held}:
            iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    return name


def unless_there(create: Any, **parameters: Any) -> bool:
    """Call IAM's `create`; whether something was made, for somebody may have made it before."""
    try:
        create(**parameters)
    except ClientError as error:
        if error.response["Error"]["Code"] != "EntityAlreadyExists":
            raise
        return False
    return True


def _pulling(partition: str) -> str:
    """Pulling from ECR, whichever account the images are in: the registry's owner decides on that."""
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
                {
                    "Effect": "Allow",
                    "Action": ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
                    "Resource": f"arn:{partition}:ecr:*:*:repository/*",
                },
            ],
        }
    )


def _document(**statement: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
