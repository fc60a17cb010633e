"""Task records and usage exports, as people have them; and what is said of one that cannot be read."""

from __future__ import annotations

import math
from pathlib import Path
from random import Random

import pytest

from darkroom.errors import SettingsError
from darkroom.planner.traffic import read_trace
from darkroom.planner.usage import Used, by_caller, read_usage


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "usage.csv"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    "text",
    [
        "created_at,started_at,ended_at,device_seconds,runtime,caller\n10,12,15.5,3,a,me\n5,,,,b,\n",
        '{"created_at": 10, "started_at": 12, "ended_at": 15.5, "device_seconds": 3, "runtime": "a", "caller": "me"}\n'
        '{"created_at": 5, "runtime": "b"}\n',
        '[{"created_at": "1970-01-01T00:00:10Z", "started_at": "1970-01-01T00:00:12Z", "ended_at": 15.5,'
        ' "device_seconds": "3", "runtime": "a", "caller": "me"},'
        ' {"created_at": "1970-01-01T00:00:05", "runtime": "b"}]',
    ],
)
def test_csv_json_lines_and_a_json_list_are_read_alike(tmp_path: Path, text: str) -> None:
    assert read_usage(write(tmp_path, text)) == [
        Used(5.0, runtime="b"),
        Used(10.0, 12.0, 15.5, 3.0, "a", "me"),
    ]


def test_pictures_are_counted_where_they_are_named(tmp_path: Path) -> None:
    text = '{"created_at": 1, "image_url": ["s3://a/1.png", "s3://a/2.png"]}\n{"created_at": 2, "image_url": []}\n'
    assert [one.pictures for one in read_usage(write(tmp_path, text))] == [2, 1]


def test_a_plain_list_of_times(tmp_path: Path) -> None:
    assert [one.created_at for one in read_usage(write(tmp_path, "3.5\n1\n\n2\n"))] == [1.0, 2.0, 3.5]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "holds no task|has no column"),
        ("created_at\n", "holds no task"),
        ("id,status\na,b\n", "has no column for when tasks arrived: name one created_at or .*; it has id, status"),
        ("created_at\n10\nyesterday\n", "line 3: created_at is 'yesterday', which is no time"),
        ("created_at,device_seconds\n10,-1\n", "line 2: device_seconds is '-1'"),
        ("created_at,started_at,ended_at\n1,9,3\n", "line 2: ended_at is before started_at"),
        ("1\n2\nnan\n", "line 3: time is 'nan', which is no time"),
        ("created_at,runtime\n,a\n", "line 2 does not say when its task arrived"),
        ("created_at,pictures\n1,-4\n", "line 2: pictures is '-4': write how many there are"),
        ("created_at,pictures\n1,1e400\n", "pictures is '1e400'"),
        ("created_at\n" + "1" * 200_000 + "\n", "is no CSV|which is no time"),
        ("created_at\n1\n-inf\n", "line 3: created_at is '-inf'"),
        ("{]", "is no JSON"),
        ("[1]", "every entry must be an object"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        read_usage(write(tmp_path, text))


def test_callers_come_by_how_much_they_asked() -> None:
    found = by_caller([Used(1, caller="a"), Used(2, caller="b"), Used(3, caller="b"), Used(4)])
    assert [(name, len(used)) for name, used in found.items()] == [("b", 2), ("(nobody named)", 1), ("a", 1)]


def test_times_come_in_any_order_and_may_be_before_1970(tmp_path: Path) -> None:
    assert [one.created_at for one in read_usage(write(tmp_path, "created_at\n7\n-3\n2.5\n"))] == [-3.0, 2.5, 7.0]


def test_whatever_a_file_holds_it_is_read_or_refused_with_what_is_wrong(tmp_path: Path) -> None:
    """Files that somebody has damaged: no other error than the one that says so."""
    good = (
        "created_at,started_at,ended_at,device_seconds,runtime,pictures\n10,12,15.5,3,a,1\n5,,,,b,\n",
        '{"created_at": 10, "image_url": ["s3://a/1.png"]}\n{"created_at": "2026-11-25T08:00:00Z"}\n',
        '{"Datapoints": [{"Timestamp": "2026-11-25T08:05:00Z", "Sum": 2}, {"Timestamp": "2026-11-25T08:00:00Z"}]}',
        "3.5\n1\n\n2\n",
    )
    junk = (b"nan", b"-1", b"1e400", b"null", b"[]", b"{}", b'"', b"\x00", b"\xff", b"9" * 30, b",", b"\n", b"Infinity")
    chance = Random(1)
    read, told = 0, list[str]()
    for _ in range(600):
        damaged = bytearray(chance.choice(good).encode())
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(damaged) + 1)
            damaged[at : at + chance.randint(0, 8)] = chance.choice(junk)
        file = tmp_path / "damaged"
        file.write_bytes(damaged)
        try:
            found = read_trace(file)
        except SettingsError as error:
            told.append(str(error))
            continue
        read += 1
        assert [one.created_at for one in found] == sorted(one.created_at for one in found)
        assert all(math.isfinite(one.created_at) for one in found)
    assert 20 < read < 580
    assert all(str(tmp_path / "damaged") in text for text in told)
