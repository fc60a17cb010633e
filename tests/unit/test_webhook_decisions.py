"""What is decided about webhooks: which are taken, when they are tried again, what is sent and how it is signed."""

from __future__ import annotations

import base64
import json
import time
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from standardwebhooks.webhooks import Webhook as TheirWebhook
from standardwebhooks.webhooks import WebhookVerificationError

from darkroom.errors import SettingsError
from darkroom.policy.admission import Admitted, Refused, admit
from darkroom.policy.catalogue import Catalogue, RuntimeSpec
from darkroom.policy.webhook_tries import (
    SPAN_SECONDS,
    TRIES,
    Answered,
    Delivered,
    GiveUp,
    NotAnswered,
    TryAgain,
    judge,
    retry_after,
    turn_seconds,
)
from darkroom.policy.webhook_urls import faults_of_webhook, receiver_of, web_address
from darkroom.samples import read_sample
from darkroom.tasks.notification import Notification, NotifiedError
from darkroom.tasks.task import Status
from darkroom.tasks.v1alpha2 import decode_request
from darkroom.tasks.webhook import Webhook, WebhookEvent, event_of
from darkroom.webhooks.payload import MAXIMUM_BYTES, delivery_id, payload_of
from darkroom.webhooks.signatures import (
    BOTH_SECONDS,
    SigningKeys,
    decode_keys,
    encode_keys,
    rotated,
    secrets_of,
    signed_headers,
)

KEYS = SigningKeys("k" * 64)
NOW = 1_764_000_000.0


def after(status: int, tries: int = 1, age: float = 0.0, wants: float | None = None, chance: float = 1.0) -> Any:
    return judge(Answered(status, wants), tries=tries, age_seconds=age, chance=chance)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_only_2xx_means_that_the_receiver_has_it(status: int) -> None:
    assert after(status) == Delivered()


@pytest.mark.parametrize("status", [100, 199, 300, 301, 307, 400, 401, 404, 429, 500, 502, 503, 504, 599])
def test_anything_else_is_tried_again(status: int) -> None:
    assert isinstance(after(status), TryAgain)
    assert isinstance(after(status, tries=TRIES), GiveUp)


def test_410_ends_it_at_once_and_an_address_that_may_not_be_sent_to_too() -> None:
    assert after(410) == GiveUp("the receiver answered 410: it wants no more", is_gone=True)
    refused = judge(NotAnswered("it leads to 10.0.0.1", is_final=True), tries=1, age_seconds=0, chance=0)
    assert refused == GiveUp("it leads to 10.0.0.1")


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_there_are_ten_tries_within_two_hours_each_later_than_the_one_before(chance: float) -> None:
    longest_try, age, waits, tries = 15.0, 0.0, [], 1
    while isinstance(verdict := after(500, tries, age + longest_try, chance=chance), TryAgain):
        waits.append(verdict.delay_seconds)
        age += longest_try + verdict.delay_seconds
        tries += 1
    assert (tries, len(waits)) == (TRIES, TRIES - 1)
    assert age + longest_try <= SPAN_SECONDS
    assert age > SPAN_SECONDS / 2  # a receiver that is away for an hour is still told
    assert all(one < other for one, other in pairwise(waits))


def test_chance_spreads_the_tries() -> None:
    assert after(500, chance=0.0).delay_seconds < after(500, chance=1.0).delay_seconds


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_receiver_that_is_overloaded_is_left_alone(status: int) -> None:
    verdict = after(status)
    assert verdict.delay_seconds == verdict.rest_seconds == 60
    assert after(500).rest_seconds == 0


