"""What AWS did not do; `darkroom.aws.errors` says which answer means what."""

from __future__ import annotations

from darkroom.errors.root import DarkroomError


class AwsFailure(DarkroomError):
    """An AWS service did not do what was asked. `what` names that without its object: "writing to the bucket b"."""

    what = ""


class AwsUnavailable(AwsFailure):
    """Throttled, timed out, unreachable, a conflict, a fault of the service, the clock or the credentials.

    No task can have caused that: it is waited out, and no task loses a try by it.
    """

    retryable = True


class AwsDenied(AwsUnavailable):
    """Not allowed, or the bucket, topic, queue, table or key is not there: somebody has to mend that.

    Of the agent's own resources this is an outage like any other; policies are changed and changed back. A link that
    may not be read is its request's fault.
    """


class AwsUnexplained(AwsUnavailable):
    """An answer that Darkroom does not know: it is asked again, for what is unknown is not final.

    A link whose reading ends like that uses up its task's tries, since the link may be the reason.
    """


class AwsRefused(AwsFailure):
    """What was asked for is not valid, or the object is not there: asking the same again cannot help.

    Only what is listed in `darkroom.aws.errors` is that. It is the task's fault, and ends it.
    """


class LeaseLost(AwsFailure):
    """A message's visibility ran out, so another agent may hold it now."""

    retryable = True
