"""What ComfyUI's messages and records say, read without a server."""

from __future__ import annotations

from typing import Any

import pytest

from darkroom.errors import GenerationFailed, GenerationInterrupted
from darkroom.runtimes.comfyui.history import cached_nodes, failure_of_record, named_files
from darkroom.runtimes.comfyui.watch import PromptWatch
from darkroom.runtimes.protocol import Progress

WORKFLOW: dict[str, Any] = {
    "3": {"class_type": "KSampler", "inputs": {}},
    "8": {"class_type": "SaveImageWebsocket", "inputs": {}},
    "9": {"class_type": "SaveImageWebsocket", "inputs": {}},
}


def watch(reported: list[Progress] | None = None, times: list[float] | None = None) -> PromptWatch:
    ticks = iter(times or [0.0] * 100)
    return PromptWatch(WORKFLOW, (reported if reported is not None else []).append, lambda: next(ticks))


def test_files_are_found_under_any_key_however_deep_but_not_inputs() -> None:
    record = {
        "outputs": {
            "10": {"gifs": [{"filename": "b.gif", "subfolder": "x", "type": "output", "format": "image/gif"}]},
            "9": {"ui": {"nested": [[{"filename": "a.png", "type": "temp"}]]}, "animated": [True], "text": ["a.png"]},
            "2": {"images": [{"filename": "given.png", "subfolder": "", "type": "input"}]},
            "x": {"images": [{"filename": ""}, {"filename": None}]},
        }
    }
    files = named_files(record)
    assert [(file.node_id, file.name, file.folder, file.kind) for file in files] == [
        ("9", "a.png", "", "temp"),
        ("10", "b.gif", "x", "output"),
    ]
    assert files[0].path == ("outputs", "9", "ui", "nested", 0, 0)


@pytest.mark.parametrize("record", [{}, {"outputs": None}, {"outputs": {"9": None}}, {"outputs": {"9": {"images": 3}}}])
def test_a_record_without_files_names_none(record: dict[str, Any]) -> None:
    assert named_files(record) == []


@pytest.mark.parametrize(
    ("last", "kind"),
    [
        (["execution_error", {"node_id": "3", "exception_type": "X", "exception_message": "y"}], GenerationFailed),
        (["execution_interrupted", {"node_id": "3"}], GenerationInterrupted),
    ],
)
def test_the_last_message_tells_an_interrupt_from_an_error(last: list[Any], kind: type[Exception]) -> None:
    record = {"status": {"status_str": "error", "messages": [["execution_start", {}], last]}}
    failure = failure_of_record(record, WORKFLOW)
    assert type(failure) is kind
    assert "3 (KSampler)" in str(failure)


def test_a_record_that_says_error_and_not_why_is_still_a_failure() -> None:
    assert isinstance(failure_of_record({"status": {"status_str": "error"}}, WORKFLOW), GenerationFailed)
    assert failure_of_record({"status": {"status_str": "success"}}, WORKFLOW) is None
    assert cached_nodes({"status": {"messages": [["execution_cached", {"nodes": ["4", 5]}]]}}) == {"4", "5"}


def test_pictures_of_two_websocket_nodes_are_counted_for_each() -> None:
    followed = watch()
    for node, count in (("8", 2), ("9", 1)):
        followed.handle("executing", {"node": node})
        for number in range(count):
            followed.handle("progress", {"value": number, "max": count, "node": node})
            followed.handle_picture(b"picture")
    assert not followed.missed_pictures
    followed.pictures["8"].pop()
    assert followed.missed_pictures


def test_a_websocket_node_that_sent_nothing_was_missed() -> None:
    assert watch().missed_pictures


def test_previews_while_another_node_executes_are_dropped() -> None:
    followed = watch()
    followed.handle("executing", {"node": "3"})
    followed.handle_picture(b"preview")
    assert followed.pictures == {"8": [], "9": []}


def test_the_pace_of_the_steps_tells_what_remains() -> None:
    reported: list[Progress] = []
    followed = watch(reported, times=[10.0, 12.0, 14.0])
    followed.handle("executing", {"node": "3"})
    for step in (1, 2, 3):
        followed.handle("progress", {"value": step, "max": 5, "node": "3"})
    assert [progress.remaining_seconds for progress in reported] == [None, None, 6.0, 4.0]
    assert reported[-1].stage == "node 3 (KSampler), step 3 of 5"


@pytest.mark.parametrize("data", [{}, {"value": None, "max": 1}, {"value": 1, "max": 0}, {"value": "1", "max": "2"}])
def test_progress_that_makes_no_sense_is_passed_over(data: dict[str, Any]) -> None:
    reported: list[Progress] = []
    watch(reported).handle("progress", data)
    assert reported == []
