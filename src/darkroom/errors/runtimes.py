"""What a Stable Diffusion runtime did in place of a picture."""

from __future__ import annotations

from darkroom.errors.root import DarkroomError


class RuntimeFailure(DarkroomError):
    """A Stable Diffusion runtime did not deliver."""


class RuntimeUnavailable(RuntimeFailure):
    """The runtime cannot be reached, is still starting, or went away during a task."""

    retryable = True


class RuntimeUnreachable(RuntimeUnavailable):
    """No connection could be made, so the runtime was gone before it was sent the task."""


class RuntimeSick(RuntimeUnavailable):
    """It failed a known-good request of the agent's own too, so whatever else it failed was no task's fault."""


class GenerationTimeout(RuntimeFailure):
    """The runtime did not finish the task within its time limit."""

    retryable = True


class GenerationInterrupted(RuntimeFailure):
    """Somebody stopped the generation before it was finished."""

    retryable = True


class GenerationFailed(RuntimeFailure):
    """The runtime reported a fault of its own."""

    retryable = True


class OutOfMemory(GenerationFailed):
    """The runtime's device has not enough memory for what the task asks for. Another runtime's may have."""


class RequestSuspected(GenerationFailed):
    """The runtime failed in a way that a wrong request causes where the runtime is well: a canary tells."""


class GenerationFailedAgain(RuntimeFailure):
    """The task failed in the same way again on a runtime that is well: another try would come to the same."""


class RuntimeKilled(RuntimeFailure):
    """The task took its runtime down again and again: it is kept away from the others."""


class GenerationRefused(RuntimeFailure):
    """The runtime reported a fault of the request: the same request cannot succeed."""
