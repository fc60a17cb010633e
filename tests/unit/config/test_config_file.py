"""The guide's own files are accepted; everything else is refused with the line and what is allowed."""

import re
from pathlib import Path

import pytest

from darkroom.config.loader import load_config, parse_config
from darkroom.config.model import DarkroomConfig
from darkroom.errors import SettingsError
from darkroom.policy.catalogue import RuntimeSpec
from darkroom.tasks.task import TaskKind

GUIDE = """\
stackName: sdoneks
modelBucketArn: arn:aws:s3:::sdoneks-models
clusterComponents:
  instanceType: m7g.large
  desiredCount: 2
APIGW:
  stageName: dev
  throttle:
    rateLimit: 30
    burstLimit: 50
modelsRuntime:
- name: "sdruntime"
  namespace: "default"
  type: "sdwebui"
  modelFilename: "v1-5-pruned-emaonly.safetensors"
  dynamicModel: false
  chartRepository: ""
  chartVersion: ""
  extraValues:
    runtime:
      inferenceApi:
        image:
          repository: 123456789012.dkr.ecr.us-east-1.amazonaws.com/sd-on-eks/sdwebui
          tag: latest
      queueAgent:
        image:
          repository: 123456789012.dkr.ecr.us-east-1.amazonaws.com/sd-on-eks/queue-agent
          tag: latest
      scaling:
        queueLength: 10
        minReplicaCount: 0
        maxReplicaCount: 5
        cooldownPeriod: 300
    karpenter:
      nodeTemplate:
        amiFamily: Bottlerocket
        dataVolume:
          snapshotID: snap-0123456789
      provisioner:
        instanceType:
        - "g5.xlarge"
        - "g5.2xlarge"
        capacityType:
          onDemand: true
          spot: true
"""
GUIDE_CHINA = GUIDE.replace("arn:aws:", "arn:aws-cn:").replace(
    "us-east-1.amazonaws.com", "cn-northwest-1.amazonaws.com.cn"
)
SMALLEST = "modelsRuntime: [{name: sdruntime, type: sdwebui}]"


def faults_of(text: str, region: str | None = None) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        parse_config(text, region=region)
    return str(caught.value).splitlines()[1:]


def test_the_guides_file_is_accepted_as_it_stands() -> None:
    config = parse_config(GUIDE, region="us-east-1")
    assert config.cloudformation_stack_name == "sdoneksStack"
    assert config.model_bucket == "sdoneks-models"
    assert config.api_gateway.stage_name == "dev"
    assert config.models_runtime[0].snapshot_id == "snap-0123456789"
    assert config.fast_start_of(config.models_runtime[0]) == "snapshot"


def test_the_guides_china_file_is_accepted_as_it_stands() -> None:
    assert parse_config(GUIDE_CHINA, region="cn-northwest-1").model_bucket == "sdoneks-models"


def test_defaults_are_the_guides() -> None:
    config = parse_config(SMALLEST)
    assert config.stack_name == "sdoneks"
    assert (config.api_gateway.throttle.rate_limit, config.api_gateway.throttle.burst_limit) == (30, 50)
    assert (config.cluster_components.instance_type, config.cluster_components.desired_count) == ("m7g.large", 2)
    assert (config.network.cidr, config.network.nat_gateways) == ("10.0.0.0/16", 3)
    assert config.models_runtime[0].namespace == "default"
    assert config.model_bucket is None
    assert config.fast_start_of(config.models_runtime[0]) == "soci"


def test_every_fault_is_reported_at_once_with_its_line() -> None:
    text = """\
stackName: 7dreams
modelBucketArn: my-bucket
APIGW:
  stagename: dev
  throttle:
    rateLimit: many
modelsRuntime:
- name: SD Runtime
  type: sdwebui
- type: comfyui
  dynamicModel: true
"""
    faults = faults_of(text)
    assert [fault.split(" ")[3] for fault in faults] == ["1:", "2:", "4:", "6:", "8:", "10:", "11:"]
    assert "did you mean stageName? there are: corsOrigins, stageName, throttle" in faults[2]
    assert "must be a valid number, not 'many'" in faults[3]
    assert faults[5].endswith("modelsRuntime[1].name is missing")


def test_names_and_models_are_unique() -> None:
    runtime = "- {name: one, type: sdwebui, modelFilename: a.safetensors}\n"
    faults = faults_of("modelsRuntime:\n" + runtime + runtime)
    assert len(faults) == 2
    assert "line 3: modelsRuntime[1].modelFilename 'a.safetensors' is already the modelFilename" in faults[0]


