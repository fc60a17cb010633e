"""cdk-nag, cfn-lint and checkov: no finding without a written reason, and no reason without its finding."""

from __future__ import annotations

from pathlib import Path

from darkroom.config.loader import parse_config
from darkroom.infra.template.assembly import Assembly
from tests.infra.accepted_findings import (
    CDK_NAG,
    CFN_LINT,
    CHECKOV_CHART,
    CHECKOV_DOCKERFILES,
    CHECKOV_TEMPLATE,
)
from tests.infra.conftest import CONFIG
from tests.infra.scanners import Accepted, Checkov, Finding, cfn_lint, matches, nag, unargued


def compare(found: set[Finding], accepted: Accepted) -> None:
    assert unargued(found, accepted) == [], "mend these, or write down why not"
    gone = [rule for rule in accepted if not any(matches(finding, rule) for finding in found)]
    assert gone == [], "these do not occur any more"


def test_cdk_nag(full_assembly: Assembly, tmp_path: Path) -> None:
    compare(nag(parse_config(CONFIG), full_assembly, tmp_path), CDK_NAG)


def test_cfn_lint(full_assembly: Assembly) -> None:
    compare(cfn_lint(full_assembly, "us-east-1"), CFN_LINT)


def test_checkov_on_the_template(full_assembly: Assembly, checkov_found: Checkov) -> None:
    compare(checkov_found.of_templates(full_assembly), CHECKOV_TEMPLATE)


def test_checkov_on_the_chart(checkov_found: Checkov) -> None:
    compare(checkov_found.of_the_chart(), CHECKOV_CHART)


def test_checkov_on_the_dockerfiles(checkov_found: Checkov) -> None:
    compare(checkov_found.of_the_dockerfiles(), CHECKOV_DOCKERFILES)
