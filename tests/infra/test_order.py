"""What must outlive what: the template's order at creation, and, reversed, at removal."""

from __future__ import annotations

from typing import Any

import pytest

from tests.infra.template_order import TemplateOrder

RUNTIMES = ("sdruntime", "anymodel", "workflows")
# The nodes of each runtime are a release of their own: a shared pool's, or its own.
NODES_OF = {"sdruntime": "sdruntime-nodes", "anymodel": "shared", "workflows": "shared"}
# Helm releases by which nodes come. Until they are gone, there may be GPU instances.
NODES = ("sdruntime-nodes", "shared", *RUNTIMES)


@pytest.fixture(scope="module")
def order(template: dict[str, Any]) -> TemplateOrder:
    return TemplateOrder(template)


def roles_with_policies(order: TemplateOrder, part: str) -> list[str]:
    """The roles and policies of a part, which begin with its name."""
    kinds = ("AWS::IAM::Role", "AWS::IAM::Policy", "AWS::IAM::ManagedPolicy")
    found = [name for kind in kinds for name in order.of_type(kind) if name.startswith(part)]
    assert found, part
    return found


def test_the_graph_has_no_circle_and_removal_is_creation_reversed(order: TemplateOrder) -> None:
    assert len(order.creation()) == len(order.resources)
    assert order.removal()[-1] == order.creation()[0]


@pytest.mark.parametrize("release", NODES)
def test_karpenter_and_all_that_it_needs_outlive_every_release_that_brings_nodes(
    order: TemplateOrder, release: str
) -> None:
    """Without them nobody ends an instance, removes its profile, or takes a finalizer off."""
    karpenter = [
        *roles_with_policies(order, "Karpenter"),
        *order.of_type("AWS::Events::Rule"),
        order.named("KarpenterInterruptions0"),
        order.named("KarpenterInterruptionsPolicy"),
        order.named("KarpenterIdentity"),
        order.named("KarpenterNodeAccess"),
        order.release("karpenter"),
        order.release("karpenter-crd"),
    ]
    order.assert_outlives(karpenter, order.release(release))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_nodes_can_come_before_pods_ask_for_them_and_stay_until_no_pod_is_made_any_more(
    order: TemplateOrder, runtime: str
) -> None:
    """Removed the other way round, pods would ask for nodes of a pool that goes; at once, a node would be left over."""
    nodes = order.release(NODES_OF[runtime])
    order.assert_outlives(nodes, order.release(runtime))
    properties = order.resources[nodes]["Properties"]
    assert properties["Wait"] in (True, "true"), "Helm reads Karpenter's conditions, and its finalizers at the removal"
    assert order.resources[order.release(runtime)]["Properties"].get("Wait") in (None, False, "false")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_what_a_pod_needs_to_end_its_task_outlives_the_last_node(order: TemplateOrder, runtime: str) -> None:
    """Pods are told to stop when their release goes, and end their tasks before their node goes."""
    needed = [
        *(name for name in order.of_type("AWS::SQS::Queue") if name.startswith(f"TaskPlaneInputQueue{runtime}")),
        *roles_with_policies(order, f"Runtime{runtime}"),
        order.named(f"Runtime{runtime}Identity"),
        order.named("TaskPlaneoutputS3BucketE"),
        order.named("TaskPlanetasks"),
        order.named("sdNotificationOutputCfn"),
    ]
    order.assert_outlives(needed, order.release(NODES_OF[runtime]))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_what_a_pod_needs_to_end_its_task_outlives_its_release(order: TemplateOrder, runtime: str) -> None:
    plane = [
        name
        for name in order.of_type("AWS::SQS::Queue")
        if name.startswith((f"TaskPlaneInputQueue{runtime}", f"TaskPlaneDeadLetters{runtime}"))
    ]
    assert len(plane) == 2
    needed = [
        *plane,
        *roles_with_policies(order, f"Runtime{runtime}"),
        *roles_with_policies(order, "AddOnsKeda"),
        *roles_with_policies(order, "AddOnsMountpoint"),
        order.named(f"Runtime{runtime}Identity"),
        order.named("TaskPlaneoutputS3BucketE"),
        order.named("TaskPlanetasks"),
        order.named("sdNotificationOutputCfn"),
        order.release("keda"),
        order.named("Eksawsmountpoints3csidriver"),
    ]
    order.assert_outlives(needed, order.release(runtime))


@pytest.mark.parametrize("release", ["karpenter", "karpenter-crd", "keda", *NODES])
def test_the_cluster_its_network_and_the_way_into_it_outlive_every_release(order: TemplateOrder, release: str) -> None:
    network = [
        *order.of_type("AWS::EC2::Subnet"),
        *order.of_type("AWS::EC2::Route"),
        *order.of_type("AWS::EC2::NatGateway"),
        *order.of_type("AWS::EC2::VPCEndpoint"),
        *order.of_type("AWS::EC2::VPCGatewayAttachment"),
        *order.of_type("AWS::EC2::SubnetRouteTableAssociation"),
    ]
    way = [*order.of_type("AWS::EKS::Cluster"), *order.of_type("AWS::EKS::Nodegroup")]
    way += [name for name in order.resources if name.startswith("EksClusterKubectlProvider")]
    way += [order.named("EksClusterClusterAdminRoleAccess")]
    for name in ("vpccni", "kubeproxy", "ekspodidentityagent", "coredns"):
        way.append(order.named(f"Eks{name}"))
    order.assert_outlives([*network, *way], order.release(release))


def test_log_groups_are_there_before_anybody_writes_and_go_when_nobody_is_left_who_makes_them_anew(
    order: TemplateOrder,
) -> None:
    groups = order.of_type("Custom::LogRetention")
    assert len(groups) == 5
    order.assert_outlives(groups, order.of_type("AWS::EKS::Cluster"))
    order.assert_outlives(groups, order.named("Eksamazoncloudwatchobservability"))


def test_what_others_make_anew_at_any_time_is_adopted_and_not_refused(template: dict[str, Any]) -> None:
    """A log group with a name of its own would be: `already exists`."""
    fixed = [
        name
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Logs::LogGroup" and "LogGroupName" in resource["Properties"]
    ]
    assert fixed == []
    adopted = {
        resource["Properties"]["LogGroupName"]: resource["Properties"]
        for resource in template["Resources"].values()
        if resource["Type"] == "Custom::LogRetention"
    }
    insights = "/aws/containerinsights/sdoneksStack"
    assert set(adopted) == {
        *(f"{insights}/{name}" for name in ("application", "dataplane", "host", "performance")),
        "/aws/eks/sdoneksStack/cluster",
    }
    assert all(properties["RetentionInDays"] == 30 for properties in adopted.values())
    assert all(properties["RemovalPolicy"] == "destroy" for properties in adopted.values())


def test_a_new_kubernetes_reaches_the_control_plane_then_the_add_ons_then_the_nodes(order: TemplateOrder) -> None:
    (cluster,), (nodes,) = order.of_type("AWS::EKS::Cluster"), order.of_type("AWS::EKS::Nodegroup")
    for name in ("vpccni", "kubeproxy", "ekspodidentityagent"):
        add_on = order.named(f"Eks{name}")
        order.assert_outlives(cluster, add_on)
        order.assert_outlives(add_on, nodes)
