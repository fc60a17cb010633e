"""What API Gateway itself tells browsers, for the web pages that may use the API."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_apigateway as apigateway

from darkroom.policy.origins import ALLOWED_HEADERS, ALLOWED_METHODS, ANY, PREFLIGHT_SECONDS


def preflight(origins: list[str]) -> apigateway.CorsOptions | None:
    """What browsers are told that ask, without a key, whether a page may use the API."""
    if not origins:
        return None
    return apigateway.CorsOptions(
        allow_origins=[ANY] if ANY in origins else origins,
        allow_methods=ALLOWED_METHODS.split(", "),
        allow_headers=ALLOWED_HEADERS.split(", "),
        max_age=Duration.seconds(PREFLIGHT_SECONDS),
    )


def readable(origins: list[str]) -> dict[str, str] | None:
    """Have pages read what API Gateway itself answers, which is nobody's secret: it can name one origin, or all."""
    if not origins:
        return None
    return {"Access-Control-Allow-Origin": f"'{origins[0] if len(origins) == 1 else ANY}'"}
