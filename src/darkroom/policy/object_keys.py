"""The names of the objects that a task leaves in the output bucket.

`{prefix}/{id}/{id}-{xxxx}-{n}.{extension}` for the pictures and `{prefix}/{id}/{id}-{xxxx}.out` for the runtime's
return, as in the guide. `xxxx` is derived from the submission, so doing a task twice writes the same objects.
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
_BASE_36 = "0123456789abcdefghijklmnopqrstuvwxyz"


class TaskObjects(msgspec.Struct, frozen=True):
    """The objects of one submission: where they lie, and what they are called."""

    bucket: str
    folder: str
    stem: str

    @classmethod
    def of(cls, task: Task, submission_id: str, bucket: str) -> TaskObjects:
        """The objects of `task`, submitted as `submission_id`, in `bucket`."""
        return cls(bucket=bucket, folder=f"{task.prefix}/{task.id}", stem=f"{task.id}-{_token(submission_id)}")

    def picture_key(self, number: int, extension: str) -> str:
        """The key of picture `number`, counted from 1; `extension` has no dot."""
        return f"{self.folder}/{self.stem}-{number}.{extension}"

    @property
    def output_key(self) -> str:
        """The key of the `.out` object, which is written last: where it stands, the task is done."""
        return f"{self.folder}/{self.stem}.out"

    def url(self, key: str) -> str:
        """The s3:// URL of `key`."""
        return f"s3://{self.bucket}/{key}"


def output_location(bucket: str, prefix: str, task_id: str) -> str:
    """Where the guide tells a caller to look for the pictures."""
    return f"s3://{bucket}/{prefix}/{task_id}"


def _token(submission_id: str) -> str:
    number = int.from_bytes(hashlib.sha256(submission_id.encode()).digest()[:8], "big")
    characters = []
    for _ in range(4):
        number, digit = divmod(number, len(_BASE_36))
        characters.append(_BASE_36[digit])
    return "".join(characters)
