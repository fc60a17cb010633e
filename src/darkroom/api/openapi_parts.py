"""What the parts of the OpenAPI document are made of."""

from __future__ import annotations

from typing import Any

import msgspec

from darkroom.api.whose import MAXIMUM_CALLER_LENGTH

KEY_SECURITY: list[dict[str, list[str]]] = [{"ApiKey": []}]
Replies = dict[int | str, dict[str, Any]]


class Operation(msgspec.Struct, frozen=True):
    """A documented route: `path` below the stage, and what FastAPI's `add_api_route` is told about it."""

    path: str
    route_options: dict[str, Any]


def parameter(name: str, where: str, schema: dict[str, Any], description: str, **more: Any) -> dict[str, Any]:
    """A parameter in a request's path, query or header; all but those in paths may be left out."""
    return {
        "name": name,
        "in": where,
        "required": where == "path",
        "schema": schema,
        "description": description,
        **more,
    }


CALLER = parameter(
    "caller",
    "query",
    {"type": "string", "maxLength": MAXIMUM_CALLER_LENGTH},
    "Whose tasks are meant; empty: nobody's, as of those that were published past the front door. For operators only.",
)


def events_content(*kinds: tuple[dict[str, Any], dict[str, Any]]) -> dict[str, Any]:
    """A stream of server-sent events of these kinds: what their names may be, and what their data is, as JSON.

    A schema stands for each event, and not for the stream, which has no end.
    """
    events = [
        {
            "type": "object",
            "required": ["data"],
            "properties": {
                "id": {"type": "string"},
                "event": name,
                "data": {"type": "string", "contentMediaType": "application/json", "contentSchema": data},
            },
        }
        for name, data in kinds
    ]
    return {"text/event-stream": {"schema": {"oneOf": events} if len(events) > 1 else events[0]}}


def json_content(schema: str, examples: dict[str, Any] | None = None) -> dict[str, Any]:
    """A body of this schema, with examples by their names."""
    media: dict[str, Any] = {"schema": {"$ref": f"#/components/schemas/{schema}"}}
    if examples:
        media["examples"] = {name: {"value": value} for name, value in examples.items()}
    return {"application/json": media}


def replies(status: int, description: str, schema: str, *errors: int) -> Replies:
    """The reply to what is well, and those to what is not: these errors, and those that every request may meet."""
    documented: Replies = {status: {"description": description, "content": json_content(schema)}}
    for error in (*errors, 401, 429, 503):
        documented[error] = {"description": _ERRORS[error], "content": json_content("ErrorReply")}
    return documented


_ERRORS = {
    400: "The request is at fault: `errors` says where and why, all faults at once.",
    401: "No API key, or a wrong one.",
    403: "Only an operator may ask for this, or the page that asks may not.",
    404: "There is no such task.",
    409: "The idempotency key is in work just now, or the task's id is taken and no second task is wanted.",
    413: "The body is larger than 6 MB.",
    415: "The Content-Type is not application/json.",
    422: "The idempotency key was used for another request.",
    429: "Too many requests with this key; the header Retry-After says how many seconds to wait.",
    503: "A service behind the front door does not answer; try again after Retry-After seconds.",
}
