"""Which processors an EC2 instance type has, by its name."""

from __future__ import annotations

import re


def has_arm_processors(instance_type: str) -> bool:
    """Whether an EC2 instance type has Graviton processors: a `g` right after the generation, as in m7g or c8gd."""
    family = instance_type.partition(".")[0]
    return re.search(r"\dg", family) is not None or family == "a1"