@pytest.mark.parametrize("status", [429, 503, 500])
def test_what_retry_after_asks_for_is_kept_as_far_as_there_is_time(status: int) -> None:
    assert after(status, wants=600.0).delay_seconds == 600
    assert after(status, age=7000.0, wants=86400.0).delay_seconds == 200
    assert after(status, tries=9, wants=1.0).delay_seconds > 1000  # never sooner than without


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Mon, 24 Nov 2025 16:01:00 GMT", 60.0),
        ("Mon, 24 Nov 2025 15:00:00 GMT", 0.0),
        ("Mon, 24 Nov 2025 16:01:00", 60.0),
        ("-5", None),
        ("1e9", None),
        ("soon", None),
        ("9" * 400, None),
        ("Mon, 24 Nov 99999 16:01:00 GMT", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_in_both_forms(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, NOW) == seconds


def test_who_finds_no_place_waits_ever_longer_but_never_long() -> None:
    waits = [turn_seconds(postponed, 1.0) for postponed in range(200)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (2, 60)
    assert turn_seconds(3, 0.0) == turn_seconds(3, 1.0) / 2
    assert turn_seconds(0, 1.0, is_slow=True) == 60


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "no scheme"),
        ("example.com/hook", "no scheme"),
        ("ftp://example.com/", "only http, https and s3"),
        ("s3://bucket/key", "only http and https"),
        ("https://user:pw@example.com/", "user name or a password"),
        ("https://", "names no host"),
        ("https://example.com:22/", "port 22"),
        ("https://exa mple.com/", "blank"),
        ("https://example.com/" + "a" * 2100, "2120 characters long"),
        ("https://[::1/", "not a valid URL"),
    ],
)
def test_a_url_that_cannot_be_told_is_refused_with_the_reason(url: str, reason: str) -> None:
    (fault,) = faults_of_webhook(Webhook(url), "task.metadata.webhook")
    assert fault.path == "task.metadata.webhook.url"
    assert reason in fault.reason


def test_events_that_are_none_are_named() -> None:
    (fault,) = faults_of_webhook(Webhook("https://example.com/", ("task.completed", "task.complete")), "webhook")
    assert fault.path == "webhook.events.1"
    assert "did you mean 'task.completed'?" in fault.reason
    assert list(faults_of_webhook(Webhook("https://example.com/", tuple(WebhookEvent)), "webhook")) == []
    assert [f.path for f in faults_of_webhook(Webhook("https://example.com/", ("task.failed",) * 99), "w")] == [
        "w.events"
    ]


def test_there_is_an_event_for_every_status_that_is_notified() -> None:
    assert {event_of(status.value) for status in Status if status is not Status.QUEUED} == {*WebhookEvent}
    assert [event for event in WebhookEvent if not Webhook("https://x").wants(event)] == [WebhookEvent.RUNNING]
    assert Webhook("https://x", ("task.running",)).wants("task.running")
    assert not Webhook("https://x", ("task.running",)).wants("task.completed")


@pytest.mark.parametrize(
    ("url", "receiver"),
    [
        ("https://Example.com/a", "example.com:443"),
        ("http://example.com/b?c", "example.com:80"),
        ("http://example.com:8080", "example.com:8080"),
        ("http://[::1]:8080/x", "::1:8080"),
    ],
)
def test_a_receiver_is_a_host_and_a_port(url: str, receiver: str) -> None:
    link = web_address(url)
    assert link is not None
    assert receiver_of(link) == receiver


COMPLETED = Notification(
    id="cat",
    status=Status.COMPLETED,
    runtime="sdruntime",
    result=True,
    image_url=["s3://bucket/output/cat/cat-abcd-1.png"],
    output_url="s3://bucket/output/cat/cat-abcd.out",
    context={"order": 7},
)


def completed(**changes: Any) -> Notification:
    return msgspec.structs.replace(COMPLETED, **changes)


def test_the_payload_has_the_guides_fields_in_the_form_of_standard_webhooks() -> None:
    assert json.loads(payload_of(completed(), NOW)) == {
        "type": "task.completed",
        "timestamp": "2025-11-24T16:00:00Z",
        "data": {
            "id": "cat",
            "status": "completed",
            "runtime": "sdruntime",
            "result": True,
            "image_url": ["s3://bucket/output/cat/cat-abcd-1.png"],
            "output_url": "s3://bucket/output/cat/cat-abcd.out",
            "context": {"order": 7},
        },
    }


@pytest.mark.parametrize(
    ("notification", "left_out"),
    [
        (completed(context="x" * 30_000), {"context_omitted": True, "context": {}}),
        (completed(image_url=["s3://bucket/" + "x" * 100] * 300), {"image_url": [], "image_url_omitted": 300}),
        (completed(warnings=("ä" * 500,) * 40), {}),
        (
            completed(
                result=False, image_url=[], error=NotifiedError("GenerationRefused", "\x01" * 5000, retryable=False)
            ),
            {"context": {}, "context_omitted": True},
        ),
    ],
)
def test_the_payload_stays_below_20_kb_and_says_what_is_left_out(
    notification: Notification, left_out: dict[str, Any]
) -> None:
    text = payload_of(notification, NOW)
    assert len(text.encode()) < MAXIMUM_BYTES
    data = json.loads(text)["data"]
    assert left_out.items() <= data.items()
    assert (data["id"], data["status"], data["output_url"]) == ("cat", "completed", notification.output_url)


