"""`callers` in config.yaml: their limits, what is refused, and how many there may be."""

from __future__ import annotations

import pytest

from darkroom.config.callers import function_callers, queue_names_fit
from darkroom.config.loader import parse_config
from darkroom.config.model import DarkroomConfig
from darkroom.errors import SettingsError
from darkroom.policy.callers import CallerSpec
from darkroom.policy.queue_urls import decode_queue_urls, encode_queue_urls

RUNTIMES = "modelsRuntime: [{name: sdruntime, type: sdwebui, modelFilename: a.safetensors}]\n"


def with_callers(text: str) -> DarkroomConfig:
    return parse_config(f"APIGW: {{throttle: {{rateLimit: 30, burstLimit: 50}}}}\ncallers: {text}\n{RUNTIMES}")


def test_what_a_caller_leaves_out_is_as_for_everybody() -> None:
    config = with_callers("[{name: shop, rateLimit: 2.5}, {name: lab, burstLimit: 7, monthlyTasks: 100}]")
    assert config.caller_specs() == [
        CallerSpec(name="shop", rate_limit=2.5, burst_limit=50),
        CallerSpec(name="lab", rate_limit=30, burst_limit=7, monthly_tasks=100),
    ]


@pytest.mark.parametrize("text", ["", "callers: []\n"])
def test_without_callers_there_is_the_guides_one(text: str) -> None:
    config = parse_config(text + RUNTIMES)
    assert config.callers == []
    assert config.caller_specs() == [CallerSpec(name="default", rate_limit=30, burst_limit=50)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[{name: The Shop}]", r"callers\[0\].name must match"),
        ("[{name: shop}, {name: shop}]", r"callers\[1\].name 'shop' is already the name of callers\[0\]"),
        ("[{rateLimit: 1}]", r"callers\[0\].name is missing"),
        ("[{name: shop, rateLimit: 0}]", r"callers\[0\].rateLimit must be greater than 0"),
        ("[{name: shop, burstLimit: 0}]", r"callers\[0\].burstLimit must be greater than or equal to 1"),
        ("[{name: shop, monthlyTasks: 0}]", r"callers\[0\].monthlyTasks must be greater than or equal to 1"),
        ("[{name: shop, role: king}]", r"callers\[0\].role must be"),
        ("[{name: shop, monthlyTask: 9}]", r"callers\[0\].monthlyTask is not a key here; did you mean monthlyTasks"),
    ],
)
def test_what_is_wrong_is_named(text: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        with_callers(text)


def listed(count: int) -> str:
    return "[" + ", ".join(f"{{name: caller-{number:03}, monthlyTasks: 1000}}" for number in range(count)) + "]"


def test_more_callers_than_the_functions_environment_holds_are_refused_before_a_deployment() -> None:
    config = with_callers(listed(45))
    text = function_callers([CallerSpec(name=c.name, id="a1b2c3d4e5", monthly_tasks=1000) for c in config.callers])
    assert len(text) < 4096
    with pytest.raises(SettingsError, match=r"line 2: callers has 90, whose names and limits take \d+ bytes"):
        with_callers(listed(90))


def test_the_queues_names_are_left_out_where_the_functions_environment_has_no_room() -> None:
    assert queue_names_fit(with_callers("[]"))
    many = "\n".join(f"- {{name: runtime-{number:02}, type: comfyui}}" for number in range(40))
    assert not queue_names_fit(parse_config(f"modelsRuntime:\n{many}\n"))


def test_queues_are_told_in_few_bytes_and_read_back() -> None:
    base = "https://sqs.us-east-1.amazonaws.com/1/"
    text = encode_queue_urls({"sdruntime": "one", "comfy": "two"}, base, low={"comfy": "three"})
    assert text.count("https") == 1
    urls = decode_queue_urls(text)
    assert urls.normal == {"sdruntime": f"{base}one", "comfy": f"{base}two"}
    assert urls.low == {"comfy": f"{base}three"}
    assert not decode_queue_urls(None).normal
    with pytest.raises(SettingsError, match="DARKROOM_QUEUES"):
        decode_queue_urls("[1]")
