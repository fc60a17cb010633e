"""What is wrong with how Darkroom was set up."""

from __future__ import annotations

from darkroom.errors.root import DarkroomError


class SettingsError(DarkroomError):
    """Environment variables or a configuration file that cannot be used; the text lists every fault."""


class MissingExtra(DarkroomError):
    """An optional part of Darkroom is not installed."""

    def __init__(self, extra: str, needed_for: str) -> None:
        # No index has Darkroom, and PyPI's `darkroom` is somebody else's.
        super().__init__(f"{needed_for} needs the extra {extra!r}; in Darkroom's checkout: pip install '.[{extra}]'")


class StackFailure(DarkroomError):
    """The one-machine stack cannot start, or has lost a part that it cannot do without."""
