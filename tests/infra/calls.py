"""The calls that a command makes to AWS: recorded, and made to fail, at botocore's own door."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Any

import boto3
from botocore.exceptions import ClientError

READS = ("Get", "List", "Describe", "Head", "Scan")


class Calls:
    """Every call of a session, in order. One can be made to fail, or all of an operation (`refused`)."""

    def __init__(self, session: boto3.Session) -> None:
        self.made: list[str] = []
        self.refused: str | None = None
        self._failed: int | None = None
        self._is_uncertain = False
        self._until: int | None = None
        self._failure: Callable[[str], BaseException] = denied
        session.events.register("before-call", self._before)

    def fail_at(self, number: int, failure: Callable[[str], BaseException] | None = None) -> None:
        """Fail at the call after `number` more, before it has any effect."""
        self._until, self._failure = number, failure or denied
        if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as in a shell's background
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def clear(self) -> None:
        """Forget what was made, and fail no more."""
        self.made.clear()
        self.refused = self._until = self._failed = None
        self._is_uncertain = False

    @property
    def has_failed(self) -> bool:
        """Whether the failure has come."""
        return self._until is None

    @property
    def changes(self) -> list[str]:
        """The calls that do not only read."""
        return [call for call in self.made if not is_read(call)]

    @property
    def effects(self) -> tuple[str, ...]:
        """What an account is left with: the changes without the one that failed, or with a mark where that went on."""
        done = [call for number, call in enumerate(self.made) if number != self._failed and not is_read(call)]
        return (*done, "and nobody knows whether this one") if self._is_uncertain else tuple(done)

    def _before(self, model: Any, **_: Any) -> None:
        self.made.append(f"{model.service_model.service_name}.{model.name}")
        if model.name == self.refused:
            raise denied(model.name)
        if self._until == 0:
            self._until = None
            self._failed = len(self.made) - 1
            failure = self._failure(model.name)
            if isinstance(failure, KeyboardInterrupt) and threading.current_thread() is not threading.main_thread():
                # A thread of an upload does not hear Ctrl-C; the one that waits for it does.
                self._failed, self._is_uncertain = None, True
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                return
            raise failure
        if self._until is not None:
            self._until -= 1


def is_read(call: str) -> bool:
    return call.partition(".")[2].startswith(READS)


def denied(operation: str) -> BaseException:
    """What AWS answers to who may not."""
    return ClientError({"Error": {"Code": "AccessDenied", "Message": "not today"}}, operation)


def interrupted(_: str) -> BaseException:
    """Ctrl-C."""
    return KeyboardInterrupt()
