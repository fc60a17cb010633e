"""Why a picture is not signed, or what it says of its making cannot be read."""

from __future__ import annotations

from darkroom.errors.root import DarkroomError
from darkroom.redaction import without_addresses, without_url_secrets


class SigningFailure(DarkroomError):
    """A picture could not be signed. Tasks end by that only where signatures are required."""

    retryable = True


class SigningUnavailable(SigningFailure):
    """The certificate, its key or what signs with it cannot be used now: somebody has to mend that.

    `reason` is for whoever runs this: it may name files, keys and roles, which are no business of a task's user.
    """

    def __init__(self, reason: str) -> None:
        self.reason = without_addresses(without_url_secrets(reason))
        super().__init__("pictures cannot be signed just now; the agent's log says why")


class PictureUnsignable(SigningFailure):
    """The library does not take this very file."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the picture could not be signed: {reason}")


class CredentialsUnreadable(DarkroomError):
    """What a file says of its making is broken, or the file is."""
