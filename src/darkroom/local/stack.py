"""The stack on one machine, composed: what `darkroom up` runs and `darkroom demo` uses.

    runtimes ──────────────────┐
    emulator ─► provisioning ──┴─► agents, sender, gateway ─► stack.json

Each step waits until the one before it answers; what needs nothing of each other starts side by side. Whatever ends
the `async with` stops everything in the opposite order.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from darkroom.aws.connection import open_aws
from darkroom.config.loader import load_config, parse_config
from darkroom.config.model import DarkroomConfig
from darkroom.config.runtime_facts import RuntimeFacts
from darkroom.errors import AwsFailure, StackFailure
from darkroom.local.caller_keys import kept_key, local_callers
from darkroom.local.programs import (
    LocalEngine,
    agent_program,
    emulator_program,
    gateway_program,
    runtime_program,
    sender_program,
)
from darkroom.local.provenance import local_provenance
from darkroom.local.provisioning import SERVICES, ProvisionedPlane, provision
from darkroom.local.stack_file import (
    STACK_FOLDER,
    StackFacts,
    read_stack_file,
    remove_stack_file,
    write_stack_file,
)
from darkroom.local.supervisor import Supervisor, wait_until
from darkroom.local.webhook_keys import kept_keys
from darkroom.openai.options import OPENAI_FILE, encode_options
from darkroom.settings import AwsSettings, ProvenanceSettings
from darkroom.testing.free_port import free_port
from darkroom.testing.loopback_aws import CREDENTIALS, REGION, is_answering

_START_SECONDS = 60.0
# What runs where there is no config.yaml: the guide's own example of a runtime.
DEFAULT_CONFIG = """\
modelsRuntime:
- name: sdruntime
  type: sdwebui
  modelFilename: v1-5-pruned-emaonly.safetensors
"""


@dataclass(frozen=True)
class StackOptions:
    """How to run a stack. A port of 0 means any that is free. `runtime_urls` names runtimes that run already."""

    folder: Path = STACK_FOLDER
    config_path: Path | None = None
    gateway_port: int = 8000
    aws_port: int = 4566
    runtime_urls: Mapping[str, str] = field(default_factory=dict)
    engine: LocalEngine = LocalEngine.POCKET
    models: Path | None = None


class RunningStack:
    """A stack that runs."""

    def __init__(self, facts: StackFacts, config: DarkroomConfig, supervisor: Supervisor) -> None:
        self.facts = facts
        self.config = config
        self._supervisor = supervisor

    @property
    def aws(self) -> AwsSettings:
        """Where its AWS is."""
        return AwsSettings(region=self.facts.region, endpoint_url=self.facts.aws_endpoint_url)

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
    with _only_one(folder):
        keys = {caller.name: kept_key(folder, caller.name) for caller in local_callers(config)}
        aws_port = _port(options.aws_port, "the AWS emulator", "--aws-port")
        gateway_port = _port(options.gateway_port, "the gateway", "--port")
        aws = AwsSettings(region=REGION, endpoint_url=f"http://127.0.0.1:{aws_port}")
        supervisor = Supervisor(folder / "logs", tell)
        try:
            tell("starting the AWS emulator")
            await supervisor.start(emulator_program(aws_port, folder / "emulator"))
            runtime_urls = await _start_runtimes(supervisor, config, options, tell)
            await _wait(supervisor, "emulator", lambda: asyncio.to_thread(is_answering, str(aws.endpoint_url)))
            tell("making topics, queues, bucket and table")
            plane = await _provision(config, aws, supervisor)
            provenance = await asyncio.to_thread(local_provenance, config.provenance, folder, tell)
            agent_urls = await _start_agents(supervisor, config, plane, aws, runtime_urls, provenance, tell)
            ready_urls = {f"agent-{name}": url for name, url in agent_urls.items() if name not in options.runtime_urls}
            tell("starting the sender of webhooks")
            await supervisor.start(sender_program(config, plane, aws, kept_keys(folder)))
            tell("starting the gateway")
            openai_file = _openai_file(config, folder)
            await supervisor.start(gateway_program(config, plane, aws, keys, gateway_port, openai_file))
            await _wait(supervisor, "gateway", _answers(f"http://127.0.0.1:{gateway_port}/healthz"))
            for name, url in ready_urls.items():
                await _wait(supervisor, name, _answers(url))
            facts = _facts(config, plane, aws, next(iter(keys.values())), gateway_port)
            write_stack_file(folder, facts)
            supervisor.is_up()
            yield RunningStack(facts, config, supervisor)
        finally:
            remove_stack_file(folder)
            await supervisor.stop()


async def _provision(config: DarkroomConfig, aws: AwsSettings, supervisor: Supervisor) -> ProvisionedPlane:
    os.environ.update(CREDENTIALS)  # the emulator's: from here on this process speaks to nothing else
    try:
        async with open_aws(aws, *SERVICES) as connection:
            return await provision(config.task_plane(with_events=True), connection)
    except AwsFailure as error:
        if supervisor.lost.done():
            raise StackFailure(supervisor.lost.result()) from error
        raise StackFailure(f"the task plane could not be made at the emulator: {error}") from error


async def _start_runtimes(
    supervisor: Supervisor, config: DarkroomConfig, options: StackOptions, tell: Callable[[str], None]
) -> dict[str, str]:
    """Start each runtime that does not run already; return where each one listens."""
    urls = dict(options.runtime_urls)
    for runtime in config.models_runtime:
        if runtime.name not in urls:
            port = free_port()
            urls[runtime.name] = f"http://127.0.0.1:{port}"
            tell(f"starting the runtime {runtime.name} ({runtime.type})")
            await supervisor.start(runtime_program(runtime, port, options.engine, options.models))
    return urls


async def _start_agents(
    supervisor: Supervisor,
    config: DarkroomConfig,
    plane: ProvisionedPlane,
    aws: AwsSettings,
    runtime_urls: Mapping[str, str],
    provenance: ProvenanceSettings,
    tell: Callable[[str], None],
) -> dict[str, str]:
    """Start an agent for each runtime; return where each one says that it is ready."""
    queues = {queue.runtime: queue for queue in plane.queues}
    ready_urls = {}
    for runtime in config.models_runtime:
        port = free_port()
        tell(f"starting the agent of {runtime.name}")
        url = runtime_urls[runtime.name]
        queue = queues[runtime.name]
        await supervisor.start(agent_program(runtime, plane, queue, aws, url, port, config.input_buckets, provenance))
        ready_urls[runtime.name] = f"http://127.0.0.1:{port}/readyz"
    return ready_urls


def _openai_file(config: DarkroomConfig, folder: Path) -> Path | None:
    """Write down what the gateway is told of OpenAI's API; None where nothing is said of it."""
    options = config.openai_options()
    if not options:
        return None
    path = folder / OPENAI_FILE
    path.write_bytes(encode_options(options))
    return path


