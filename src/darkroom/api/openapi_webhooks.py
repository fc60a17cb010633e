"""What the OpenAPI document says of webhooks' deliveries."""

from __future__ import annotations

from typing import Any

from darkroom.api.openapi_parts import CALLER, KEY_SECURITY, Operation, Replies, json_content, parameter, replies
from darkroom.tasks.webhook import DeliveryStatus


def webhook_operations() -> tuple[Operation, ...]:
    """The routes to what became of webhooks."""
    return (
        _webhook_operation(
            "/v1alpha2/webhooks/deliveries",
            "GET",
            "list_webhook_deliveries",
            "See what became of your webhooks",
            "The deliveries of webhooks of your tasks, the newest first; they are kept for 14 days.",
            replies(200, "A page of deliveries.", "DeliveryPage", 400, 403, 404),
            [
                _query(
                    "limit", "How many to look at.", {"type": "integer", "minimum": 1, "maximum": 100, "default": 50}
                ),
                _query("status", "Only those that stand so.", {"enum": [status.value for status in DeliveryStatus]}),
                _query("next", "What the page before has said in `next`.", {"type": "string"}),
                CALLER,
            ],
        ),
        _webhook_operation(
            "/v1alpha2/webhooks/deliveries/{delivery_id}/retry",
            "POST",
            "retry_webhook_delivery",
            "Have a webhook sent again",
            "A delivery that has come to an end, whichever, is tried again: at once, and as often as it was at first.",
            {
                **replies(202, "It is being tried.", "DeliveryView", 400, 403, 404),
                409: {"description": "It has not come to its end yet.", "content": json_content("ErrorReply")},
            },
            [{"name": "delivery_id", "in": "path", "required": True, "schema": {"type": "string"}}, CALLER],
        ),
    )


def _query(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return parameter(name, "query", schema, description)


def _webhook_operation(
    path: str,
    method: str,
    operation_id: str,
    summary: str,
    description: str,
    responses: Replies,
    parameters: list[dict[str, Any]],
) -> Operation:
    return Operation(
        path,
        {
            "methods": [method],
            "operation_id": operation_id,
            "summary": summary,
            "description": description,
            "tags": ["webhooks"],
            "responses": responses,
            "openapi_extra": {"parameters": parameters, "security": KEY_SECURITY},
        },
    )
