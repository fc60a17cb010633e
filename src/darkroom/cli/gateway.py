"""`darkroom gateway`."""

from __future__ import annotations

import asyncio
import os

from darkroom.api.server import run_gateway
from darkroom.console.serving import console_routes


def gateway() -> None:
    """Run the front door: the guide's API over HTTP, for one machine or a private network; and, at /, the console.

    It is told what to do by environment variables. Needed: SNS_TOPIC_ARN (the input topic), S3_BUCKET,
    DARKROOM_RUNTIMES (a JSON list of {"name", "type", "model", "dynamic"}), DARKROOM_API_KEYS (separated by commas),
    AWS_DEFAULT_REGION.

    More: DARKROOM_CALLERS (a JSON list of {"name", "keySha256", "rateLimit", "burstLimit", "monthlyTasks"}, beside
    DARKROOM_API_KEYS or in its place), DARKROOM_TASK_TABLE, DARKROOM_QUEUES, DARKROOM_EVENTS, DARKROOM_CORS_ORIGINS,
    DARKROOM_ALLOWED_HOSTS, DARKROOM_STAGE (prod), DARKROOM_RATE_LIMIT (30 requests per second and key),
    DARKROOM_BURST_LIMIT (50), DARKROOM_HOST (127.0.0.1), DARKROOM_PORT (8000), DARKROOM_LOG_LEVEL (INFO),
    AWS_ENDPOINT_URL (for an emulator).
    """
    asyncio.run(run_gateway(os.environ, console_routes))
