"""The CDK app: config.yaml in, a cloud assembly out, without Docker, without an AWS account, offline."""

from __future__ import annotations

from pathlib import Path

from aws_cdk import App, CliCredentialsStackSynthesizer, Environment

from darkroom.config.model import DarkroomConfig
from darkroom.infra.template.stack import DarkroomStack, StackOptions


def build_app(config: DarkroomConfig, options: StackOptions, out: Path, asset_bucket: str) -> tuple[App, DarkroomStack]:
    """The app and its one stack, ready to be synthesised into the folder `out`.

    `asset_bucket` is where the deployment finds the assembly's files: code, chart, template.
    """
    app = App(
        outdir=str(out),
        analytics_reporting=False,
        context={
            # The task plane's resources must come out the same with and without the cluster beside them.
            "aws:cdk:enable-path-metadata": True,
            "@aws-cdk/core:enablePartitionLiterals": True,
            "@aws-cdk/aws-iam:minimizePolicies": True,
            "@aws-cdk/aws-apigateway:disableCloudWatchRole": True,
            "@aws-cdk/aws-lambda:recognizeLayerVersion": True,
            "@aws-cdk/aws-iam:standardizedServicePrincipals": True,
            "@aws-cdk/aws-ec2:restrictDefaultSecurityGroup": False,
        },
    )
    stack = DarkroomStack(
        app,
        config.cloudformation_stack_name,
        config,
        options,
        stack_name=config.cloudformation_stack_name,
        description="Darkroom: asynchronous image generation with Stable Diffusion",
        env=Environment(region=options.region),
        synthesizer=CliCredentialsStackSynthesizer(file_assets_bucket_name=asset_bucket, bucket_prefix="assets/"),
    )
    return app, stack
