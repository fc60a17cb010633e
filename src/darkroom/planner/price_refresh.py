"""Prices as AWS's own price list has them, made into a file like those in `price_lists/`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from darkroom.planner.price_names import PRICE_NAMES, PriceName, instance_hour, instance_price

# What asks AWS: a service's code and filters, to products as the price list has them, each a JSON text.
Ask = Callable[[str, Mapping[str, str]], Iterable[str]]


@dataclass(frozen=True)
class Refreshed:
    """What was found, by name, and the names that were not."""

    usd: Mapping[str, float]
    not_found: Sequence[str]


def refreshed(region: str, instance_types: Iterable[str], ask: Ask) -> Refreshed:
    """Ask for every price that the planner knows of, in one region."""
    wanted = dict(PRICE_NAMES) | {instance_hour(kind): instance_price(kind) for kind in instance_types}
    usd, lacking = {}, []
    for name, where in wanted.items():
        filters = {"regionCode": region, **where.filters}
        if where.service == "AWSDataTransfer":
            # Transfer is listed by where it comes from.
            filters["fromRegionCode"] = filters.pop("regionCode")
        found = price_in(where, ask(where.service, filters))
        if found is None:
            lacking.append(name)
        else:
            usd[name] = found
    return Refreshed(usd, lacking)


def price_in(where: PriceName, products: Iterable[str]) -> float | None:
    """The price on demand of the first tier that costs anything, of the products with that usage type."""
    usage = re.compile(rf"(?:[A-Z0-9]+-)?{where.usage}")
    prices = []
    for text in products:
        product = json.loads(text)
        attributes = product.get("product", {}).get("attributes", {})
        if not usage.fullmatch(attributes.get("usagetype", "")):
            continue
        prices += [price for price in _tiers(product) if price > 0]
    # More than one product may have the usage type, as several operations of it: the ordinary one is the dearest.
    return max(prices, default=0.0) * where.times or None


def _tiers(product: Mapping[str, Any]) -> list[float]:
    """The price of the first tier that costs anything, of every term on demand."""
    found = []
    for term in product.get("terms", {}).get("OnDemand", {}).values():
        dimensions = sorted(term.get("priceDimensions", {}).values(), key=lambda one: float(one.get("beginRange", 0)))
        paid = [float(one["pricePerUnit"]["USD"]) for one in dimensions if "USD" in one.get("pricePerUnit", {})]
        found += [price for price in paid if price > 0][:1]
    return found


def price_file(
    region: str, found: Refreshed, as_of: date, spot_saving: Mapping[str, float], interrupted: Mapping[str, float]
) -> str:
    """The file's text. Spot's savings are those seen just now; how often it interrupts, AWS tells to no program."""
    parts = [f"# Prices of {region}, fetched from AWS.\n", f'region = "{region}"\n']
    for source, table, values in (
        ("AWS Price List API", "usd", found.usd),
        ("EC2 DescribeSpotPriceHistory, the mean of seven days and all zones", "spot_saving", spot_saving),
        ("carried over from the list that was in use", "interrupted_in_a_month", interrupted),
    ):
        if values:
            rows = "\n".join(f'"{name}" = {value:.12g}' for name, value in sorted(values.items()))
            parts.append(f'[[list]]\nsource = "{source}"\nas_of = {as_of.isoformat()}\n[list.{table}]\n{rows}\n')
    return "\n".join(parts)
