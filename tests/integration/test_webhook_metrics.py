"""What the sender of webhooks tells Prometheus of real deliveries."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import httpx

from darkroom.tasks.webhook import CallerWebhook
from darkroom.testing.fake_receiver import FakeReceiver
from darkroom.testing.fake_sdwebui import FakeSdWebui
from darkroom.testing.free_port import free_port
from tests.integration.conftest import Plane
from tests.integration.test_agent import settings_for, task_for, working
from tests.integration.test_webhooks import delivered, sender_settings, submit_for


async def test_a_process_tells_how_its_tries_came_out(plane: Plane, tmp_path: Path) -> None:
    port = free_port()
    async with FakeReceiver() as receiver, FakeSdWebui(plain_bytes=1500) as runtime:
        settings = sender_settings(plane, tmp_path, CallerWebhook(caller="shop", url=receiver.url()))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "darkroom", "sender"),
            env={
                **os.environ,
                "AWS_DEFAULT_REGION": settings.aws.region,
                "AWS_ENDPOINT_URL": str(settings.aws.endpoint_url),
                "DARKROOM_WEBHOOK_QUEUE_URL": settings.queue_url,
                "DARKROOM_WEBHOOK_DEAD_LETTER_QUEUE_URL": settings.dead_letter_queue_url,
                "DARKROOM_TASK_TABLE": settings.task_table,
                "DARKROOM_WEBHOOK_KEYS_FILE": str(settings.keys_file),
                "DARKROOM_WEBHOOKS": str(settings.callers),
                "DARKROOM_WEBHOOK_ALLOW_PRIVATE": "true",
                "DARKROOM_METRICS_PORT": str(port),
            },
        )
        try:
            async with working(settings_for(plane, runtime.url)):
                await submit_for(plane, task_for(plane))
                await delivered(receiver)
            async with httpx.AsyncClient() as http, asyncio.timeout(30):
                while True:
                    text = (await http.get(f"http://127.0.0.1:{port}/metrics")).text
                    if 'darkroom_webhook_tries_total{outcome="delivered"} 1.0' in text:
                        break
                    await asyncio.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 20) == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert 'darkroom_webhook_tries_total{outcome="given_up"} 0.0' in text
    assert receiver.url() not in text
    assert "shop" not in text
