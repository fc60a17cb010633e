"""The list of callers: who they are, what is wrong with a list, and that no key is shown."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from darkroom.api.keys import ApiKeys
from darkroom.errors import SettingsError
from darkroom.policy.callers import CallerSpec, decode_callers, encode_callers, month_of, next_month

SECRET = "s3cret-key"


def test_a_key_is_named_by_its_id_and_one_that_nobody_named_keeps_its_id() -> None:
    callers = decode_callers('[{"name": "shop", "id": "a1b2c3d4e5", "monthlyTasks": 7}]')
    assert [callers.name_of(key_id) for key_id in ("a1b2c3d4e5", "other", None)] == ["shop", "other", ""]
    assert [callers.monthly_tasks(name) for name in ("shop", "other", "")] == [7, None, None]


def test_what_is_written_is_read() -> None:
    specs = [CallerSpec(name="shop", key_sha256="0" * 64, rate_limit=2.5, burst_limit=3, monthly_tasks=0)]
    assert [*decode_callers(encode_callers(specs))] == specs
    assert [*decode_callers(None)] == [*decode_callers("")] == []


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"name": "The Shop"}, "name must be"),
        ({"name": "a/b"}, "name must be"),
        ({"name": "x" * 41}, "name must be"),
        ({"name": "lab", "keySha256": "abc"}, "64 hexadecimal"),
        ({"name": "lab", "rateLimit": 0}, "rateLimit must be more than 0"),
        ({"name": "lab", "burstLimit": -1}, "burstLimit must be more than 0"),
        ({"name": "lab", "monthlyTasks": -1}, "monthlyTasks must be at least 0"),
        ({"name": "shop"}, "is there twice"),
        ({"key": 1}, "cannot be read"),
    ],
)
def test_a_wrong_list_is_refused_without_showing_a_key(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError, match=told) as refused:
        decode_callers(json.dumps([{"name": "shop", "key": SECRET}, {"key": SECRET, **wrong}]))
    assert SECRET not in str(refused.value)


def test_no_key_is_shown() -> None:
    assert SECRET not in repr(decode_callers(json.dumps([{"name": "shop", "key": SECRET}]))._by_name)


def test_a_caller_without_a_key_and_a_key_of_two_callers_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"shop .* neither key nor keySha256"):
        ApiKeys([], [CallerSpec(name="shop")])
    with pytest.raises(SettingsError, match="shop and lab have the same key"):
        ApiKeys([], [CallerSpec(name="shop", key=SECRET), CallerSpec(name="lab", key=SECRET)])


def test_a_key_stands_for_its_caller_also_where_it_is_in_the_list_of_keys() -> None:
    keys = ApiKeys([SECRET, "other"], [CallerSpec(name="shop", key=SECRET)])
    assert keys.find(SECRET) == "shop"
    assert keys.find("other") not in (None, "shop")
    assert keys.find("guessed") is None


def test_months_are_the_calendars() -> None:
    end = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert (month_of(end.timestamp()), next_month(end.timestamp())) == ("2026-12", datetime(2027, 1, 1, tzinfo=UTC))
    assert month_of(end.timestamp() + 1) == "2027-01"
