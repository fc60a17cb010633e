"""`darkroom sender`."""

from __future__ import annotations

import os

from darkroom.webhooks.process import run_webhooks


def sender() -> None:
    """Send webhooks to whoever wants to be told of tasks, until SIGTERM. On AWS a Lambda function does the same.

    It is told what to do by environment variables. Needed: AWS_DEFAULT_REGION, DARKROOM_WEBHOOK_QUEUE_URL and
    DARKROOM_WEBHOOK_DEAD_LETTER_QUEUE_URL (its queue, which is subscribed to the output topic), DARKROOM_TASK_TABLE,
    and DARKROOM_WEBHOOK_KEYS_FILE or DARKROOM_WEBHOOK_KEYS_SECRET (the key that webhooks are signed with).

    More: DARKROOM_WEBHOOKS (a JSON list of {"caller", "url", "events"}), DARKROOM_WEBHOOK_ALLOW_PRIVATE,
    DARKROOM_LOG_LEVEL; docs/webhooks.md describes them.
    """
    run_webhooks(os.environ)
