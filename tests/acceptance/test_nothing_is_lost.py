"""Many tasks, large tasks, and an agent that is killed in the middle of one."""

from __future__ import annotations

import base64
import io
import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
from PIL import Image

from tests.acceptance.conftest import Stack, wait_for
from tests.acceptance.listening import Ears, object_keys, queue_sizes


def request(task_id: str, **content: Any) -> dict[str, Any]:
    metadata = {"id": task_id, "runtime": "sdruntime", "tasktype": "text-to-image", "prefix": "output"}
    return {"task": {"metadata": metadata, "content": {"prompt": "A dog", "width": 64, "height": 64, **content}}}


def test_a_picture_of_three_megabytes_goes_through_a_topic_of_256_kib(open_stack: Stack) -> None:
    ears = Ears(open_stack)
    body = request("large", init_images=[_large_picture()])
    body["task"]["metadata"]["tasktype"] = "image-to-image"
    assert len(json.dumps(body)) > 3_000_000
    assert open_stack.post(body).status_code == 200
    assert ears.hear("large")["large"]["result"] is True
    assert object_keys(open_stack, "darkroom-payloads/")


def test_two_hundred_tasks_at_once_all_complete(open_stack: Stack) -> None:
    ears = Ears(open_stack)
    ids = [f"many-{number}" for number in range(200)]
    with ThreadPoolExecutor(20) as pool:
        codes = list(pool.map(lambda task_id: open_stack.post(request(task_id)).status_code, ids))
    assert codes == [200] * 200
    heard = ears.hear(*ids)
    assert all(notification["result"] is True for notification in heard.values())
    wait_for(lambda: queue_sizes(open_stack) == (0, 0, 0), "empty queues")


def test_a_task_whose_agent_is_killed_completes_after_the_restart(open_stack: Stack) -> None:
    ears = Ears(open_stack)
    assert open_stack.post(request("killed", steps=150, width=512, height=512, batch_size=2)).status_code == 200
    wait_for(lambda: '"task_id":"killed"' in open_stack.log("agent-sdruntime"), "the task's start")
    _agent(open_stack).kill()
    end = ears.hear("killed", deadline_seconds=120)["killed"]
    assert end["result"] is True
    assert len(set(end["image_url"])) == 2
    told = {url.partition(f"{open_stack.facts.output_bucket}/")[2] for url in [*end["image_url"], end["output_url"]]}
    keys = set(object_keys(open_stack, "output/killed/"))
    assert told <= keys
    # On a slow machine it is killed only while it stores: what it had stored then belongs to no end.
    assert len(keys - told) <= 2
    wait_for(lambda: queue_sizes(open_stack) == (0, 0, 0), "empty queues")


def _agent(stack: Stack) -> psutil.Process:
    (agent,) = (child for child in psutil.Process(stack.facts.pid).children() if child.cmdline()[-1] == "agent")
    return agent


def _large_picture() -> str:
    """A PNG of noise, which does not compress: more than 3 MB as base64."""

    picture = Image.frombytes("RGB", (900, 900), os.urandom(900 * 900 * 3))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
