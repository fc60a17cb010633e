"""Writes the tables of docs/cost.md from what `darkroom deploy --dry-run` computes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from darkroom.config.loader import parse_config
from darkroom.config.model import DarkroomConfig
from darkroom.planner.gpu_costs import gpu_costs
from darkroom.planner.idle_costs import fixed_costs, savings
from darkroom.planner.lines import Line, total
from darkroom.planner.picture_costs import service_costs
from darkroom.planner.prices import PRICED_REGION, load_prices
from darkroom.planner.workload import Workload

PAGE = Path(__file__).parents[1] / "docs" / "cost.md"
_RUNTIME = "modelsRuntime: [{name: sdruntime, type: sdwebui, modelFilename: v1-5-pruned-emaonly.safetensors%s}]\n"
DEFAULT = _RUNTIME % ""
# What the guide's own table is for: two m5.large, and g5.2xlarge for the pictures.
GUIDE = (
    _RUNTIME % ", extraValues: {karpenter: {provisioner: {instanceType: [g5.2xlarge]}}}"
    + "clusterComponents: {instanceType: m5.large}\n"
    + "cluster: {controlPlaneLogs: [api, audit, authenticator, controllerManager, scheduler]}\n"
)


def main() -> None:
    """Write the page anew."""
    PAGE.write_text(with_tables(PAGE.read_text()))


def with_tables(page: str) -> str:
    """The page with its tables made anew, each between its own pair of comments."""
    default, guide = parse_config(DEFAULT), parse_config(GUIDE)
    tables = {
        "idle": idle_rows(default, guide),
        "pictures": picture_rows(default, guide),
        "savings": saving_rows(default),
    }
    for name, rows in tables.items():
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        table = "\n".join([begin, *rows, end])
        page = re.sub(f"{begin}.*?{end}", lambda _, t=table: t, page, flags=re.DOTALL)
    return page


def idle_rows(default: DarkroomConfig, guide: DarkroomConfig) -> Iterator[str]:
    """Each line of a month without a picture, for both; an estimated amount has a tilde."""
    prices = load_prices(PRICED_REGION)
    yield from _rows("each month, without a picture", fixed_costs(default, prices), fixed_costs(guide, prices))


def picture_rows(default: DarkroomConfig, guide: DarkroomConfig) -> Iterator[str]:
    """Each line of a million pictures, for both."""
    prices, work = load_prices(PRICED_REGION), Workload()
    services = service_costs(work, prices)
    both = ([*gpu_costs(config, work, prices), *services] for config in (default, guide))
    yield from _rows("for a million pictures", *both)


def saving_rows(config: DarkroomConfig) -> Iterable[str]:
    """What the plan's list of savings says for the defaults."""
    yield from ("| key | saves each month | costs in safety |", "| --- | ---: | --- |")
    found = savings(config, load_prices(PRICED_REGION))
    yield from (f"| `{saving.key}` | {saving.monthly_usd:.2f} | {saving.price} |" for saving in found)


def _rows(heading: str, ours: list[Line], theirs: list[Line]) -> Iterator[str]:
    yield from (f"| {heading} | default | the guide's settings |", "| --- | ---: | ---: |")
    for mine, other in zip(ours, theirs, strict=True):
        what = mine.what if mine.what == other.what else f"{mine.what}; the guide: {other.what}"
        yield f"| {what} | {_amount(mine)} | {_amount(other)} |"
    yield f"| **together** | **{total(ours):.2f}** | **{total(theirs):.2f}** |"


def _amount(line: Line) -> str:
    return f"{'~' if line.is_estimate else ''}{line.usd or 0:.2f}"


if __name__ == "__main__":
    main()
