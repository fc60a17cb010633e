"""What the built-in runtime is told, where the command line does not say."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from darkroom.settings.reader import EnvironmentReader


class RuntimeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the built-in runtime finds in the environment, where the command line does not say.

    `compilation` is auto, always or never; `compile_cache` the folder for what was compiled.
    """

    compilation: str = "auto"
    compile_cache: str | None = None
    keep_models: int = 2


def read_runtime_settings(environment: Mapping[str, str]) -> RuntimeSettings:
    """The built-in runtime's settings. Raises `SettingsError` that lists every variable that is wrong."""
    read = EnvironmentReader(environment)
    settings = RuntimeSettings(
        compilation=read.choice("DARKROOM_COMPILE", ("auto", "always", "never"), "auto"),
        compile_cache=read.optional_text("DARKROOM_COMPILE_CACHE"),
        keep_models=read.number("DARKROOM_KEEP_MODELS", int, 2, at_least=1),
    )
    read.raise_faults("the built-in runtime")
    return settings
