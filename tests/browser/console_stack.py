"""The stack that the console is looked at in: `darkroom up`, with runtimes whose dials a test can turn."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urljoin

from darkroom.local.caller_keys import kept_key
from darkroom.local.stack_file import STACK_FOLDER, StackFacts, read_stack_file
from darkroom.samples import read_sample
from darkroom.testing.fake_comfyui import FakeComfyUi
from darkroom.testing.fake_sdwebui import FakeSdWebui
from darkroom.testing.loopback import LoopbackServer
from tests.acceptance.conftest import Stack, start_up, wait_for

MODELS = ("v1-5-pruned-emaonly.safetensors", "other-model.safetensors")
CONFIG = """\
APIGW:
  throttle: {rateLimit: 10000, burstLimit: 5000}
callers:
- {name: default}
- {name: lab}
- {name: newcomer}
- {name: chief, role: operator}
modelsRuntime:
- {name: sdruntime, type: sdwebui, dynamicModel: true}
- name: workflows
  type: comfyui
  openai:
    generate:
      workflow: GRAPH
      slots: {prompt: wanted.text, negativePrompt: unwanted.text, seed: sampler.seed, steps: sampler.steps}
""".replace("GRAPH", json.dumps(read_sample("v1alpha2-pipeline")["task"]["content"]))


@dataclass
class ConsoleStack:
    """The stack, and the two servers that make its pictures: `sdruntime` and `workflows`."""

    stack: Stack
    sdwebui: FakeSdWebui
    comfyui: FakeComfyUi
    keys: dict[str, str] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        """Where the console is, without a slash at its end."""
        return urljoin(self.stack.facts.endpoint, "/").rstrip("/")

    def key(self, caller: str) -> str:
        """The API key of `default`, `lab`, `chief`, who is an operator, or `newcomer`, who has asked for nothing."""
        if caller not in self.keys:
            self.keys[caller] = kept_key(self.stack.folder / STACK_FOLDER, caller)
        return self.keys[caller]

    def address(self, page: str = "", caller: str = "default") -> str:
        """The address that lets a caller in, or with "" nobody; `page` is as in `/make`."""
        return f"{self.origin}/#{page}" if not caller else f"{self.origin}/#key={quote(self.key(caller), safe='')}"

    def turn_dials_back(self) -> None:
        """Let both servers do at once, and without fault, what they are asked for, and end what they still do."""
        self.sdwebui.latency_seconds = self.comfyui.executor.latency_seconds = 0.0
        self.sdwebui.fault_for = self.comfyui.fault_for = None
        self.sdwebui.faults.clear()
        self.comfyui.faults.clear()
        for stop in (f"{self.sdwebui.url}/sdapi/v1/interrupt", f"{self.comfyui.url}/interrupt"):
            self.stack.http.post(stop)


@contextmanager
def in_a_thread(*servers: LoopbackServer) -> Iterator[None]:
    """Run these servers beside the test, whatever that waits for."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="runtimes", daemon=True)
    thread.start()
    try:
        for server in servers:
            asyncio.run_coroutine_threadsafe(server.start(), loop).result(timeout=10)
        yield
    finally:
        for server in servers:
            asyncio.run_coroutine_threadsafe(server.stop(), loop).result(timeout=10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=10)
        loop.close()


@contextmanager
def console_stack(folder: Path, config: str = CONFIG) -> Iterator[ConsoleStack]:
    """Run the stack in `folder` for the body of the `with`."""
    sdwebui, comfyui = FakeSdWebui(models=MODELS), FakeComfyUi()
    (folder / "config.yaml").write_text(config)
    with in_a_thread(sdwebui, comfyui):
        urls = (f"sdruntime={sdwebui.url}", f"workflows={comfyui.url}")
        process = start_up(folder, *(part for url in urls for part in ("--runtime-url", url)))

        def facts() -> StackFacts | None:
            assert process.poll() is None, (folder / "up.log").read_text()
            return read_stack_file(folder / STACK_FOLDER)

        try:
            stack = Stack(folder, process, wait_for(facts, "the stack's start"))
        except BaseException:
            process.kill()
            raise
        try:
            yield ConsoleStack(stack, sdwebui, comfyui)
        finally:
            stack.stop()
