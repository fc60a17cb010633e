"""`darkroom agent`."""

from __future__ import annotations

import os

from darkroom.agent.process import run_agent


def agent() -> None:
    """Run a queue agent beside a Stable Diffusion runtime, until SIGTERM.

    It is told what to do by environment variables. Needed: AWS_DEFAULT_REGION, SQS_QUEUE_URL, SNS_TOPIC_ARN (the output
    topic), S3_BUCKET, RUNTIME_NAME, RUNTIME_TYPE (sdwebui or comfyui, or one of your own).

    More: API_BASE_URL (where the runtime listens), DYNAMIC_SD_MODEL, EXP_CALLBACK_WHEN_RUNNING, and the DARKROOM_*
    variables that docs/agent.md lists.
    """
    run_agent(os.environ)