def test_their_library_verifies_our_signatures() -> None:
    now = time.time()
    (secret,) = secrets_of(KEYS, "shop", now)
    body = payload_of(completed(context="ü"), now)
    headers = signed_headers(delivery_id("abc"), body, (secret,), now)
    assert TheirWebhook(secret).verify(body, headers) == json.loads(body)
    for changed in ({**headers, "webhook-id": "msg_other"}, {**headers, "webhook-timestamp": str(int(now) + 1)}):
        with pytest.raises(WebhookVerificationError):
            TheirWebhook(secret).verify(body, changed)
    with pytest.raises(WebhookVerificationError):
        TheirWebhook(secret).verify(body.replace("cat", "dog"), headers)


def test_an_id_holds_no_dot_which_separates_what_is_signed() -> None:
    assert "." not in delivery_id("0123456789abcdef")


def test_every_caller_has_a_secret_of_its_own_that_fits_the_standard() -> None:
    secrets = {caller: secrets_of(KEYS, caller, NOW)[0] for caller in ("", "shop", "lab")}
    assert len(set(secrets.values())) == 3
    for secret in secrets.values():
        assert secret.startswith("whsec_")
        assert 24 <= len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) <= 64
    assert secrets_of(SigningKeys("l" * 64), "shop", NOW)[0] != secrets["shop"]


def test_for_a_day_after_a_rotation_old_and_new_secret_verify_and_then_the_new_one_alone() -> None:
    now = time.time()
    (old,) = secrets_of(KEYS, "shop", now)
    keys = rotated(KEYS, "shop", now)
    both = secrets_of(keys, "shop", now + BOTH_SECONDS - 1)
    assert both == (*secrets_of(keys, "shop", now + BOTH_SECONDS), old)
    headers = signed_headers("msg_1", "{}", both, now)
    for secret in both:
        assert TheirWebhook(secret).verify("{}", headers) == {}
    assert secrets_of(keys, "lab", now) == secrets_of(KEYS, "lab", now)
    again = secrets_of(rotated(keys, "shop", now), "shop", now)
    assert len({*both, *again}) == 3


def test_keys_come_back_as_they_were_kept_and_are_shown_to_nobody() -> None:
    keys = rotated(KEYS, "shop", NOW)
    assert decode_keys(encode_keys(keys), "a file") == keys
    assert "kkk" not in repr(keys)
    for damaged in ("", "{}", '{"key": 1}', '{"key": "short"}', "kkkkkk"):
        with pytest.raises(SettingsError, match="a file") as raised:
            decode_keys(damaged, "a file")
        assert 'short"' not in str(raised.value)
        assert "kkk" not in str(raised.value)


def test_the_front_door_refuses_a_webhook_that_cannot_be_told() -> None:
    catalogue = Catalogue([RuntimeSpec(name="sdruntime", type="sdwebui", dynamic=True)])
    sample = read_sample("v1alpha2-text-to-image")

    def judged(webhook: Any) -> Admitted | Refused:
        sample["task"]["metadata"]["webhook"] = webhook
        return admit(decode_request(json.dumps(sample)), catalogue, NOW)

    verdict = judged({"url": "https://example.com/hook", "events": ["task.completed"]})
    assert isinstance(verdict, Admitted)
    assert verdict.task.webhook == Webhook("https://example.com/hook", ("task.completed",))
    for webhook, path in (
        ({"url": "ftp://example.com"}, "task.metadata.webhook.url"),
        ({"url": 1}, "task.metadata.webhook.url"),
        ({}, "task.metadata.webhook.url"),
        ("https://example.com", "task.metadata.webhook"),
        ({"url": "https://example.com", "events": ["completed"]}, "task.metadata.webhook.events.0"),
        ({"url": "https://example.com", "events": "all"}, "task.metadata.webhook.events"),
    ):
        refused = judged(webhook)
        assert isinstance(refused, Refused)
        assert [fault.path for fault in refused.faults] == [path]
