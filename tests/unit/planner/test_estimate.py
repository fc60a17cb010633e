"""A month's bill: what the questions of `darkroom cost` change in it."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from darkroom.config.loader import parse_config
from darkroom.errors import SettingsError
from darkroom.planner.cost_picture import cost_picture
from darkroom.planner.estimate import as_csv, as_json, estimate
from darkroom.planner.prices import MissingPrice, load_prices
from darkroom.planner.workload import Workload

PRICES = load_prices("us-west-2")
TWO = parse_config("modelsRuntime: [{name: a, type: sdwebui}, {name: b, type: comfyui}]")
ONE = parse_config("modelsRuntime: [{name: a, type: sdwebui}]")


def usd(config: object = ONE, **work: object) -> dict[str, float]:
    found = estimate(config, Workload(**work), PRICES)  # type: ignore[arg-type]
    return {line.what: line.usd or 0.0 for line in found.lines}


def test_gpu_hours_are_the_guides_and_their_price_is_spots_or_not() -> None:
    spot = usd(instance_type="g5.2xlarge")["a: g5.2xlarge, Spot"]
    assert spot == pytest.approx(416.667 * 1.212 * 0.41, rel=1e-4)
    mixed = usd(instance_type="g5.2xlarge", spot=0.25)
    assert mixed["a: g5.2xlarge, Spot"] == pytest.approx(spot / 4)
    assert mixed["a: g5.2xlarge, on demand"] == pytest.approx(416.667 * 1.212 * 0.75, rel=1e-4)


def test_a_runtime_that_may_not_be_spot_is_paid_on_demand() -> None:
    values = "{karpenter: {provisioner: {capacityType: {spot: false}}}}"
    config = parse_config(f"modelsRuntime: [{{name: a, type: sdwebui, extraValues: {values}}}]")
    assert not any("Spot" in what for what in usd(config))


@pytest.mark.parametrize(
    ("work", "line"),
    [
        ({"webhooks": 1.0}, "webhooks, their queue"),
        ({"webhooks": 1.0}, "webhooks, Lambda time"),
        ({"webhooks": 1.0}, "webhooks, their metrics"),
        ({"uploads": 2.0}, "S3, uploads stored for half a month"),
        ({"switches": 0.1}, "a: g6.2xlarge, Spot, loading other models"),
    ],
)
def test_what_is_asked_for_is_paid_for(work: dict[str, object], line: str) -> None:
    without, found = usd(), usd(**work)
    assert line not in without
    assert found[line] > 0
    assert sum(found.values()) > sum(without.values())


@pytest.mark.parametrize(
    ("work", "more"),
    [
        # A question is a request, a call of the function and its time, and two reads.
        ({"lookups": 3.0}, 3 * (3.5 + 0.2 + 0.05 * 0.5 * 13.3334 + 2 * 0.125)),
        # An upload is a request for its address, the function, a write, a read, and half a month in the bucket.
        ({"uploads": 1.0}, 3.5 + 0.2 + 0.05 * 0.5 * 13.3334 + 5 + 0.4 + 1e6 * 150_000 / 2**30 * 0.5 * 0.023),
        ({"keyed": 1.0}, 2 * 0.625),
        # Progress is written every two seconds.
        ({"seconds": 5.0}, 2 * 0.625),
    ],
)
def test_what_a_million_pictures_ask_for_besides(work: dict[str, float], more: float) -> None:
    def services(**asked: float) -> float:
        return estimate(ONE, Workload(**asked), PRICES).sections[2].usd  # type: ignore[arg-type]

    assert services(**work) - services() == pytest.approx(more, rel=1e-3)


def test_idle_gpu_time_grows_with_wake_ups_and_is_none_without() -> None:
    line = "a: g6.2xlarge, Spot, starting and waiting"
    assert line not in usd(wake_ups=0)
    # The same month in more and smaller bursts: each of ten pictures has four pods, started and cooled down for it.
    few, many = usd(wake_ups=100, pictures=10_000), usd(wake_ups=1000, pictures=10_000)
    assert 0 < few[line] < many[line]
    assert many[line] == pytest.approx(1000 * 4 * (150 + 120 + 10 + 30) / 3600 * PRICES.hour("g6.2xlarge", spot=True))


def test_a_mix_shares_the_pictures_out() -> None:
    equal = usd(TWO, wake_ups=0)
    one_sided = usd(TWO, wake_ups=0, mix={"a": 3.0, "b": 1.0})
    assert equal["a: g6.2xlarge, Spot"] == pytest.approx(equal["b: g6.2xlarge, Spot"])
    assert one_sided["a: g6.2xlarge, Spot"] == pytest.approx(3 * one_sided["b: g6.2xlarge, Spot"])
    assert sum(one_sided.values()) == pytest.approx(sum(equal.values()))


@pytest.mark.parametrize(("mix", "told"), [({"c": 1.0}, "names c, .* are a, b"), ({"a": 0.0}, "comes to nothing")])
def test_a_mix_that_cannot_be(mix: dict[str, float], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        usd(TWO, mix=mix)


def test_no_pictures_cost_what_is_paid_anyway() -> None:
    found = estimate(ONE, Workload(pictures=0), PRICES)
    assert found.usd == pytest.approx(found.sections[0].usd)
    assert found.usd_per_picture is None


def test_every_price_that_is_missing_is_named_at_once() -> None:
    poorer = replace(PRICES, usd={name: usd for name, usd in PRICES.usd.items() if name not in ("s3.put", "logs.gb")})
    with pytest.raises(MissingPrice, match=r'"logs.gb" = .*\n"s3.put" ='):
        estimate(ONE, Workload(), poorer)
    with pytest.raises(MissingPrice, match=r"x9\.large"):
        estimate(ONE, Workload(instance_type="x9.large"), PRICES)


def test_json_csv_and_picture_say_the_same() -> None:
    found = estimate(ONE, Workload(), PRICES)
    document = json.loads(as_json(found))
    rows = list(csv.DictReader(io.StringIO(as_csv(found))))
    assert document["usd"] == pytest.approx(found.usd, abs=1e-3)
    assert [line["what"] for section in document["sections"] for line in section["lines"]] == [r["what"] for r in rows]
    assert sum(float(row["usd"]) for row in rows) == pytest.approx(found.usd, abs=0.01)
    picture = ElementTree.fromstring(cost_picture(found))  # noqa: S314
    words = "".join(picture.itertext())
    assert f"${found.usd:,.2f} for a month of 1,000,000 pictures" in words
    assert "3 x NAT gateway" in words
