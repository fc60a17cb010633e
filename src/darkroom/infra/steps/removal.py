"""`darkroom destroy`: the guide's preparations are checked first, and what people made stays."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from darkroom.config.model import DarkroomConfig
from darkroom.errors import StackFailure
from darkroom.infra.cloud import Cloud, Told, translated
from darkroom.infra.commands import Run, run_program
from darkroom.infra.releases import releases
from darkroom.infra.steps.chart_installation import ChartInstallation
from darkroom.infra.steps.leftovers import Leftovers
from darkroom.infra.steps.obstacles import (
    Obstacle,
    Resources,
    foreign_in_vpc,
    foreign_policies,
    inline_policies_of,
    queues_with_tasks,
)
from darkroom.infra.steps.stack_operations import StackOperations, Timing
from darkroom.infra.template.synthesis import chart_folder


@dataclass(frozen=True)
class Planned:
    """What a removal takes away, as kinds of things with their numbers, and what it leaves."""

    removed: list[str]
    kept: list[str]


class Removal:
    """Looks for obstacles, and removes the stack where there are none."""

    def __init__(
        self,
        cloud: Cloud,
        config: DarkroomConfig,
        told: Told,
        timing: Timing | None = None,
        run: Run = run_program,
    ) -> None:
        self._cloud = cloud
        self._config = config
        self._told = told
        self._run_program = run
        self._leftovers = Leftovers(cloud, config.cloudformation_stack_name, told)
        timing = timing or Timing(cloud.clock, cloud.sleep)
        self._operations = StackOperations(
            cloud.client("cloudformation"), config.cloudformation_stack_name, timing, told
        )

    def obstacles(self) -> list[Obstacle]:
        """Queues with tasks, foreign policies on roles, and foreign things in the VPC. Changes nothing."""
        if self._operations.status() is None:
            return []
        with translated("looking at what is in the stack"):
            resources = self._resources()
            return [
                *queues_with_tasks(self._cloud, resources),
                *foreign_policies(self._cloud, resources, self._inline_policies()),
                *foreign_in_vpc(self._cloud, resources),
            ]

    def plan(self) -> Planned:
        """What `run` would remove, and what would stay. Changes nothing."""
        if self._operations.status() is None:
            return Planned(removed=[], kept=self._kept(None))
        with translated("looking at what is in the stack"):
            removed = self._by_service()
        cluster = self._config.cluster
        if cluster.name is not None and cluster.charts != "gitops":
            there = releases(self._config, self._operations.outputs(), self._cloud.region)
            removed = [*(f"the Helm release {release.name} in {cluster.name}" for release in there), *removed]
        elif cluster.name is None:
            removed.append("what Karpenter and EKS made for the cluster: instances, launch templates, volumes")
        return Planned(removed, self._kept(self._output_bucket()))

    def run(self, *, force: bool = False) -> list[str]:
        """Remove the stack, and say what stays. Raises `StackFailure` where something is in the way."""
        in_the_way = self.obstacles()
        if in_the_way and not force:
            listed = "\n".join(f"  {obstacle.what}: {obstacle.remedy}" for obstacle in in_the_way)
            raise StackFailure(f"nothing was removed:\n{listed}\nor give --force")
        kept = self._kept(None)
        if self._operations.status() is not None:
            kept = self._kept(self._output_bucket())
            self._remove_charts()
        with translated("removing the stack"):
            self._delete()
        return kept

    def _kept(self, output_bucket: str | None) -> list[str]:
        return [f"s3://{bucket}" for bucket in (self._config.model_bucket, output_bucket) if bucket]

    def _output_bucket(self) -> str:
        return self._operations.outputs().get("OutputS3Bucket", "").rpartition(":")[2]

    def _delete(self) -> None:
        """Remove the stack, and what others made for its cluster: from whatever state, also where the stack is gone."""
        if self._config.cluster.name is not None:
            # What Karpenter made in a cluster of others is theirs.
            self._operations.delete()
            return
        try:
            self._operations.delete()
        except StackFailure:
            if not self._leftovers.remove(is_cluster_gone=self._is_cluster_gone()):
                raise
            self._told("what outlived Karpenter kept the stack from going: trying again without it")
            self._operations.delete()
        self._leftovers.remove(is_cluster_gone=True)

    def _remove_charts(self) -> None:
        """From a cluster that is there and stays; where others install the charts, they remove them before."""
        cluster = self._config.cluster
        if cluster.name is None or cluster.charts == "gitops":
            return
        there = releases(self._config, self._operations.outputs(), self._cloud.region)
        with tempfile.TemporaryDirectory() as folder:
            installation = ChartInstallation(
                self._cloud, self._config, chart_folder(), Path(folder), self._run_program, self._told
            )
            installation.uninstall(there)

    def _is_cluster_gone(self) -> bool:
        return self._operations.status() is None or "AWS::EKS::Cluster" not in self._resources()

    def _inline_policies(self) -> frozenset[str]:
        found = self._cloud.client("cloudformation").get_template(StackName=self._config.cloudformation_stack_name)
        return inline_policies_of(found["TemplateBody"])

    def _by_service(self) -> list[str]:
        """What goes with the stack, a line for each service: "EC2: 4 x Subnet, VPC"."""
        body = self._cloud.client("cloudformation").get_template(StackName=self._config.cloudformation_stack_name)
        declared = body["TemplateBody"]["Resources"]
        counted: dict[str, Counter[str]] = {}
        for resource in self._summaries():
            if declared.get(resource["LogicalResourceId"], {}).get("DeletionPolicy") != "Retain":
                _, service, kind = (resource["ResourceType"] + "::").split("::", 2)
                counted.setdefault(service, Counter())[kind.rstrip(":")] += 1
        return [
            f"{service}: "
            + ", ".join(f"{number} x {kind}" if number > 1 else kind for kind, number in sorted(kinds.items()))
            for service, kinds in sorted(counted.items())
        ]

    def _resources(self) -> Resources:
        """The stack's resources by type, as their physical ids."""
        by_type: dict[str, list[str]] = {}
        for resource in self._summaries():
            by_type.setdefault(resource["ResourceType"], []).append(resource["PhysicalResourceId"])
        return by_type

    def _summaries(self) -> Iterator[Mapping[str, str]]:
        """What is there of the stack."""
        pages = self._cloud.client("cloudformation").get_paginator("list_stack_resources")
        for page in pages.paginate(StackName=self._config.cloudformation_stack_name):
            for resource in page["StackResourceSummaries"]:
                if resource["ResourceStatus"] != "DELETE_COMPLETE" and resource.get("PhysicalResourceId"):
                    yield resource
