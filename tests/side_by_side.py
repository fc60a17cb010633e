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
    "one CDK": 157,
    "one browser": 145,
    "one stack": 119,
    "tests/chaos/test_chaos.py": 117,
    "one chart": 87,
    "tests/contract/test_extras_together.py": 77,
    # Not before the first process has the stack that it deploys.
    "tests/infra/test_deploy_on_emulator.py": 72,
    "one moto": 67,
    "tests/integration/test_outages.py": 51,
    "tests/contract/test_client_deadlines.py": 42,
    "tests/contract/test_cli.py": 41,
    "tests/integration/test_provenance_faults.py": 38,
    "tests/integration/test_canary.py": 38,
    "tests/integration/test_agent.py": 37,
    "tests/integration/test_provenance.py": 35,
    "tests/contract/test_sdwebui_adapter_on_built_in_runtime.py": 26,
    "tests/unit/planner/test_queueing.py": 26,
    "tests/acceptance/test_openai.py": 23,
    "tests/unit/planner/test_engine.py": 22,
    "tests/integration/test_last_try.py": 22,
    "tests/integration/test_dead_letter_queue.py": 21,
    "tests/contract/test_planner_cli.py": 20,
    "tests/infra/test_model_upload.py": 20,
    "tests/integration/test_sweep.py": 19,
    "tests/integration/test_one_end.py": 19,
    "tests/integration/test_progress.py": 18,
    "tests/integration/test_webhooks.py": 17,
    "tests/contract/test_schemathesis.py": 17,
    "tests/integration/test_priority.py": 17,
    "tests/integration/test_what_records_tell.py": 16,
    "tests/contract/test_installation.py": 15,
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
