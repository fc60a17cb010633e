"""A boto3 client for AWS Lambda, whose calls somebody waits for."""

from __future__ import annotations

from typing import Any, cast

import boto3
from botocore.config import Config

from darkroom.aws.s3_options import s3_options
from darkroom.aws.user_agent import USER_AGENT
from darkroom.settings import AwsSettings


def make_client(session: boto3.Session, settings: AwsSettings, service: str, *, read_timeout_seconds: float) -> Any:
    """Make a client of one service, which tries each call up to three times."""
    config = Config(
        retries={"mode": "standard", "total_max_attempts": 3},
        connect_timeout=3,
        read_timeout=read_timeout_seconds,
        user_agent=USER_AGENT,
    )
    if service == "s3":
        config = config.merge(Config(**s3_options(settings)))
    return session.client(
        cast("Any", service), region_name=settings.region, endpoint_url=settings.endpoint_url, config=config
    )