def test_comfyui_runtimes_may_repeat_the_model_that_the_guides_script_writes_there() -> None:
    one = "{name: %s, type: comfyui, modelFilename: a.safetensors, dynamicModel: false}"
    config = parse_config(f"modelsRuntime: [{one % 'a'}, {one % 'b'}]")
    assert [spec.model for spec in config.catalogue_specs()] == [None, None]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("modelsRuntime: []", "must have at least 1"),
        ("stackName: x", "modelsRuntime is missing"),
        ("", "modelsRuntime is missing"),
        ("stackName: &a [*a]", "nested deeper"),
        ("- 1", "must be a mapping"),
        ("a: [", "is not valid YAML"),
        ("stackName: a\nstackName: b\n" + SMALLEST, "line 2: stackName stands twice; the other is on line 1"),
        (SMALLEST + "\nkubernetesVersion: 1.35", "not 1.35; write it in quotes"),
        (SMALLEST + "\nkubernetesVersion: '1.28'", "must be '1.34', '1.35' or '1.36', not '1.28'"),
        (SMALLEST + "\nnetwork: {natGateways: 0}", "network.natGateways must be greater than or equal to 1, not 0"),
        (SMALLEST + "\nnetwork: {cidr: 10.0.0.0/28}", "must be between /16 and /20, not /28"),
        (SMALLEST + "\nnetwork: {cidr: 10.0.0.9/16}", "has host bits set"),
        (SMALLEST + "\nnetwork: {vpcId: vpc-0123456789abcdef0, natGateways: 1}", "is for a new VPC"),
        (
            SMALLEST + "\nnetwork: {vpcId: vpc-0123456789abcdef0}",
            "network.vpcId needs privateSubnetIds too: as many, in the same order",
        ),
        (SMALLEST + "\nnetwork: {availabilityZones: [us-west-2a]}", "must have at least 2"),
        (
            "modelsRuntime: [{name: a, type: sdwebui, extraValues: {runtime: {scaling: {minReplicaCount: 3, "
            "maxReplicaCount: 2}}}}]",
            "extraValues.runtime.scaling.minReplicaCount is 3, more than maxReplicaCount, 2",
        ),
        (
            "modelsRuntime: [{name: a, type: sdwebui, extraValues: {runtime: {scaling: {maxReplicaCount: 0}}}}]",
            "maxReplicaCount must be greater than or equal to 1, not 0",
        ),
        (SMALLEST + "\nclusterComponents: {minimumCount: 3}", "minimumCount is 3, more than desiredCount, 2"),
        (SMALLEST + "\nclusterComponents: {desiredCount: 4, maximumCount: 3}", "is 3, less than desiredCount, 4"),
        (SMALLEST + "\nlogRetentionDays: 8", "not 8"),
        (SMALLEST + "\nalarms: {email: nobody}", "alarms.email must match"),
        ("modelsRuntime: [{name: a, type: invoke}]", "for a type of your own, say in taskTypes what it does"),
        ("modelsRuntime: [{name: a, type: sdwebui, taskTypes: [pipeline]}]", "is for types of your own"),
        ("modelsRuntime: [{name: a, type: mine, taskTypes: [painting]}]", "'text-to-image', 'image-to-image'"),
        ("modelsRuntime: [{name: a, type: sdwebui, chartRepository: 'ftp://x'}]", "must match"),
        ("modelsRuntime: [{name: a, type: sdwebui, chartRepository: 'oci://x/y'}]", "needs chartVersion too"),
    ],
)
def test_bad_input_is_named(text: str, expected: str) -> None:
    assert expected in "\n".join(faults_of(text))


LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 8))


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        (f"{SMALLEST}\nstackName: 2026-13-45", -1, "stackName is '2026-13-45', which is no timestamp; if it is meant"),
        (f"{SMALLEST}\nstackName: 2026-11-26", -1, "stackName must be text, not 2026-11-26; write it in quotes"),
        (f"{SMALLEST}\nlogRetentionDays: !!int soon", -1, "logRetentionDays is 'soon', which is no int"),
        (f"{SMALLEST}\nlogRetentionDays: !!bool soon", -1, "logRetentionDays is 'soon', which is no bool"),
        (f"{SMALLEST}\nlogRetentionDays: {'9' * 5000}", -1, "which is no int"),
        (f"{SMALLEST}\nlogRetentionDays: {'9' * 30}", -1, "logRetentionDays is too large a number: 9999"),
        (f"{SMALLEST}\nlogRetentionDays: .inf", -1, "2557 or 3653, not inf"),
        (f"{SMALLEST}\nstackName: {'x' * 5000}", -1, "x… does not"),
        (f"{SMALLEST}\nstackName: a\x07b", -1, "holds the character U+0007, which YAML does not have: remove it"),
        (f"{SMALLEST}\ntrue: x", -1, "true is a key that is no text; write it in quotes"),
        (f"{SMALLEST}\ncallers:", -1, "callers is empty: write what it should be, or remove it"),
        (
            f"{SMALLEST}\nAPIGW: {{corsOrigins: [x]}}",
            -1,
            "APIGW.corsOrigins[0] must be as in https://studio.example or",
        ),
        (f"{SMALLEST}\ncallers: shop", -1, "callers must be a list, not 'shop'"),
        ("modelsRuntime: [~]", 1, "modelsRuntime[0] is empty: write what it should be, or remove it"),
        ("a: " + "[" * 2000 + "]" * 2000, 1, "is nested deeper than 32 levels"),
        (LAUGHS, 1, "holds more than 100,000 values, anchors followed"),
    ],
    ids=lambda value: repr(value)[:40] if isinstance(value, str) else None,
)
def test_what_yaml_itself_makes_nothing_of_is_a_fault_with_its_line(text: str, line: int, expected: str) -> None:
    (fault,) = faults_of(text)
    assert expected in fault
    assert len(fault) < 400
    assert fault.strip().startswith(f"line {line if line > 0 else text.count(chr(10)) + 1}:")


