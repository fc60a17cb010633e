"""Parts of pods, of their network policy and of what scales them, as far as the chart's values reach into them."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from darkroom.config.kubernetes_text import (
    LARGEST,
    ChartModel,
    Cidr,
    Labels,
    LabelValue,
    Percentage,
    QualifiedName,
    Quantity,
    Schedule,
)

Effect = Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]
Port = Annotated[int, Field(ge=1, le=65535)]
UserId = Annotated[int, Field(ge=0, le=LARGEST)]


class Toleration(ChartModel):
    """A taint that the pods bear."""

    key: QualifiedName | None = None
    operator: Literal["Equal", "Exists"] | None = None
    value: LabelValue | None = None
    effect: Effect | None = None
    toleration_seconds: int | None = None

    @model_validator(mode="after")
    def _fits_its_operator(self) -> Toleration:
        if not self.key and self.operator != "Exists":
            raise ValueError("needs a key, or the operator Exists, which bears every taint")
        if self.operator == "Exists" and self.value:
            raise ValueError("has no value with the operator Exists: remove it")
        if self.toleration_seconds is not None and self.effect != "NoExecute":
            raise ValueError("has tolerationSeconds, which go with the effect NoExecute alone")
        return self


class Profile(ChartModel):
    """A seccomp or AppArmor profile."""

    type: Literal["RuntimeDefault", "Unconfined", "Localhost"]
    localhost_profile: str | None = None

    @model_validator(mode="after")
    def _names_what_is_local(self) -> Profile:
        if (self.type == "Localhost") != bool(self.localhost_profile):
            raise ValueError("needs localhostProfile with the type Localhost, and only there")
        return self


class SeccompProfile(Profile):
    """A seccomp profile, which is a file below the kubelet's folder for them."""

    @model_validator(mode="after")
    def _lies_below(self) -> SeccompProfile:
        path = self.localhost_profile or ""
        if path.startswith("/") or ".." in path.split("/"):
            raise ValueError("needs a localhostProfile below the kubelet's folder for them: neither / first, nor ..")
        return self


class Capabilities(ChartModel):
    """What of root's powers a container has and has not."""

    add: list[str] | None = None
    drop: list[str] | None = None


class SecurityContext(ChartModel):
    """What a container may do."""

    allow_privilege_escalation: bool | None = None
    privileged: bool | None = None
    read_only_root_filesystem: bool | None = None
    run_as_non_root: bool | None = None
    run_as_user: UserId | None = None
    run_as_group: UserId | None = None
    capabilities: Capabilities | None = None
    seccomp_profile: SeccompProfile | None = None
    app_armor_profile: Profile | None = None
    se_linux_options: dict[Literal["level", "role", "type", "user"], str] | None = None
    # Unmasked needs `hostUsers: false`, which the pods have not.
    proc_mount: Literal["Default"] | None = None

    @model_validator(mode="after")
    def _can_be(self) -> SecurityContext:
        if self.run_as_non_root and self.run_as_user == 0:
            raise ValueError("has runAsNonRoot and the user 0, which is root: remove one")
        if self.allow_privilege_escalation is False and self.privileged:
            raise ValueError("is privileged, which cannot go with allowPrivilegeEscalation: false")
        added = self.capabilities.add if self.capabilities is not None else None
        if self.allow_privilege_escalation is False and "CAP_SYS_ADMIN" in (added or []):
            raise ValueError("adds CAP_SYS_ADMIN, which cannot go with allowPrivilegeEscalation: false")
        return self


class SelectorRequirement(ChartModel):
    """A requirement to the labels of namespaces or pods."""

    key: QualifiedName
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: list[LabelValue] | None = None

    @model_validator(mode="after")
    def _fits_its_operator(self) -> SelectorRequirement:
        if (self.operator in ("In", "NotIn")) != bool(self.values):
            raise ValueError("needs values with the operators In and NotIn, and only there")
        return self


