"""Makes the door for OpenAI's API from settings, for the gateway and for AWS Lambda."""

from __future__ import annotations

import random
import time
import uuid
from pathlib import Path

from darkroom.api.openai_door import DoorLimits, OpenAiDoor
from darkroom.api.openai_waiting import NO_EVENT_LOOP, EventLoop
from darkroom.api.ports import Ports
from darkroom.errors import SettingsError
from darkroom.openai.models import Models
from darkroom.openai.options import OpenAiOptions, decode_options
from darkroom.openai.request import LARGEST_SEED
from darkroom.policy.callers import Callers
from darkroom.policy.catalogue import Catalogue


def open_openai_door(
    catalogue: Catalogue,
    ports: Ports,
    callers: Callers,
    limits: DoorLimits,
    options_file: str | None,
    loop: EventLoop = NO_EVENT_LOOP,
) -> OpenAiDoor:
    """The door, with this process's clocks and chance. Raises `SettingsError` where `options_file` is of no use."""
    return OpenAiDoor(
        catalogue,
        Models(catalogue, read_options(options_file)),
        ports,
        limits,
        clock=time.time,
        monotonic=time.monotonic,
        new_submission_id=lambda: uuid.uuid4().hex,
        # From the operating system: AWS Lambda's instances that were restored from one snapshot would draw alike.
        new_seed=lambda: random.SystemRandom().randrange(LARGEST_SEED + 1),
        callers=callers,
        loop=loop,
    )


def read_options(path: str | None) -> OpenAiOptions:
    """What the deployment says of its runtimes; nothing where there is no file. Raises `SettingsError`."""
    if path is None:
        return {}
    try:
        return decode_options(Path(path).read_bytes())
    except OSError as error:
        raise SettingsError(f"the file of DARKROOM_OPENAI_FILE cannot be read: {error}") from None
