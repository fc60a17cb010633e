"""Which webhooks are taken: pure rules for what a request or config.yaml says of one.

Whether its host's address may be connected to is decided when it is sent to (`darkroom.policy.links`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from darkroom.errors import Fault, LinkRefused
from darkroom.policy.links import WebLink, parse_link
from darkroom.tasks.draft import quoted
from darkroom.tasks.hints import did_you_mean
from darkroom.tasks.webhook import Webhook, WebhookEvent

LONGEST_URL = 2048
_EVENTS = tuple(event.value for event in WebhookEvent)
_DEFAULT_PORTS = {"http": 80, "https": 443}


def faults_of_webhook(webhook: Webhook, path: str) -> Iterator[Fault]:
    """Why nobody can be told there, or of that; `path` is where the caller wrote the webhook."""
    reason = fault_of_url(webhook.url)
    if reason is not None:
        yield Fault(f"{path}.url", reason)
    yield from _faults_of_events(webhook.events, f"{path}.events")


def fault_of_url(url: str) -> str | None:
    """Why this URL cannot be told anything, or None."""
    if len(url) > LONGEST_URL:
        return f"is {len(url)} characters long; at most {LONGEST_URL} are allowed"
    try:
        link = parse_link(url)
    except LinkRefused as refusal:
        return f"is not an address that webhooks are sent to: {refusal.reason}"
    if not isinstance(link, WebLink):
        return "is not an address that webhooks are sent to: only http and https are"
    return None


def web_address(url: str) -> WebLink | None:
    """`url` as it is sent to, or None where `fault_of_url` finds a fault."""
    try:
        link = parse_link(url)
    except LinkRefused:
        return None
    return link if isinstance(link, WebLink) else None


def receiver_of(link: WebLink) -> str:
    """Who answers there: host and port. What is true of one URL of a receiver, its being slow, is so of the others."""
    parts = urlsplit(link.target)
    return f"{link.host.lower()}:{parts.port or _DEFAULT_PORTS[parts.scheme]}"


def _faults_of_events(events: Sequence[str], path: str) -> Iterator[Fault]:
    if len(events) > len(_EVENTS):
        yield Fault(path, f"has {len(events)} entries; there are only {len(_EVENTS)} events")
        return
    for index, event in enumerate(events):
        if event not in _EVENTS:
            hint = did_you_mean(event, _EVENTS)
            yield Fault(f"{path}.{index}", f"{quoted(event)} is no event{hint}; there are: {', '.join(_EVENTS)}")
