"""How long a Kubernetes version is supported, and which steps EKS takes from one to another."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import get_args

import pytest

from darkroom.config.kubernetes_support import (
    STANDARD_SUPPORT_ENDS,
    TESTED,
    step_fault,
    support_fault,
    untested_with,
)
from darkroom.config.model import DEFAULT_KUBERNETES, KubernetesVersion
from darkroom.infra.template.versions import KARPENTER, KEDA

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_every_version_that_may_be_chosen_has_its_end() -> None:
    assert set(get_args(KubernetesVersion)) == set(STANDARD_SUPPORT_ENDS)


def test_the_default_is_the_newest_that_every_part_is_tested_with() -> None:
    """Neither a newer one, nor an older one when the parts have moved on."""
    fit = [version for version in get_args(KubernetesVersion) if not untested_with(version)]
    assert fit[-1] == DEFAULT_KUBERNETES
    assert untested_with("1.36") == ["KEDA 2.20"]


def test_what_is_known_to_be_tested_is_about_the_releases_that_are_deployed() -> None:
    """Whoever raises a version looks up what it is tested with."""
    deployed = {f"KEDA {KEDA.rpartition('.')[0]}", f"Karpenter {KARPENTER.rpartition('.')[0]}"}
    assert deployed <= set(TESTED)
    # requirements name the layer by its version: aws-cdk.lambda-layer-kubectl-v35
    (layer,) = (line for line in PYPROJECT.read_text().splitlines() if "lambda-layer-kubectl" in line)
    assert f"kubectl 1.{layer.partition('-v')[2].partition('>')[0]}" in TESTED


@pytest.mark.parametrize(
    ("today", "said"),
    [
        (date(2026, 12, 26), ""),
        (date(2026, 12, 27), "standard support ends on 2027-03-27"),
        (date(2027, 3, 27), "standard support has ended on 2027-03-27"),
    ],
)
def test_an_end_that_is_near_is_said(today: date, said: str) -> None:
    found = support_fault("1.35", today)
    assert found.startswith(said)
    assert bool(found) == bool(said)


@pytest.mark.parametrize(
    ("deployed", "wanted", "said"),
    [
        ("1.35", "1.35", ""),
        ("1.35", "1.36", ""),
        ("1.34", "1.36", "raise kubernetesVersion to 1.35 first, and deploy"),
        ("1.36", "1.35", "EKS cannot go back to 1.35"),
    ],
)
def test_one_minor_version_at_a_time_and_never_back(deployed: str, wanted: str, said: str) -> None:
    found = step_fault(deployed, wanted)
    assert said in found
    assert bool(found) == bool(said)
