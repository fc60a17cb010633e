"""Every bench finds what it imports when it is started as its page says: `python bench/x.py`, in the project's root."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
FILES = sorted(str(path.relative_to(ROOT)) for folder in ("bench", "scripts") for path in (ROOT / folder).rglob("*.py"))
# A fork for each, that is the script but for its name: what is below `if __name__ == "__main__"` is not run.
IMPORT_EACH = f"""
import json, os, runpy, sys
import aiobotocore.session, aiohttp, fastapi, httpx, msgspec, rich.console, typer
faults = {{}}
for file in {FILES!r}:
    readable, writable = os.pipe()
    if os.fork() == 0:
        sys.path[0], sys.argv = os.path.dirname(file), [file]
        told = ""
        try:
            runpy.run_path(file, run_name="imported")
        except BaseException as error:
            told = f"{{type(error).__name__}}: {{error}}"
        os.write(writable, told.encode())
        os._exit(0)
    os.close(writable)
    with os.fdopen(readable) as said:
        if text := said.read():
            faults[file] = text
    os.wait()
json.dump(faults, sys.stdout)
"""


def test_every_bench_finds_what_it_imports() -> None:
    run = subprocess.run(
        [sys.executable, "-c", IMPORT_EACH], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert run.returncode == 0, run.stderr
    # Torch is in no environment of `make`.
    faults = {file: text for file, text in json.loads(run.stdout).items() if "'torch'" not in text}
    assert faults == {}
