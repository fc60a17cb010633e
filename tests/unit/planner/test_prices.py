"""Prices by region: where they come from, what is laid over them, and what is said of one that is missing."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from darkroom.errors import SettingsError
from darkroom.planner.price_names import ESTIMATED, PRICE_NAMES, instance_of
from darkroom.planner.prices import MissingPrice, load_prices, priced_regions

OWN = '[[list]]\nsource = "our contract"\nas_of = 2026-10-01\n[list.usd]\n"ec2.g5.xlarge.hour" = 0.5\n'


@pytest.mark.parametrize("region", priced_regions())
def test_every_price_of_a_regions_file_is_known_dated_and_sourced(region: str) -> None:
    prices = load_prices(region)
    assert {name for name in prices.usd if instance_of(name) is None} == set(PRICE_NAMES) | ESTIMATED
    assert all(price > 0 for price in prices.usd.values())
    assert set(prices.usd) <= set(prices.origins)
    assert all(origin.source and origin.as_of.year >= 2025 for origin in prices.origins.values())
    assert set(prices.spot_saving) <= set(prices.instance_types)
    assert set(prices.interrupted) == set(prices.spot_saving)
    assert all(0 < saving < 1 for saving in prices.spot_saving.values())


def test_a_file_of_ones_own_goes_over_the_regions(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(OWN)
    prices = load_prices("us-east-1", [file])
    assert prices.hour("g5.xlarge") == 0.5
    assert prices.origins["ec2.g5.xlarge.hour"].source == "our contract"
    assert prices.of("eks.cluster.hour") == load_prices("us-east-1").of("eks.cluster.hour")
    assert prices.with_prices({"eks.cluster.hour": 0.2}, "me", date(2026, 1, 1)).of("eks.cluster.hour") == 0.2


def test_spot_is_cheaper_by_what_was_seen() -> None:
    prices = load_prices("us-west-2")
    assert prices.hour("g5.2xlarge", spot=True) == pytest.approx(1.212 * (1 - 0.59))


def test_a_region_without_prices_says_how_to_get_them_and_takes_ones_own(tmp_path: Path) -> None:
    with pytest.raises(MissingPrice, match=r"no prices of eu-north-1 .*darkroom cost refresh --region eu-north-1"):
        load_prices("eu-north-1")
    file = tmp_path / "own.toml"
    file.write_text(OWN)
    prices = load_prices("eu-north-1", [file])
    with pytest.raises(MissingPrice) as raised:
        prices.of("s3.put")
    told = str(raised.value)
    assert "prices of eu-north-1 are missing" in told
    # The lines that it shows can be pasted into a file.
    file.write_text(told.partition("\n\n")[2].replace("0.0  #", "0.25  #"))
    assert load_prices("eu-north-1", [file]).of("s3.put") == 0.25


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("not toml", "is no TOML"),
        ("", r"has no \[\[list\]\]"),
        ('region = "eu-west-1"\n' + OWN, "has the prices of eu-west-1, and those of us-east-1 are wanted"),
        (OWN.replace('source = "our contract"', ""), "say where the prices are from"),
        (OWN.replace("as_of = 2026-10-01", 'as_of = "lately"'), "say of which day"),
        (OWN.replace("0.5", '"0.5"'), "ec2.g5.xlarge.hour is '0.5', which is no price"),
        (OWN.replace("0.5", "-1"), "which is no price"),
        (OWN.replace("0.5", "inf"), "which is no price"),
        (OWN.replace("list.usd", "list.eur"), "eur is not known here"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_what_is_wrong(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "own.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=told):
        load_prices("us-east-1", [file])


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load_prices("us-east-1", [tmp_path / "none.toml"])
