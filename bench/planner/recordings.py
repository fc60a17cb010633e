"""Compares recordings of real controllers with the simulation, and draws them beside each other.

`python bench/planner/recordings.py [FILE...]`: of the two recordings in tests/unit/planner/recordings it also writes
docs/planning-recordings.svg and the table of docs/planning.md. Expected: pods and claims within one sync of the
autoscaler, node-seconds within 5 %, the waiting's median and 95th percentile within 10 % or a second.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from darkroom.planner.recording import Comparison, compare, read_recording
from darkroom.planner.recording_picture import recording_picture

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tests" / "unit" / "planner" / "recordings"
OURS = {
    "defaults": "The autoscaler by its own rules; a tenth of the nodes leaves at once",
    "up-at-once": "Up in one step; empty nodes leave together",
}
SYNC = 15.0


def main(files: Sequence[str]) -> None:
    """Compare the files, or ours."""
    if files:
        for line in rows([compare(read_recording(Path(file))) for file in files]):
            print(line)
        return
    found = [compare(read_recording(FOLDER / f"{name}.jsonl")) for name in OURS]
    (ROOT / "docs" / "planning-recordings.svg").write_text(recording_picture(found, list(OURS.values())))
    page = ROOT / "docs" / "planning.md"
    page.write_text(with_table(page.read_text(), found))
    for line in rows(found):
        print(line)


def with_table(page: str, found: Sequence[Comparison]) -> str:
    """The page with its table made anew."""
    begin, end = "<!-- begin recordings -->", "<!-- end recordings -->"
    return re.sub(f"{begin}.*?{end}", lambda _: "\n".join([begin, *rows(found), end]), page, flags=re.DOTALL)


def rows(found: Sequence[Comparison]) -> Iterator[str]:
    """A Markdown table."""
    columns = [
        "recording",
        "node-seconds: recorded, simulated",
        "waiting p50",
        "waiting p95",
        "seconds with other pods or",
    ]
    yield f"| {' | '.join(columns)} nodes within a sync |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for one in found:
        (p50, s50), (p95, s95) = one.waiting(0.5), one.waiting(0.95)
        off = len(one.off("replicas", SYNC)) + len(one.off("claims", SYNC))
        seconds = f"{one.recording.node_seconds:,.0f}, {one.outcome.node_seconds:,.0f} ({one.node_seconds_error:+.1%})"
        waits = f"{p50:.1f} s, {s50:.1f} s | {p95:.1f} s, {s95:.1f} s"
        yield f"| `{one.recording.name}.jsonl` | {seconds} | {waits} | {off} |"


if __name__ == "__main__":
    main(sys.argv[1:])
