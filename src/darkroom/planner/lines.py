"""One line of an estimate: so many of something, at such a price."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from darkroom.planner.prices import Prices, missing


@dataclass(frozen=True)
class Line:
    """`quantity` of `unit`, each at `unit_usd`, which is None where the price called `price` is not known.

    `is_estimate`: the quantity or the price is one that nobody knows beforehand.
    """

    what: str
    quantity: float
    unit: str
    price: str
    unit_usd: float | None
    is_estimate: bool = False

    @property
    def usd(self) -> float | None:
        """What it comes to; None without a price."""
        return None if self.unit_usd is None else self.quantity * self.unit_usd


def line(prices: Prices, what: str, quantity: float, unit: str, price: str, is_estimate: bool = False) -> Line:
    """A line with the price of that name, or without one where it is not known."""
    return Line(what, quantity, unit, price, prices.usd.get(price), is_estimate)


def total(lines: Iterable[Line]) -> float:
    """The sum of what has a price."""
    return sum(found.usd or 0.0 for found in lines)


def unpriced(lines: Iterable[Line]) -> list[str]:
    """What has none, and so is in no sum."""
    return [found.what for found in lines if found.usd is None]


def require_prices(lines: Iterable[Line], region: str) -> None:
    """Raises `MissingPrice`, with every price that a line lacks."""
    if lacking := [found.price for found in lines if found.usd is None]:
        raise missing(region, lacking)
