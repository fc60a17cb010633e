"""Karpenter's NodePool and EC2NodeClass, as far as the chart's values reach into them."""

from __future__ import annotations

import tomllib
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from darkroom.config.kubernetes_text import ChartModel, LabelValue, Percentage, QualifiedName, Schedule

_NODE_DOMAINS = ("node.kubernetes.io", "node-restriction.kubernetes.io", "kops.k8s.io")
_TAKEN = ("karpenter.sh/nodepool", "kubernetes.io/hostname", "karpenter.k8s.aws/ec2nodeclass")
_KNOWN = frozenset(
    {
        "beta.kubernetes.io/arch", "beta.kubernetes.io/instance-type", "beta.kubernetes.io/os",
        "failure-domain.beta.kubernetes.io/region", "failure-domain.beta.kubernetes.io/zone",
        "kubernetes.io/arch", "kubernetes.io/os", "topology.kubernetes.io/region", "topology.kubernetes.io/zone",
        "karpenter.sh/capacity-type", "topology.k8s.aws/zone-id",
        *(
            f"karpenter.k8s.aws/{name}"
            for name in (
                "capacity-reservation-id", "capacity-reservation-interruptible", "capacity-reservation-type",
                "instance-accelerator-count",
                "instance-accelerator-manufacturer", "instance-accelerator-name", "instance-capability-flex",
                "instance-category", "instance-cpu", "instance-cpu-manufacturer",
                "instance-cpu-sustained-clock-speed-mhz", "instance-ebs-bandwidth",
                "instance-encryption-in-transit-supported", "instance-family", "instance-generation",
                "instance-gpu-count", "instance-gpu-manufacturer", "instance-gpu-memory", "instance-gpu-name",
                "instance-hypervisor", "instance-local-nvme", "instance-memory", "instance-network-bandwidth",
                "instance-size", "instance-tenancy", "nitro-sandbox", "placement-group-id",
                "placement-group-partition",
            )
        ),
    }
)  # fmt: skip


def _not_restricted(key: str) -> str:
    domain = key.rpartition("/")[0]
    if key in _TAKEN:
        raise ValueError(f"{key} is set by Karpenter itself")
    if key in _KNOWN or any(domain == known or domain.endswith(f".{known}") for known in _NODE_DOMAINS):
        return key
    for restricted in ("kubernetes.io", "k8s.io", "karpenter.sh", "karpenter.k8s.aws"):
        if domain == restricted or domain.endswith(f".{restricted}"):
            raise ValueError(f"{key} is of the domain {restricted}, which is not for labels of one's own")
    return key


NodeLabel = Annotated[QualifiedName, AfterValidator(_not_restricted)]
NodeLabels = Annotated[dict[NodeLabel, LabelValue], Field(max_length=100)]

_OWN_TAGS = (
    "karpenter.sh/nodepool",
    "karpenter.sh/nodeclaim",
    "karpenter.k8s.aws/ec2nodeclass",
    "eks:eks-cluster-name",
)


def _free_tag(key: str) -> str:
    if key in _OWN_TAGS or key.startswith(("kubernetes.io/cluster/", "aws:")):
        raise ValueError(f"{key} is a tag that Karpenter or AWS sets itself")
    return key


TagKey = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_free_tag)]
# EC2 takes 50; the chart and Karpenter have some of their own.
Tags = Annotated[dict[TagKey, Annotated[str, Field(max_length=256)]], Field(max_length=40)]
# By which tags something is looked for: a value of * means any.
TagSelector = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=128)], Annotated[str, Field(min_length=1, max_length=256)]],
    Field(max_length=20),
]


def _toml(text: str) -> str:
    if "{{" in text:  # Helm fills it in first
        return text
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"is not TOML, as Bottlerocket's settings are: {error}") from None
    return text


# EC2 takes 16 KB, in which the chart's and Karpenter's own settings are, too.
UserData = Annotated[str, Field(max_length=12_000), AfterValidator(_toml)]


def _can_be_made(size: str) -> str:
    gibibytes = int(size[:-2]) * (1024 if size.endswith("Ti") else 1)
    if not 1 <= gibibytes <= 65_536:
        raise ValueError(f"{size} must be within 1Gi to 64Ti")
    return size


VolumeSize = Annotated[str, Field(pattern=r"^[0-9]+(Gi|Ti)$"), AfterValidator(_can_be_made)]


class Requirement(ChartModel):
    """What a node must be, by a label that it will have."""

    key: NodeLabel
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "Gte", "Lte"]
    values: list[LabelValue] | None = None
    min_values: Annotated[int, Field(ge=1, le=50)] | None = None

    @model_validator(mode="after")
    def _fits_its_operator(self) -> Requirement:
        values = self.values or []
        if self.operator == "In" and not values:
            raise ValueError("needs values with the operator In")
        if self.operator in ("Gt", "Lt", "Gte", "Lte") and not (len(values) == 1 and values[0].isdigit()):
            raise ValueError(f"needs one value with the operator {self.operator}, a whole number in quotes")
        if self.operator in ("Exists", "DoesNotExist") and values:
            raise ValueError(f"has no values with the operator {self.operator}: remove them")
        if self.operator == "In" and self.min_values is not None and len(values) < self.min_values:
            raise ValueError(f"needs at least {self.min_values} values, as minValues says")
        return self


class NodeTaint(ChartModel):
    """A taint of the nodes."""

    key: QualifiedName
    # Karpenter takes none that is empty; Kubernetes would.
    value: Annotated[LabelValue, Field(min_length=1)] | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]


def _each_once(taints: list[NodeTaint]) -> list[NodeTaint]:
    seen: set[tuple[str, str]] = set()
    for taint in taints:
        if (taint.key, taint.effect) in seen:
            raise ValueError(f"has {taint.key} with the effect {taint.effect} twice, which no node can have")
        seen.add((taint.key, taint.effect))
    return taints


NodeTaints = Annotated[list[NodeTaint], AfterValidator(_each_once)]


class Budget(ChartModel):
    """How many nodes may be disrupted at once: for what reasons, and when."""

    nodes: Percentage | Annotated[str, Field(pattern=r"^[0-9]+$")]
    reasons: list[Literal["Empty", "Drifted", "Underutilized"]] | None = None
    schedule: Schedule | None = None
    duration: Annotated[str, Field(pattern=r"^([0-9]+h)?([0-9]+m)?(0s)?$", min_length=2)] | None = None

    @model_validator(mode="after")
    def _begins_and_ends(self) -> Budget:
        if len(set(self.reasons or [])) < len(self.reasons or []):
            raise ValueError("has a reason twice: remove one")
        if (self.schedule is None) != (self.duration is None):
            there, missing = ("schedule", "duration") if self.duration is None else ("duration", "schedule")
            raise ValueError(f"has a {there} and no {missing}: a time needs both")
        return self
