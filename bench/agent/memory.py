"""How much memory the agent takes at the worst: large links, large payloads, large answers, and all of them at once.

An AWS emulator, a fake SD Web UI and a web server with large pictures stand on loopback; each row has an agent process
of its own, with the default settings, that signs what it stores.

    python bench/agent/memory.py                  the table
    python bench/agent/memory.py --check          fail unless every row stays below 400 MiB

links         eight tasks, each with a link to a picture of 32 MiB
many links    a task with eight such links; the agent refuses it
payloads      eight tasks of 12 MiB in the request itself, which the bucket carries
answers       two tasks whose answers are 64 MiB of base64 each
all           all of these together

peak memory   the largest resident size of the agent's process

Before memory was reserved: 447, 1,010, 251, 274 and, for all, 1,333 MiB. Expected since: some 75 MiB of its own, and at
most 48, 96 and 144 MiB for payloads, links and answers. With signatures, expected 20 MiB more of its own, and 48 MiB
for copies of pictures.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
import sys
import tempfile
import time
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from aiohttp import web
from run import agent_environment, peak_memory, running, wait_for_port

from darkroom.aws.connection import Aws, open_aws
from darkroom.config.task_plane import RuntimeRoute, plan_task_plane
from darkroom.local.listener import listening
from darkroom.local.provisioning import SERVICES, ProvisionedPlane, provision
from darkroom.policy.object_keys import RESERVED_PREFIX
from darkroom.provenance.trial import kept_trial_certificate
from darkroom.tasks.message import PayloadPointer, encode_message, encode_pointer
from darkroom.tasks.task import Task, TaskKind
from darkroom.testing.free_port import free_port
from darkroom.testing.loopback import LoopbackServer
from darkroom.testing.loopback_aws import CREDENTIALS, loopback_aws
from darkroom.testing.pictures import plain

MIB = 1024 * 1024
LIMIT = 400 * MIB
LINK_BYTES = 32 * MIB
PAYLOAD_BYTES = 12 * MIB
PICTURE_BYTES = 12 * MIB  # four of them are 64 MiB of base64
ROWS = ("links", "many links", "payloads", "answers", "all")


class Site(LoopbackServer):
    """A web server with one large picture under every path."""

    picture = plain(LINK_BYTES)

    def routes(self) -> list[web.RouteDef]:
        """Every path."""
        return [web.get("/{name:.*}", self._serve)]

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        return web.Response(body=self.picture, content_type="image/png")


def tasks(row: str, site: Site) -> list[Task]:
    """What is submitted for a row."""
    one = [f"{site.url}/{number}.png" for number in range(8)]
    content: dict[str, list[dict[str, Any]]] = {
        "links": [{"init_images": [link]} for link in one],
        "many links": [{"init_images": one}],
        "payloads": [{"init_images": [base64.b64encode(plain(PAYLOAD_BYTES * 3 // 4)).decode()]} for _ in range(8)],
        "answers": [{"prompt": "a dog", "batch_size": 4} for _ in range(2)],
    }
    rows = list(content) if row == "all" else [row]
    return [
        Task(
            id=f"t{number}",
            runtime="sdruntime",
            kind=TaskKind.IMAGE_TO_IMAGE if "init_images" in of_task else TaskKind.TEXT_TO_IMAGE,
            prefix="output",
            content=of_task,
        )
        for number, of_task in enumerate(of_task for name in rows for of_task in content[name])
    ]


async def submit(aws: Aws, plane: ProvisionedPlane, task: Task) -> None:
    """Publish a task as the front door does: what is large goes into the bucket."""
    text, attributes = encode_message(task), {"runtime": "sdruntime", "submission_id": uuid.uuid4().hex}
    topic = aws.topic(plane.input_topic_arn)
    if len(text) < 200_000:
        await topic.publish(text, attributes)
        return
    key = f"{RESERVED_PREFIX}{attributes['submission_id']}"
    await aws.bucket(plane.bucket).put(key, text.encode(), "application/json")
    await topic.publish(encode_pointer(PayloadPointer(plane.bucket, key)), attributes, payload_size=len(text))


async def measure(row: str, folder: Path) -> tuple[int, float, list[str]]:
    """The agent's peak memory in bytes, the seconds that the row took, and how each task ended."""
    with ExitStack() as stack:
        settings = stack.enter_context(loopback_aws(folder))
        port = free_port()
        size = str(PICTURE_BYTES if row in ("answers", "all") else 1500)
        runtime = [sys.executable, "-m", "darkroom.testing.fake_sdwebui", "--port", str(port), "--plain", size]
        stack.enter_context(running([*runtime, "--latency", "0.2"], dict(os.environ), folder / "runtime.log"))
        wait_for_port(port)
        async with Site() as site, open_aws(settings, *SERVICES) as aws:
            plane = await provision(plan_task_plane([RuntimeRoute("sdruntime")]), aws)
            async with listening(aws, plane.output_topic_arn) as listener:
                submitted = tasks(row, site)
                for task in submitted:
                    await submit(aws, plane, task)
                aws_port = int(str(settings.endpoint_url).rpartition(":")[2])
                environment = agent_environment(
                    plane,
                    settings,
                    aws_port,
                    port,
                    DARKROOM_LINK_ALLOW_PRIVATE="true",
                    DARKROOM_PROVENANCE_CERTIFICATE=str(kept_trial_certificate(folder / "provenance")),
                )
                command = [sys.executable, "-m", "darkroom", "agent"]
                agent = stack.enter_context(running(command, environment, folder / "agent.log"))
                began, ends = time.monotonic(), []
                while len(ends) < len(submitted):
                    if time.monotonic() - began > 300:
                        raise TimeoutError(f"{len(submitted) - len(ends)} notifications are missing")
                    ends += [
                        f"{end.id} {end.status.value} {end.error.message if end.error else ''}".strip()
                        for end in await listener.hear()
                    ]
                return peak_memory(agent.pid), time.monotonic() - began, ends


def main() -> int:
    """Measure, print, and, with --check, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--row", choices=ROWS, action="append")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    os.environ.update(CREDENTIALS)
    print("| what | peak memory | seconds | ends |")
    print("| --- | --- | --- | --- |")
    worst = 0
    for row in options.row or ROWS:
        with tempfile.TemporaryDirectory() as folder:
            peak, seconds, ends = asyncio.run(measure(row, Path(folder)))
        worst = max(worst, peak)
        failed = [end for end in ends if "completed" not in end]
        told = f"{len(ends) - len(failed)} completed" + "".join(f"; {end}" for end in failed)
        print(f"| {row} | {peak / MIB:.0f} MiB | {seconds:.0f} | {told} |", flush=True)
    return 0 if not options.check or worst < LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
