"""Callers on one machine: each has a key in a file of its own, its limits, and its name where a key must not stand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from darkroom.local.stack_file import StackFacts, read_stack_file
from darkroom.samples import read_sample
from tests.acceptance.conftest import CONFIG, Stack, end_by_ctrl_c, start_up, wait_for
from tests.command_line import darkroom

CALLERS = """\
callers:
- {name: shop, burstLimit: 3, rateLimit: 0.1}
- {name: default}
- {name: lab, monthlyTasks: 1}
"""
NAMES = ["shop", "default", "lab"]


@pytest.fixture(scope="module")
def called(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("callers")
    (folder / "config.yaml").write_text(CONFIG.format(rate=30, burst=50) + CALLERS)
    process = start_up(folder)

    def facts() -> StackFacts | None:
        assert process.poll() is None, (folder / "up.log").read_text()
        return read_stack_file(folder / ".darkroom")

    started = Stack(folder, process, wait_for(facts, "the stack's start"))
    keys = [key_of(started, name) for name in NAMES]
    yield started
    end_by_ctrl_c(started)
    assert [started.logged(key) for key in keys] == [[], [], []]


def key_of(stack: Stack, name: str) -> str:
    done = darkroom("callers", "key", name, folder=stack.folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_each_key_lies_in_a_file_of_its_own_that_nobody_else_reads(called: Stack) -> None:
    folder = called.folder / ".darkroom"
    files = [folder / "api_keys" / "shop", folder / "api_key", folder / "api_keys" / "lab"]
    assert [file.read_text() for file in files] == [key_of(called, name) for name in NAMES]
    assert all(file.stat().st_mode & 0o077 == 0 for file in [*files, folder / "api_keys"])
    assert called.facts.api_key == key_of(called, "shop")
    assert [caller.name for caller in called.facts.callers] == NAMES


def test_the_list_has_names_and_limits_and_no_key(called: Stack) -> None:
    listed = darkroom("callers", "list", "--json", folder=called.folder).stdout
    assert [json.loads(line) for line in listed.splitlines()] == [
        {"name": "shop", "rateLimit": 0.1, "burstLimit": 3},
        {"name": "default", "rateLimit": 30, "burstLimit": 50},
        {"name": "lab", "rateLimit": 30, "burstLimit": 50, "monthlyTasks": 1},
    ]
    table = darkroom("callers", "list", folder=called.folder).stdout
    assert all(name in table for name in NAMES)
    assert not [name for name in NAMES if key_of(called, name) in listed + table]


def test_limits_are_the_callers_own_and_its_name_stands_in_the_record(called: Stack) -> None:
    def submit(name: str) -> int:
        body = read_sample("v1alpha2-text-to-image")
        body["task"]["metadata"].update(id=f"of-{name}", runtime="sdruntime")
        return called.post(body, key=key_of(called, name)).status_code

    assert [submit("lab"), submit("lab"), submit("default")] == [200, 429, 200]
    statuses = [submit("shop") for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    records = called.client("dynamodb").scan(TableName=called.facts.task_table)["Items"]
    assert {record["task_id"]["S"]: record["caller"]["S"] for record in records if "task_id" in record} == {
        f"of-{name}": name for name in NAMES
    }


def test_a_caller_that_is_not_there_is_told_who_is(called: Stack) -> None:
    done = darkroom("callers", "key", "nobody", folder=called.folder)
    assert done.returncode == 2
    assert "there are: shop, default, lab" in done.stderr


def test_where_no_stack_runs_that_is_said(tmp_path: Path) -> None:
    done = darkroom("callers", "list", folder=tmp_path)
    assert done.returncode == 2
    assert "darkroom up" in done.stderr
