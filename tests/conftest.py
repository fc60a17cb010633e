"""What every tier shares: an emulator for the whole run, and fresh names in it for each test."""

from __future__ import annotations

import functools
import gc
import os
import socket
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import botocore.session
import certifi
import pytest
from hypothesis import HealthCheck, settings

from darkroom.settings import AwsSettings
from darkroom.testing.loopback_aws import CREDENTIALS, loopback_aws

# Each session of botocore would read its descriptions of AWS's services anew, and those of EC2 alone take a while.
botocore.session.create_loader = functools.cache(botocore.session.create_loader)

# Examples are judged by what they show, not by how long a busy machine takes to make or to run one.
settings.register_profile("darkroom", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("darkroom")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, help="the seed of the chaos run, to repeat one (default: a new one)")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """What is collected stays to the end: nobody looks for garbage in it, neither while it grows nor ever after."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Deal the files out to processes, where there are several."""
    from tests.side_by_side import TogetherScheduling

    return TogetherScheduling(config, log) if config.option.dist == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        from tests.side_by_side import longest_first

        longest_first(items)


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """What a process of pytest-xdist reports goes over a pipe as UTF-8, without half characters: tests log some."""
    return _encodable((yield))


def _encodable(data: Any) -> Any:
    if isinstance(data, str):
        return data.encode("utf-8", "backslashreplace").decode()
    if isinstance(data, dict):
        return {_encodable(key): _encodable(value) for key, value in data.items()}
    return type(data)(map(_encodable, data)) if isinstance(data, (list, tuple)) else data


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what a test has recorded to be `shown`: where tests run side by side, what they print is seen by nobody."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()):
                if name == "shown" and report.when == "call":
                    terminalreporter.write_sep("-", report.nodeid)
                    terminalreporter.write_line(str(value))


@pytest.fixture(scope="session", autouse=True)
def _no_real_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test may reach, or be changed by, the account of the person who runs it.

    Nor may it try in vain: AWS's library tries again for 10 seconds and more, and tells what it was for as a finding.
    """
    kept = dict(os.environ)
    for name in list(os.environ):
        if name.startswith(("AWS_", "DARKROOM_", "OTEL_")):
            del os.environ[name]
    os.environ.update(CREDENTIALS)
    nowhere = tmp_path_factory.mktemp("aws")
    os.environ["AWS_CONFIG_FILE"] = str(nowhere / "config")
    os.environ["AWS_SHARED_CREDENTIALS_FILE"] = str(nowhere / "credentials")
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    # Each client of HTTP loads all authorities that it trusts, which takes longer than what most of them are made for.
    # Nobody here has to trust more than one.
    authority, end, _ = Path(certifi.where()).read_text(encoding="utf-8").partition("-----END CERTIFICATE-----")
    os.environ["SSL_CERT_FILE"] = str(nowhere / "authority.pem")
    Path(os.environ["SSL_CERT_FILE"]).write_text(f"{authority}{end}\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", functools.partial(_look_up, socket.getaddrinfo))
        yield
    os.environ.clear()
    os.environ.update(kept)


def _look_up(look_up: Any, host: Any, *more: Any, **named: Any) -> Any:
    if isinstance(host, str) and host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".api.aws")):
        pytest.fail(f"asked for {host}: a test has AWS answered by an emulator or a stub")
    return look_up(host, *more, **named)


@pytest.fixture(scope="session")
def aws_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsSettings]:
    """An AWS emulator on loopback, one for the whole run: tests must use names of their own in it."""
    folder: Path = tmp_path_factory.mktemp("emulator")
    with loopback_aws(folder) as settings:
        yield settings
