"""Whose task a message is, as Amazon SQS's fair queues want to know: so that one caller's flood delays nobody else's.

SNS hands the group of a message on to standard queues, and SQS then prefers messages of groups that do not keep its
consumers busy already. A message without a group counts as a group of its own.
"""

from __future__ import annotations

import hashlib
import string

# `MessageGroupId` in the reference of SNS's Publish: up to 128 letters, digits and marks of ASCII.
LONGEST_GROUP = 128
_ALLOWED = frozenset(string.ascii_letters + string.digits + string.punctuation)
_DIGEST_CHARACTERS = 32


def group_of(caller: str) -> str | None:
    """The message group for the tasks of `caller`: a name or an id of its API key, never the key, as groups are logged.

    One that AWS would not take is replaced by its digest, so that two callers stay two. None for "", which is nobody.
    """
    if not caller:
        return None
    if len(caller) <= LONGEST_GROUP and _ALLOWED.issuperset(caller):
        return caller
    return hashlib.sha256(caller.encode(errors="surrogatepass")).hexdigest()[:_DIGEST_CHARACTERS]
