"""What the synthesised template says: the guide's figures, the guide's outputs, and nobody with too much power."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from darkroom.config.loader import parse_config
from darkroom.config.task_plane import TaskPlane
from darkroom.infra.template.assembly import Assembly
from darkroom.infra.template.bundle import FRONT_DOOR
from tests.infra.conftest import CONFIG, read_template

Template = dict[str, Any]


def of_type(template: Template, kind: str) -> list[dict[str, Any]]:
    return [resource["Properties"] for resource in template["Resources"].values() if resource["Type"] == kind]


def statements(template: Template) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every statement of every policy that gives a principal of ours permissions."""
    for name, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        documents = [properties.get("PolicyDocument")] if resource["Type"] in _IDENTITY_POLICIES else []
        documents += [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
        for document in documents:
            for statement in document["Statement"]:
                yield name, statement


_IDENTITY_POLICIES = ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy")


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_the_guides_outputs_have_the_guides_names(template: Template) -> None:
    assert {
        "FrontApiEndpoint",
        "GetAPIKeyCommand",
        "ConfigCommand",
        "sdNotificationLambdaARN",
        "sdNotificationOutputArn",
        "ClusterName",
        "OutputS3Bucket",
    } <= set(template["Outputs"])


def test_the_network_is_the_guides(template: Template) -> None:
    (vpc,) = of_type(template, "AWS::EC2::VPC")
    assert vpc["CidrBlock"] == "10.0.0.0/16"
    subnets = of_type(template, "AWS::EC2::Subnet")
    assert sorted(subnet["CidrBlock"] for subnet in subnets) == sorted(f"10.0.{32 * part}.0/19" for part in range(6))
    assert len({json.dumps(subnet["AvailabilityZone"]) for subnet in subnets}) == 3
    assert len(of_type(template, "AWS::EC2::NatGateway")) == 3
    endpoints = json.dumps(of_type(template, "AWS::EC2::VPCEndpoint"))
    assert ".s3" in endpoints
    assert ".dynamodb" in endpoints


def test_nobody_may_do_everything(template: Template) -> None:
    found = list(statements(template))
    assert len(found) > 20
    for name, statement in found:
        actions, resources = listed(statement["Action"]), listed(statement["Resource"])
        assert "*" not in actions, name
        assert not (any(str(action).endswith(":*") for action in actions) and "*" in resources), name


def test_no_managed_policy_gives_full_access(template: Template) -> None:
    for name, resource in template["Resources"].items():
        policies = json.dumps(resource.get("Properties", {}).get("ManagedPolicyArns", []))
        assert "FullAccess" not in policies, name
        assert "AdministratorAccess" not in policies, name


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("FrontDoorFunctionRole", {"sns:Publish", "s3:PutObject", "s3:GetObject", "dynamodb:BatchGetItem",
                                   "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:Query",
                                   "sqs:GetQueueAttributes", "sqs:SendMessage",
                                   "logs:CreateLogStream",
                                   "logs:PutLogEvents", "xray:PutTraceSegments", "xray:PutTelemetryRecords"}),
        ("AddOnsKedaRole", {"sqs:GetQueueAttributes"}),
        ("AddOnsMountpointRole", {"s3:ListBucket", "s3:GetObject"}),
        ("RuntimesdruntimeRole", {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility",
                                  "sqs:GetQueueAttributes", "sqs:SendMessage", "s3:GetObject", "s3:PutObject",
                                  "s3:ListBucket", "s3:AbortMultipartUpload", "sns:Publish", "dynamodb:GetItem",
                                  "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem",
                                  "xray:PutTraceSegments"}),
    ],
)  # fmt: skip
def test_each_role_may_do_its_work_and_no_more(template: Template, part: str, expected: set[str]) -> None:
    actions = {
        action
        for name, statement in statements(template)
        if name.startswith(part)
        for action in listed(statement["Action"])
    }
    assert actions == expected


def test_the_front_door_lists_by_one_index_and_cannot_scan_the_table(template: Template) -> None:
    asked = [
        json.dumps(statement["Resource"])
        for name, statement in statements(template)
        if name.startswith("FrontDoorFunctionRole") and "dynamodb:Query" in listed(statement["Action"])
    ]
    assert len(asked) == 1
    assert "/index/listing" in asked[0]
    assert "*" not in asked[0]


