"""Webhooks as a person meets them: a request names one, the standard's library verifies it, the CLI shows it."""

from __future__ import annotations

import json
import stat

from standardwebhooks.webhooks import Webhook as TheirWebhook

from darkroom.samples import read_sample
from darkroom.testing.free_port import free_port
from tests.acceptance.conftest import PLANTED, Stack, wait_for
from tests.command_line import darkroom
from tests.receiving import receiving


def said_by(stack: Stack, *arguments: str) -> str:
    outcome = darkroom(*arguments, folder=stack.folder)
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout


def submit(stack: Stack, task_id: str, url: str) -> None:
    body = read_sample("v1alpha2-text-to-image")
    body["task"]["metadata"] |= {"id": task_id, "webhook": {"url": url}, "context": {"order": 7}}
    reply = stack.post(body)
    assert reply.status_code == 200, reply.text
    assert "warnings" not in reply.json()


def test_a_task_that_names_a_webhook_is_told_signed_listed_and_sent_again(stack: Stack) -> None:
    with receiving() as receiver:
        submit(stack, "hooked", receiver.url(f"/{PLANTED}?token={PLANTED}"))
        wait_for(lambda: receiver.received, "the webhook")
        (request,) = receiver.received
        secret = said_by(stack, "webhooks", "secret").strip()
        told = TheirWebhook(secret).verify(request.body, dict(request.headers))
        assert told["type"] == "task.completed"
        assert (told["data"]["id"], told["data"]["result"], told["data"]["context"]) == ("hooked", True, {"order": 7})
        assert told["data"]["image_url"][0].startswith("s3://")

        def listed() -> str | None:
            lines = [json.loads(line) for line in said_by(stack, "webhooks", "list", "--json").splitlines()]
            return next(
                (one["id"] for one in lines if (one["task_id"], one["status"]) == ("hooked", "delivered")), None
            )

        delivery_id = wait_for(listed, "the delivery in the list")
        assert delivery_id == request.headers["webhook-id"]
        assert delivery_id in said_by(stack, "webhooks", "resend", delivery_id)
        wait_for(lambda: len(receiver.received) == 2, "the webhook once more")
    again = receiver.received[1]
    assert (again.headers["webhook-id"], again.body) == (delivery_id, request.body)
    keys = stack.folder / ".darkroom" / "webhook_keys.json"
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    assert stack.logged(secret.removeprefix("whsec_")) == []


def test_a_dead_receiver_is_nothing_to_a_task_and_a_rotated_secret_verifies(stack: Stack) -> None:
    port = free_port()
    submit(stack, "dead-hook", f"http://127.0.0.1:{port}/")

    def view() -> str:
        reply = stack.http.get(
            f"{stack.facts.endpoint}/v1alpha2/tasks/dead-hook", headers={"x-api-key": stack.facts.api_key}
        )
        return str(reply.json()["status"])

    wait_for(lambda: view() == "completed", "the end of the task")
    old = said_by(stack, "webhooks", "secret").strip()
    new = said_by(stack, "webhooks", "secret", "--rotate").strip()
    assert new != old
    with receiving() as receiver:
        submit(stack, "rotated", receiver.url())
        wait_for(lambda: receiver.received, "the webhook")
    (request,) = receiver.received
    for secret in (old, new):
        TheirWebhook(secret).verify(request.body, dict(request.headers))


def test_a_webhook_that_cannot_be_told_is_refused_at_once(stack: Stack) -> None:
    body = read_sample("v1alpha2-text-to-image")
    body["task"]["metadata"]["webhook"] = {"url": "ftp://example.com", "events": ["task.done"]}
    reply = stack.post(body)
    assert reply.status_code == 400
    assert {fault["path"] for fault in reply.json()["errors"]} == {
        "task.metadata.webhook.url",
        "task.metadata.webhook.events.0",
    }
