"""The options that the planner's commands share: which configuration, and whose prices."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from darkroom.cli.deployment_options import DEFAULT_CONFIG
from darkroom.config.loader import load_config, parse_config
from darkroom.config.model import DarkroomConfig
from darkroom.errors import SettingsError
from darkroom.planner.price_names import instance_of
from darkroom.planner.prices import PRICED_REGION, Prices, load_prices
from darkroom.tasks.hints import did_you_mean

PriceFilesOption = Annotated[
    list[Path] | None, typer.Option("--prices", help="A file with prices, over Darkroom's own.", show_default=False)
]
PricesOption = Annotated[list[str] | None, typer.Option("--price", help="One price, as NAME=USD.", show_default=False)]
# What a deployment has that says nothing.
_NOTHING_SAID = "modelsRuntime: [{name: sdruntime, type: sdwebui, modelFilename: v1-5-pruned-emaonly.safetensors}]\n"


def configuration(path: Path) -> DarkroomConfig:
    """The configuration that is asked about; where there is no file and none was named, all defaults."""
    if path == DEFAULT_CONFIG and not path.exists():
        return parse_config(_NOTHING_SAID)
    return load_config(path)


def prices_of(region: str | None, price_files: Sequence[Path] | None, price: Sequence[str] | None) -> Prices:
    """The region's prices with the user's own over them. Raises `SettingsError`, `MissingPrice`."""
    prices = load_prices(region or PRICED_REGION, price_files or ())
    own = dict(_named(text, "--price NAME=USD") for text in price or ())
    known = {*load_prices(PRICED_REGION).usd, *prices.usd}
    for name in own:  # one that no line has would change nothing, and nobody would notice
        if name not in known and instance_of(name) is None:
            raise SettingsError(f"--price {name}: there is no price of this name{did_you_mean(name, known)}")
    return prices.with_prices(own, "the command line", datetime.now(UTC).date()) if own else prices


def must_be_finite(**values: float | None) -> None:
    """Options that are numbers of at least 0. Raises `SettingsError` that names the one that is none."""
    for name, value in values.items():
        if value is not None and not 0 <= value < float("inf"):
            option = f"--{name.replace('_', '-')}"
            raise SettingsError(f"{option} {value:g} cannot be: write a number of at least 0")


def named_shares(texts: Sequence[str] | None) -> dict[str, float]:
    """RUNTIME=SHARE, each. Raises `SettingsError`."""
    return dict(_named(text, "--mix RUNTIME=SHARE") for text in texts or ())


def _named(text: str, form: str) -> tuple[str, float]:
    name, _, number = text.partition("=")
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if not name or not 0 <= value < float("inf"):
        raise SettingsError(f"{text} cannot be read: write {form}, with a number of at least 0")
    return name, value
