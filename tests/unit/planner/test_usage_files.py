"""Task records and usage exports, as people have them; and what is said of one that cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from darkroom.errors import SettingsError
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
