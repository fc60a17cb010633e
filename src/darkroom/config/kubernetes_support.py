"""How long EKS supports a Kubernetes version at its ordinary price, as of 2026-11.

https://docs.aws.amazon.com/eks/latest/userguide/kubernetes-versions.html: 14 months of standard support from the day
EKS has a version, then twelve at six times the price. For 1.36 that day was not found. EKS is never before Kubernetes
itself, whose 1.36 is of 2026-04-22: so the end is not before the day below. No version that every part of the
deployment runs with (Karpenter 1.14, the CDK, kubectl 1.35) has a whole year ahead; 1.36 has the most.
"""

from __future__ import annotations

from datetime import date, timedelta

STANDARD_SUPPORT_ENDS = {"1.34": date(2026, 12, 2), "1.35": date(2027, 3, 27), "1.36": date(2027, 6, 22)}
# From here on, the plan says that an upgrade is due.
NEAR = timedelta(days=120)


def support_fault(version: str, today: date) -> str:
    """What is to be said of a version whose standard support ends soon or has ended; nothing of another one."""
    end = STANDARD_SUPPORT_ENDS.get(version)
    if end is None or today + NEAR < end:
        return ""
    when = "has ended" if end <= today else "ends"
    return f"standard support {when} on {end}; later the cluster costs six times as much: raise kubernetesVersion"


def step_fault(deployed: str, wanted: str) -> str:
    """Why a cluster cannot go from one version to another in one step; nothing where it can."""
    here, there = (int(version.partition(".")[2]) for version in (deployed, wanted))
    if there < here:
        return f"the cluster has Kubernetes {deployed}, and EKS cannot go back to {wanted}: set kubernetesVersion"
    if there > here + 1:
        return f"the cluster has Kubernetes {deployed}: raise kubernetesVersion to 1.{here + 1} first, and deploy"
    return ""