class Selector(ChartModel):
    """Which namespaces or pods."""

    match_labels: Labels | None = None
    match_expressions: list[SelectorRequirement] | None = None


class IpBlock(ChartModel):
    """A range of addresses."""

    cidr: Cidr
    except_: list[Cidr] | None = Field(default=None, alias="except")

    @model_validator(mode="after")
    def _excludes_what_is_within(self) -> IpBlock:
        network = ipaddress.ip_network(self.cidr)
        for text in self.except_ or []:
            inner = ipaddress.ip_network(text)
            if inner.version != network.version or inner == network or not inner.subnet_of(network):  # type: ignore[arg-type]
                raise ValueError(f"excludes {text}, which is not within {self.cidr}")
        return self


class Peer(ChartModel):
    """Whom the pods may speak to."""

    ip_block: IpBlock | None = None
    namespace_selector: Selector | None = None
    pod_selector: Selector | None = None

    @model_validator(mode="after")
    def _is_one_thing(self) -> Peer:
        selects = self.namespace_selector is not None or self.pod_selector is not None
        if (self.ip_block is not None) == selects:
            raise ValueError("needs either ipBlock or selectors")
        return self


def _port_name(name: str) -> str:
    if "--" in name or not any(character.isalpha() for character in name):
        raise ValueError(f"{name!r} is no port's name: one has a letter, and no -- in it; a number is without quotes")
    return name


PortName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=15), AfterValidator(_port_name)]


class PolicyPort(ChartModel):
    """Where they may speak to them."""

    port: Port | PortName | None = None
    end_port: Port | None = None
    protocol: Literal["TCP", "UDP", "SCTP"] | None = None

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> PolicyPort:
        if self.end_port is not None and not (isinstance(self.port, int) and self.port <= self.end_port):
            raise ValueError("needs a port, in digits, that is not greater than endPort")
        return self


class EgressRule(ChartModel):
    """One more way out of the pods."""

    to: list[Peer] | None = None
    ports: list[PolicyPort] | None = None


class ScalingPolicy(ChartModel):
    """How many pods may come or go within a time."""

    # KEDA takes any text here, and the autoscaler then none.
    type: Literal["Pods", "Percent"]
    value: Annotated[int, Field(ge=1, le=LARGEST)]
    period_seconds: Annotated[int, Field(ge=1, le=1800)]


class ScalingRules(ChartModel):
    """How pods come, or how they go."""

    stabilization_window_seconds: Annotated[int, Field(ge=0, le=3600)] | None = None
    select_policy: Literal["Max", "Min", "Disabled"] | None = None
    policies: Annotated[list[ScalingPolicy], Field(min_length=1)] | None = None
    tolerance: Quantity | None = None


class Behaviour(ChartModel):
    """`behavior` of a HorizontalPodAutoscaler."""

    scale_up: ScalingRules | None = None
    scale_down: ScalingRules | None = None


class ScalingSchedule(ChartModel):
    """Hours with pods that are there before the tasks: a trigger of KEDA's, from `start` to `end`."""

    start: Schedule
    end: Schedule
    timezone: Annotated[str, Field(pattern=r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$")]
    replicas: Annotated[int, Field(ge=1, le=LARGEST)]

    @model_validator(mode="after")
    def _has_a_length(self) -> ScalingSchedule:
        if self.start == self.end:
            raise ValueError("start and end are the same: KEDA takes neither")
        return self


class Fallback(ChartModel):
    """How many pods there are while the queue cannot be read."""

    failure_threshold: Annotated[int, Field(ge=0, le=LARGEST)] | None = None
    replicas: Annotated[int, Field(ge=0, le=LARGEST)] | None = None
    behavior: Literal["static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower"] | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Fallback:
        said = self.model_fields_set
        if said and not {"failure_threshold", "replicas"} <= said:
            raise ValueError("needs failureThreshold and replicas")
        return self


CountOrPercentage = Annotated[int, Field(ge=0, le=LARGEST)] | Percentage
