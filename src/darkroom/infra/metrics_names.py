"""Where the figures of a stack's agents stand in CloudWatch."""

from __future__ import annotations


def metrics_namespace(stack: str) -> str:
    """The namespace: one for each stack, so that runtimes of one name in two stacks are two."""
    return f"Darkroom/{stack}"
