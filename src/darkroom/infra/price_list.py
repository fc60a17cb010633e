"""Asks AWS for prices: its price list, which one region serves for all, and what Spot cost lately."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from statistics import fmean

from darkroom.infra.cloud import Cloud, translated

PRICE_LIST_REGION = "us-east-1"
_SPOT_DAYS = 7


def ask_price_list(cloud: Cloud, service: str, filters: Mapping[str, str]) -> Iterator[str]:
    """The products of a service that have these attributes, each as a JSON text. Raises `AwsFailure`."""
    wanted = [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in filters.items()]
    with translated(f"reading the prices of {service}"):
        pages = cloud.client("pricing", PRICE_LIST_REGION).get_paginator("get_products")
        for page in pages.paginate(ServiceCode=service, Filters=wanted):
            yield from page["PriceList"]


def spot_prices(cloud: Cloud, instance_types: Iterable[str]) -> dict[str, float]:
    """What each type cost as Spot, on average of its zones and the last seven days. Raises `AwsFailure`."""
    seen: dict[str, list[float]] = {}
    with translated("reading what Spot cost"):
        pages = cloud.client("ec2").get_paginator("describe_spot_price_history")
        for page in pages.paginate(
            InstanceTypes=sorted(instance_types),
            ProductDescriptions=["Linux/UNIX"],
            StartTime=datetime.now(UTC) - timedelta(days=_SPOT_DAYS),
        ):
            for entry in page["SpotPriceHistory"]:
                seen.setdefault(entry["InstanceType"], []).append(float(entry["SpotPrice"]))
    return {kind: fmean(prices) for kind, prices in seen.items()}
