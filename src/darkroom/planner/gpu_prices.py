"""Which instance type a runtime's nodes are paid as: the cheapest that it may have."""

from __future__ import annotations

from darkroom.config.gpu_demand import GpuDemand, matching
from darkroom.planner.lines import Line
from darkroom.planner.price_names import instance_hour
from darkroom.planner.prices import Prices


def cheapest_type(demand: GpuDemand, prices: Prices, spot: bool) -> str:
    """The cheapest type that the runtime may have, on demand or as Spot; where none has a price, the first it names."""
    known = {name: prices.hour(name, spot) for name in matching(demand, priced_types(prices, spot))}
    return min(known, key=lambda name: known[name]) if known else demand.instance_types[0]


def priced_types(prices: Prices, spot: bool) -> list[str]:
    """The instance types whose price is known."""
    types = prices.instance_types
    return [name for name in types if name in prices.spot_saving] if spot else types


def instance_line(what: str, kind: str, hours: float, prices: Prices, spot: bool) -> Line:
    """A line of so many hours of one instance type. What Spot costs nobody knows beforehand."""
    per_hour = prices.hour(kind, spot) if kind in priced_types(prices, spot) else None
    return Line(what, hours, "hours", instance_hour(kind), per_hour, is_estimate=spot)
