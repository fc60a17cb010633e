"""Which runtime types there are: every entry point in the group `darkroom.runtimes`, Darkroom's own among them."""

from __future__ import annotations

from importlib.metadata import entry_points

from darkroom.errors import MissingExtra, SettingsError
from darkroom.runtimes.protocol import Runtime, RuntimeContext, RuntimeFactory

GROUP = "darkroom.runtimes"


def create_runtime(runtime_type: str, context: RuntimeContext) -> Runtime:
    """The adapter for `runtime_type`. Raises `SettingsError` for one that nobody provides."""
    return find_factory(runtime_type)(context)


def find_factory(runtime_type: str) -> RuntimeFactory:
    """What makes adapters of that type.

    Raises `SettingsError` that names the types there are, and `MissingExtra` where Darkroom's own lack a library.
    """
    points = {point.name: point for point in entry_points(group=GROUP)}
    if runtime_type not in points:
        known = ", ".join(sorted(points)) or "none (is Darkroom installed?)"
        raise SettingsError(f"there is no runtime type {runtime_type!r}; there are: {known}")
    try:
        factory: RuntimeFactory = points[runtime_type].load()
    except ModuleNotFoundError as error:
        if error.name in ("aiohttp", "yarl"):
            raise MissingExtra("agent", f"the runtime type {runtime_type!r}") from None
        raise SettingsError(f"the runtime type {runtime_type!r} cannot be loaded: {error}") from error
    except (ImportError, AttributeError) as error:
        raise SettingsError(f"the runtime type {runtime_type!r} cannot be loaded: {error}") from error
    return factory
