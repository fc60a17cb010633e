"""Whether the registry has what the pods will pull."""

from __future__ import annotations

import boto3
from botocore.stub import Stubber

from darkroom.config.loader import parse_config
from darkroom.infra.checks.findings import Finding, Verdict
from darkroom.infra.checks.image_check import check_registry
from darkroom.infra.cloud import Cloud
from darkroom.infra.commands import PUBLIC_IMAGES
from darkroom.infra.template.versions import darkroom_version

REGISTRY = "123456789012.dkr.ecr.us-west-2.amazonaws.com"
CONFIG = """\
modelsRuntime: [{name: a, type: sdwebui, modelFilename: m.safetensors}, {name: b, type: comfyui}]
mirrors: {imageRegistry: %s}
"""
OURS = ("darkroom/comfyui", "darkroom/queue-agent", "darkroom/sdwebui")


def findings(*errors: str | None, registry: str = REGISTRY) -> list[Finding]:
    """What is found when ECR answers one image after the other: with it, or with an error of that code."""
    cloud = Cloud(boto3.Session(region_name="us-east-1"), "us-east-1")
    with Stubber(cloud.client("ecr", "us-west-2")) as stub:
        for error in errors:
            if error:
                stub.add_client_error("describe_images", error)
            else:
                stub.add_response("describe_images", {"imageDetails": [{}]})
        found = list(check_registry(cloud, parse_config(CONFIG % registry)))
        stub.assert_no_pending_responses()
    return found


def test_everything_is_there() -> None:
    answers = [None] * (len(OURS) + len(PUBLIC_IMAGES))
    assert findings(*answers) == [Finding(Verdict.GOOD, f"images in {REGISTRY}")]


def test_what_is_not_there_is_named_with_the_command_that_brings_it() -> None:
    own, public = findings(None, "ImageNotFoundException", None, None, None, None, None, "RepositoryNotFoundException")
    assert own.verdict is Verdict.MISSING
    assert own.remedy.startswith(f"{REGISTRY}/darkroom/queue-agent:{darkroom_version()}: darkroom images build")
    assert public.verdict is Verdict.MISSING
    assert "kedacore/keda-admission-webhooks:" in public.remedy
    assert public.remedy.endswith(f": darkroom images mirror --registry {REGISTRY}")


def test_who_may_not_look_may_still_deploy() -> None:
    (found,) = findings("AccessDeniedException")
    assert found.verdict is Verdict.UNKNOWN


def test_another_registry_is_not_asked() -> None:
    (found,) = findings(registry="example.com/mine")
    assert found.verdict is Verdict.UNKNOWN
    assert f"example.com/mine/darkroom/sdwebui:{darkroom_version()}" in found.remedy