def _facts(
    config: DarkroomConfig, plane: ProvisionedPlane, aws: AwsSettings, api_key: str, gateway_port: int
) -> StackFacts:
    types = {runtime.name: runtime.type for runtime in config.models_runtime}
    return StackFacts(
        endpoint=f"http://127.0.0.1:{gateway_port}/{config.api_gateway.stage_name}",
        api_key=api_key,
        aws_endpoint_url=str(aws.endpoint_url),
        region=aws.region,
        input_topic_arn=plane.input_topic_arn,
        output_topic_arn=plane.output_topic_arn,
        output_bucket=plane.bucket,
        task_table=plane.table,
        runtimes=[
            RuntimeFacts(
                name=queue.runtime,
                type=types[queue.runtime],
                queue_url=queue.url,
                dead_letter_queue_url=queue.dead_letter_url,
                low_queue_url=queue.low_url,
            )
            for queue in plane.queues
        ],
        pid=os.getpid(),
        callers=local_callers(config),
    )


def _check_runtime_urls(config: DarkroomConfig, runtime_urls: Mapping[str, str]) -> None:
    names = [runtime.name for runtime in config.models_runtime]
    for name in runtime_urls:
        if name not in names:
            raise StackFailure(f"--runtime-url names the runtime {name!r}; the configuration has: {', '.join(names)}")


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Hold the folder's lock. Raises `StackFailure` when another stack does."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            running = read_stack_file(folder)
            where = f" at {running.endpoint} (process {running.pid})" if running else ""
            raise StackFailure(f"a stack already runs in {folder}{where}; use it, or stop it with Ctrl-C") from None
        yield


def _port(wanted: int, whose: str, option: str) -> int:
    """Return `wanted`, or a free port for 0. Raises `StackFailure` when somebody listens there."""
    if wanted == 0:
        return free_port()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            raise StackFailure(
                f"port {wanted}, which {whose} wants, is taken; choose another with {option} (0: any that is free)"
            ) from None
    return wanted


def _answers(url: str) -> Callable[[], Awaitable[bool]]:
    async def ask() -> bool:
        try:
            async with httpx.AsyncClient(trust_env=False) as http:
                return (await http.get(url, timeout=2)).status_code == 200
        except httpx.HTTPError:
            return False

    return ask


async def _wait(supervisor: Supervisor, name: str, condition: Callable[[], Awaitable[bool]]) -> None:
    if await wait_until(condition, _START_SECONDS, supervisor.lost):
        return
    if supervisor.lost.done():
        raise StackFailure(supervisor.lost.result())
    raise StackFailure(f"{name} did not get ready within {_START_SECONDS:g} s; its log: {supervisor.log_path(name)}")
