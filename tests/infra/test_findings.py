"""cdk-nag, cfn-lint and checkov: no finding without a written reason, and no reason without its finding."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from darkroom.config.loader import parse_config
from darkroom.config.model import DarkroomConfig
from darkroom.infra.template.assembly import Assembly
from tests.infra.accepted_findings import (
    CDK_NAG,
    CFN_LINT,
    CHECKOV_CHART,
    CHECKOV_DOCKERFILES,
    CHECKOV_TEMPLATE,
)
from tests.infra.conftest import CONFIG

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
Accepted = dict[tuple[str, str], str]


def matches(finding: tuple[str, str], rule: tuple[str, str]) -> bool:
    # Rules have brackets in their names, which fnmatch would take for sets.
    return all(fnmatchcase(text.replace("[", "("), pattern) for text, pattern in zip(finding, rule, strict=True))


def unargued(found: set[tuple[str, str]], accepted: Accepted) -> list[tuple[str, str]]:
    """The findings that nobody has written a reason for."""
    assert all(len(reason) > 20 for reason in accepted.values())
    return sorted(finding for finding in found if not any(matches(finding, rule) for rule in accepted))


def compare(found: set[tuple[str, str]], accepted: Accepted) -> None:
    assert unargued(found, accepted) == [], "mend these, or write down why not"
    gone = [rule for rule in accepted if not any(matches(finding, rule) for finding in found)]
    assert gone == [], "these do not occur any more"


def nag(config: DarkroomConfig, assembly: Assembly, out: Path, region: str = "us-east-1") -> set[tuple[str, str]]:
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


def cfn_lint(assembly: Assembly, region: str) -> set[tuple[str, str]]:
    """What cfn-lint says of a template."""
    program = str(Path(sys.executable).parent / "cfn-lint")
    command = [program, "--format", "json", "--regions", region, "--template", str(assembly.template.path)]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    return {
        (entry["Rule"]["Id"], "/".join(map(str, entry["Location"]["Path"] or [])))
        for entry in json.loads(outcome.stdout)
    }


def test_cdk_nag(full_assembly: Assembly, tmp_path: Path) -> None:
    compare(nag(parse_config(CONFIG), full_assembly, tmp_path), CDK_NAG)


def test_cfn_lint(full_assembly: Assembly) -> None:
    compare(cfn_lint(full_assembly, "us-east-1"), CFN_LINT)


def checkov(*arguments: str) -> list[dict[str, Any]]:
    """Checkov pins old libraries, so it lives in an environment of its own."""
    program = shutil.which("checkov") or shutil.which("checkov", path=str(ROOT / ".venv-checkov" / "bin"))
    if program is None:
        message = "checkov is not installed: python -m venv .venv-checkov && .venv-checkov/bin/pip install checkov"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    command = [program, "--compact", "--quiet", "--output", "json", *arguments]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    report = json.loads(outcome.stdout)
    reports = report if isinstance(report, list) else [report]
    assert any(part.get("summary", {}).get("passed") for part in reports), outcome.stderr
    return [finding for part in reports for finding in part["results"]["failed_checks"]]


def checkov_of(*assemblies: Assembly) -> set[tuple[str, str]]:
    """What checkov says of templates. It looks at each of them alone, and its start takes longer than that."""
    files = [str(assembly.template.path) for assembly in assemblies]
    findings = checkov("--framework", "cloudformation", "--file", *files)
    return {(finding["check_id"], finding["resource"]) for finding in findings}


def test_checkov_on_the_template(full_assembly: Assembly) -> None:
    compare(checkov_of(full_assembly), CHECKOV_TEMPLATE)


def test_checkov_on_the_chart() -> None:
    findings = checkov("--framework", "kubernetes", "--directory", str(HERE / "golden"))
    compare({(finding["check_id"], finding["resource"]) for finding in findings}, CHECKOV_CHART)


def test_checkov_on_the_dockerfiles() -> None:
    findings = checkov("--framework", "dockerfile", "--directory", str(ROOT / "images"))
    compare({(finding["check_id"], finding["file_path"]) for finding in findings}, CHECKOV_DOCKERFILES)
