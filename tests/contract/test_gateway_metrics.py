"""What the gateway tells Prometheus, and whom it tells."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from darkroom.api.front_door import FrontDoor
from darkroom.api.gateway import create_gateway
from darkroom.api.ports import Ports
from darkroom.api.service import Service
from darkroom.errors import SettingsError
from darkroom.policy.callers import decode_callers
from darkroom.policy.catalogue import Catalogue, RuntimeSpec
from darkroom.samples import read_sample
from darkroom.settings import AwsSettings, FrontDoorSettings, GatewaySettings, read_gateway_settings
from darkroom.testing.front_door_ports import MemoryBucket, MemoryRecords, MemoryTopic

SAMPLE = read_sample("v1alpha2-text-to-image")
ENVIRONMENT = {
    "AWS_DEFAULT_REGION": "eu-west-1",
    "SNS_TOPIC_ARN": "arn",
    "S3_BUCKET": "b",
    "DARKROOM_RUNTIMES": "[]",
    "DARKROOM_API_KEYS": "first",
}
CALLERS = '[{"name": "shop", "key": "shop-key"}, {"name": "studio", "key": "studio-key"}]'


@asynccontextmanager
async def asking(address: str = "127.0.0.1", **changes: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client at this address."""
    settings = GatewaySettings(
        aws=AwsSettings(region="eu-west-1"),
        front_door=FrontDoorSettings(topic_arn="arn", bucket="b", runtimes="[]"),
        stage="prod",
        api_keys=("first",),
        **changes,
    )
    front_door = FrontDoor(
        Service(Catalogue([RuntimeSpec(name="sdruntime", type="sdwebui")]), "b"),
        Ports(MemoryTopic(), MemoryBucket(), MemoryRecords()),
        clock=lambda: 0.0,
        new_submission_id=lambda: "id",
    )
    app = create_gateway(settings, front_door, monotonic=lambda: 100.0, callers=decode_callers(CALLERS))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 1234))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
        yield http


async def requests(http: httpx.AsyncClient) -> dict[tuple[str, ...], float]:
    """How many requests were counted, by their labels' values in order of the labels' names."""
    reply = await http.get("/metrics")
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/plain; version=")
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(reply.text)
        for sample in family.samples
        if sample.name == "darkroom_gateway_requests_total"
    }


async def test_requests_are_counted_by_route_method_and_status() -> None:
    async with asking() as http:
        for key in ("first", "first", "wrong"):
            await http.post("/prod/v1alpha2", json=SAMPLE, headers={"x-api-key": key})
        await http.get("/prod/v1alpha2/tasks/some-id", headers={"x-api-key": "first"})
        await http.get("/healthz")
        assert await requests(http) == {
            ("POST", "/prod/v1alpha2", "200"): 2,
            ("POST", "/prod/v1alpha2", "401"): 1,
            ("GET", "/prod/v1alpha2/tasks/{task_id}", "404"): 1,
            ("GET", "/healthz", "200"): 1,
        }
        text = (await http.get("/metrics")).text
        assert 'darkroom_gateway_request_duration_seconds_count{route="/prod/v1alpha2"} 3.0' in text
        assert "darkroom_gateway_requests_in_progress 1.0" in text, "the one that asks"


async def test_what_somebody_makes_up_becomes_no_label() -> None:
    async with asking() as http:
        for number in range(50):
            await http.get(f"/prod/made/up/{number}", headers={"x-api-key": "first"})
            await http.get(f"/elsewhere/{number}")
            await http.request(f"MADE{number}", "/prod/v1alpha2", headers={"x-api-key": "first"})
            await http.get(f"/prod/v1alpha2/tasks/{number}", headers={"x-api-key": "first"})
        counted = await requests(http)
    assert len(counted) <= 8, counted
    assert sum(counted.values()) == 200
    assert "made" not in str(counted).lower()


async def test_callers_are_named_only_where_the_operator_asks_for_it() -> None:
    async with asking() as http:
        for key in ("shop-key", "studio-key"):
            await http.post("/prod/v1alpha2", json=SAMPLE, headers={"x-api-key": key})
        text = (await http.get("/metrics")).text
        assert "shop" not in text
        assert "studio" not in text
    async with asking(metrics_callers=True) as http:
        for key in ("shop-key", "studio-key", "wrong"):
            await http.post("/prod/v1alpha2", json=SAMPLE, headers={"x-api-key": key})
        counted = await requests(http)
        assert counted["shop", "POST", "/prod/v1alpha2", "200"] == 1
        assert counted["", "POST", "/prod/v1alpha2", "401"] == 1
        text = (await http.get("/metrics")).text
        assert not [key for key in ("shop-key", "studio-key", "wrong") if key in text], "no key is ever told"


@pytest.mark.parametrize("address", ["203.0.113.9", "10.0.0.7", "::ffff:10.0.0.7", "2001:db8::1", "testclient"])
async def test_for_everybody_else_there_is_nothing(address: str) -> None:
    async with asking(address) as http:
        reply, nothing = await http.get("/metrics"), await http.get("/nothing")
        assert reply.status_code == 404
        assert reply.json()["message"].replace("/metrics", "/nothing") == nothing.json()["message"]


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
async def test_loopback_may_ask_but_not_for_whom_a_proxy_speaks(address: str) -> None:
    async with asking(address) as http:
        assert (await http.get("/metrics")).status_code == 200
        for header in ("X-Forwarded-For", "Forwarded", "Via", "X-Real-IP", "X-Forwarded-Host"):
            assert (await http.get("/metrics", headers={header: "x"})).status_code == 404, header


async def test_the_operator_says_which_networks_may_ask() -> None:
    networks = read_gateway_settings(
        {**ENVIRONMENT, "DARKROOM_METRICS_FROM": "10.0.0.0/16, 2001:db8::/32"}
    ).metrics_from
    for address, status in (("10.0.0.7", 200), ("2001:db8::1", 200), ("10.1.0.7", 404), ("127.0.0.1", 404)):
        async with asking(address, metrics_from=networks) as http:
            assert (await http.get("/metrics")).status_code == status, address
    nobody = read_gateway_settings({**ENVIRONMENT, "DARKROOM_METRICS_FROM": "none"}).metrics_from
    async with asking(metrics_from=nobody) as http:
        assert (await http.get("/metrics")).status_code == 404


def test_a_network_that_is_none_is_told() -> None:
    with pytest.raises(SettingsError, match=r"DARKROOM_METRICS_FROM must be networks such as 10\.0\.0\.0/16, or none"):
        read_gateway_settings({**ENVIRONMENT, "DARKROOM_METRICS_FROM": "everywhere"})


async def test_figures_are_no_part_of_the_api() -> None:
    async with asking() as http:
        assert "/metrics" not in (await http.get("/openapi.json")).json()["paths"]
        assert (await http.post("/metrics")).status_code == 405
