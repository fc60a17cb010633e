"""How a submission's one end is found, and how it is written down: the `.out` objects.

The write of an `.out` object is the moment at which a task has ended. It is only written where there is none
(`If-None-Match`), and never deleted by Darkroom, so these races come out as they should:

- *Two agents end one submission at once.* Both write under the same name, one succeeds, and the other one reads the
  first one's end and tells that. The same happens to a message that comes again, and to an answer that was lost: the
  library sends the write again, is told that there is an object, and finds it to be this very end.
- *Two submissions have the same four characters.* Whoever finds another's `.out` under its name goes on to its next
  one. Nobody goes back, because what is another's stays so. It does not matter which of the two was first, nor that
  pictures of the one lie beside the end of the other: an end names its own pictures, each with its whole URL.
- *An agent dies between the pictures and the end.* There is no end, so the next delivery begins again. The pictures are
  left behind, and nothing names them (`darkroom.agent.pictures`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from darkroom.aws.bucket import Bucket
from darkroom.aws.errors import AlreadyExists
from darkroom.errors import AwsUnavailable
from darkroom.policy.ends import Anothers, Ended, NotEnded, judge_end
from darkroom.policy.object_keys import TaskObjects
from darkroom.runtimes.protocol import Generation
from darkroom.tasks.notification import Notification, RecordedEnd, encode_end
from darkroom.tasks.task import JsonObject


class Ends:
    """The ends in one output bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    async def find(self, names: TaskObjects) -> Ended | TaskObjects:
        """Look for the end of a submission; where there is none, return the names under which it would be written.

        Raises an `AwsFailure`.
        """
        while True:
            match judge_end(await self._bucket.find(names.output_key), names):
                case NotEnded():
                    return names
                case Ended() as ended:
                    return ended
                case Anothers(names=others):
                    names = others

    async def write(
        self, names: TaskObjects, response: JsonObject, end_under: Callable[[TaskObjects], Notification]
    ) -> Notification:
        """Write down how a submission ended, and return how it really did: somebody may have been first.

        `end_under` says what is to be told when the end lies under the names that it is given. Raises an `AwsFailure`;
        it may be called again then.
        """
        while True:
            notification = end_under(names)
            document = encode_end(response, RecordedEnd(notification, names.submission_id))
            try:
                await self._bucket.put(
                    names.output_key, document, "application/json", only_if_absent=True, owner=names.owner
                )
            except AlreadyExists as error:
                match judge_end(await self._bucket.find(names.output_key), names):
                    case NotEnded():  # somebody else's write was under way, and came to nothing
                        raise AwsUnavailable(str(error)) from error
                    case Ended(notification=first):
                        return first
                    case Anothers(names=others):
                        names = others
            else:
                return notification


def with_urls(generation: Generation, urls: Sequence[str]) -> JsonObject:
    """The runtime's return with each picture's URL where its data stood, as it is written down."""
    for output, url in zip(generation.outputs, urls, strict=True):
        if output.path is None:
            continue
        container: Any = generation.response
        for step in output.path[:-1]:
            container = container[step]
        container[output.path[-1]] = url
    return generation.response
