"""The stack on one machine, composed: what `darkroom up` runs and `darkroom demo` uses.

    emulator ─► provisioning ─────────┐
    runtimes                          ├─► agents, sender, gateway answer ─► stack.json
    agents, sender, gateway stand by ─┘

All processes are started first, side by side: loading libraries takes most of their start, this one's included, so what
speaks to AWS is imported here only when they are under way. Whatever ends the `async with` stops everything in the
opposite order.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from darkroom.config.loader import load_config, parse_config
from darkroom.config.model import DarkroomConfig
from darkroom.errors import AwsFailure, StackFailure
from darkroom.local.caller_keys import kept_key, local_callers
from darkroom.local.claims import claimed_port, only_one
from darkroom.local.facts import stack_facts
from darkroom.local.programs import (
    GATEWAY,
    SENDER,
    START_SECONDS,
    LocalEngine,
    agent_name,
    agent_program,
    emulator_program,
    gateway_program,
    runtime_name,
    runtime_program,
    sender_program,
    standby_program,
    start_limit_seconds,
)
from darkroom.local.provenance import local_provenance
from darkroom.local.stack_file import STACK_FOLDER, StackFacts, remove_stack_file, write_stack_file
from darkroom.local.supervisor import Supervisor
from darkroom.local.waiting import Awaited, wait_for
from darkroom.local.webhook_keys import kept_keys
from darkroom.openai.options import OPENAI_FILE, encode_options
from darkroom.settings import AwsSettings
from darkroom.testing.free_port import free_port
from darkroom.testing.loopback_aws import CREDENTIALS, HEALTH_PATH, REGION, without_proxy

if TYPE_CHECKING:
    from darkroom.aws.connection import Aws
    from darkroom.local.provisioning import ProvisionedPlane

# What runs where there is no config.yaml: the guide's own example of a runtime.
DEFAULT_CONFIG = """\
modelsRuntime:
- name: sdruntime
  type: sdwebui
  modelFilename: v1-5-pruned-emaonly.safetensors
