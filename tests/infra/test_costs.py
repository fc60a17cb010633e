"""The estimate of `darkroom deploy --dry-run`."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import yaml

from darkroom.config.fit_rules import DEFAULT_MOST_PODS, DEFAULT_QUEUE_LENGTH
from darkroom.config.loader import parse_config
from darkroom.planner.burst_costs import (
    DEFAULT_CONSOLIDATE_SECONDS,
    DEFAULT_COOLDOWN_SECONDS,
    burst_estimates,
)
from darkroom.planner.estimate import estimate
from darkroom.planner.gpu_costs import gpu_costs
from darkroom.planner.idle_costs import fixed_costs, savings
from darkroom.planner.lines import total, unpriced
from darkroom.planner.picture_costs import service_costs
from darkroom.planner.prices import PRICED_REGION, load_prices
from darkroom.planner.simulation.deployment import DEFAULT_POLLING_SECONDS
from darkroom.planner.workload import Workload
from tests.infra.chart import CHART
from tests.infra.conftest import CONFIG

ROOT = Path(__file__).parents[2]

PRICES = load_prices(PRICED_REGION)
RUNTIME = "modelsRuntime: [{name: a, type: comfyui, extraValues: {runtime: {scaling: {minReplicaCount: %d}}}}]\n"


def test_every_line_of_an_idle_month() -> None:
    costs = {cost.what: cost.usd for cost in fixed_costs(parse_config(RUNTIME % 0), PRICES)}
    assert costs == {
        "EKS cluster (438 from 2027-03-27 on, unless Kubernetes 1.35 is upgraded)": pytest.approx(73.0),
        "2 x m7g.large for components": pytest.approx(119.136),
        "2 x 20 GiB disk for components": pytest.approx(3.2),
        "3 x NAT gateway": pytest.approx(98.55),
        "3 x public address of a NAT gateway": pytest.approx(10.95),
        "components' traffic through NAT gateways": pytest.approx(0.45),
        "Container Insights of 2 nodes": pytest.approx(20.0),
        "control-plane logs (audit, authenticator)": pytest.approx(7.5),
        "logs of the components": pytest.approx(1.0),
        "Karpenter looking at its queue of interruptions": pytest.approx(0.05256),
        "KMS key of Kubernetes' secrets": pytest.approx(1.0),
        "KMS key of the alarms' topic": pytest.approx(1.0),
        "20 metrics with alarms": pytest.approx(2.0),
        "4 metrics counted in logs": pytest.approx(1.2),
        "dashboard": pytest.approx(3.0),
        "KEDA looking at queues: 1": pytest.approx(0.5256),
        "webhooks: AWS Lambda looking at their queue": pytest.approx(0.2628),
        "webhooks: the secret that they are signed with": pytest.approx(0.40),
        "the model in its bucket": pytest.approx(0.092),
    }


def test_a_queue_for_low_priority_costs_four_metrics_and_a_second_look_of_keda() -> None:
    plain, low = (parse_config(RUNTIME % 0), parse_config(RUNTIME % 0))
    low.models_runtime[0] = low.models_runtime[0].model_copy(update={"low_priority": True})
    more = total(fixed_costs(low, PRICES)) - total(fixed_costs(plain, PRICES))
    assert more == pytest.approx(4 * 0.10 + 0.5256)
    assert {cost.what for cost in fixed_costs(low, PRICES)} >= {"KEDA looking at queues: 2"}


def test_signing_costs_a_secret_a_key_two_alarms_and_a_call_for_each_picture() -> None:
    arn = "arn:aws:%s:us-east-1:123456789012:%s"
    secret, key = arn % ("secretsmanager", "secret:signing-AbCdEf"), arn % ("kms", "key/1234")
    section = f"provenance: {{certificate: '{secret}', kmsKeyId: '{key}'}}\n"
    signed, unsigned = (parse_config(RUNTIME % 0 + more) for more in (section, ""))
    costs = {cost.what: cost.usd for cost in fixed_costs(signed, PRICES)}
    assert costs["secret with the certificate that signs pictures"] == pytest.approx(0.40)
    assert costs["KMS key that signs pictures"] == pytest.approx(1.0)
    # Each alarm is $0.10, and each metric that is counted in logs $0.30.
    assert total(fixed_costs(signed, PRICES)) - total(fixed_costs(unsigned, PRICES)) == pytest.approx(
        1.40 + 2 * 0.10 + 2 * 0.30
    )
    assert {cost.what: cost.usd for cost in service_costs(Workload(), PRICES, signed)}[
        "KMS, which signs them"
    ] == pytest.approx(15.0)
    assert service_costs(Workload(), PRICES, unsigned) == service_costs(Workload(), PRICES)


def test_a_runtime_that_always_has_a_pod_pays_for_its_node_by_the_cheapest_default_type() -> None:
    costs = fixed_costs(parse_config(RUNTIME % 2), PRICES)
    nodes, metrics = costs[-2:]
    assert nodes.what == "2 GPU node for a that never goes, on demand"
    assert nodes.usd == pytest.approx(2 * 0.9776 * 730)
    # Its agents have figures at every hour: what docs/metrics.md says.
    assert (metrics.what, metrics.usd) == ("agents' metrics of a, which is always there", pytest.approx(1.80))
    silent = fixed_costs(parse_config(RUNTIME % 2 + "cluster: {agentMetrics: false}\n"), PRICES)
    assert not any("agents' metrics" in cost.what for cost in silent)


def test_what_has_no_price_here_is_said_to_be_unknown() -> None:
    costs = fixed_costs(parse_config(RUNTIME % 0 + "clusterComponents: {instanceType: x9z.large}\n"), PRICES)
    assert unpriced(costs) == ["2 x x9z.large for components"]


def test_the_plan_says_what_each_choice_costs_for_a_burst() -> None:
    runtime = "{name: a, type: sdwebui, workOff: {withinSeconds: 60, taskSeconds: 6, burst: 40}}"
    (found,) = burst_estimates(parse_config(f"modelsRuntime: [{runtime}]"), PRICES)
    assert (found.runtime, found.task_seconds) == ("a", 6)
    assert [choice.queue_length for choice in found.choices] == [1, 10, 50]
    assert [choice.is_chosen for choice in found.choices] == [False, True, False]
    pods = [choice.found.pods for choice in found.choices]
    assert pods == [4, 2, 1]  # a burst of 40 within the time needs four pods, so there are never more
    usd = [choice.usd for choice in found.choices]
    assert None not in usd
    assert usd == sorted(usd, reverse=True)
    ends = [choice.found.last_ends for choice in found.choices]
    assert ends == sorted(ends)


def test_a_burst_is_reckoned_by_what_is_told_else_measured_else_assumed() -> None:
    runtimes = "[{name: a, type: sdwebui, workOff: {withinSeconds: 60, taskSeconds: 6}}, {name: b, type: comfyui}, %s]"
    config = parse_config(f"modelsRuntime: {runtimes % '{name: c, type: comfyui}'}")
    found = burst_estimates(config, PRICES, {"a": 9.0, "b": 7.5})
    assert [estimate.task_seconds for estimate in found] == [6, 7.5, Workload().seconds]


def test_what_the_estimate_assumes_is_what_the_chart_has() -> None:
    chart = yaml.safe_load((CHART / "values.yaml").read_text())
    assert chart["runtime"]["scaling"]["cooldownPeriod"] == DEFAULT_COOLDOWN_SECONDS
    assert chart["runtime"]["scaling"]["maxReplicaCount"] == DEFAULT_MOST_PODS
    assert chart["runtime"]["scaling"]["queueLength"] == DEFAULT_QUEUE_LENGTH
    assert chart["runtime"]["scaling"]["pollingInterval"] == DEFAULT_POLLING_SECONDS
    stays = chart["karpenter"]["provisioner"]["disruption"]["consolidateAfter"]
    assert stays == f"{DEFAULT_CONSOLIDATE_SECONDS:g}s"


def test_the_docs_say_what_the_plan_computes() -> None:
    spec = importlib.util.spec_from_file_location("write_costs", ROOT / "scripts" / "write_costs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = (ROOT / "docs" / "cost.md").read_text()
    assert module.with_tables(page) == page, "write it anew: python scripts/write_costs.py"
    assert "**together**" in page


def test_nothing_is_left_out_that_the_template_has_and_a_bill_would_show(template: dict[str, Any]) -> None:
    """What the template makes and is paid for by the month, against the lines, by number."""
    lines = {cost.what: cost.usd for cost in fixed_costs(parse_config(CONFIG), PRICES)}

    def count(kind: str) -> int:
        return sum(resource["Type"] == kind for resource in template["Resources"].values())

    assert f"{count('AWS::EC2::NatGateway')} x NAT gateway" in lines
    assert f"{count('AWS::EC2::EIP')} x public address of a NAT gateway" in lines
    assert count("AWS::KMS::Key") == sum(line.startswith("KMS key") for line in lines)
    assert count("AWS::SecretsManager::Secret") == sum("the secret" in line for line in lines)
    assert count("AWS::Lambda::EventSourceMapping") == sum("looking at their queue" in line for line in lines)
    assert count("AWS::CloudWatch::Dashboard") == sum(line == "dashboard" for line in lines)
    assert f"{count('AWS::Logs::MetricFilter')} metrics counted in logs" in lines
    alarms = [r["Properties"] for r in template["Resources"].values() if r["Type"] == "AWS::CloudWatch::Alarm"]
    metrics = sum(len([m for m in a["Metrics"] if "MetricStat" in m]) if "Metrics" in a else 1 for a in alarms)
    assert f"{metrics} metrics with alarms" in lines
    (nodes,) = (r["Properties"] for r in template["Resources"].values() if r["Type"] == "AWS::EC2::LaunchTemplate")
    (disk,) = nodes["LaunchTemplateData"]["BlockDeviceMappings"]
    assert f"3 x {disk['Ebs']['VolumeSize']} GiB disk" in " ".join(lines)
    paid = {"AWS::EC2::VPCEndpoint": 2}  # both are gateways, which cost nothing
    assert {kind: count(kind) for kind in paid} == paid
    stages = [r["Properties"] for r in template["Resources"].values() if r["Type"] == "AWS::ApiGateway::Stage"]
    settings = [setting for stage in stages for setting in stage["MethodSettings"]]
    assert len(settings) == len(stages) == 2
    assert not any(setting["MetricsEnabled"] for setting in settings)


def test_each_saving_is_what_the_key_really_saves() -> None:
    text = RUNTIME % 1
    config = parse_config(text)
    found = {saving.key: saving.monthly_usd for saving in savings(config, PRICES)}
    assert list(found.values()) == sorted(found.values(), reverse=True)
    now = total(fixed_costs(config, PRICES))
    for key, said in (
        ("network.natGateways: 1", "network: {natGateways: 1}"),
        ("clusterComponents.desiredCount: 1", "clusterComponents: {desiredCount: 1}"),
        ("clusterComponents.instanceType: t4g.medium", "clusterComponents: {instanceType: t4g.medium}"),
        ("cluster.containerInsights: false", "cluster: {containerInsights: false}"),
        ("cluster.controlPlaneLogs: []", "cluster: {controlPlaneLogs: []}"),
    ):
        assert found.pop(key) == pytest.approx(now - total(fixed_costs(parse_config(f"{text}{said}\n"), PRICES))), key
    assert found == {"minReplicaCount: 0 for a": pytest.approx(0.9776 * 730 + 1.80)}


def test_agents_metrics_are_paid_for_the_hours_in_which_they_have_values() -> None:
    def metrics(seconds: float, config: str = RUNTIME % 0, **work: float) -> float:
        asked = Workload(pictures=1_000_000, seconds=seconds, wake_ups=0, **work)  # type: ignore[arg-type]
        lines = {cost.what: cost.usd for cost in gpu_costs(parse_config(config), asked, PRICES)}
        return lines.get("agents' metrics") or 0.0

    assert metrics(73 * 3600 / 1e6) == pytest.approx(1.80 / 10)
    assert metrics(6.0) == pytest.approx(1.80), "around the clock and on two nodes: no more than a whole month"
    assert metrics(6.0, switches=0.1) == pytest.approx(2.10)
    assert metrics(6.0, RUNTIME % 1) == 0.0, "then they are a line of the idle month"
    assert metrics(6.0, RUNTIME % 0 + "cluster: {agentMetrics: false}\n") == 0.0


# Which line of the estimate has what a resource of this type costs ...
PAID = {
    "AWS::ApiGateway::RestApi": "API Gateway",
    "AWS::CloudWatch::Alarm": "metrics with alarms",
    "AWS::CloudWatch::Dashboard": "dashboard",
    "AWS::DynamoDB::Table": "DynamoDB, writes of records",
    "AWS::EC2::EIP": "public address of a NAT gateway",
    "AWS::EC2::NatGateway": "NAT gateway",
    "AWS::EC2::LaunchTemplate": "GiB disk for components",
    "AWS::EKS::Cluster": "EKS cluster",
    "AWS::EKS::Nodegroup": "m7g.large for components",
    "AWS::KMS::Key": "KMS key of Kubernetes' secrets",
    "AWS::Lambda::EventSourceMapping": "webhooks: AWS Lambda looking at their queue",
    "AWS::Lambda::Function": "Lambda, time",
    "AWS::Logs::LogGroup": "logs of tasks, stored",
    "AWS::Logs::MetricFilter": "metrics counted in logs",
    "AWS::S3::Bucket": "S3, stored for a month",
    "AWS::SNS::Topic": "SNS",
    "AWS::SQS::Queue": "SQS",
    "AWS::SecretsManager::Secret": "webhooks: the secret that they are signed with",
}
# ... or why there is none.
FREE = {
    "AWS::ApiGateway::ApiKey": "keys and plans are part of the API, which is paid by requests",
    "AWS::ApiGateway::Authorizer": "its calls are the API's requests; the function's time is below a cent",
    "AWS::ApiGateway::Deployment": "a part of the API",
    "AWS::ApiGateway::GatewayResponse": "a part of the API",
    "AWS::ApiGateway::Method": "a part of the API",
    "AWS::ApiGateway::Model": "a part of the API",
    "AWS::ApiGateway::RequestValidator": "a part of the API",
    "AWS::ApiGateway::Resource": "a part of the API",
    "AWS::ApiGateway::Stage": "a part of the API: no cache, and no figures for each method",
    "AWS::ApiGateway::UsagePlan": "a part of the API",
    "AWS::ApiGateway::UsagePlanKey": "a part of the API",
    "AWS::Budgets::Budget": "budgets without actions cost nothing",
    "AWS::EC2::FlowLog": "rejected flows only, which are some MB of logs",
    "AWS::EC2::InternetGateway": "AWS charges for what goes through it",
    "AWS::EC2::Route": "networks' parts cost nothing",
    "AWS::EC2::RouteTable": "networks' parts cost nothing",
    "AWS::EC2::SecurityGroup": "networks' parts cost nothing",
    "AWS::EC2::Subnet": "networks' parts cost nothing",
    "AWS::EC2::SubnetRouteTableAssociation": "networks' parts cost nothing",
    "AWS::EC2::VPC": "networks' parts cost nothing",
    "AWS::EC2::VPCEndpoint": "both are gateways (S3, DynamoDB), which cost nothing",
    "AWS::EC2::VPCGatewayAttachment": "networks' parts cost nothing",
    "AWS::EKS::AccessEntry": "a part of the cluster",
    "AWS::EKS::Addon": "a part of the cluster; what CloudWatch's add-on sends is Container Insights and logs",
    "AWS::EKS::PodIdentityAssociation": "a part of the cluster",
    "AWS::Events::Rule": "rules for AWS's own events cost nothing",
    "AWS::IAM::ManagedPolicy": "IAM costs nothing",
    "AWS::IAM::Policy": "IAM costs nothing",
    "AWS::IAM::Role": "IAM costs nothing",
    "AWS::Lambda::LayerVersion": "layers cost nothing",
    "AWS::Lambda::Permission": "IAM costs nothing",
    "AWS::S3::BucketPolicy": "policies cost nothing",
    "AWS::SNS::Subscription": "deliveries to queues and functions are free; an e-mail for an alarm is 0.00002",
    "AWS::SNS::TopicPolicy": "policies cost nothing",
    "AWS::SQS::QueuePolicy": "policies cost nothing",
    "AWS::SSM::Parameter": "standard parameters cost nothing",
    "AWS::XRay::ResourcePolicy": "policies cost nothing; traces have a line",
    "Custom::AWSCDK-EKS-HelmChart": "a call of a function at each deployment",
    "Custom::AWSCDK-EKS-KubernetesResource": "a call of a function at each deployment",
    "Custom::LogRetention": "a call of a function at each deployment",
}


def test_every_type_of_resource_has_a_line_or_a_reason_why_it_is_free(template: dict[str, Any]) -> None:
    kinds = {resource["Type"] for resource in template["Resources"].values()}
    assert kinds - set(PAID) - set(FREE) == set(), "say which line of the estimate has it, or why it costs nothing"
    assert not set(PAID) & set(FREE)
    assert kinds >= set(PAID), "what is no resource any more is no line either"
    found = estimate(parse_config(CONFIG), Workload(webhooks=1.0), PRICES)
    lines = [line.what for line in found.lines]
    for kind, words in PAID.items():
        assert any(words in what for what in lines), f"{kind}: no line has {words!r}"
    assert all(line.usd for line in found.lines if "metrics of" not in line.what), "each comes to something"


def test_every_queue_and_every_function_is_asked_for_by_a_line(template: dict[str, Any]) -> None:
    """By name: a queue that somebody polls has that poll; what nobody polls is paid by message."""
    queues = {name for name, found in template["Resources"].items() if found["Type"] == "AWS::SQS::Queue"}
    polled = ("Interruption", "Webhook", "sdruntime", "anymodel", "workflows", "Low")
    unasked = {name for name in queues if not any(part.lower() in name.lower() for part in polled)}
    # Nobody asks for dead letters but `darkroom dlq`.
    assert all("deadletter" in name.lower() for name in unasked), unasked
    lines = [line.what for line in fixed_costs(parse_config(CONFIG), PRICES)]
    for words in ("KEDA looking at queues: 4", "Karpenter looking at its queue", "webhooks: AWS Lambda looking"):
        assert any(words in what for what in lines)
