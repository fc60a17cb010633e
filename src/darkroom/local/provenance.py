"""How a stack on one machine signs pictures: with a certificate for trials, which lies in its folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from darkroom.config.provenance import Provenance
from darkroom.settings import ProvenanceSettings

FOLDER = "provenance"


def local_provenance(wanted: Provenance, folder: Path, tell: Callable[[str], None]) -> ProvenanceSettings:
    """What the agents are to do, with a certificate that is made at the first start.

    What config.yaml says of secrets and keys in AWS is for a deployment: this machine's certificate takes their place.
    """
    if not wanted.enabled:
        return ProvenanceSettings(enabled=False)
    try:
        from darkroom.provenance.trial import kept_trial_certificate
    except ImportError:  # the extra `local` was installed when it had no such library
        tell("pictures are not signed, for the library cryptography is not installed; they only say what they are")
        return ProvenanceSettings(include_prompts=wanted.include_prompts)
    path = folder / FOLDER
    is_first = not path.exists()
    certificate = kept_trial_certificate(path)
    if is_first:
        shown = os.path.relpath(certificate)
        tell(f"made a certificate that pictures are signed with, for trials: {shown}; nobody trusts it")
    return ProvenanceSettings(
        required=wanted.required, certificate=str(certificate), include_prompts=wanted.include_prompts
    )
