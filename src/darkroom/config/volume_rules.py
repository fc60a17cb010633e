"""What EC2 takes of EBS volumes: a node whose volume cannot be made never comes, and the pods wait."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from darkroom.config.document import ConfigFault, Path
from darkroom.config.fit_rules import at
from darkroom.config.kubernetes_text import amount_of

# The chart's own; a test holds the two together.
DEFAULT_VOLUMES: dict[str, dict[str, Any]] = {
    "osVolume": {"volumeSize": "10Gi", "volumeType": "gp3", "iops": 3000, "throughput": 125},
    "dataVolume": {"volumeSize": "100Gi", "volumeType": "gp3", "iops": 6000, "throughput": 600},
}


@dataclass(frozen=True)
class _Limits:
    """I/O operations per second of a type of volume, and how many there may be for each GiB of it."""

    least: int
    most: int
    for_each_gib: int


_LIMITS = {"gp3": _Limits(3000, 80_000, 500), "io1": _Limits(100, 64_000, 50), "io2": _Limits(100, 256_000, 1000)}
# MiB per second of a gp3 volume need so many operations.
_OPERATIONS_FOR_EACH_MIB = 4


def unfit_volumes(
    path: Path, place: tuple[str, ...], nodes: dict[str, Any], size_of_data: Path | None = None
) -> Iterator[ConfigFault]:
    """Volumes, said below `place` of `nodes`, that EC2 does not make.

    `size_of_data` is where the data volume's size is said, if it has a key of its own.
    """
    size = None if size_of_data is None else at(nodes, *map(str, size_of_data))
    for name, defaults in DEFAULT_VOLUMES.items():
        said = at(nodes, *place, name)
        said = said if isinstance(said, dict) else {}
        if name == "dataVolume" and size is not None:
            said = {**said, "volumeSize": size}
        if said:
            for fault in _unfit((*path, *place, name), said, {**defaults, **said}):
                is_elsewhere = size_of_data is not None and name == "dataVolume" and fault.path[-1] == "volumeSize"
                yield ConfigFault((*path, *size_of_data), fault.reason) if is_elsewhere and size_of_data else fault


def _unfit(here: Path, said: dict[str, Any], volume: dict[str, Any]) -> Iterator[ConfigFault]:
    kind, iops, throughput = volume["volumeType"], volume["iops"], volume["throughput"]
    limits = _LIMITS.get(kind) if isinstance(kind, str) else None
    try:
        gibibytes = amount_of(volume["volumeSize"]) / 2**30
    except ValueError:
        return  # its form is somebody else's to say
    if limits is None or type(iops) is not int or type(throughput) is not int:
        return
    most = min(limits.most, int(gibibytes * limits.for_each_gib))
    if not limits.least <= iops <= most:
        key = next(key for key in ("iops", "volumeSize", "volumeType") if key in said)
        reason = f"{'is' if key == 'iops' else 'leaves iops at'} {iops}; {kind} of {volume['volumeSize']} has from"
        yield ConfigFault(
            (*here, key), f"{reason} {limits.least} to {most}, {limits.for_each_gib} for each GiB at most"
        )
    if kind != "gp3":
        if "throughput" in said:
            yield ConfigFault((*here, "throughput"), f"is for gp3 alone, not for {kind}: remove it")
    elif throughput * _OPERATIONS_FOR_EACH_MIB > iops:
        needed = throughput * _OPERATIONS_FOR_EACH_MIB
        reason = f"is {iops}, too few for a throughput of {throughput}: it needs {needed}"
        if "throughput" in said:
            reason = f"is {throughput}, which needs iops of {needed}: there are {iops}"
        yield ConfigFault((*here, "throughput" if "throughput" in said else "iops"), reason)
