"""The versions that a deployment keeps until somebody asks for newer ones: nodes, their operating system, add-ons."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

ADD_ONS = ("vpc-cni", "kube-proxy", "eks-pod-identity-agent", "coredns")
MOUNTPOINT_ADD_ON = "aws-mountpoint-s3-csi-driver"
OBSERVABILITY_ADD_ON = "amazon-cloudwatch-observability"


class Pins(msgspec.Struct, frozen=True, kw_only=True):
    """What goes with one Kubernetes version. None or a missing add-on: whatever EKS takes by itself.

    `bottlerocket` (as v1.2.3) is the GPU nodes' operating system, `node_release` the component nodes' image.
    """

    kubernetes: str
    bottlerocket: str | None = None
    node_release: str | None = None
    add_ons: Mapping[str, str] = {}

    def listed(self) -> list[str]:
        """The versions as a person reads them."""
        named = [("Bottlerocket", self.bottlerocket), ("component nodes", self.node_release), *self.add_ons.items()]
        return [f"{name} {version}" for name, version in named if version]


def encode_pins(pins: Pins) -> str:
    """The text that the stack has as an output."""
    return msgspec.json.encode(pins).decode()


def decode_pins(text: str) -> Pins | None:
    """Read it again; None for what is no such text."""
    try:
        return msgspec.json.decode(text, type=Pins)
    except msgspec.DecodeError:
        return None
