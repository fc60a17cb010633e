"""What a look at an account before a deployment comes to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What a check came to. Only `MISSING` keeps a deployment from starting; `LIMITED` works, with less than wanted."""

    GOOD = "ok"
    LIMITED = "limited"
    MISSING = "missing"
    UNKNOWN = "not checked"


@dataclass(frozen=True)
class Finding:
    """One thing that was checked, and what to do about it."""

    verdict: Verdict
    subject: str
    remedy: str = ""