def test_the_front_door_asks_the_runtimes_queues_alone_how_deep_they_are(template: Template) -> None:
    (asked,) = (
        listed(statement["Resource"])
        for name, statement in statements(template)
        if name.startswith("FrontDoorFunctionRole") and "sqs:GetQueueAttributes" in listed(statement["Action"])
    )
    assert all(set(arn) == {"Fn::GetAtt"} and "InputQueue" in arn["Fn::GetAtt"][0] for arn in asked)
    assert asked
    (variables,) = (
        part["Properties"]["Environment"]["Variables"]
        for part in template["Resources"].values()
        if part["Type"] == "AWS::Lambda::Function" and part["Properties"].get("Handler") == FRONT_DOOR.handler
    )
    assert "InputQueue" in json.dumps(variables["DARKROOM_QUEUES"])


def test_agents_read_linked_inputs_from_the_buckets_that_are_named_and_only_read(template: Template) -> None:
    (found,) = (
        statement
        for name, statement in statements(template)
        if name.startswith("RuntimesdruntimeRole") and "my-inputs" in json.dumps(statement["Resource"])
    )
    assert (found["Action"], found["Resource"]) == ("s3:GetObject", "arn:aws:s3:::my-inputs/*")


def test_an_agent_touches_no_item_of_the_table_that_is_not_an_agents(template: Template) -> None:
    kept: dict[str, set[str]] = {}
    for name, statement in statements(template):
        if name.startswith("RuntimesdruntimeRole"):
            for action in listed(statement["Action"]):
                if str(action).startswith("dynamodb:"):
                    (keys,) = (condition["dynamodb:LeadingKeys"] for condition in statement["Condition"].values())
                    kept[str(action)] = set(listed(keys))
    assert kept["dynamodb:DeleteItem"] == {"agent/sdruntime/*"}
    written = {"submission/*", "task/*", "progress/*", "usage/*/sdruntime/*", "agent/sdruntime/*"}
    assert kept["dynamodb:PutItem"] == kept["dynamodb:UpdateItem"] == kept["dynamodb:GetItem"] == written


def test_the_agents_of_a_runtime_can_take_what_sqs_moved_to_its_dead_letters(template: Template) -> None:
    (resources,) = (
        json.dumps(statement["Resource"])
        for name, statement in statements(template)
        if name.startswith("RuntimesdruntimeRole") and "sqs:ReceiveMessage" in listed(statement["Action"])
    )
    assert "DeadLetterssdruntime" in resources


def test_the_agents_of_one_runtime_cannot_take_the_tasks_of_another(template: Template) -> None:
    for name, statement in statements(template):
        if name.startswith("RuntimesdruntimeRole") and "sqs:ReceiveMessage" in listed(statement["Action"]):
            assert "InputQueuesdruntime" in json.dumps(statement["Resource"])
            assert "anymodel" not in json.dumps(statement["Resource"])
            return
    pytest.fail("the agents have no queue")


def test_karpenter_has_its_six_policies_and_hears_of_five_interruptions(template: Template) -> None:
    names = {name for name, resource in template["Resources"].items() if resource["Type"] == "AWS::IAM::ManagedPolicy"}
    assert len([name for name in names if name.startswith("Karpenter")]) == 6
    kinds = {rule["EventPattern"]["detail-type"][0] for rule in of_type(template, "AWS::Events::Rule")}
    assert len(kinds) == 5
    for name, statement in statements(template):
        if name.startswith("KarpenterNodeLifecycle") and "ec2:TerminateInstances" in listed(statement["Action"]):
            assert statement["Condition"]["StringEquals"] == {
                "aws:ResourceTag/kubernetes.io/cluster/sdoneksStack": "owned"
            }


def helm_values(resource: dict[str, Any]) -> dict[str, Any]:
    """What a chart is installed with; what CloudFormation finds out is left as a letter."""
    values = resource["Properties"]["Values"]
    parts = values["Fn::Join"][1] if isinstance(values, dict) else [values]
    found: dict[str, Any] = json.loads("".join(part if isinstance(part, str) else "x" for part in parts))
    return found


def charts(template: Template) -> dict[str, dict[str, Any]]:
    """The Helm charts by the names of their releases."""
    return {
        resource["Properties"]["Release"]: resource
        for resource in template["Resources"].values()
        if resource["Type"] == "Custom::AWSCDK-EKS-HelmChart"
    }


