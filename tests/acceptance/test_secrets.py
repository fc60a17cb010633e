"""What a user's links are signed with stays between him and their servers, however his tasks end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx
import pytest

from tests.acceptance.conftest import PLANTED, Stack
from tests.acceptance.listening import Ears, object_keys

SIGNED = f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={PLANTED}&X-Amz-Signature={PLANTED}"


class _Elsewhere(BaseHTTPRequestHandler):
    """A server of links: it has nothing, redirects, or breaks off."""

    def do_GET(self) -> None:
        if self.path.startswith("/break"):
            self.close_connection = True
            return
        self.send_response(302 if self.path.startswith("/redirect") else 404, f"no {self.path}")
        if self.path.startswith("/redirect"):
            self.send_header("Location", f"/nothing?{SIGNED}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Elsewhere)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def contents(elsewhere: str, bucket: str) -> dict[str, dict[str, Any]]:
    """Contents that quote a secret, each in its own way, and none of which can be done."""
    links = {
        "signed": f"http://{elsewhere}/nothing.png?{SIGNED}",
        "redirected": f"http://{elsewhere}/redirect?{SIGNED}",
        "broken-off": f"http://{elsewhere}/break?{SIGNED}",
        "password": f"http://user:{PLANTED}@{elsewhere}/nothing.png",
        "encoded-badly": f"http://user:{PLANTED}/x@{elsewhere}/nothing.png",
        "no-server": f"http://127.0.0.1:1/nothing.png?{SIGNED}",
        "no-url": f"http://[::1/nothing.png?{SIGNED}",
        "bad-port": f"http://127.0.0.1:99999/nothing.png?{SIGNED}",
        "no-object": f"s3://{bucket}/nothing?{SIGNED}",
        "no-bucket": f"s3://another-bucket/nothing?{SIGNED}",
    }
    found: dict[str, dict[str, Any]] = {name: {"init_images": [link]} for name, link in links.items()}
    found["echoed"] = {"script_name": f"not at https://user:{PLANTED}@host/x?{SIGNED} today"}
    found["sampler"] = {"sampler_name": f"see https://host/x?{SIGNED} today"}
    return found


def test_no_secret_is_logged_recorded_or_told(stack: Stack, elsewhere: str) -> None:
    ears = Ears(stack)
    tasks = {f"secret-{name}": content for name, content in contents(elsewhere, stack.facts.output_bucket).items()}
    accepted = []
    for task_id, content in tasks.items():
        kind = "image-to-image" if "init_images" in content else "text-to-image"
        metadata = {"id": task_id, "runtime": "sdruntime", "tasktype": kind, "prefix": "secret"}
        metadata["context"] = {"mine": PLANTED}  # type: ignore[assignment]  # and nobody else's: it comes back as it is
        message = {"metadata": metadata, "content": {"prompt": "x", "width": 64, "height": 64, **content}}
        if stack.post({"task": message}).status_code != 200:  # the agent must manage without the front door's help
            stack.client("sns").publish(
                TopicArn=stack.facts.input_topic_arn,
                Message=json.dumps(message),
                MessageAttributes={"runtime": {"DataType": "String", "StringValue": "sdruntime"}},
            )
        accepted.append(task_id)
    for task_id, notification in ears.hear(*accepted).items():
        assert notification.pop("context") == {"mine": PLANTED}
        assert PLANTED not in json.dumps(notification), task_id
    for task_id in accepted:
        url = f"{stack.facts.endpoint}/v1alpha2/tasks/{task_id}"
        reply = stack.http.get(url, headers={"x-api-key": stack.facts.api_key})
        if reply.status_code == 200:
            assert PLANTED not in json.dumps({**reply.json(), "context": None}), task_id
        for key in object_keys(stack, f"secret/{task_id}/"):
            if key.endswith(".out"):
                text = stack.client("s3").get_object(Bucket=stack.facts.output_bucket, Key=key)["Body"].read()
                assert PLANTED not in json.dumps({**json.loads(text)["notification"], "context": None}), task_id
    assert stack.logged(PLANTED) == []


def test_no_key_is_logged(stack: Stack) -> None:
    url = f"{stack.facts.endpoint}/v1alpha2/tasks/{'x' * 3000}"
    assert stack.http.get(url, headers={"x-api-key": stack.facts.api_key}).status_code == 400
    assert httpx.get(url, headers={"x-api-key": PLANTED}, trust_env=False).status_code == 401
    assert stack.logged(stack.facts.api_key) == stack.logged(PLANTED) == []
