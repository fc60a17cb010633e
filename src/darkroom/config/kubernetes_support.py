"""Which Kubernetes versions the parts are tested with, and how long EKS supports each at its ordinary price (2026-11).

https://docs.aws.amazon.com/eks/latest/userguide/kubernetes-versions.html: 14 months of standard support from the day
EKS has a version, then twelve at six times the price. For 1.36 that day was not found. EKS is never before Kubernetes
itself, whose 1.36 is of 2026-04-22: so the end is not before the day below.

A new deployment gets the newest version that every part lists, `TESTED`, although 1.36 would be supported longer: what
scales to zero and back is KEDA's, and nobody has said that 2.20 does so there. KEDA 2.21 lists 1.36.
"""

from __future__ import annotations

from datetime import date, timedelta

STANDARD_SUPPORT_ENDS = {"1.34": date(2026, 12, 2), "1.35": date(2027, 3, 27), "1.36": date(2027, 6, 22)}
# The first and the last version that each part says it was tested with, in the releases that are deployed.
TESTED = {
    "KEDA 2.20": ("1.33", "1.35"),  # https://keda.sh/docs/2.20/operate/cluster/#kubernetes-compatibility
    # https://karpenter.sh/docs/upgrading/compatibility/, and hack/docs/compatibilitymatrix_gen of v1.14
    "Karpenter 1.14": ("1.26", "1.36"),
    # Helm and kubectl of the CDK's layer: kubectl goes one minor version to either side.
    "kubectl 1.35": ("1.34", "1.36"),
}
# From here on, the plan says that an upgrade is due.
NEAR = timedelta(days=90)


def untested_with(version: str) -> list[str]:
    """The parts whose makers have not tested the deployed release with this version."""
    minor = _minor(version)
    return [part for part, (first, last) in TESTED.items() if not _minor(first) <= minor <= _minor(last)]


def support_fault(version: str, today: date) -> str:
    """What is to be said of a version whose standard support ends soon or has ended; nothing of another one."""
    end = STANDARD_SUPPORT_ENDS.get(version)
    if end is None or today + NEAR < end:
        return ""
    when = "has ended" if end <= today else "ends"
    return f"standard support {when} on {end}; later the cluster costs six times as much: raise kubernetesVersion"


def step_fault(deployed: str, wanted: str) -> str:
    """Why a cluster cannot go from one version to another in one step; nothing where it can."""
    here, there = _minor(deployed), _minor(wanted)
    if there < here:
        return f"the cluster has Kubernetes {deployed}, and EKS cannot go back to {wanted}: set kubernetesVersion"
    if there > here + 1:
        return f"the cluster has Kubernetes {deployed}: raise kubernetesVersion to 1.{here + 1} first, and deploy"
    return ""


def _minor(version: str) -> int:
    return int(version.partition(".")[2])
