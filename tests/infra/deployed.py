"""The synthesised task plane, deployed by CloudFormation onto an emulator, and what tests do with it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import boto3
import httpx

from darkroom.infra.steps.stack_operations import StackOperations, Timing
from darkroom.infra.template.assembly import Assembly, publish
from darkroom.settings import AwsSettings
from darkroom.testing.free_port import free_port
from darkroom.testing.loopback_aws import CREDENTIALS

T = TypeVar("T")
DEADLINE_SECONDS = 30.0


def until(found: Callable[[], T | None], what: str) -> T:
    """Ask again and again until there is an answer; fail after the deadline."""
    end = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < end:
        answer = found()
        if answer:
            return answer
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come within {DEADLINE_SECONDS:g} seconds")


class Deployed:
    """A deployed stack: its outputs, its front door, and the AWS that it is in."""

    def __init__(self, settings: AwsSettings, assembly: Assembly, stage: str) -> None:
        self.settings = settings
        self.stage = stage
        s3 = self.client("s3")
        s3.create_bucket(Bucket=assembly.template.bucket)
        publish(assembly, s3, lambda line: None)
        self.template_url = f"{settings.endpoint_url}/{assembly.template.bucket}/{assembly.template.key}"
        self.operations = StackOperations(
            self.client("cloudformation"),
            assembly.stack_name,
            Timing(time.monotonic, time.sleep, poll_seconds=0.05, limit_seconds=DEADLINE_SECONDS),
            lambda line: None,
        )
        self.outputs = self.operations.deploy(self.template_url, {})
        key = self.client("apigateway").get_api_key(apiKey=self.outputs["ApiKeyId"], includeValue=True)
        self.api_key: str = key["value"]

    def client(self, service: Any) -> Any:
        return boto3.client(service, region_name=self.settings.region, endpoint_url=self.settings.endpoint_url)

    @property
    def bucket(self) -> str:
        return self.outputs["OutputS3Bucket"].rpartition(":")[2]

    def address(self, path: str) -> str:
        """The address at which the emulator serves a path of the API."""
        found = re.match(r"https://(\w+)\.execute-api\.", self.outputs["FrontApiEndpoint"])
        assert found is not None
        return f"{self.settings.endpoint_url}/restapis/{found[1]}/{self.stage}/_user_request_/{path}"

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """Send a request as a client would, to the address at which the emulator serves the API."""
        content = {"content": body} if isinstance(body, bytes) else {"json": body} if body is not None else {}
        return httpx.request(
            method, self.address(path), headers={"content-type": "application/json", **headers}, timeout=30, **content
        )

    def queue_urls(self) -> list[str]:
        urls: list[str] = self.client("sqs").list_queues().get("QueueUrls", [])
        return urls

    def queue_url(self, part: str) -> str:
        (url,) = (url for url in self.queue_urls() if part in url)
        return url

    def receive(self, url: str) -> dict[str, Any]:
        """Take one message from a queue, and delete it."""
        sqs = self.client("sqs")

        def take() -> dict[str, Any] | None:
            reply = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1, MessageSystemAttributeNames=["All"])
            messages: list[dict[str, Any]] = reply.get("Messages", [])
            return messages[0] if messages else None

        message = until(take, "a message")
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return message


@contextmanager
def program(command: list[str], environment: Mapping[str, str], log: Path) -> Iterator[None]:
    """Run a process of Darkroom's own for the body of the `with`."""
    base = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DARKROOM_"))}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *command], env={**base, **CREDENTIALS, **environment}, stdout=output, stderr=output
        )
        try:
            yield
        except AssertionError as failed:
            failed.add_note(f"{' '.join(command)} wrote:\n{log.read_text()}")
            raise
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def agent_beside_fake(deployed: Deployed, runtime: str, kind: str, folder: Path) -> Iterator[None]:
    """A fake runtime and a real agent, with the environment that the chart gives it."""
    port = free_port()
    environment = {
        "AWS_DEFAULT_REGION": deployed.settings.region,
        "AWS_ENDPOINT_URL": deployed.settings.endpoint_url or "",
        "SQS_QUEUE_URL": deployed.queue_url(f"InputQueue{runtime}"),
        "DARKROOM_DEAD_LETTER_QUEUE_URL": deployed.queue_url(f"DeadLetters{runtime}"),
        "SNS_TOPIC_ARN": deployed.outputs["sdNotificationOutputArn"],
        "S3_BUCKET": deployed.bucket,
        "DARKROOM_TASK_TABLE": deployed.outputs["TaskTable"],
        "RUNTIME_NAME": runtime,
        "RUNTIME_TYPE": kind,
        "API_BASE_URL": f"http://127.0.0.1:{port}",
        "DISABLE_XRAY": "true",
        # An agent that is told to stop waits for its poll.
        "DARKROOM_RECEIVE_WAIT_SECONDS": "1",
    }
    agent = "import os; from darkroom.agent.process import run_agent; run_agent(os.environ)"
    with ExitStack() as stack:
        fake = ["-m", f"darkroom.testing.fake_{kind}", "--port", str(port)]
        stack.enter_context(program(fake, {}, folder / f"fake-{runtime}.log"))
        stack.enter_context(program(["-c", agent], environment, folder / f"agent-{runtime}.log"))
        yield
