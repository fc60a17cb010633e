"""Which runtime types there are, and where their servers are."""

from __future__ import annotations

import aiohttp
import pytest

from darkroom.errors import SettingsError
from darkroom.policy.catalogue import KINDS_OF_TYPE
from darkroom.policy.failure_streak import FailureStreak
from darkroom.runtimes.base_url import parse_base_url
from darkroom.runtimes.protocol import RuntimeContext
from darkroom.runtimes.registry import create_runtime, find_factory
from darkroom.settings import DEFAULT_BASE_URLS


@pytest.mark.parametrize("runtime_type", sorted(KINDS_OF_TYPE))
async def test_darkrooms_own_types_are_found_and_take_the_default_address(runtime_type: str) -> None:
    async with aiohttp.ClientSession() as http:
        runtime = create_runtime(runtime_type, RuntimeContext(DEFAULT_BASE_URLS[runtime_type], http))
        assert runtime.kinds == KINDS_OF_TYPE[runtime_type]
        await runtime.close()


def test_an_unknown_type_names_those_there_are() -> None:
    with pytest.raises(SettingsError, match="no runtime type 'sdwebgui'; there are: comfyui, sdwebui"):
        find_factory("sdwebgui")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://localhost:8080/sdapi/v1/", "http://localhost:8080"),
        ("http://localhost:8080/sdapi/v1", "http://localhost:8080"),
        ("http://localhost:8080/", "http://localhost:8080"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("localhost:8080", "http://localhost:8080"),
        ("localhost:8080/sdapi/v1/", "http://localhost:8080"),
        ("https://gpu.example/webui/sdapi/v1/", "https://gpu.example/webui"),
        ("http://name:word@localhost:7860", "http://name:word@localhost:7860"),
    ],
)
def test_every_form_of_an_address(text: str, expected: str) -> None:
    assert str(parse_base_url(text)).rstrip("/") == expected


@pytest.mark.parametrize("text", ["", "ftp://localhost", "http://", "http://localhost:99999", "http://[::1"])
def test_what_is_no_address_says_how_one_looks(text: str) -> None:
    with pytest.raises(SettingsError, match="API_BASE_URL"):
        parse_base_url(text)


@pytest.mark.parametrize(
    ("failures", "is_broken"),
    [("", False), ("aaaaa", False), ("ab", False), ("aab", True), ("abc", True)],
)
def test_a_streak_needs_three_failures_of_two_tasks(failures: str, is_broken: bool) -> None:
    streak = FailureStreak()
    for task_id in failures:
        streak.record_failure(task_id, "no memory")
    assert (streak.fault is not None) == is_broken
    streak.reset()
    assert streak.fault is None
