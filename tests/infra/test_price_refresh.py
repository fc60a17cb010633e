"""`darkroom cost refresh` with boto3's own client, against a price list on loopback that answers as AWS's does."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from darkroom.planner.prices import load_prices
from tests.command_line import darkroom
from tests.infra.loopback_http import QuietHandler, serving

REGION = "eu-north-1"


def product(usage: str, *tiers: tuple[str, str], **attributes: str) -> str:
    dimensions = {
        f"rate{index}": {"unit": "x", "beginRange": begin, "pricePerUnit": {"USD": usd}}
        for index, (begin, usd) in enumerate(tiers)
    }
    terms = {"OnDemand": {"term": {"priceDimensions": dimensions}}}
    return json.dumps({"product": {"attributes": {"usagetype": usage, **attributes}}, "terms": terms})


class PriceList(QuietHandler):
    """AWSPriceListService.GetProducts in pages of one, and EC2's DescribeSpotPriceHistory."""

    asked: list[dict[str, Any]]

    def do_POST(self) -> None:  # noqa: N802
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        if "AWSPriceListService" in self.headers.get("x-amz-target", ""):
            self._json(self._products(json.loads(body)))
        else:
            items = "".join(
                f"<item><instanceType>g5.xlarge</instanceType><spotPrice>{price}</spotPrice></item>"
                for price in (0.4, 0.6)
            )
            name = "DescribeSpotPriceHistoryResponse"
            xml = f"<{name}><spotPriceHistorySet>{items}</spotPriceHistorySet></{name}>"
            self._send(xml.encode(), "text/xml")

    def _products(self, request: dict[str, Any]) -> dict[str, Any]:
        type(self).asked.append(request)
        filters = {entry["Field"]: entry["Value"] for entry in request["Filters"]}
        found = {
            ("AmazonEC2", "NAT Gateway"): [
                product("EUN1-NatGateway-Hours", ("0", "0.0460000000")),
                product("EUN1-NatGateway-Bytes", ("0", "0.0470000000")),
                # Another product whose usage type only ends alike is not it.
                product("EUN1-RegionalNatGateway-Hours", ("0", "9.0")),
            ],
            # A tier for nothing comes first, and dearer ones are not in order.
            ("AmazonSNS", ""): [product("EUN1-Requests-Tier1", ("1000000", "0.0000005000"), ("0", "0.0000000000"))],
            ("AmazonEC2", "g5.xlarge"): [product("EUN1-BoxUsage:g5.xlarge", ("0", "1.0680000000"))],
            ("AmazonEC2", "gp3"): [product("EUN1-EBS:VolumeP-Throughput.gp3", ("0", "43.0080000000"))],
        }.get(
            (
                request["ServiceCode"],
                filters.get("productFamily") or filters.get("instanceType") or filters.get("volumeApiName") or "",
            ),
            [],
        )
        start = int(request.get("NextToken", 0))
        page: dict[str, Any] = {"PriceList": found[start : start + 1], "FormatVersion": "aws_v1"}
        return page | ({"NextToken": str(start + 1)} if start + 1 < len(found) else {})

    def _json(self, answer: dict[str, Any]) -> None:
        self._send(json.dumps(answer).encode(), "application/x-amz-json-1.1")

    def _send(self, data: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def price_list() -> Iterator[str]:
    PriceList.asked = []
    with serving(PriceList) as url:
        yield url


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    credentials = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "COLUMNS": "200"}
    return darkroom("cost", *arguments, folder=folder, environment={**os.environ, **credentials, **environment})


def test_what_the_price_list_has_becomes_a_file_that_can_be_used(price_list: str, tmp_path: Path) -> None:
    ran = run(tmp_path, "refresh", "--region", REGION, "--endpoint-url", price_list)
    assert ran.returncode == 0, ran.stderr
    prices = load_prices(REGION, [tmp_path / "prices.toml"])
    assert dict(prices.usd) == {
        "nat.gateway.hour": pytest.approx(0.046),
        "nat.gateway.gb": pytest.approx(0.047),
        "sns.publish": pytest.approx(0.5e-6),
        "ec2.g5.xlarge.hour": pytest.approx(1.068),
        "ebs.gp3.mibps-month": pytest.approx(0.042),
    }
    assert prices.hour("g5.xlarge", spot=True) == pytest.approx(0.5)
    assert "AWS's list has no" in ran.stdout
    assert "s3.put" in ran.stdout
    every = [{entry["Field"]: entry["Value"] for entry in request["Filters"]} for request in PriceList.asked]
    assert all(REGION in (asked.get("regionCode"), asked.get("fromRegionCode")) for asked in every)


def test_what_is_still_missing_then_is_named(price_list: str, tmp_path: Path) -> None:
    run(tmp_path, "refresh", "--region", REGION, "--endpoint-url", price_list)
    ran = run(tmp_path, "--region", REGION, "--prices", "prices.toml")
    assert ran.returncode == 2
    assert f"prices of {REGION} are missing" in ran.stderr
    assert '"s3.put" = ' in ran.stderr
    assert "nat.gateway" not in ran.stderr


def test_without_credentials_it_says_so(price_list: str, tmp_path: Path) -> None:
    nobody = {
        "AWS_ACCESS_KEY_ID": "",
        "AWS_SECRET_ACCESS_KEY": "",
        "AWS_EC2_METADATA_DISABLED": "true",
        "HOME": str(tmp_path),
    }
    ran = run(tmp_path, "refresh", "--region", REGION, "--endpoint-url", price_list, **nobody)
    assert ran.returncode == 1
    assert "there are no AWS credentials" in ran.stderr
    assert not (tmp_path / "prices.toml").exists()
