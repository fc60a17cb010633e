"""`darkroom simulate --recording`: runs that were recorded on real controllers, beside their simulation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import typer

from darkroom.cli.tables import new_table, numbers, print_table
from darkroom.planner.recording import Comparison, compare, read_recording
from darkroom.planner.recording_picture import recording_picture

SYNC_SECONDS = 15.0


def show_recordings(files: Sequence[Path], as_json: bool, picture: Path | None, seed: int) -> None:
    """Simulate each of them, and say how far the simulation is off."""
    found = [compare(read_recording(file), seed) for file in files]
    if picture is not None:
        picture.write_text(recording_picture(found, [one.recording.name for one in found]))
    if as_json:
        typer.echo(json.dumps({one.recording.name: figures(one) for one in found}, indent=2))
        return
    table = new_table("recorded, simulated", *numbers(*(one.recording.name for one in found)))
    for name, title in (("node_seconds", "node-seconds"), ("p50", "waiting, p50"), ("p95", "waiting, p95")):
        cells = [figures(one)[name] for one in found]
        table.add_row(title, *(f"{recorded:,.1f}, {simulated:,.1f}" for recorded, simulated in cells))
    for curve in ("replicas", "claims"):
        off = [len(one.off(curve, SYNC_SECONDS)) for one in found]
        table.add_row(f"seconds with other {curve} within a sync", *map(str, off))
    print_table(table)


def figures(found: Comparison) -> dict[str, list[float]]:
    """Recorded and simulated of each figure, and when pods and nodes were others for more than a sync."""
    return {
        "node_seconds": [round(found.recording.node_seconds, 1), round(found.outcome.node_seconds, 1)],
        "p50": [round(value, 2) for value in found.waiting(0.5)],
        "p95": [round(value, 2) for value in found.waiting(0.95)],
        "replicas_off_at": [second for second, *_ in found.off("replicas", SYNC_SECONDS)],
        "claims_off_at": [second for second, *_ in found.off("claims", SYNC_SECONDS)],
    }
