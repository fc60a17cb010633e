"""How one agent's pictures are marked, put together from its settings: the certificate, what signs, and what marks."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import logging
from collections.abc import AsyncIterator
from concurrent.futures import TimeoutError as TookTooLong
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from darkroom.agent.allocator import give_back_large_blocks
from darkroom.agent.budget import MemoryBudget
from darkroom.agent.clock import Clock
from darkroom.agent.marking import Marking
from darkroom.agent.origins import Origins
from darkroom.agent.signers import Signers
from darkroom.aws.connection import open_aws
from darkroom.aws.secrets import read_secret
from darkroom.aws.signing_key import SigningKey
from darkroom.errors import AwsFailure, MissingExtra, SigningUnavailable
from darkroom.logs import log
from darkroom.provenance.certificate import SigningMaterial, read_material
from darkroom.provenance.origin import KeepIngredient
from darkroom.provenance.signing import PictureSigner
from darkroom.settings import AgentSettings

_SECRETS = "secretsmanager"
_REMOTE_THREADS = 4


@dataclass(frozen=True)
class Provenance:
    """What the agent's parts are given; with both None, pictures are stored as they come."""

    marking: Marking | None = None
    origins: Origins | None = None


@asynccontextmanager
async def open_provenance(settings: AgentSettings, budget: MemoryBudget, clock: Clock) -> AsyncIterator[Provenance]:
    """Put it together; what cannot be had is said once, and pictures then carry less."""
    wanted = settings.provenance
    if not wanted.enabled:
        yield Provenance()
        return
    # A client for KMS holds its service's description: none is opened that is not used.
    services = ("kms",) if wanted.certificate and wanted.kms_key_id else ()
    async with open_aws(settings.aws, *services) as aws:
        key = SigningKey(aws.client("kms"), str(wanted.kms_key_id)) if services else None
        signers, keep = _signers(settings, key, clock)
        origins = Origins(
            settings.runtime_name, settings.runtime_type, include_prompts=wanted.include_prompts, keep=keep
        )
        version = importlib.metadata.version("darkroom-diffusion")
        # A key at hand keeps one core busy, and no more than one is to be taken from the agent; others are waited for.
        threads = _REMOTE_THREADS if key is not None or wanted.timestamp_authority is not None else 1
        marking = Marking(
            signers, budget.copies, clock, keep=keep, required=wanted.required, version=version, threads=threads
        )
        # What is wrong with the certificate is to be known before the first picture.
        opening = asyncio.create_task(_try(signers))
        try:
            yield Provenance(marking, origins)
        finally:
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)
            if signers is not None:
                await signers.close()
            marking.close()


async def _try(signers: Signers | None) -> None:
    if signers is not None:
        with contextlib.suppress(SigningUnavailable):
            await signers.get()


def _signers(
    settings: AgentSettings, key: SigningKey | None, clock: Clock
) -> tuple[Signers | None, KeepIngredient | None]:
    if settings.provenance.certificate is None:
        text = "pictures are not signed: no DARKROOM_PROVENANCE_CERTIFICATE; they only say what they are"
        log(logging.INFO, "provenance.unsigned", text)
        return None, None
    try:
        # The library takes memory and time at the start; an agent that signs nothing does without.
        from darkroom.provenance.library import Signer, keep_ingredient
    except MissingExtra as missing:
        if settings.provenance.required:
            raise
        log(logging.WARNING, "provenance.unsigned", f"pictures are not signed: {missing}")
        return None, None

    give_back_large_blocks()

    async def open_signer() -> PictureSigner:
        material = read_material(await _read_certificate(settings))
        signer = Signer(
            material,
            sign_remotely=None if key is None else _Remote(key, material, settings.provenance.answer_seconds),
            timestamp_authority=settings.provenance.timestamp_authority,
        )
        await asyncio.to_thread(signer.without_timestamp().check)
        return signer

    return Signers(open_signer, clock), keep_ingredient


async def _read_certificate(settings: AgentSettings) -> bytes:
    """The text of the file or the secret. Raises `SigningUnavailable` and an `AwsFailure`."""
    place, seconds = str(settings.provenance.certificate), settings.provenance.answer_seconds
    try:
        async with asyncio.timeout(seconds):
            if place.startswith("arn:"):
                # Once an hour: the client is not kept, for it holds its service's description.
                async with open_aws(settings.aws, _SECRETS) as aws:
                    return await read_secret(aws.client(_SECRETS), place)
            return await asyncio.to_thread(Path(place).read_bytes)
    except TimeoutError:
        raise SigningUnavailable(f"the signing certificate {place} was not read within {seconds:g} s") from None
    except OSError as error:
        raise SigningUnavailable(f"the signing certificate {place} cannot be read: {error.strerror}") from None


class _Remote:
    """Signs with a key in KMS, for a thread of the library; the request itself is made by the agent's loop."""

    def __init__(self, key: SigningKey, material: SigningMaterial, seconds: float) -> None:
        self._key = key
        self._seconds = seconds
        self._algorithm = material.certificate.algorithm
        self._loop = asyncio.get_running_loop()

    def __call__(self, data: bytes) -> bytes:
        signing = asyncio.run_coroutine_threadsafe(self._key.sign(data, self._algorithm), self._loop)
        try:
            return signing.result(self._seconds)
        except TookTooLong:
            signing.cancel()
            raise SigningUnavailable(f"AWS KMS did not sign within {self._seconds:g} s") from None
        except AwsFailure as error:
            raise SigningUnavailable(str(error)) from None
