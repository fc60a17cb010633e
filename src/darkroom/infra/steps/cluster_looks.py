"""What a deployment looks at in the cluster: whether old nodes still leave, and later whether new ones can come."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass

from darkroom.config.model import DarkroomConfig
from darkroom.errors import AwsFailure, StackFailure
from darkroom.infra.cloud import Cloud, Told
from darkroom.infra.cluster_api import ClusterApi
from darkroom.infra.cluster_objects import wait_until_gone, wait_until_ready
from darkroom.infra.steps.stack_operations import Timing


@dataclass(frozen=True)
class ClusterLooks:
    """Looks into the cluster that a stack's outputs name. `open_cluster` is None where there is none to look into."""

    cloud: Cloud
    open_cluster: Callable[[Cloud, Mapping[str, str]], ClusterApi] | None
    timing: Timing
    told: Told

    def wait_for_what_goes(self, config: DarkroomConfig, outputs: Mapping[str, str]) -> None:
        """An earlier removal may still be under way in the cluster; nothing is made anew into it."""
        if self.open_cluster is None:
            return
        try:
            api = self.open_cluster(self.cloud, outputs)
        except (AwsFailure, StackFailure):
            return  # there is none yet
        with closing(api):
            try:
                wait_until_gone(api, config, self.timing, self.told)
            except AwsFailure as error:
                self.told(f"nodes: {error}: nobody could look whether old ones still leave")

    def look_at_the_nodes(self, config: DarkroomConfig, outputs: Mapping[str, str]) -> None:
        """Ask for all without which no pod comes. Raises `StackFailure` that says what is not ready, and why."""
        if self.open_cluster is None or config.cluster.charts == "gitops":
            return
        try:
            with closing(self.open_cluster(self.cloud, outputs)) as api:
                lacking = wait_until_ready(api, config, self.timing)
        except AwsFailure as error:
            self.told(f"nodes: {error}: nobody could look whether NodePools and ScaledObjects are ready")
            return
        if lacking:
            listed = "\n".join(f"  {entry.found.kind} {entry.found.name} {entry.why}" for entry in lacking)
            raise StackFailure(f"the stack is there, but no task would be done:\n{listed}")
        self.told("nodes: every NodePool, EC2NodeClass and ScaledObject is ready; no node was started yet")
