"""What the OpenAPI document says of dead letters."""

from __future__ import annotations

from darkroom.api.dead_letters import LONGEST_PAGE, USUAL_PAGE
from darkroom.api.openapi_parts import KEY_SECURITY, Operation, json_content, parameter, replies


def dead_letter_operations() -> tuple[Operation, ...]:
    """The routes of operators to what failed on every try."""
    return (
        Operation(
            "/v1alpha2/dead-letters",
            {
                "methods": ["GET"],
                "operation_id": "list_dead_letters",
                "summary": "See which tasks failed on every try",
                "description": "For operators only. While it is answered, nobody else sees the letters.",
                "tags": ["operations"],
                "responses": replies(200, "Some dead letters, the oldest first.", "DeadLetterList", 400, 403, 404),
                "openapi_extra": {
                    "parameters": [
                        {
                            **parameter("runtime", "query", {"type": "string"}, "Whose dead letters are meant."),
                            "required": True,
                        },
                        parameter(
                            "limit",
                            "query",
                            {"type": "integer", "minimum": 1, "maximum": LONGEST_PAGE, "default": USUAL_PAGE},
                            "How many to look at.",
                        ),
                    ],
                    "security": KEY_SECURITY,
                },
            },
        ),
        Operation(
            "/v1alpha2/dead-letters/redrive",
            {
                "methods": ["POST"],
                "operation_id": "redrive_dead_letters",
                "summary": "Put dead letters back into their runtime's queue",
                "description": "For operators only. Each is a new submission, with pictures and a notification of its "
                "own; one that is put back twice is one. What no agent could read stays. Ask again while there are "
                "`more`.",
                "tags": ["operations"],
                "responses": replies(200, "What became of them.", "Redriven", 400, 403, 404, 415),
                "openapi_extra": {
                    "requestBody": {"required": True, "content": json_content("RequestRedrive")},
                    "security": KEY_SECURITY,
                },
            },
        ),
    )
