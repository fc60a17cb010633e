"""What the command line's exit codes mean."""

from __future__ import annotations

from darkroom.cli.interrupts import INTERRUPTED as INTERRUPTED
from darkroom.errors import (
    ApiFailure,
    ApiUnreachable,
    DarkroomError,
    Fault,
    InvalidRequest,
    MissingExtra,
    SettingsError,
)

OK = 0
FAILED = 1
USAGE = 2
NO_ACCESS = 3
# As a shell tells of a program that SIGPIPE has ended.
BROKEN_PIPE = 141

EXIT_CODES_HELP = (
    "[dim]Exit codes: 0 all is well; 1 a task or the stack failed; 2 the command line, the request or the settings are "
    "wrong; 3 the front door cannot be reached, does not let you in, or is overloaded; 130 interrupted.[/dim]"
)


class SystemFault(DarkroomError):
    """The machine did not do what it was asked: a full disk, a folder that cannot be written to."""


class WrongCommandLine(DarkroomError):
    """A command is called in another way than it can be. `faults` names the option, where it is one's."""

    def __init__(self, message: str, option: str = "") -> None:
        super().__init__(message)
        self.faults = (Fault(option, message),) if option else ()


def of_the_system(error: OSError) -> SystemFault:
    """What to tell of such an error, in one line."""
    where = f"{error.filename}: " if error.filename else ""
    return SystemFault(f"{where}{error.strerror or error}")


def exit_code(error: DarkroomError) -> int:
    """The exit code that tells a script what kind of error it was."""
    match error:
        case ApiUnreachable():
            return NO_ACCESS
        case ApiFailure(status_code=401 | 403 | 429):
            return NO_ACCESS
        case ApiFailure():
            return NO_ACCESS if error.status_code >= 500 else USAGE
        case InvalidRequest() | SettingsError() | MissingExtra() | WrongCommandLine():
            return USAGE
    return FAILED