"""


@dataclass(frozen=True)
class StackOptions:
    """How to run a stack. A port of 0 means any that is free. `runtime_urls` names runtimes that run already.

    `ends_at_once`: nobody needs what it has under way at its end, which is gone with its queues.
    """

    folder: Path = STACK_FOLDER
    config_path: Path | None = None
    gateway_port: int = 8000
    aws_port: int = 4566
    runtime_urls: Mapping[str, str] = field(default_factory=dict)
    engine: LocalEngine = LocalEngine.POCKET
    models: Path | None = None
    ends_at_once: bool = False


class RunningStack:
    """A stack that runs. `aws` is open for as long as it does: `SERVICES` of its emulator."""

    def __init__(self, facts: StackFacts, config: DarkroomConfig, aws: Aws, supervisor: Supervisor) -> None:
        self.facts = facts
        self.config = config
        self.aws = aws
        self._supervisor = supervisor

    async def wait_until_lost(self) -> None:
        """Return never, but raise `StackFailure` when a part is lost that the stack cannot do without."""
        raise StackFailure(await asyncio.shield(self._supervisor.lost))


def read_stack_config(path: Path | None) -> DarkroomConfig:
    """Read `path`, or config.yaml where it lies in the current folder, or the built-in default."""
    if path is not None:
        return load_config(path)
    usual = Path("config.yaml")
    return load_config(usual) if usual.exists() else parse_config(DEFAULT_CONFIG, "the built-in configuration")


@asynccontextmanager
async def running_stack(options: StackOptions, tell: Callable[[str], None]) -> AsyncIterator[RunningStack]:
    """Run a stack for the body of the `async with`. Raises `StackFailure` or `SettingsError` when it cannot start."""
    config = read_stack_config(options.config_path)
    _check_runtime_urls(config, options.runtime_urls)
    folder = options.folder.absolute()
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    with only_one(folder):
        keys = {caller.name: kept_key(folder, caller.name) for caller in local_callers(config)}
        aws_port = claimed_port(options.aws_port, "the AWS emulator", "--aws-port")
        gateway_port = claimed_port(options.gateway_port, "the gateway", "--port")
        settings = AwsSettings(region=REGION, endpoint_url=f"http://127.0.0.1:{aws_port}")
        supervisor = Supervisor(folder / "logs", tell)
        starting = _Starting(config, options, folder, settings, supervisor, tell)
        try:
            runtime_urls = await starting.begin()
            async with starting.opened_aws() as aws:
                plane = await starting.provisioned(aws)
                await starting.tell_each(plane, runtime_urls, keys, gateway_port)
                await starting.wait()
                facts = stack_facts(config, plane, settings, next(iter(keys.values())), gateway_port)
                write_stack_file(folder, facts)
                supervisor.is_up()
                yield RunningStack(facts, config, aws, supervisor)
        finally:
            remove_stack_file(folder)
            await supervisor.stop(at_once=options.ends_at_once or supervisor.lost.done())


class _Starting:
    """A stack on its way up: its steps, in order."""

    def __init__(
        self,
        config: DarkroomConfig,
        options: StackOptions,
        folder: Path,
        aws: AwsSettings,
        supervisor: Supervisor,
        tell: Callable[[str], None],
    ) -> None:
        self._config = config
        self._options = options
        self._folder = folder
        self._aws = aws
        self._supervisor = supervisor
        self._tell = tell
        self._awaited: list[Awaited] = []

    async def begin(self) -> dict[str, str]:
        """Start every process; return where each runtime listens, or is said to."""
        self._tell("starting the AWS emulator, the runtimes, the agents and the gateway")
        port = urlsplit(str(self._aws.endpoint_url)).port or 0
        await self._supervisor.start(emulator_program(port, self._folder / "emulator"))
        urls = dict(self._options.runtime_urls)
        for runtime in self._config.models_runtime:
            if runtime.name not in urls:
                port = free_port()
                urls[runtime.name] = f"http://127.0.0.1:{port}"
                program = runtime_program(runtime, port, self._options.engine, self._options.models)
                await self._supervisor.start(program)
            await self._supervisor.stand_by(standby_program(agent_name(runtime), "agent"))
        await self._supervisor.stand_by(standby_program(GATEWAY, "gateway"))
        await self._supervisor.stand_by(standby_program(SENDER, "sender"))
        return urls

    @asynccontextmanager
    async def opened_aws(self) -> AsyncIterator[Aws]:
        """Clients of the emulator."""
        from darkroom.aws.connection import open_aws
        from darkroom.local.provisioning import SERVICES

        # From here on this process speaks to the emulator, and to what else there is on this machine.
        os.environ.update({**CREDENTIALS, **without_proxy(os.environ)})
        await self._wait(Awaited("emulator", f"{self._aws.endpoint_url}{HEALTH_PATH}", START_SECONDS))
        async with open_aws(self._aws, *SERVICES) as aws:
            yield aws

    async def provisioned(self, aws: Aws) -> ProvisionedPlane:
        """Topics, queues, bucket and table, made."""
        from darkroom.local.provisioning import provision

        self._tell("making topics, queues, bucket and table")
        try:
            return await provision(self._config.task_plane(with_events=True), aws)
        except AwsFailure as error:
            if self._supervisor.lost.done():
                raise StackFailure(self._supervisor.lost.result()) from error
            raise StackFailure(f"the task plane could not be made at the emulator: {error}") from error

    async def tell_each(
        self, plane: ProvisionedPlane, runtime_urls: Mapping[str, str], keys: Mapping[str, str], gateway_port: int
    ) -> None:
        """Let what stands by go on, now that it is known with what."""
        config, start = self._config, self._supervisor.start
        openai_file = _openai_file(config, self._folder)
        await start(gateway_program(config, plane, self._aws, keys, gateway_port, openai_file))
        self._awaited.append(Awaited(GATEWAY, f"http://127.0.0.1:{gateway_port}/healthz", START_SECONDS))
        provenance = await asyncio.to_thread(local_provenance, config.provenance, self._folder, self._tell)
        queues = {queue.runtime: queue for queue in plane.queues}
        for runtime in config.models_runtime:
            port = free_port()
            url, queue = runtime_urls[runtime.name], queues[runtime.name]
            await start(agent_program(runtime, plane, queue, self._aws, url, port, config.input_buckets, provenance))
            if runtime.name not in self._options.runtime_urls:
                limit = start_limit_seconds(self._options.engine)
                ready = f"http://127.0.0.1:{port}/readyz"
                self._awaited.append(Awaited(agent_name(runtime), ready, limit, behind=runtime_name(runtime)))
        await start(sender_program(config, plane, self._aws, kept_keys(self._folder)))

    async def wait(self) -> None:
        """Wait until gateway and agents answer. Raises `StackFailure`."""
        self._tell("waiting until they answer")
        for awaited in self._awaited:
            await self._wait(awaited)

    async def _wait(self, awaited: Awaited) -> None:
        await wait_for(awaited, self._supervisor, self._tell)


def _openai_file(config: DarkroomConfig, folder: Path) -> Path | None:
    """Write down what the gateway is told of OpenAI's API; None where nothing is said of it."""
    options = config.openai_options()
    if not options:
        return None
    path = folder / OPENAI_FILE
    path.write_bytes(encode_options(options))
    return path


def _check_runtime_urls(config: DarkroomConfig, runtime_urls: Mapping[str, str]) -> None:
    names = [runtime.name for runtime in config.models_runtime]
    for name in runtime_urls:
        if name not in names:
            raise StackFailure(f"--runtime-url names the runtime {name!r}; the configuration has: {', '.join(names)}")
