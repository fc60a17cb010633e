"""`darkroom demo` as a newcomer meets it: the first command of the README."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

from PIL import Image

DEADLINE_SECONDS = 120
NO_PROXY_LISTENS = "http://127.0.0.1:9"


def test_every_request_of_the_demo_gives_a_picture_behind_a_proxy_too(tmp_path: Path) -> None:
    # Nobody listens there, and nothing of the demo may ask it: all of it is on this machine.
    proxies = dict.fromkeys(("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy"), NO_PROXY_LISTENS)
    direct = {name: value for name, value in os.environ.items() if name.lower() != "no_proxy"}
    done = subprocess.run(
        [sys.executable, "-m", "darkroom", "demo"],
        cwd=tmp_path,
        env={**direct, **proxies},
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    pictures = {path.name: path.read_bytes() for path in (tmp_path / "pictures").iterdir()}
    sizes = sorted(Image.open(io.BytesIO(data)).size for data in pictures.values())
    # The dog and the dog redrawn, the cat redrawn; the dog twice as large; the cat four times as large.
    assert sizes == [(512, 512), (512, 512), (512, 512), (1024, 1024), (2048, 2048)]
    assert {data[:8] for data in pictures.values()} == {b"\x89PNG\r\n\x1a\n"}
    assert not (tmp_path / ".darkroom" / "demo" / "stack.json").exists()
