"""The workflows that a deployment has, as callers are told of them: through both doors."""

from __future__ import annotations

import pytest
from tests.contract.doors import DOORS, opened

from darkroom.openai.options import RuntimeOptions, Template

GRAPH = {
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a dog"}},
    "9": {"class_type": "SaveImage", "inputs": {}},
}
OPTIONS = {"comfy": RuntimeOptions(generate=Template(workflow=GRAPH, slots={"prompt": ["6.text"]}))}


@pytest.mark.parametrize("kind", DOORS)
async def test_workflows_are_told_where_they_are_asked_for(kind: str) -> None:
    async with opened(kind, OPTIONS) as door:
        told = {one["name"]: one for one in (await door.get("/v1alpha2/runtimes?workflows=true")).body["runtimes"]}
        assert told["comfy"]["workflows"] == {"generate": {"workflow": GRAPH, "slots": {"prompt": ["6.text"]}}}
        assert "workflows" not in told["sdruntime"]
        assert "workflows" not in str((await door.get("/v1alpha2/runtimes")).body)
        refused = await door.get("/v1alpha2/runtimes?workflows=perhaps")
        assert (refused.status, refused.body["errors"][0]["path"]) == (400, "workflows")


@pytest.mark.parametrize("kind", DOORS)
async def test_where_there_are_none_none_are_told(kind: str) -> None:
    async with opened(kind) as door:
        assert "workflows" not in str((await door.get("/v1alpha2/runtimes?workflows=true")).body)
