"""cdk-nag, cfn-lint and checkov, as they are asked, and what they find."""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from darkroom.config.model import DarkroomConfig
from darkroom.infra.template.assembly import Assembly

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
Finding = tuple[str, str]
Accepted = Mapping[Finding, str]


def matches(finding: Finding, rule: Finding) -> bool:
    # Rules have brackets in their names, which fnmatch would take for sets.
    return all(fnmatchcase(text.replace("[", "("), pattern) for text, pattern in zip(finding, rule, strict=True))


def unargued(found: set[Finding], accepted: Accepted) -> list[Finding]:
    """The findings that nobody has written a reason for."""
    assert all(len(reason) > 20 for reason in accepted.values())
    return sorted(finding for finding in found if not any(matches(finding, rule) for rule in accepted))


def nag(config: DarkroomConfig, assembly: Assembly, out: Path, region: str = "us-east-1") -> set[Finding]:
    """What cdk-nag says of the app that `assembly` came from."""
    import cdk_nag
    from aws_cdk import Validations

    from darkroom.infra.template.app import build_app
    from darkroom.infra.template.stack import StackOptions

    folder = assembly.template.path.parent
    options = StackOptions(
        region, folder / "lambda-bundle", folder / "sender-bundle", ROOT / "charts" / "darkroom-runtime"
    )
    app, stack = build_app(config, options, out, "assets")
    Validations.of(app).add_plugins(cdk_nag.AwsSolutionsChecks(app))
    with pytest.raises(RuntimeError, match="ValidationFailed"):
        app.synth()
    report = json.loads((out / "validation-report.json").read_text())
    return {
        (violation["ruleName"], construct["constructPath"].removeprefix(f"{stack.stack_name}/"))
        for plugin in report["pluginReports"]
        for violation in plugin["violations"]
        for construct in violation["violatingConstructs"]
    }


def cfn_lint(assembly: Assembly, region: str) -> set[Finding]:
    """What cfn-lint says of a template."""
    from cfnlint.api import ManualArgs, lint

    gc.disable()  # it makes millions of objects and hardly any garbage
    try:
        found = lint(assembly.template.path.read_text(encoding="utf-8"), config=ManualArgs(regions=[region]))
    finally:
        gc.enable()
    return {(match.rule.id, "/".join(map(str, match.path or []))) for match in found}


@dataclass(frozen=True)
class Checkov:
    """What checkov has found wrong, by the kind of file."""

    _failed: Mapping[str, list[dict[str, Any]]]

    def of_templates(self, *assemblies: Assembly) -> set[Finding]:
        """The checks and the resources."""
        files = {str(assembly.template.path.resolve()) for assembly in assemblies}
        found = [entry for entry in self._failed["cloudformation"] if str(_file(entry)) in files]
        assert {str(_file(entry)) for entry in found} == files, (
            "there is none without findings, so it was not looked at"
        )
        return {(entry["check_id"], entry["resource"]) for entry in found}

    def of_the_chart(self) -> set[Finding]:
        """The checks and the resources."""
        return {(entry["check_id"], entry["resource"]) for entry in self._failed["kubernetes"]}

    def of_the_dockerfiles(self) -> set[Finding]:
        """The checks and the files."""
        return {
            (entry["check_id"], f"/{_file(entry).relative_to(ROOT / 'images')}") for entry in self._failed["dockerfile"]
        }


def _file(finding: Mapping[str, Any]) -> Path:
    return Path(finding["file_abs_path"]).resolve()


def checkov(assemblies: Iterable[Assembly]) -> Checkov:
    """Look at everything at once, because a start takes longer than most files.

    Checkov pins old libraries, so it lives in an environment of its own.
    """
    program = shutil.which("checkov") or shutil.which("checkov", path=str(ROOT / ".venv-checkov" / "bin"))
    if program is None:
        message = "checkov is not installed: python -m venv .venv-checkov && .venv-checkov/bin/pip install checkov"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    files = [assembly.template.path for assembly in assemblies]
    files += [*(HERE / "golden").rglob("*.yaml"), *(ROOT / "images").rglob("Dockerfile*")]
    # Else it asks its maker for texts about its own checks, wherever that can be reached.
    command = [program, "--skip-download", "--compact", "--quiet", "--output", "json"]
    command += ["--framework", "cloudformation", "kubernetes", "dockerfile", "--file", *map(str, files)]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    reports = json.loads(outcome.stdout)
    assert all(part["summary"]["passed"] and not part["summary"]["parsing_errors"] for part in reports), outcome.stderr
    return Checkov({part["check_type"]: part["results"]["failed_checks"] for part in reports})
