"""Why the built-in runtime could not do what it was asked."""

from __future__ import annotations

from darkroom.errors.root import DarkroomError


class InferenceFailure(DarkroomError):
    """The built-in runtime could not do what it was asked."""


class NotFound(InferenceFailure):
    """It has no model, sampler or upscaler of that name (the text names those it has), or a picture is missing."""


class ModelUnusable(InferenceFailure):
    """A model's file is broken, of a kind that is not known, or too large for the device."""


class RuntimeBusy(InferenceFailure):
    """Too many requests wait for the device already."""

    retryable = True
