"""How the files of tests are dealt out to pytest-xdist's processes: what shares a process, and what begins first.

A file's tests stay together, because they share what the file has started. So do files that use one stack, one
browser, or the CDK, so that it is started once for all of them. The longest begin first, so that none is left over at
the end.
"""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

TOGETHER = {
    # The fixtures `stack` and `open_stack` last for the whole process.
    "one stack": {
        f"tests/acceptance/test_{name}.py"
        for name in (
            "documented_commands", "guide_requests", "mcp", "nothing_is_lost", "provenance", "secrets", "up",
            "webhooks",
        )
    },
    # Helm has to be unpacked, and the process that judges manifests loads all types first.
    "one chart": {
        f"tests/infra/test_{name}.py"
        for name in (
            "chart", "chart_metrics", "chart_nodes", "chart_pods", "chart_probes", "chart_refusals", "chart_scaling",
            "chart_upgrade", "real_definitions",
        )
    },
    # The CDK's own process takes as long to start as four stacks to synthesise.
    "one CDK": {
        f"tests/infra/test_{name}.py"
        for name in (
            "agent_metrics_on_aws", "alarms", "callers", "china", "cors", "costs", "existing_cluster", "findings",
            "openai_api", "order", "provenance_deployment", "regions", "same_task_plane_everywhere", "template",
            "webhooks",
        )
    },
    # moto takes as long to start, and to read what EC2 has, as most tests with it.
    "one moto": {
        f"tests/infra/test_{name}.py"
        for name in ("deployment_cli", "image_cache", "leftovers", "obstacles", "zones")
    },
}  # fmt: skip
_SCOPES = {file: scope for scope, files in TOGETHER.items() for file in files}
# Seconds, roughly: the order is what matters. What is not here takes less.
LONGEST = {
    "one stack": 150,
    "one browser": 130,
    "one CDK": 125,
    "tests/chaos/test_chaos.py": 120,
    "one chart": 60,
    "one moto": 50,
    "tests/contract/test_cli.py": 60,
    "tests/contract/test_extras_together.py": 60,
    "tests/contract/test_client_deadlines.py": 45,
    # Not before the first process has the stack that it deploys.
    "tests/infra/test_deploy_on_emulator.py": 40,
    "tests/integration/test_provenance.py": 40,
    "tests/contract/test_planner_cli.py": 36,
    "tests/contract/test_fault_proxy.py": 35,
    "tests/integration/test_outages.py": 30,
    "tests/integration/test_agent.py": 30,
    "tests/contract/test_installation.py": 29,
    "tests/integration/test_canary.py": 25,
    "tests/integration/test_dead_letter_queue.py": 25,
    "tests/integration/test_front_door.py": 25,
    "tests/integration/test_one_end.py": 25,
    "tests/integration/test_provenance_faults.py": 20,
    "tests/contract/test_inference_bounds.py": 20,
    "tests/acceptance/test_demo.py": 20,
    "tests/acceptance/test_openai.py": 20,
    "tests/infra/test_model_upload.py": 20,
}


def scope_of(nodeid: str) -> str:
    """What the test with this id shares a process with: its file, or all files that use one of something."""
    file = nodeid.partition("::")[0]
    return "one browser" if file.startswith("tests/browser/") else _SCOPES.get(file, file)


def longest_first(items: list[pytest.Item]) -> None:
    """Put the tests into the order in which their files are dealt out."""
    items.sort(key=lambda item: (-LONGEST.get(scope_of(item.nodeid), 0), scope_of(item.nodeid)))


class TogetherScheduling(LoadScopeScheduling):
    """As `--dist loadfile`, with the files that are `TOGETHER` as one."""

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False  # by the number of tests, which says nothing of how long they take

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)