def test_every_runtime_has_nodes_of_a_release_of_their_own(template: Template) -> None:
    found = charts(template)
    assert set(found) == {
        "karpenter",
        "karpenter-crd",
        "keda",
        "shared",
        "sdruntime-nodes",
        "sdruntime",
        "anymodel",
        "workflows",
    }
    values = helm_values(found["shared"])
    assert values["runtime"]["enabled"] is False
    assert values["karpenter"]["provisioner"]["instanceType"] == ["g5.xlarge"]
    places = {name: found[name]["Properties"]["Namespace"] for name in ("shared", "sdruntime-nodes", "sdruntime")}
    assert places == {"shared": "default", "sdruntime-nodes": "sd", "sdruntime": "sd"}
    for name, nodes, namespace in (
        ("anymodel", "shared", "default"),
        ("workflows", "shared", "default"),
        ("sdruntime", "sdruntime-nodes", "sd"),
    ):
        karpenter = helm_values(found[name])["karpenter"]
        assert (karpenter["nodePool"], karpenter["nodePoolNamespace"]) == (nodes, namespace)


def waits_for(template: Template, name: str) -> set[str]:
    """Everything that is made before the resource of this logical id, and removed after it."""
    found: set[str] = set()
    left = [name]
    while left:
        resource = template["Resources"][left.pop()]
        named = set(listed(resource.get("DependsOn", [])))
        named |= set(re.findall(r'"(?:Ref|Fn::GetAtt)": \[?"(\w+)"', json.dumps(resource)))
        new = (named & set(template["Resources"])) - found
        found |= new
        left.extend(new)
    return found


def logical_id(template: Template, resource: dict[str, Any]) -> str:
    (name,) = (name for name, candidate in template["Resources"].items() if candidate is resource)
    return name


@pytest.mark.parametrize(
    ("nodes", "runtimes"), [("shared", ["anymodel", "workflows"]), ("sdruntime-nodes", ["sdruntime"])]
)
def test_what_waits_for_what(template: Template, nodes: str, runtimes: list[str]) -> None:
    """Things are made from the bottom of this list to its top, and removed from its top to its bottom.

    pods ─► nodes (until none is left) ─► what the last task on them needs, and Karpenter, which ends them
    """
    found = charts(template)
    node_release = logical_id(template, found[nodes])
    assert found[nodes]["Properties"]["Wait"] is True
    below_nodes = waits_for(template, node_release)
    assert logical_id(template, found["karpenter"]) in below_nodes
    for release in runtimes:
        pods = logical_id(template, found[release])
        assert node_release in waits_for(template, pods)
        assert not found[release]["Properties"].get("Wait")  # there may be no pod, or it may need ten minutes
        assert pods not in below_nodes
        assert logical_id(template, found["keda"]) in waits_for(template, pods)
        # While the nodes go, their pods finish: they must still be somebody, and have a queue, a bucket and a table.
        for kind, part in (
            ("AWS::EKS::PodIdentityAssociation", f"Runtime{release}"),
            ("AWS::IAM::Role", f"Runtime{release}"),
            ("AWS::IAM::Policy", f"Runtime{release}"),
            ("AWS::SQS::Queue", f"TaskPlaneInputQueue{release}"),
            ("AWS::SNS::Topic", "sdNotification"),
            ("AWS::S3::Bucket", "TaskPlane"),
            ("AWS::DynamoDB::Table", "TaskPlane"),
        ):
            needed = {
                name
                for name, resource in template["Resources"].items()
                if resource["Type"] == kind and name.startswith(part)
            }
            assert needed, (kind, part)
            assert needed <= below_nodes, (kind, needed - below_nodes)
    # Karpenter ends nodes by its permissions, hears of them by its queue, and reaches AWS through the network.
    for kind in ("AWS::IAM::ManagedPolicy", "AWS::SQS::Queue", "AWS::EKS::PodIdentityAssociation", "AWS::Events::Rule"):
        needed = {
            name
            for name, resource in template["Resources"].items()
            if resource["Type"] == kind and name.startswith("Karpenter")
        }
        assert needed
        assert needed <= below_nodes, (kind, needed - below_nodes)


