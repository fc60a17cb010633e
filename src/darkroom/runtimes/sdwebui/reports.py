"""What an SD Web UI tells of its progress: of whatever it does, and of the last job when it does nothing."""

from __future__ import annotations

import msgspec

from darkroom.errors import GenerationFailed
from darkroom.runtimes.protocol import Progress


class _State(msgspec.Struct, frozen=True):
    job_count: int = 0
    sampling_step: int = 0
    sampling_steps: int = 0
    interrupted: bool = False
    job_timestamp: str | None = None


class Report(msgspec.Struct, frozen=True):
    """One answer of the server's."""

    progress: float = 0.0
    eta_relative: float = 0.0
    state: _State = msgspec.field(default_factory=_State)

    @property
    def is_busy(self) -> bool:
        """Whether a job runs."""
        return self.state.job_count != 0

    @property
    def stamp(self) -> str | None:
        """When the job began, in the server's own words, to the second; None where it does not say."""
        return self.state.job_timestamp

    @property
    def was_interrupted(self) -> bool:
        """Whether the job was interrupted: the one that runs, or the last one."""
        return self.state.interrupted

    def is_about(self, stamp: str | None) -> bool:
        """Whether it tells of the job with that time stamp, which is known."""
        return stamp is not None and self.stamp == stamp

    def is_about_another_than(self, stamp: str | None) -> bool:
        """Whether it tells of another job than the one with that time stamp, as far as both are known."""
        return stamp is not None and self.stamp is not None and self.stamp != stamp

    @property
    def told(self) -> Progress | None:
        """How far the running job is; None where none runs."""
        state = self.state
        if not self.is_busy:  # `interrupted` may still be true from the last request
            return None
        # Before the first step the server divides the time that has passed by a constant.
        remaining = self.eta_relative if state.sampling_step > 0 else None
        fraction = min(1.0, max(0.0, self.progress))
        if state.sampling_steps <= 0:
            return Progress(fraction, remaining)
        return Progress(
            fraction, remaining, step=min(state.sampling_step, state.sampling_steps), steps=state.sampling_steps
        )


def decode_report(body: bytes) -> Report:
    """Read the server's answer. Raises `GenerationFailed`."""
    try:
        return msgspec.json.decode(body, type=Report, strict=False)
    except msgspec.DecodeError as error:
        raise GenerationFailed(f"the runtime's progress cannot be read: {error}") from None
