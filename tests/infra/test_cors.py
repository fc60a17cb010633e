"""Web pages and Amazon API Gateway: what browsers are told, with and without `APIGW.corsOrigins`."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from darkroom.api.exchange import HttpRequest
from darkroom.api.ports import Ports
from darkroom.api.uploading import Upload, Uploading, plan_upload
from darkroom.config.loader import parse_config
from darkroom.infra.template.assembly import Assembly
from darkroom.infra.template.synthesis import synthesise
from darkroom.tasks.replies import UploadReply
from darkroom.testing.front_door_ports import MemoryBucket, MemoryTopic
from tests.infra.conftest import ASSET_BUCKET, CONFIG, read_template

OF_THIS_MACHINE = ["http://127.0.0.1:*", "http://localhost:*"]


def options(template: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        part["Properties"]
        for part in template["Resources"].values()
        if part["Type"] == "AWS::ApiGateway::Method" and part["Properties"]["HttpMethod"] == "OPTIONS"
    ]


def answers(template: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        part["Properties"]
        for part in template["Resources"].values()
        if part["Type"] == "AWS::ApiGateway::GatewayResponse"
    ]


def pages_of_the_bucket(template: dict[str, Any]) -> dict[str, Any]:
    (bucket,) = (part["Properties"] for part in template["Resources"].values() if part["Type"] == "AWS::S3::Bucket")
    (rule,) = bucket["CorsConfiguration"]["CorsRules"]
    return dict(rule)


def test_pages_that_this_machine_serves_may_send_what_an_upload_is_signed_with(task_plane_assembly: Assembly) -> None:
    rule = pages_of_the_bucket(read_template(task_plane_assembly))
    assert rule["AllowedOrigins"] == OF_THIS_MACHINE
    assert rule["AllowedMethods"] == ["GET", "PUT"]
    asked = HttpRequest(
        method="POST", path="/", body=b'{"size_bytes": 7}', caller="shop", content_type="application/json"
    )
    upload = plan_upload(asked, "id")
    assert isinstance(upload, Upload)
    told = asyncio.run(Uploading(Ports(MemoryTopic(), MemoryBucket()), lambda: 0.0).sign(upload)).body
    assert isinstance(told, UploadReply)
    assert {name.lower() for name in told.headers} - {"content-length"} == set(rule["AllowedHeaders"])


def test_without_origins_no_page_is_told_anything(task_plane_assembly: Assembly) -> None:
    template = read_template(task_plane_assembly)
    assert options(template) == []
    assert "Access-Control" not in json.dumps(template)


@pytest.mark.parametrize(
    ("origins", "named"), [(["https://studio.example"], "https://studio.example"), (["https://a.example", "*"], "*")]
)
def test_browsers_may_ask_without_a_key_and_read_api_gateways_own_answers(
    tmp_path_factory: pytest.TempPathFactory, origins: list[str], named: str
) -> None:
    text = CONFIG.replace("APIGW: {", f"APIGW: {{corsOrigins: {json.dumps(origins)}, ")
    assert text != CONFIG
    said: list[str] = []
    assembly = synthesise(
        parse_config(text),
        region="us-east-1",
        out=tmp_path_factory.mktemp("cors"),
        asset_bucket=ASSET_BUCKET,
        for_emulator=True,
        task_plane_only=True,
        told=said.append,
    )
    assert [line.partition(":")[0] for line in said] == ["the functions' code", "the template"]
    template = read_template(assembly)
    assert pages_of_the_bucket(template)["AllowedOrigins"] == [*OF_THIS_MACHINE, *origins]
    asked = options(template)
    assert len(asked) > 5
    assert not any(method.get("ApiKeyRequired") for method in asked)
    assert all(method["Integration"]["Type"] == "MOCK" for method in asked)
    assert "idempotency-key" in json.dumps(asked[0])
    # Both APIs: the guide's, and the one for clients of OpenAI's, which stands for itself.
    apis = {name for name, part in template["Resources"].items() if part["Type"] == "AWS::ApiGateway::RestApi"}
    assert len(apis) == 2
    assert {method["RestApiId"]["Ref"] for method in asked} == apis
    assert not any(method.get("AuthorizerId") for method in asked)
    for answer in answers(template):
        told = answer["ResponseParameters"]
        assert told["gatewayresponse.header.Access-Control-Allow-Origin"] == f"'{named}'", answer
    (too_late,) = (answer for answer in answers(template) if answer["ResponseType"] == "INTEGRATION_TIMEOUT")
    assert too_late["ResponseParameters"]["gatewayresponse.header.x-should-retry"] == "'true'"
    paths = {
        part["Properties"]["PathPart"]
        for name, part in template["Resources"].items()
        if part["Type"] == "AWS::ApiGateway::Resource" and name in {method["ResourceId"].get("Ref") for method in asked}
    }
    assert {"generations", "edits", "models", "{model+}", "tasks"} <= paths
    assert "DARKROOM_CORS_ORIGINS" in json.dumps(template)
