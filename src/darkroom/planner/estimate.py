"""A month's bill, estimated: its sections and their lines, as a table's rows, JSON or CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from darkroom.config.model import DarkroomConfig
from darkroom.planner.gpu_costs import gpu_costs
from darkroom.planner.idle_costs import fixed_costs
from darkroom.planner.lines import Line, require_prices, total
from darkroom.planner.picture_costs import service_costs
from darkroom.planner.prices import Prices
from darkroom.planner.workload import Workload


@dataclass(frozen=True)
class Section:
    """Lines that belong together."""

    title: str
    lines: Sequence[Line]

    @property
    def usd(self) -> float:
        """What they come to."""
        return total(self.lines)


@dataclass(frozen=True)
class Estimate:
    """What a month costs that is as `work` says."""

    region: str
    as_of: str
    work: Workload
    sections: Sequence[Section]

    @property
    def usd(self) -> float:
        """What the month comes to."""
        return sum(section.usd for section in self.sections)

    @property
    def usd_per_picture(self) -> float | None:
        """The whole month's cost for each picture; None where there is none."""
        return self.usd / self.work.pictures if self.work.pictures else None

    @property
    def lines(self) -> Iterator[Line]:
        """The lines of all sections."""
        return (found for section in self.sections for found in section.lines)


def estimate(config: DarkroomConfig, work: Workload, prices: Prices) -> Estimate:
    """Estimate a month. Raises `MissingPrice` with every price that is lacking."""
    sections = [
        Section("each month, without a picture", fixed_costs(config, prices)),
        Section(f"GPU nodes for {work.pictures:,} pictures", gpu_costs(config, work, prices)),
        Section(f"services for {work.pictures:,} pictures", service_costs(work, prices, config)),
    ]
    require_prices((found for section in sections for found in section.lines), prices.region)
    oldest = prices.oldest
    return Estimate(prices.region, oldest.isoformat() if oldest else "unknown", work, sections)


def as_json(found: Estimate) -> str:
    """Everything, for programs."""
    document: dict[str, Any] = {
        "region": found.region,
        "currency": "USD",
        "prices_as_of": found.as_of,
        "pictures": found.work.pictures,
        "usd": round(found.usd, 4),
        "usd_per_picture": None if found.usd_per_picture is None else round(found.usd_per_picture, 8),
        "sections": [
            {
                "title": section.title,
                "usd": round(section.usd, 4),
                "lines": [line_fields(line) for line in section.lines],
            }
            for section in found.sections
        ],
    }
    return json.dumps(document, indent=2)


def as_csv(found: Estimate) -> str:
    """A row for each line."""
    text = io.StringIO()
    names = ["section", "what", "quantity", "unit", "price", "unit_usd", "usd", "is_estimate"]
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for section in found.sections:
        writer.writerows({"section": section.title, **line_fields(line)} for line in section.lines)
    return text.getvalue()


def line_fields(line: Line) -> dict[str, Any]:
    """A line, as programs read it."""
    return {
        "what": line.what,
        "quantity": round(line.quantity, 6),
        "unit": line.unit,
        "price": line.price,
        "unit_usd": line.unit_usd,
        "usd": None if line.usd is None else round(line.usd, 4),
        "is_estimate": line.is_estimate,
    }
