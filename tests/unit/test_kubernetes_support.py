"""How long a Kubernetes version is supported, and which steps EKS takes from one to another."""

from __future__ import annotations

from datetime import date
from typing import get_args

import pytest

from darkroom.config.kubernetes_support import STANDARD_SUPPORT_ENDS, step_fault, support_fault
from darkroom.config.model import DEFAULT_KUBERNETES, KubernetesVersion


def test_every_version_that_may_be_chosen_has_its_end_and_the_default_has_the_latest() -> None:
    assert set(get_args(KubernetesVersion)) == set(STANDARD_SUPPORT_ENDS)
    assert max(STANDARD_SUPPORT_ENDS, key=lambda version: STANDARD_SUPPORT_ENDS[version]) == DEFAULT_KUBERNETES


@pytest.mark.parametrize(
    ("today", "said"),
    [
        (date(2026, 11, 25), ""),
        (date(2026, 11, 27), "standard support ends on 2027-03-27"),
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
