"""What the gateway's OpenAPI document says: the requests and replies with the guide's samples.

The request types here are for readers. Requests are read by the codecs in `darkroom.tasks`, which report every fault at
once; a test sees to it that both agree on the samples.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from darkroom.api.looking_up import MOST_LINKS
from darkroom.policy.admission import MAXIMUM_ID_LENGTH, MAXIMUM_PREFIX_LENGTH, MAXIMUM_TIMEOUT_SECONDS
from darkroom.samples import read_sample
from darkroom.tasks import v1alpha1, v1alpha2
from darkroom.tasks.replies import ErrorReply, TaskView
from darkroom.tasks.task import OnDuplicate, TaskKind

DESCRIPTION = """\
Turns prompts into pictures, asynchronously: a request is answered at once with the place where its pictures will lie
(`output_location`); when they are there, a notification on the output topic says so, and so does the task's status.
Every request below the stage needs the header `x-api-key`.
"""

Text = Annotated[str, Meta(min_length=1)]
TaskId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAXIMUM_ID_LENGTH,
        description="Names the task and its objects in the bucket: no '/', no '..', only printable characters.",
        examples=["test-t2i"],
    ),
]
Prefix = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAXIMUM_PREFIX_LENGTH,
        description="The folder in the bucket: pictures lie at `{prefix}/{id}/`. No leading '/', no '..'.",
        examples=["output"],
    ),
]


class Metadata(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What is to be done, and where."""

    id: TaskId
    runtime: Annotated[Text, Meta(description="The name of the runtime that does it.", examples=["sdruntime"])]
    tasktype: Annotated[TaskKind, Meta(description="Must be one that the runtime's type can do.")]
    prefix: Prefix
    context: Annotated[Any, Meta(description="Your own data; every notification returns it.")] = ""
    deadline: Annotated[
        str | float | None,
        Meta(description="Not begun by then, the task expires: a time of RFC 3339, or seconds since 1970."),
    ] = None
    on_duplicate: Annotated[
        OnDuplicate, Meta(description="Where the key has a task of this id: its reply, another task, or a refusal.")
    ] = OnDuplicate.NEW
    timeout: Annotated[
        float, Meta(gt=0, le=MAXIMUM_TIMEOUT_SECONDS, description="How long the generation may take, in seconds.")
    ] = 300.0


class TaskDocument(msgspec.Struct, kw_only=True):
    """A task."""

    metadata: Metadata
    content: Annotated[
        dict[str, Any],
        Meta(
            description="The runtime's own request: of SD Web UI's txt2img, img2img or extra-*-image API, or a ComfyUI "
            "workflow in its API format. Links (http, https, s3) to pictures are replaced by the pictures."
        ),
    ]


class RequestV1alpha2(msgspec.Struct, kw_only=True):
    """A request in the form v1alpha2."""

    task: TaskDocument


class Scripts(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What v1alpha1 hides among SD Web UI's scripts; scripts of SD Web UI's own may stand beside it."""

    task: Annotated[TaskKind, Meta(description="What is to be done.")]
    sd_model_checkpoint: Annotated[
        Text, Meta(description="The model; it decides which runtime does the task.", examples=["v1-5.safetensors"])
    ]
    id_task: TaskId
    save_dir: Prefix = v1alpha1.DEFAULT_PREFIX
    image_link: Annotated[str, Meta(description="For image-to-image: a link to the picture.")] = ""


class RequestV1alpha1(msgspec.Struct, kw_only=True):
    """A request in the form v1alpha1: the body of SD Web UI's own API, and in `alwayson_scripts` what to do with it."""

    alwayson_scripts: Scripts


class Operation(msgspec.Struct, frozen=True):
    """A documented route: `path` below the stage, and what FastAPI's `add_api_route` is told about it."""

    path: str
    route_options: dict[str, Any]


def components() -> dict[str, Any]:
    """The document's `components`: schemas and the security scheme."""
    template = "#/components/schemas/{name}"
    _, schemas = msgspec.json.schema_components(
        [RequestV1alpha2, RequestV1alpha1, v1alpha2.AcceptedReply, ErrorReply, TaskView], ref_template=template
    )
    # Both versions call it AcceptedReply.
    _, older = msgspec.json.schema_components([v1alpha1.AcceptedReply], ref_template=template)
    schemas["AcceptedReplyV1alpha1"] = {**older["AcceptedReply"], "title": "AcceptedReplyV1alpha1"}
    key = {"type": "apiKey", "in": "header", "name": "x-api-key"}
    return {"schemas": schemas, "securitySchemes": {"ApiKey": key}}


def _json(schema: str, examples: dict[str, Any] | None = None) -> dict[str, Any]:
    media: dict[str, Any] = {"schema": {"$ref": f"#/components/schemas/{schema}"}}
    if examples:
        media["examples"] = {name: {"value": value} for name, value in examples.items()}
    return {"application/json": media}


def _replies(status: int, description: str, schema: str, *errors: int) -> dict[int | str, dict[str, Any]]:
    replies: dict[int | str, dict[str, Any]] = {status: {"description": description, "content": _json(schema)}}
    for error in (*errors, 401, 429, 503):
        replies[error] = {"description": _ERRORS[error], "content": _json("ErrorReply")}
    return replies


_ERRORS = {
    400: "The request is at fault: `errors` says where and why, all faults at once.",
    401: "No API key, or a wrong one.",
    404: "There is no such task.",
    409: "The idempotency key is in work just now, or the task's id is taken and no second task is wanted.",
    413: "The body is larger than 6 MB.",
    415: "The Content-Type is not application/json.",
    422: "The idempotency key was used for another request.",
    429: "Too many requests with this key; the header Retry-After says how many seconds to wait.",
    503: "A service behind the front door does not answer; try again after Retry-After seconds.",
}


_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1},
    "description": "The same for every try of one request: it is done once, and answered alike, for 24 hours.",
}


