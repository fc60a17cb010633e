"""What the gateway's OpenAPI document says: the requests and replies with the guide's samples.

The request types here are for readers. Requests are read by the codecs in `darkroom.tasks`, which report every fault at
once; a test sees to it that both agree on the samples.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from darkroom.api.dead_letters import RequestRedrive
from darkroom.api.openapi_dead_letters import dead_letter_operations
from darkroom.api.openapi_parts import KEY_SECURITY, Operation, json_content, replies
from darkroom.api.openapi_reading import reading_operations
from darkroom.api.openapi_webhooks import webhook_operations
from darkroom.api.uploading import CONTENT_TYPES, MAXIMUM_UPLOAD_BYTES
from darkroom.policy.admission import MAXIMUM_ID_LENGTH, MAXIMUM_PREFIX_LENGTH, MAXIMUM_TIMEOUT_SECONDS
from darkroom.policy.webhook_urls import LONGEST_URL
from darkroom.samples import read_sample
from darkroom.tasks import v1alpha1, v1alpha2
from darkroom.tasks.dead_letter_replies import DeadLetterList, Redriven
from darkroom.tasks.delivery_replies import DeliveryPage
from darkroom.tasks.replies import ErrorReply, RuntimeList, TaskList, TaskView, UploadReply, UsageReply
from darkroom.tasks.task import OnDuplicate, Priority, TaskKind
from darkroom.tasks.webhook import WebhookEvent

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


class WebhookRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Who is told of the task, by a POST request as Standard Webhooks has it."""

    url: Annotated[Text, Meta(max_length=LONGEST_URL, examples=["https://example.com/darkroom"])]
    events: Annotated[list[WebhookEvent] | None, Meta(description="What is told; not set: every end of the task.")] = (
        None
    )


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
        OnDuplicate | None,
        Meta(description="Where the key has a task of this id: its reply, another task, or a refusal."),
    ] = OnDuplicate.NEW
    priority: Annotated[
        Priority | None,
        Meta(
            description="A low one waits for those of normal priority, within a bound, where its runtime has a queue."
        ),
    ] = Priority.NORMAL
    timeout: Annotated[
        Annotated[float, Meta(gt=0, le=MAXIMUM_TIMEOUT_SECONDS)] | None,
        Meta(description="How long the generation may take, in seconds."),
    ] = None
    webhook: WebhookRequest | None = None


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


class RequestUpload(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What will be sent to the address that is asked for."""

    size_bytes: Annotated[int, Meta(gt=0, le=MAXIMUM_UPLOAD_BYTES, description="Just this size.", examples=[8_000_000])]
    content_type: Annotated[
        Annotated[str, Meta(extra_json_schema={"enum": list(CONTENT_TYPES)})] | None,
        Meta(description="The header Content-Type that it will be sent with."),
    ] = "application/octet-stream"


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


def components() -> dict[str, Any]:
    """The document's `components`: schemas and the security scheme."""
    template = "#/components/schemas/{name}"
    _, schemas = msgspec.json.schema_components(
        [
            *(RequestV1alpha2, RequestV1alpha1, RequestUpload, RequestRedrive),
            *(
                v1alpha2.AcceptedReply,
                ErrorReply,
                TaskView,
                TaskList,
                RuntimeList,
                UploadReply,
                UsageReply,
                DeliveryPage,
                DeadLetterList,
                Redriven,
            ),
        ],
        ref_template=template,
    )
    # Both versions call it AcceptedReply.
    _, older = msgspec.json.schema_components([v1alpha1.AcceptedReply], ref_template=template)
    schemas["AcceptedReplyV1alpha1"] = {**older["AcceptedReply"], "title": "AcceptedReplyV1alpha1"}
    key = {"type": "apiKey", "in": "header", "name": "x-api-key"}
    return {"schemas": schemas, "securitySchemes": {"ApiKey": key}}


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
            "responses": replies(
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
                "requestBody": {"required": True, "content": json_content(request, samples)},
                "security": KEY_SECURITY,
            },
        },
    )


def _upload() -> Operation:
    return Operation(
        "/v1alpha2/uploads",
        {
            "methods": ["POST"],
            "operation_id": "upload",
            "summary": "Ask for an address for a large picture",
            "description": "Send the picture there (PUT, with the `headers` told), and write `link` into a request.",
            "tags": ["tasks"],
            "responses": replies(200, "The address is good for 15 minutes.", "UploadReply", 400, 415),
            "openapi_extra": {
                "requestBody": {"required": True, "content": json_content("RequestUpload")},
                "security": KEY_SECURITY,
            },
        },
    )


def operations() -> tuple[Operation, ...]:
    """The routes to document."""
    return (
        _submission("v1alpha2", "RequestV1alpha2", "AcceptedReply"),
        _submission("v1alpha1", "RequestV1alpha1", "AcceptedReplyV1alpha1"),
        _upload(),
        *reading_operations(),
        *webhook_operations(),
        *dead_letter_operations(),
    )
