"""A Lambda function of Darkroom's: its log group, a role that may write there, and what all of them have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from darkroom.infra.template.bundle import LAMBDA_ARCHITECTURE, LAMBDA_PYTHON

_ARCHITECTURES = {"arm64": lambda_.Architecture.ARM_64, "x86_64": lambda_.Architecture.X86_64}


@dataclass(frozen=True)
class FunctionSpec:
    """What one function is. `permissions` are actions, and the resources that these are allowed on."""

    description: str
    handler: str
    memory_mib: int
    timeout_seconds: int
    environment: Mapping[str, str] = field(default_factory=dict)
    permissions: Sequence[tuple[Sequence[str], Sequence[str]]] = ()
    is_traced: bool = True


def python_function(
    scope: Construct,
    spec: FunctionSpec,
    bundle: Path,
    log_retention: logs.RetentionDays,
    *,
    id_: str = "Function",
    prefix: str = "Function",
) -> lambda_.Function:
    """Make the function of the code in `bundle`; its log group and role are named after `prefix`."""
    log_group = logs.LogGroup(scope, f"{prefix}Logs", retention=log_retention, removal_policy=RemovalPolicy.DESTROY)
    role = iam.Role(scope, f"{prefix}Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
    log_group.grant_write(role)
    for actions, resources in spec.permissions:
        role.add_to_policy(iam.PolicyStatement(actions=list(actions), resources=list(resources)))
    return lambda_.Function(
        scope,
        id_,
        description=spec.description,
        code=lambda_.Code.from_asset(str(bundle)),
        handler=spec.handler,
        runtime=lambda_.Runtime(f"python{LAMBDA_PYTHON}", lambda_.RuntimeFamily.PYTHON),
        architecture=_ARCHITECTURES[LAMBDA_ARCHITECTURE],
        role=role,
        memory_size=spec.memory_mib,
        timeout=Duration.seconds(spec.timeout_seconds),
        tracing=lambda_.Tracing.ACTIVE if spec.is_traced else None,
        log_group=log_group,
        environment=dict(spec.environment) or None,
    )
