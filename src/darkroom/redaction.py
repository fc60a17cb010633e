"""Texts without what opens doors: the user, password and query of every URL in them, where presigned links are signed.

Whatever is logged, notified, recorded or shown goes through here, because a link may stand in any error's text: those
of libraries and of runtimes quote what they were given. Each function takes time in proportion to its text.
"""

from __future__ import annotations

import re

HIDDEN = "(hidden)"
# One match per URL, so that no part of a text is looked at from many beginnings: to its end, or to the next one where
# they are written without a space. The scheme is not matched: before "://" it could begin anywhere.
_URL = re.compile(r"""://(?:(?!://)[^\s"'<>])+""")
_AUTHORITY = re.compile(r"[^/?#]*")
# What signs a request when it stands without its URL: as headers are printed, or a path with its query.
_SIGNATURE = re.compile(
    r"\b(X-Amz-(?:Signature|Credential|Security-Token)|AWSAccessKeyId|Signature|sig)=[^\s&\"'<>]+", re.IGNORECASE
)
_ADDRESS = re.compile(r"(?: object)? at 0x[0-9a-fA-F]+(?=>)")


def without_url_secrets(text: str) -> str:
    """`text` with the user and the query of every URL in it hidden, and the fragment too."""
    if "://" in text:
        text = _URL.sub(_hide, text)
    return _SIGNATURE.sub(rf"\1={HIDDEN}", text) if "=" in text else text


def without_addresses(text: str) -> str:
    """`text` without where Python's objects lie in memory, as in `<_io.BytesIO object at 0x7f5d3c0a1b20>`."""
    return _ADDRESS.sub("", text) if " at 0x" in text else text


def shown(url: str) -> str:
    """A link as it may be shown: where it leads, and not what lets somebody in there."""
    before, slashes, rest = url.partition("//")
    return (
        f"{before}{slashes}{_without_secrets(rest)}" if slashes and before[-1:] in (":", "") else _without_secrets(url)
    )


def _hide(found: re.Match[str]) -> str:
    return f"://{_without_secrets(found[0].removeprefix('://'))}"


def _without_secrets(rest: str) -> str:
    """What follows "://", without user, query and fragment."""
    authority = _AUTHORITY.match(rest)[0]  # type: ignore[index]  # matches anything
    _, colon, port = authority.partition(":")
    if "@" in authority:
        rest = rest[authority.rindex("@") + 1 :]
    elif colon and port and not port.isdecimal() and "@" in rest:  # a password that should have been percent-encoded
        rest = rest[rest.rindex("@") + 1 :]
    ends = [at for at in (rest.find("?"), rest.find("#")) if at >= 0]
    return rest if not ends else f"{rest[: min(ends)]}?{HIDDEN}"
