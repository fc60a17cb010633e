"""What the OpenAPI document says of reading: lists, look-ups and cancellations."""

from __future__ import annotations

from typing import Any

from darkroom.api.listing import DEFAULT_LIMIT, MAXIMUM_LIMIT
from darkroom.api.looking_up import MAXIMUM_WAIT_SECONDS, MOST_LINKS
from darkroom.api.openapi_parts import (
    CALLER,
    KEY_SECURITY,
    Operation,
    Replies,
    events_content,
    json_content,
    parameter,
    replies,
)
from darkroom.api.using import MOST_DAYS
from darkroom.policy.admission import MAXIMUM_ID_LENGTH
from darkroom.tasks.task import Status

_TASK_ID = parameter(
    "task_id",
    "path",
    {"type": "string", "minLength": 1, "maxLength": MAXIMUM_ID_LENGTH, "examples": ["test-t2i"]},
    "The task's id.",
)
_DAY = {"type": "string", "format": "date"}
_LINKS = (
    parameter(
        "links",
        "query",
        {"type": "boolean", "default": False},
        "Also return URLs with which the pictures can be downloaded for an hour without AWS credentials.",
    ),
    parameter(
        "from",
        "query",
        {"type": "integer", "minimum": 1, "maximum": 999_999_999, "default": 1},
        f"With `links`: the number of the first picture; there are links to {MOST_LINKS} at most in one reply.",
    ),
)
_WAIT = parameter(
    "wait",
    "query",
    {"type": "number", "minimum": 0, "maximum": MAXIMUM_WAIT_SECONDS, "default": 0},
    "Answer once the task's status has changed, or after so many seconds; at once where the task has ended.",
)
_FILTERS = (
    parameter(
        "status",
        "query",
        {"type": "array", "items": {"type": "string", "enum": list(Status)}},
        "Only tasks with one of these, separated by commas.",
        style="form",
        explode=False,
    ),
    parameter("runtime", "query", {"type": "string"}, "Only tasks of the runtime of this name."),
    parameter(
        "since",
        "query",
        {
            "oneOf": [
                {"type": "string", "format": "date-time"},
                {"type": "number", "minimum": 0, "maximum": 9_999_999_999},
            ]
        },
        "Only tasks that came since then: as in 2026-11-25T12:00:00Z, or in seconds since 1970.",
    ),
    parameter(
        "limit",
        "query",
        {"type": "integer", "minimum": 1, "maximum": MAXIMUM_LIMIT, "default": DEFAULT_LIMIT},
        "How many tasks there should be on a page.",
    ),
    parameter("next", "query", {"type": "string"}, "What the page before said: this is the one after it."),
)


_LAST_EVENT = parameter(
    "Last-Event-ID",
    "header",
    {"type": "string"},
    "The id of the last event that was seen: what happened since is told first.",
)
_EVENTS: Replies = {
    **replies(200, "Events as they happen, as text/event-stream.", "TaskView", 400, 403, 404),
    200: {
        "description": "Events as they happen.",
        "content": events_content(
            ({"const": "task"}, {"$ref": "#/components/schemas/TaskView"}),
            (
                {"const": "progress"},
                {
                    "type": "object",
                    "required": ["id", "status", "progress"],
                    "properties": {
                        "id": {"type": "string"},
                        "caller": {"type": "string"},
                        "status": {"$ref": "#/components/schemas/Status"},
                        "progress": {"$ref": "#/components/schemas/Progress"},
                    },
                },
            ),
        ),
    },
}


def _operation(
    path: str,
    method: str,
    operation_id: str,
    texts: tuple[str, str],
    responses: Replies,
    *parameters: dict[str, Any],
) -> Operation:
    summary, description = texts
    return Operation(
        path,
        {
            "methods": [method],
            "operation_id": operation_id,
            "summary": summary,
            "description": description,
            "tags": ["tasks"],
            "responses": responses,
            "openapi_extra": {"parameters": list(parameters), "security": KEY_SECURITY},
        },
    )


def reading_operations() -> tuple[Operation, ...]:
    """The routes to document."""
    return (
        _operation(
            "/v1alpha2/tasks",
            "GET",
            "list_tasks",
            (
                "List tasks",
                "Your own tasks, newest first. A page may be short, or empty, and still have `next`: what a request "
                "may look through is bounded.",
            ),
            replies(200, "A page of the list.", "TaskList", 400, 403, 404),
            *_FILTERS,
            CALLER,
        ),
        _operation(
            "/v1alpha2/usage",
            "GET",
            "get_usage",
            (
                "See what was used",
                "Your own tasks that ended, their pictures and their device time, by day (UTC) and runtime: this "
                f"month's, or those of {MOST_DAYS} days at most.",
            ),
            replies(200, "What was used.", "UsageReply", 400, 403, 404),
            parameter("from", "query", _DAY, "The first day; by default the first of the month of `to`."),
            parameter("to", "query", _DAY, "The last day; by default today."),
            parameter("runtime", "query", {"type": "string"}, "Only tasks of the runtime of this name."),
            CALLER,
        ),
        _operation(
            "/v1alpha2/tasks/{task_id}",
            "GET",
            "get_task",
            (
                "See where a task stands",
                "The status of the latest submission under this id; once it has ended, its pictures or its error.",
            ),
            replies(200, "Where the latest submission under this id stands.", "TaskView", 400, 403, 404),
            _TASK_ID,
            _WAIT,
            *_LINKS,
            CALLER,
        ),
        _operation(
            "/v1alpha2/tasks/{task_id}/cancel",
            "PUT",
            "cancel_task",
            (
                "Ask for a task to be stopped",
                "A task in the queue is not begun; one that runs is interrupted. Its final status tells which came "
                "first.",
            ),
            {
                **replies(
                    202, "Asked: the task will be stopped if it has not ended by then.", "TaskView", 400, 403, 404
                ),
                200: {"description": "The task had already ended.", "content": json_content("TaskView")},
            },
            _TASK_ID,
            CALLER,
        ),
        _operation(
            "/v1alpha2/events",
            "GET",
            "follow_tasks",
            (
                "Follow what happens to all tasks",
                "Server-sent events: `task` has a task as it is now, `progress` how far.",
            ),
            _EVENTS,
            CALLER,
            _LAST_EVENT,
        ),
        _operation(
            "/v1alpha2/tasks/{task_id}/events",
            "GET",
            "follow_task",
            (
                "Follow what happens to a task",
                "Server-sent events: first the task as it is, then what happens, until it has ended.",
            ),
            {**_EVENTS, 204: {"description": "It has ended, and `Last-Event-ID` is its end: do not come again."}},
            _TASK_ID,
            CALLER,
            _LAST_EVENT,
        ),
        _operation(
            "/v1alpha2/runtimes",
            "GET",
            "list_runtimes",
            (
                "See what does tasks, and how busy it is",
                "Each runtime with its models, the tasks that wait for it, and how long a task would wait that came "
                "now: an estimate.",
            ),
            replies(
                200,
                "The runtimes of the deployment; an operator is also told of agents and dead letters.",
                "RuntimeList",
                400,
            ),
            parameter(
                "workflows",
                "query",
                {"type": "boolean", "default": False},
                "Also return the ComfyUI workflows that the deployment has, with the places for a request's values.",
            ),
        ),
    )
