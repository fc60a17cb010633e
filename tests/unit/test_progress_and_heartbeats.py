"""What agents say of tasks and of themselves survives the way into DynamoDB's wire form and back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from darkroom.aws.heartbeats import heartbeat_to_item, item_to_heartbeat
from darkroom.aws.progress import item_to_report, report_to_item
from darkroom.aws.records import CHANGED_UNDER, LISTED_AS, LISTED_UNDER, record_to_item, submission_of
from darkroom.tasks.heartbeat import GONE_AFTER_SECONDS, AgentState, Heartbeat
from darkroom.tasks.progress import Progress, ProgressReport
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task import Status

times = st.floats(min_value=0, max_value=4e9)
shares = st.floats(min_value=0, max_value=1)
names = st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1, max_size=40)
reports = st.builds(
    ProgressReport,
    submission_id=names,
    task_id=names,
    caller=st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), max_size=40),
    progress=st.builds(
        Progress, value=shares, step=st.none() | st.integers(0, 500), steps=st.none() | st.integers(0, 500)
    ),
    updated_at=times,
)
heartbeats = st.builds(
    Heartbeat,
    agent=names,
    runtime=names,
    seen_at=times,
    state=st.sampled_from(AgentState),
    model=st.none() | st.text(),
    models=st.lists(st.text(), max_size=3).map(tuple),
    in_work=st.integers(0, 20),
    service_seconds=st.none() | times,
    head_sent_at=st.none() | times,
    duty=st.none() | shares,
)


@given(reports)
def test_progress_comes_back_as_it_went(report: ProgressReport) -> None:
    assert item_to_report(report_to_item(report)) == report


@given(heartbeats)
def test_a_heartbeat_comes_back_as_it_went(heartbeat: Heartbeat) -> None:
    assert item_to_heartbeat(heartbeat_to_item(heartbeat)) == heartbeat


@given(reports)
def test_progress_is_told_where_its_record_is(report: ProgressReport) -> None:
    record = TaskRecord(
        id=report.task_id,
        submission_id=report.submission_id,
        caller=report.caller,
        status=Status.RUNNING,
        runtime="sdruntime",
        updated_at=report.updated_at,
    )
    items = report_to_item(report), record_to_item(record)
    assert items[0][CHANGED_UNDER] == items[1][CHANGED_UNDER]
    assert [submission_of(item["id"]["S"]) for item in items] == [
        (report.submission_id, True),
        (report.submission_id, False),
    ]


@given(heartbeats, heartbeats)
def test_only_the_first_heartbeat_of_an_agent_writes_to_the_index(first: Heartbeat, other: Heartbeat) -> None:
    first, other = heartbeat_to_item(first), heartbeat_to_item(other)
    same = first["id"] == other["id"]
    assert same == ([first[LISTED_UNDER], first[LISTED_AS]] == [other[LISTED_UNDER], other[LISTED_AS]])


def test_an_agent_that_says_nothing_more_is_gone() -> None:
    heartbeat = Heartbeat(agent="a", runtime="r", seen_at=1000.0, state=AgentState.READY)
    assert heartbeat.is_ready(1000.0 + GONE_AFTER_SECONDS)
    assert not heartbeat.is_ready(1000.1 + GONE_AFTER_SECONDS)
    unwell = Heartbeat(agent="a", runtime="r", seen_at=1000.0, state=AgentState.UNWELL)
    assert unwell.is_alive(1001.0)
    assert not unwell.is_ready(1001.0)