def _submission(version: str, request: str, reply: str) -> Operation:
    kinds = {
        "v1alpha2": ("text-to-image", "image-to-image", "extra-single-image", "pipeline"),
        "v1alpha1": ("text-to-image", "image-to-image"),
    }[version]
    samples = {kind: read_sample(f"{version}-{kind}") for kind in kinds}
    return Operation(
        f"/{version}",
        {
            "methods": ["POST"],
            "operation_id": f"submit_{version}",
            "summary": "Submit a task",
            "description": "Answered at once; the pictures come later, to `output_location`.",
            "tags": ["tasks"],
            "responses": _replies(
                200,
                "Accepted: the pictures will be here. `warnings` say what is ignored.",
                reply,
                400,
                409,
                413,
                415,
                422,
            ),
            "openapi_extra": {
                "parameters": [_IDEMPOTENCY_KEY],
                "requestBody": {"required": True, "content": _json(request, samples)},
                "security": [{"ApiKey": []}],
            },
        },
    )


def _task_operation(
    path: str,
    method: str,
    operation_id: str,
    summary: str,
    description: str,
    responses: dict[int | str, dict[str, Any]],
    links: bool = False,
) -> Operation:
    parameters = [{"name": "task_id", "in": "path", "required": True, "schema": {"type": "string"}}]
    if links:
        why = "Also return URLs with which the pictures can be downloaded for an hour without AWS credentials."
        boolean = {"type": "boolean", "default": False}
        parameters.append({"name": "links", "in": "query", "required": False, "schema": boolean, "description": why})
        why = f"With `links`: the number of the first picture; there are links to {MOST_LINKS} at most in one reply."
        number = {"type": "integer", "minimum": 1, "default": 1}
        parameters.append({"name": "from", "in": "query", "required": False, "schema": number, "description": why})
    return Operation(
        path,
        {
            "methods": [method],
            "operation_id": operation_id,
            "summary": summary,
            "description": description,
            "tags": ["tasks"],
            "responses": responses,
            "openapi_extra": {"parameters": parameters, "security": [{"ApiKey": []}]},
        },
    )


def operations() -> tuple[Operation, ...]:
    """The routes to document."""
    return (
        _submission("v1alpha2", "RequestV1alpha2", "AcceptedReply"),
        _submission("v1alpha1", "RequestV1alpha1", "AcceptedReplyV1alpha1"),
        _task_operation(
            "/v1alpha2/tasks/{task_id}",
            "GET",
            "get_task",
            "See where a task stands",
            "The status of the latest submission under this id; once it has ended, its pictures or its error.",
            _replies(200, "Where the latest submission under this id stands.", "TaskView", 400, 404),
            links=True,
        ),
        _task_operation(
            "/v1alpha2/tasks/{task_id}/cancel",
            "PUT",
            "cancel_task",
            "Ask for a task to be stopped",
            "A task in the queue is not begun; one that runs is interrupted. Its final status tells which came first.",
            {
                **_replies(202, "Asked: the task will be stopped if it has not ended by then.", "TaskView", 404),
                200: {"description": "The task had already ended.", "content": _json("TaskView")},
            },
        ),
    )