def test_soci_and_a_snapshot_exclude_each_other() -> None:
    (fault,) = faults_of(GUIDE + "fastStart: soci\n")
    assert "dataVolume.snapshotID is not used with fastStart: soci" in fault
    line = 1 + next(index for index, text in enumerate(GUIDE.splitlines()) if "snapshotID" in text)
    assert fault.strip().startswith(f"line {line}:")


def test_input_buckets_must_be_in_the_regions_partition_too() -> None:
    text = SMALLEST + "\ninputBucketArns: ['arn:aws-cn:s3:::one', 'arn:aws:s3:::two']"
    (fault,) = faults_of(text, region="us-west-2")
    assert "inputBucketArns[0] is in the partition 'aws-cn'" in fault
    assert parse_config(text).input_buckets == ["one", "two"]


def test_the_bucket_must_be_in_the_regions_partition() -> None:
    (fault,) = faults_of(GUIDE, region="cn-north-1")
    assert fault.endswith("write arn:aws-cn:s3:::sdoneks-models")
    assert faults_of(GUIDE_CHINA, region="eu-west-1")[0].endswith("write arn:aws:s3:::sdoneks-models")


def test_the_catalogue_is_what_the_front_door_reads() -> None:
    config = parse_config("""\
modelsRuntime:
- {name: still, type: sdwebui, modelFilename: a.safetensors}
- {name: any, type: sdwebui, dynamicModel: true}
- {name: own, type: diffusers}
- {name: flow, type: comfyui}
- name: mine
  type: painter
  taskTypes: [text-to-image]
  extraValues: {runtime: {inferenceApi: {image: {repository: example.com/painter}}}}
""")
    assert config.catalogue_specs()[0] == RuntimeSpec(name="still", type="sdwebui", model="a.safetensors")
    kinds = {spec.name: spec.accepted_kinds for spec in config.catalogue_specs()}
    assert TaskKind.TEXT_TO_IMAGE in kinds["own"]
    assert kinds["flow"] == {TaskKind.PIPELINE}
    assert kinds["mine"] == {TaskKind.TEXT_TO_IMAGE}
    assert [runtime.adapter for runtime in config.models_runtime] == [
        "sdwebui", "sdwebui", "sdwebui", "comfyui", "painter",
    ]  # fmt: skip


def test_a_missing_file_says_how_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="darkroom config init"):
        load_config(tmp_path / "config.yaml")
    file = tmp_path / "binary.yaml"
    file.write_bytes(b"stackName: x\ncallers: \xfc")
    with pytest.raises(SettingsError, match=r"is not in UTF-8 \(line 2\): save it in that encoding"):
        load_config(file)
    with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
        load_config(tmp_path)


def test_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(GUIDE)
    assert isinstance(load_config(file), DarkroomConfig)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("workOff: {withinSeconds: 20, taskSeconds: 30}", "withinSeconds is 20, less than one task takes"),
        ("workOff: {withinSeconds: 60, taskSeconds: 0}", "greater than 0"),
        (
            "workOff: {withinSeconds: 60, taskSeconds: 6}, extraValues: {runtime: {scaling: {queueLength: 10}}}",
            "queueLength and workOff.withinSeconds say the same",
        ),
        (
            "workOff: {withinSeconds: 60, taskSeconds: 6, burst: 9},"
            " extraValues: {runtime: {scaling: {maxReplicaCount: 10}}}",
            "maxReplicaCount and workOff.burst say the same",
        ),
    ],
)
def test_seconds_of_work_that_cannot_be(entry: str, expected: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(expected)):
        parse_config(f"modelsRuntime: [{{name: a, type: sdwebui, {entry}}}]")


def test_until_tasks_were_measured_the_numbers_of_the_chart_hold() -> None:
    numbers = "extraValues: {runtime: {scaling: {queueLength: 10, maxReplicaCount: 5}}}"
    runtime = f"{{name: a, type: sdwebui, workOff: {{withinSeconds: 60, burst: 9}}, {numbers}}}"
    (found,) = parse_config(f"modelsRuntime: [{runtime}]").models_runtime
    assert found.scaling_value("queueLength", 1) == 10
    assert found.scaling_value("maxReplicaCount", 20) == 5


def test_the_guides_numbers_are_taken_as_they_are() -> None:
    guides = "{queueLength: 10, minReplicaCount: 0, maxReplicaCount: 5, cooldownPeriod: 300, pollingInterval: 1}"
    runtime = f"{{name: a, type: sdwebui, extraValues: {{runtime: {{scaling: {guides}}}}}}}"
    (found,) = parse_config(f"modelsRuntime: [{runtime}]").models_runtime
    assert found.scaling_value("queueLength", 1) == 10
    assert found.scaling_value("maxReplicaCount", 20) == 5
