"""The guide's own two tables, computed from its own inputs: prices of April 2024, us-west-2, a million pictures.

Its lines come out to the cent. Two of them are not what their inputs give by the rules of the others, and are marked:
of two million publishes it charges one, and the transfer's half cent it cuts off. Its stated total of $436.72 is not
the sum of its lines, which is $436.42.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal

STATED_TOTAL = Decimal("436.72")
_CENT = Decimal("0.01")
_PICTURES = 1_000_000


@dataclass(frozen=True)
class GuideLine:
    """One line: what is listed, at which price, and how the guide makes its amount of it.

    `charged` is the quantity that it multiplies, where that is not the one it lists. `remark` says what is odd.
    """

    service: str
    dimension: str
    quantity: Decimal
    unit_usd: Decimal
    charged: Decimal | None = None
    rounding: str = ROUND_HALF_UP
    remark: str = ""

    @property
    def usd(self) -> Decimal:
        """The amount, in whole cents."""
        quantity = self.quantity if self.charged is None else self.charged
        return (quantity * self.unit_usd).quantize(_CENT, self.rounding)

    @property
    def by_its_inputs(self) -> Decimal:
        """What the listed quantity and price come to, by the same rounding for all."""
        return (self.quantity * self.unit_usd).quantize(_CENT, ROUND_HALF_UP)


def picture_lines(seconds: float = 1.5, request_kib: float = 16, picture_kb: float = 150) -> list[GuideLine]:
    """The lines for a million pictures."""
    hours = (Decimal(_PICTURES) * Decimal(str(seconds)) / 3600).quantize(_CENT, ROUND_HALF_UP)
    # An eighth of a second of a function of 0.1 GB.
    function_seconds = Decimal(_PICTURES) * Decimal("0.125") * Decimal("0.1")
    # Half of each request is counted as transfer, in GiB, of which two digits are kept.
    gigabytes = (Decimal(_PICTURES) * Decimal(str(request_kib)) / 2 / 1024**2).quantize(_CENT, ROUND_DOWN)
    stored = (Decimal(_PICTURES) * Decimal(str(picture_kb)) / 1024**2).quantize(_CENT, ROUND_DOWN)
    one, two = Decimal(1), Decimal(2)
    return [
        GuideLine("Amazon EC2", "g5.2xlarge instance, Spot instance per hour", hours, Decimal("0.4968")),
        GuideLine("Amazon API Gateway", "Per 1M REST API requests", one, Decimal("3.50")),
        GuideLine("AWS Lambda", "Per GB-second", function_seconds, Decimal("0.0000166667")),
        GuideLine("AWS Lambda", "Per 1M requests", one, Decimal("0.20")),
        GuideLine(
            "Amazon SNS", "Per 1M requests", two, Decimal("0.50"), charged=one, remark="two are listed, one is charged"
        ),
        GuideLine(
            "Amazon SNS",
            "Data transfer per GB",
            gigabytes,
            Decimal("0.09"),
            rounding=ROUND_DOWN,
            remark="cut off, not rounded",
        ),
        GuideLine("Amazon SQS", "Per 1M requests", two, Decimal("0.40")),
        GuideLine("Amazon S3", "Per 1K PUT requests", Decimal(2 * _PICTURES) / 1000, Decimal("0.005")),
        GuideLine("Amazon S3", "Per GB per month", stored, Decimal("0.023")),
    ]


def fixed_lines(hours: int = 720) -> list[GuideLine]:
    """The lines for a month, of so many hours."""
    cluster = Decimal("0.10") * hours
    return [
        GuideLine("Amazon EKS", "Cluster", Decimal(1), cluster),
        GuideLine("Amazon EC2", "m5.large instance, On-Demand instance per hour", Decimal(2 * hours), Decimal("0.096")),
    ]


def total_of(lines: list[GuideLine]) -> Decimal:
    """The sum of the amounts."""
    return sum((found.usd for found in lines), Decimal(0))
