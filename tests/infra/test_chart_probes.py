"""What the chart's probes ask, and what the agent answers there: the kubelet's view of a pod, step by step."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import aiohttp
import pytest

from darkroom.agent.health import Health
from darkroom.agent.health_server import health_server
from darkroom.settings import read_agent_settings
from darkroom.testing.free_port import free_port
from tests.infra.chart import Chart, container, values_for

SDWEBUI = "- {name: sdruntime, type: sdwebui, modelFilename: a.safetensors}"


@pytest.fixture(scope="module")
def manifests(chart: Chart) -> list[dict[str, Any]]:
    return chart.render(values_for(SDWEBUI))


async def asked(probe: dict[str, Any], port: int) -> bool:
    """What the kubelet makes of one question: any answer from 200 to 399 is a good one."""
    timeout = aiohttp.ClientTimeout(total=probe.get("timeoutSeconds", 1))
    try:
        async with aiohttp.ClientSession(timeout=timeout) as http:
            answer = await http.get(f"http://127.0.0.1:{port}{probe['httpGet']['path']}")
            return 200 <= answer.status < 400
    except aiohttp.ClientError:
        return False


def test_the_probes_ask_where_the_agent_listens(manifests: list[dict[str, Any]]) -> None:
    environment = next(m["data"] for m in manifests if m["metadata"]["name"] == "sdruntime-agent")
    settings = read_agent_settings(environment)
    agent, runtime = container(manifests, "queue-agent"), container(manifests, "inference-api")
    assert ip_address(settings.health_host).is_unspecified  # the kubelet asks at the pod's own address
    assert {port["name"]: port["containerPort"] for port in agent["ports"]} == {"health": settings.health_port}
    assert runtime["livenessProbe"]["httpGet"]["port"] == settings.health_port
    assert {agent[probe]["httpGet"]["port"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")} == {
        "health"
    }


async def test_only_a_fault_of_the_runtime_and_an_agent_that_is_away_count_against_the_runtime(
    manifests: list[dict[str, Any]],
) -> None:
    probe = container(manifests, "inference-api")["livenessProbe"]
    readiness = container(manifests, "queue-agent")["readinessProbe"]
    health, port = Health(), free_port()
    assert not await asked(probe, port)
    async with health_server(health, "127.0.0.1", port):
        # The runtime is away or loads, or AWS is away: a restart of the runtime would not help.
        assert await asked(probe, port)
        assert not await asked(readiness, port)
        health.runtime_is_ready()
        health.aws_failed("no answer")
        assert await asked(probe, port)
        assert not await asked(readiness, port)
        health.aws_is_fine()
        assert await asked(readiness, port)
        health.runtime_has_fault("the runtime failed 3 times in a row")
        assert not await asked(probe, port)
    # The agent was started anew too.
    async with health_server(Health(), "127.0.0.1", port):
        assert await asked(probe, port)
