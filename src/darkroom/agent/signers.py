"""The signer of one agent: opened when it is first needed, opened anew in time, and left alone while it fails.

What signs may be away (AWS KMS, a secret that is not there yet), expired, or wrong. Then pictures must not wait for it
one by one: after a fault nobody asks again for a while, and what is to be signed meanwhile hears of that fault at once.
A certificate may be replaced while the agent runs, so it is read again every hour.

Opening goes on beside the pictures, once for all of them: who asks for a signer waits for it, but only briefly where
there is one already, or where it has just failed and may well do so again. For what is away often does not say so, it
says nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from darkroom.agent.clock import Clock
from darkroom.errors import AwsFailure, SigningFailure, SigningUnavailable
from darkroom.logs import log
from darkroom.provenance.signing import PictureSigner

_FRESH_SECONDS = 3600.0
# After a fault: doubling from the first to the second.
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 60.0
_WITHOUT_TIME_SECONDS = 300.0
EXPIRY_WARNING_DAYS = 30
_WARNED_EVERY_SECONDS = 6 * 3600.0
# So that an alarm that looks at some hours goes on for as long as the fault does.
_SAID_EVERY_SECONDS = 3600.0
# What answers at all does so within milliseconds.
_PATIENCE_SECONDS = 2.0
_DAY_SECONDS = 86_400.0

OpenSigner = Callable[[], Awaitable[PictureSigner]]


class Signers:
    """Keeps one signer. `open_signer` reads the certificate and what signs with it, and checks both.

    Its opening anew is waited for no longer than `patience_seconds`.
    """

    def __init__(self, open_signer: OpenSigner, clock: Clock, *, patience_seconds: float = _PATIENCE_SECONDS) -> None:
        self._open_signer = open_signer
        self._clock = clock
        self._patience_seconds = patience_seconds
        self._signer: PictureSigner | None = None
        self._opened_at = 0.0
        self._fault: SigningUnavailable | None = None
        self._paused_until = 0.0
        self._pause_seconds = _FIRST_PAUSE_SECONDS
        self._untimed: PictureSigner | None = None
        self._untimed_until = 0.0
        self._warned_at: float | None = None
        self._said_at: float | None = None
        self._opening: asyncio.Task[None] | None = None
        self._opening_since = 0.0

    async def get(self) -> PictureSigner:
        """Return the signer. Raises `SigningUnavailable`, without trying where it has failed a moment ago."""
        self.refuse_while_failing()
        if self._signer is None or self._clock.monotonic() - self._opened_at > _FRESH_SECONDS:
            await self._wait_for_opening()
        if self._signer is None:
            raise self._fault or AssertionError("it was opened")
        self._warn_of_expiry(self._signer)
        if self._untimed is not None and self._clock.monotonic() < self._untimed_until:
            return self._untimed
        return self._signer

    def refuse_while_failing(self) -> None:
        """Raise the fault of a moment ago, if there was one and nobody knows better yet."""
        if self._fault is None:
            return
        now = self._clock.monotonic()
        is_not_answered = self._opening is not None and now >= self._opening_since + self._patience_seconds
        if now < self._paused_until or (self._signer is None and is_not_answered):
            raise self._fault

    async def close(self) -> None:
        """End an opening that is under way."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)

    def failed(self, fault: SigningUnavailable) -> None:
        """Note that signing failed, and would fail for another picture too: the signer is opened anew after a pause."""
        now = self._clock.monotonic()
        if self._fault is not None and now < self._paused_until:
            return  # several were under way together
        if self._said_at is None or now - self._said_at > _SAID_EVERY_SECONDS:
            self._said_at = now
            log(logging.ERROR, "provenance.signing_failed", f"pictures are not signed: {fault.reason}")
        self._fault, self._paused_until = fault, now + self._pause_seconds
        self._pause_seconds = min(_LONGEST_PAUSE_SECONDS, 2 * self._pause_seconds)
        self._signer = self._untimed = None

    def without_timestamp(self, signer: PictureSigner, fault: SigningUnavailable) -> PictureSigner:
        """A signer to go on with for some minutes: it may be the timestamp authority that fails."""
        log(logging.WARNING, "provenance.no_timestamp", f"trying without a time stamp for some minutes: {fault.reason}")
        self._untimed = signer.without_timestamp()
        self._untimed_until = self._clock.monotonic() + _WITHOUT_TIME_SECONDS
        return self._untimed

    def succeeded(self) -> None:
        """Note that signing works."""
        if self._fault is not None:
            log(logging.INFO, "provenance.signing_works", "pictures are signed again")
        self._fault, self._said_at, self._pause_seconds = None, None, _FIRST_PAUSE_SECONDS

    async def _wait_for_opening(self) -> None:
        """Have it opened, and wait: briefly where there is a signer or a fault to go on with."""
        now = self._clock.monotonic()
        if self._opening is None:
            self._opening, self._opening_since = asyncio.create_task(self._open(), name="signer"), now
        opening = self._opening
        has_answer = self._signer is not None or self._fault is not None
        timeout = max(0.0, self._opening_since + self._patience_seconds - now) if has_answer else None
        done, _ = await asyncio.wait((opening,), timeout=timeout)
        if done:
            opening.result()

    async def _open(self) -> None:
        try:
            await self._open_or_note_why_not()
        finally:
            self._opening = None

    async def _open_or_note_why_not(self) -> None:
        try:
            signer = await self._open_signer()
        except (AwsFailure, SigningFailure) as error:
            fault = error if isinstance(error, SigningUnavailable) else SigningUnavailable(str(error))
            if self._signer is None:
                self.failed(fault)
                return
            log(
                logging.WARNING,
                "provenance.certificate_not_read",
                f"the one that was read before is kept: {fault.reason}",
            )
        else:
            certificate = signer.material.certificate
            if self._signer is None or certificate != self._signer.material.certificate:
                log(
                    logging.INFO,
                    "provenance.certificate",
                    f"pictures are signed by {certificate.holder}",
                    expires=certificate.not_after.isoformat(),
                )
            self._signer = signer
        self._opened_at = self._clock.monotonic()

    def _warn_of_expiry(self, signer: PictureSigner) -> None:
        now, certificate = self._clock.now(), signer.material.certificate
        days = (certificate.not_after - datetime.fromtimestamp(now, UTC)).total_seconds() / _DAY_SECONDS
        if days > EXPIRY_WARNING_DAYS:
            return
        if self._warned_at is None or now - self._warned_at > _WARNED_EVERY_SECONDS:
            self._warned_at = now
            log(
                logging.WARNING,
                "provenance.certificate_expires",
                f"the signing certificate of {certificate.holder} expires in {max(0.0, days):.0f} days: replace it",
                expires=certificate.not_after.isoformat(),
            )
