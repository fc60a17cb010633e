"""The names of the objects that a task leaves in the output bucket.

`{prefix}/{id}/{id}-{xxxx}-{n}.{extension}` for the pictures and `{prefix}/{id}/{id}-{xxxx}.out` for the runtime's
return, as in the guide. `xxxx` is derived from the submission, so doing a task twice looks at the same names.

Four characters are too few to be one submission's alone: of 1,500 submissions under one id and prefix, two have the
same ones more often than not. So each submission has a sequence of them, derived one by one, and where a name is
another's it takes the next. What is anybody's is never written over, so a name that is another's stays another's, and
whoever walks the sequence later finds the same (`darkroom.policy.ends`).
"""

from __future__ import annotations

import hashlib

import msgspec

from darkroom.tasks.task import Task

MAXIMUM_KEY_BYTES = 1024  # Amazon S3
# What follows the ids at most: two slashes, "-xxxx", "-" and a number of up to 6 digits, "." and an extension of 11.
LONGEST_SUFFIX_BYTES = 2 + 5 + 7 + 12
# Offloaded payloads lie in the output bucket too, where no task's prefix may reach.
RESERVED_PREFIX = "darkroom-payloads/"
# An empty object, by which an agent finds out whether the bucket can be written to again.
PROBE_KEY = f"{RESERVED_PREFIX}probe"
# Never an object, by which an agent finds out what the bucket says where there is none.
ABSENT_KEY = f"{RESERVED_PREFIX}never-written"
_BASE_36 = "0123456789abcdefghijklmnopqrstuvwxyz"


class TaskObjects(msgspec.Struct, frozen=True):
    """The objects of one submission: where they lie, and what they are called.

    `turn` counts the names that were found to be another's, from 0. `owner` is the caller whose they are, "" nobody.
    """

    bucket: str
    folder: str
    task_id: str
    submission_id: str
    turn: int = 0
    owner: str = ""

    @classmethod
    def of(cls, task: Task, submission_id: str, bucket: str, owner: str = "") -> TaskObjects:
        """The objects of `task`, submitted as `submission_id` by `owner`, in `bucket`, by their first names."""
        return cls.named(task.id, task.prefix, submission_id, bucket, owner)

    @classmethod
    def named(cls, task_id: str, prefix: str, submission_id: str, bucket: str, owner: str = "") -> TaskObjects:
        """The same of a task of which no more is known than this."""
        folder = f"{prefix}/{task_id}"
        return cls(bucket=bucket, folder=folder, task_id=task_id, submission_id=submission_id, owner=owner)

    def next(self) -> TaskObjects:
        """The same objects under the names that follow, because one of these is another's."""
        return msgspec.structs.replace(self, turn=self.turn + 1)

    @property
    def stem(self) -> str:
        """What the names of all of them begin with."""
        return f"{self.task_id}-{_token(self.submission_id, self.turn)}"

    def picture_key(self, number: int, extension: str) -> str:
        """The key of picture `number`, counted from 1; `extension` has no dot."""
        return f"{self.folder}/{self.stem}-{number}.{extension}"

    @property
    def output_key(self) -> str:
        """The key of the `.out` object, which is written last: where it stands, the task is done."""
        return f"{self.folder}/{self.stem}.out"

    @property
    def location(self) -> str:
        """Where a caller is told to look for them."""
        return self.url(self.folder)

    def url(self, key: str) -> str:
        """The s3:// URL of `key`."""
        return f"s3://{self.bucket}/{key}"


def output_location(bucket: str, prefix: str, task_id: str) -> str:
    """Where the guide tells a caller to look for the pictures."""
    return f"s3://{bucket}/{prefix}/{task_id}"


def _token(submission_id: str, turn: int) -> str:
    text = f"{submission_id}/{turn}" if turn else submission_id
    number = int.from_bytes(hashlib.sha256(text.encode(errors="surrogatepass")).digest()[:8], "big")
    characters = []
    for _ in range(4):
        number, digit = divmod(number, len(_BASE_36))
        characters.append(_BASE_36[digit])
    return "".join(characters)
