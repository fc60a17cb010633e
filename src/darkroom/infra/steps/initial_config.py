"""The config.yaml that is written where there is none, from the options of the guide's script."""

from __future__ import annotations

from dataclasses import dataclass

import yaml

from darkroom.infra.models import DEFAULT_MODEL, DEFAULT_MODEL_URL


@dataclass(frozen=True)
class Wishes:
    """The options of the guide's script: what the user wants where config.yaml does not say yet."""

    stack_name: str = "sdoneks"
    runtime_name: str = "sdruntime"
    runtime_type: str = "sdwebui"
    bucket: str | None = None
    snapshot: str | None = None
    model_url: str = DEFAULT_MODEL_URL
    image_registry: str | None = None


def initial_config(wishes: Wishes, partition: str = "aws", bucket: str | None = None) -> str:
    """The text of a config.yaml with one runtime, as the guide's script writes it, with comments."""
    bucket = wishes.bucket or bucket
    runtime: dict[str, object] = {"name": wishes.runtime_name, "namespace": "default", "type": wishes.runtime_type}
    if wishes.runtime_type != "comfyui":
        runtime |= {"modelFilename": DEFAULT_MODEL, "dynamicModel": False}
    karpenter: dict[str, object] = {"provisioner": {"capacityType": {"onDemand": True, "spot": True}}}
    if wishes.snapshot:
        karpenter["nodeTemplate"] = {"amiFamily": "Bottlerocket", "dataVolume": {"snapshotID": wishes.snapshot}}
    runtime["extraValues"] = {
        "runtime": {"scaling": {"minReplicaCount": 0, "maxReplicaCount": 5}},
        "karpenter": karpenter,
    }
    document: dict[str, object] = {"stackName": wishes.stack_name}
    if bucket:
        document["modelBucketArn"] = f"arn:{partition}:s3:::{bucket}"
    document |= {
        "APIGW": {"stageName": "prod", "throttle": {"rateLimit": 30, "burstLimit": 50}},
        "modelsRuntime": [runtime],
    }
    if wishes.image_registry:
        document["mirrors"] = {"imageRegistry": wishes.image_registry}
    head = "# What Darkroom deploys. docs/configure.md explains every key; check it with: darkroom config validate\n"
    return head + yaml.safe_dump(document, sort_keys=False)
