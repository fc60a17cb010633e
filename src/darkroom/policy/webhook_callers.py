"""The webhooks of callers, as the sender is told them: a JSON list."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from darkroom.errors import SettingsError
from darkroom.policy.webhook_urls import faults_of_webhook
from darkroom.tasks.webhook import CallerWebhook, Webhook


def decode_caller_webhooks(text: str | None) -> dict[str, Webhook]:
    """Read a JSON list of `CallerWebhook`, by caller; None or nothing is none. Raises `SettingsError`."""
    if not text:
        return {}
    try:
        found = msgspec.json.decode(text, type=list[CallerWebhook])
    except msgspec.DecodeError as error:
        raise SettingsError(f"the list of webhooks (DARKROOM_WEBHOOKS) cannot be read: {error}") from None
    webhooks = {one.caller: Webhook(one.url, one.events) for one in found}
    faults = [
        f"  {fault.path}: {fault.reason}"
        for caller, webhook in webhooks.items()
        for fault in faults_of_webhook(webhook, caller)
    ]
    if faults:
        raise SettingsError("\n".join(["the list of webhooks (DARKROOM_WEBHOOKS) is wrong:", *faults]))
    return webhooks


def encode_caller_webhooks(webhooks: Iterable[CallerWebhook]) -> str:
    """The text that `decode_caller_webhooks` reads."""
    return msgspec.json.encode(list(webhooks)).decode()
