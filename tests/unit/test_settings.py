"""Settings from an environment: the guide's names, defaults, and every fault at once."""

from __future__ import annotations

import re

import pytest

from darkroom.api.uploading import MAXIMUM_UPLOAD_BYTES
from darkroom.errors import SettingsError
from darkroom.settings import (
    LinkSettings,
    read_agent_settings,
    read_client_settings,
    read_gateway_settings,
    read_runtime_settings,
)

AGENT = {
    "AWS_DEFAULT_REGION": "us-west-2",
    "SQS_QUEUE_URL": "https://sqs/q",
    "SNS_TOPIC_ARN": "arn:aws:sns:us-west-2:1:t",
    "S3_BUCKET": "outputbucket",
    "RUNTIME_NAME": "sdruntime",
    "RUNTIME_TYPE": "sdwebui",
}


def test_the_guides_chart_is_enough_for_an_agent() -> None:
    settings = read_agent_settings(AGENT)
    assert settings.base_url == "http://localhost:8080/sdapi/v1/"
    assert (settings.dynamic_model, settings.traces_url, settings.notify_when_running) == (False, None, False)
    assert settings.links.buckets == ("outputbucket",)
    assert read_agent_settings({**AGENT, "RUNTIME_TYPE": "ComfyUI"}).base_url == "localhost:8080"


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("True", True), ("1", True), ("false", False), ("", False)]
)
def test_booleans_are_read_one_way(text: str, value: bool) -> None:
    assert read_agent_settings({**AGENT, "DYNAMIC_SD_MODEL": text}).dynamic_model is value


def test_every_fault_is_told_at_once() -> None:
    wrong = {**AGENT, "S3_BUCKET": " ", "DISABLE_XRAY": "maybe", "DARKROOM_HEALTH_PORT": "x"}
    del wrong["RUNTIME_NAME"]
    with pytest.raises(SettingsError) as caught:
        read_agent_settings(wrong)
    for name in ("S3_BUCKET", "DISABLE_XRAY", "DARKROOM_HEALTH_PORT", "RUNTIME_NAME"):
        assert name in str(caught.value)


def test_a_number_out_of_range_is_a_fault() -> None:
    with pytest.raises(SettingsError, match="DARKROOM_TASK_TIMEOUT_SECONDS must be at least 1"):
        read_agent_settings({**AGENT, "DARKROOM_TASK_TIMEOUT_SECONDS": "nan"})


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("DARKROOM_LOG_LEVEL", "loud", "must be one of DEBUG, INFO, WARNING, ERROR, not 'loud'"),
        ("DARKROOM_RECEIVE_WAIT_SECONDS", "21", "must be at most 20, not 21"),
        ("DARKROOM_HEALTH_PORT", "65536", "must be at most 65535, not 65536"),
        ("DARKROOM_TRIAL_SECONDS", "inf", "must be a number, not 'inf'"),
        ("DARKROOM_MAX_HELD_BYTES", "1e6", "must be a whole number, not '1e6'"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "must be an http(s) URL, not 'collector:4318'"),
        ("AWS_ENDPOINT_URL", "localhost:4566", "must be an http(s) URL, not 'localhost:4566'"),
    ],
)
def test_what_would_fail_later_is_refused_at_the_start(name: str, value: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(f"{name} {reason}")):
        read_agent_settings({**AGENT, name: value})


def test_a_log_level_may_be_in_small_letters() -> None:
    assert read_agent_settings({**AGENT, "DARKROOM_LOG_LEVEL": "debug"}).log_level == "DEBUG"


def test_the_gateway_reads_its_keys_as_a_list() -> None:
    settings = read_gateway_settings(
        {
            "AWS_REGION": "us-east-1",
            "SNS_TOPIC_ARN": "arn",
            "S3_BUCKET": "b",
            "DARKROOM_RUNTIMES": "[]",
            "DARKROOM_API_KEYS": "one, two,",
        }
    )
    assert settings.api_keys == ("one", "two")
    assert (settings.rate_limit, settings.burst_limit, settings.host) == (30.0, 50, "127.0.0.1")


def test_the_client_reads_where_to_go() -> None:
    assert read_client_settings({}).endpoint is None
    assert read_client_settings({"DARKROOM_ENDPOINT": "http://x/prod"}).endpoint == "http://x/prod"


def test_the_built_in_runtime_compiles_where_it_pays_unless_told_otherwise() -> None:
    assert read_runtime_settings({}).compilation == "auto"
    settings = read_runtime_settings(
        {"DARKROOM_COMPILE": "Never", "DARKROOM_COMPILE_CACHE": "/cache", "DARKROOM_KEEP_MODELS": "3"}
    )
    assert (settings.compilation, settings.compile_cache, settings.keep_models) == ("never", "/cache", 3)
    with pytest.raises(SettingsError, match="DARKROOM_COMPILE must be one of auto, always, never, not 'sometimes'"):
        read_runtime_settings({"DARKROOM_COMPILE": "sometimes"})


GATEWAY = {"AWS_REGION": "eu-west-1", "SNS_TOPIC_ARN": "arn", "S3_BUCKET": "b", "DARKROOM_RUNTIMES": "[]"}


def test_named_callers_serve_in_place_of_keys_without_a_name() -> None:
    settings = read_gateway_settings({**GATEWAY, "DARKROOM_CALLERS": '[{"name": "shop", "key": "k"}]'})
    assert settings.api_keys == ()
    with pytest.raises(SettingsError, match="DARKROOM_API_KEYS is not set"):
        read_gateway_settings(GATEWAY)


def test_what_the_front_door_takes_as_an_upload_is_what_an_agent_fetches() -> None:
    assert LinkSettings().maximum_bytes == MAXIMUM_UPLOAD_BYTES
