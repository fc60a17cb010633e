"""The prices of one region: read from its file, overridden by others', and asked for by name.

Files lie in `price_lists/`, one for each region, with the source and the date of every price. A price that is not there
is no zero: `MissingPrice` says what is missing and how it is added.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

from darkroom.errors import SettingsError
from darkroom.planner.price_names import HOURS_PER_MONTH, instance_hour, instance_of

TABLES = ("usd", "spot_saving", "interrupted_in_a_month")
# Whose prices are shown, for comparison, where a region's are not known.
PRICED_REGION = "us-east-1"


class MissingPrice(SettingsError):
    """A price that no list has."""


@dataclass(frozen=True)
class Origin:
    """Where a price comes from."""

    source: str
    as_of: date


@dataclass(frozen=True)
class Prices:
    """USD by name (`price_names`). `spot_saving` is a share of the price on demand, by instance type.

    `interrupted`: the share of an instance type's Spot instances that EC2 takes back within a month.
    """

    region: str
    usd: Mapping[str, float]
    spot_saving: Mapping[str, float] = field(default_factory=dict)
    interrupted: Mapping[str, float] = field(default_factory=dict)
    origins: Mapping[str, Origin] = field(default_factory=dict)

    def of(self, name: str) -> float:
        """The price of that name. Raises `MissingPrice`."""
        if (found := self.usd.get(name)) is None:
            raise missing(self.region, [name])
        return found

    def hour(self, instance_type: str, spot: bool = False) -> float:
        """What an instance costs for an hour. Raises `MissingPrice`."""
        on_demand = self.of(instance_hour(instance_type))
        if not spot:
            return on_demand
        if (saving := self.spot_saving.get(instance_type)) is None:
            raise missing(self.region, [instance_type], "spot_saving")
        return on_demand * (1 - saving)

    def hazard(self, instance_type: str) -> float:
        """How many times an hour EC2 takes such a Spot instance back, by what share it took back in a month."""
        share = self.interrupted.get(instance_type, 0.0)
        return -math.log(1 - share) / HOURS_PER_MONTH if share < 1 else float("inf")

    @property
    def instance_types(self) -> list[str]:
        """Every instance type that has a price on demand."""
        return [name for key in self.usd if (name := instance_of(key))]

    @property
    def oldest(self) -> date | None:
        """How old the oldest price is, Spot's left out, which change by the hour; None where none has a date."""
        dates = [origin.as_of for name, origin in self.origins.items() if name in self.usd]
        return min(dates, default=None)

    def with_prices(self, usd: Mapping[str, float], source: str, as_of: date) -> Prices:
        """The same with some prices of one's own."""
        origins = {**self.origins, **dict.fromkeys(usd, Origin(source, as_of))}
        return replace(self, usd={**self.usd, **usd}, origins=origins)


def priced_regions() -> list[str]:
    """The regions that have a file here."""
    found = (files("darkroom.planner") / "price_lists").iterdir()
    return sorted(entry.name.removesuffix(".toml") for entry in found if entry.name.endswith(".toml"))


def load_prices(region: str, overrides: Iterable[Path] = ()) -> Prices:
    """The prices of a region, and over them those of files of the user's own, the later ones first.

    Raises `MissingPrice` where neither has the region, `SettingsError` for a file that cannot be used.
    """
    texts = [(str(path), _text(path)) for path in overrides]
    if region in priced_regions():
        own = files("darkroom.planner") / "price_lists" / f"{region}.toml"
        texts.insert(0, (own.name, own.read_text()))
    if not texts:
        known = ", ".join(priced_regions())
        raise MissingPrice(
            f"there are no prices of {region} here, only of {known}: fetch them with "
            f"`darkroom cost refresh --region {region} --to prices.toml` and give them with --prices prices.toml, "
            f"or compare with another region's: --region {PRICED_REGION}"
        )
    prices = Prices(region, {})
    for name, text in texts:
        prices = _merged(prices, name, text)
    return prices


def missing(region: str, names: Iterable[str], table: str = "usd") -> MissingPrice:
    """The error that names prices that are missing, and shows the lines that would add them."""
    lines = "\n".join(f'"{name}" = 0.0  # put the price here' for name in sorted(set(names)))
    return MissingPrice(
        f"prices of {region} are missing. Fetch them with `darkroom cost refresh --region {region} --to prices.toml`, "
        "or write them into a file and give it with --prices:\n"
        f'\n[[list]]\nsource = "where they are from"\nas_of = {date.today().isoformat()}\n[list.{table}]\n{lines}\n'
    )


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from None


def _merged(prices: Prices, name: str, text: str) -> Prices:
    """The prices with those of a file over them."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{name} is no TOML: {error}") from None
    if (region := document.get("region", prices.region)) != prices.region:
        raise SettingsError(f"{name} has the prices of {region}, and those of {prices.region} are wanted")
    found: dict[str, dict[str, float]] = {table: {} for table in TABLES}
    origins = dict(prices.origins)
    lists = document.get("list")
    if not isinstance(lists, list) or not lists:
        raise SettingsError(f"{name} has no [[list]] with prices; see src/darkroom/planner/price_lists for examples")
    for number, entry in enumerate(lists, 1):
        origin = _origin(f"{name}, list {number}", entry)
        for table in TABLES:
            for key, value in entry.get(table, {}).items():
                found[table][key] = _number(f"{name}, list {number}: {key}", value)
                origins[key if table == "usd" else f"{table}.{key}"] = origin
    return replace(
        prices,
        usd={**prices.usd, **found["usd"]},
        spot_saving={**prices.spot_saving, **found["spot_saving"]},
        interrupted={**prices.interrupted, **found["interrupted_in_a_month"]},
        origins=origins,
    )


def _origin(where: str, entry: Any) -> Origin:
    if not isinstance(entry, dict) or not isinstance(entry.get("source"), str):
        raise SettingsError(f'{where}: say where the prices are from: source = "..."')
    if type(entry.get("as_of")) is not date:
        raise SettingsError(f"{where}: say of which day the prices are: as_of = {date.today().isoformat()}")
    if unknown := set(entry) - {"source", "as_of", *TABLES}:
        raise SettingsError(f"{where}: {', '.join(sorted(unknown))} is not known here; use {', '.join(TABLES)}")
    return Origin(entry["source"], entry["as_of"])


def _number(where: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise SettingsError(f"{where} is {value!r}, which is no price: write a number of USD")
    return float(value)