def test_a_runtime_that_never_starts_wakes_somebody(template: Template) -> None:
    """A wrong image with 20 tasks waiting is 20 GPU nodes with nothing done: the alarm says how to stop the cost."""
    alarms = {
        name: resource["Properties"]
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::CloudWatch::Alarm" and "Stuck" in name
    }
    assert len(alarms) == 3
    (alarm,) = (found for name, found in alarms.items() if "sdruntime" in name)
    assert "darkroom pause sdruntime --stack-name sdoneksStack" in alarm["AlarmDescription"]
    assert alarm["EvaluationPeriods"] * 5 == 30
    metrics = {entry["Id"]: entry for entry in alarm["Metrics"]}
    (expression,) = (entry["Expression"] for entry in metrics.values() if "Expression" in entry)
    assert "FILL(nodes, 1000) > 3" in expression  # as many as there are for components
    assert metrics["done"]["MetricStat"]["Metric"]["MetricName"] == "NumberOfMessagesDeleted"
    assert metrics["nodes"]["MetricStat"]["Metric"]["Dimensions"] == [{"Name": "ClusterName", "Value": "sdoneksStack"}]
    assert alarm["AlarmActions"]


def test_nothing_waits_for_itself(template: Template) -> None:
    for name in template["Resources"]:
        assert name not in waits_for(template, name)


def test_the_components_have_the_nodes_that_config_yaml_gives_them(template: Template) -> None:
    (group,) = of_type(template, "AWS::EKS::Nodegroup")
    assert group["ScalingConfig"] == {"DesiredSize": 3, "MinSize": 2, "MaxSize": 6}


def test_buckets_and_volumes_are_closed_and_encrypted(template: Template) -> None:
    (bucket,) = of_type(template, "AWS::S3::Bucket")
    assert all(bucket["PublicAccessBlockConfiguration"].values())
    assert bucket["BucketEncryption"]
    for queue in of_type(template, "AWS::SQS::Queue"):
        assert queue["SqsManagedSseEnabled"] is True
    (data,) = (item["LaunchTemplateData"] for item in of_type(template, "AWS::EC2::LaunchTemplate"))
    assert all(mapping["Ebs"]["Encrypted"] for mapping in data["BlockDeviceMappings"])
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    (cluster,) = of_type(template, "AWS::EKS::Cluster")
    assert cluster["EncryptionConfig"]


def test_only_the_output_bucket_outlives_the_stack(template: Template) -> None:
    kept = {
        resource["Type"]
        for resource in template["Resources"].values()
        if resource.get("DeletionPolicy") in ("Retain", "RetainExceptOnCreate")
    }
    assert kept == {"AWS::S3::Bucket"}


def test_the_queues_say_what_the_task_plane_says(template: Template) -> None:
    plane: TaskPlane = parse_config(CONFIG).task_plane()
    queues = {
        name: resource["Properties"]
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::SQS::Queue"
    }
    for plan in plane.queues:
        (queue,) = (q for name, q in queues.items() if name.startswith(f"TaskPlaneInputQueue{plan.runtime}"))
        assert queue["VisibilityTimeout"] == plan.visibility_timeout_seconds
        assert queue["MessageRetentionPeriod"] == plan.retention_seconds
        assert queue["RedrivePolicy"]["maxReceiveCount"] == plan.maximum_receives
    policies = [subscription.get("FilterPolicy") for subscription in of_type(template, "AWS::SNS::Subscription")]
    assert all(plan.filter_policy in policies for plan in plane.queues)
    assert all(plan.low is None or plan.low.filter_policy in policies for plan in plane.queues)


def test_tasks_of_low_priority_have_a_queue_where_they_are_wanted_and_share_its_dead_letters(
    template: Template,
) -> None:
    queues = {
        name: one["Properties"] for name, one in template["Resources"].items() if one["Type"] == "AWS::SQS::Queue"
    }
    (low,) = (name for name in queues if "LowPriorityQueue" in name)
    (usual,) = (name for name in queues if "InputQueueanymodel" in name)
    assert queues[low] == queues[usual]
    for who in ("RuntimeanymodelRole", "AddOnsKedaRole", "FrontDoor"):
        may = [json.dumps(found["Resource"]) for name, found in statements(template) if name.startswith(who)]
        assert any(low in resource for resource in may) is (who != "FrontDoor"), who
    others = [json.dumps(found) for name, found in statements(template) if name.startswith("RuntimesdruntimeRole")]
    assert others
    assert not any(low in statement for statement in others)
    (values,) = (
        json.dumps(found["Properties"]["Values"])
        for name, found in template["Resources"].items()
        if "Runtimeanymodel" in name and "Values" in found.get("Properties", {})
    )
    assert "sqsLowQueueUrl" in values
    assert low in values


def test_the_task_plane_alone_is_the_same_as_within_the_whole(
    template: Template, task_plane_assembly: Assembly
) -> None:
    alone = read_template(task_plane_assembly)["Resources"]
    assert len(alone) > 40
    for name, resource in alone.items():
        assert template["Resources"][name] == resource, name
