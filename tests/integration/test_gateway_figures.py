"""The gateway's figures from its own process: who asks is known by the connection, and by what proxies say."""

from __future__ import annotations

import httpx

from darkroom.samples import read_sample
from tests.integration.conftest import KEY, RunningGateway


async def test_loopback_is_told_and_who_comes_through_a_proxy_is_not(gateway: RunningGateway) -> None:
    root = gateway.endpoint.removesuffix("/prod")
    async with httpx.AsyncClient() as http:
        sample = read_sample("v1alpha2-text-to-image")
        refused = await http.post(f"{gateway.endpoint}/v1alpha2", json=sample, headers={"x-api-key": KEY})
        assert refused.status_code == 400, "the runtime of the sample is not there"
        told = await http.get(f"{root}/metrics")
        assert told.status_code == 200
        counted = 'darkroom_gateway_requests_total{method="POST",route="/prod/v1alpha2",status="400"} 1.0'
        assert counted in told.text
        assert KEY not in told.text
        for headers in ({"X-Forwarded-For": "203.0.113.9"}, {"X-Forwarded-For": "127.0.0.1"}, {"Via": "1.1 proxy"}):
            assert (await http.get(f"{root}/metrics", headers=headers)).status_code == 404
