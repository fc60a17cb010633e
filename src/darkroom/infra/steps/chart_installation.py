"""Installs the runtimes' charts into a cluster that is there already, with the user's own helm and AWS CLI."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from darkroom.config.model import DarkroomConfig
from darkroom.infra.cloud import Cloud, Told, translated
from darkroom.infra.commands import Run
from darkroom.infra.releases import Release

# Nodes that go wait for the tasks on them.
_WAIT = ["--wait", "--timeout", "15m"]


class ChartInstallation:
    """`folder` gets the values of each release, and a kubeconfig that asks the AWS CLI for a token."""

    def __init__(self, cloud: Cloud, config: DarkroomConfig, chart: Path, folder: Path, run: Run, told: Told) -> None:
        self._cloud = cloud
        self._config = config
        self._chart = chart
        self._folder = folder
        self._run = run
        self._told = told

    def install(self, releases: Iterable[Release]) -> None:
        """Install or upgrade each, nodes before pods. Raises `AwsFailure` and `StackFailure`."""
        access = self._access()
        for release in releases:
            self._told(f"chart: {release.name} in {release.namespace}")
            values = self._folder / f"{release.namespace}-{release.name}.values.json"
            values.write_text(json.dumps(release.values, indent=2))
            chart, version = self._chart_of(release)
            command = ["helm", "upgrade", "--install", release.name, chart, *version, "--values", str(values)]
            self._run([*command, "--create-namespace", *self._place(release, access)])

    def uninstall(self, releases: Sequence[Release]) -> None:
        """Remove each that is there, pods before nodes, and wait for the nodes to go."""
        access = self._access()
        for release in reversed(releases):
            self._told(f"chart: removing {release.name} from {release.namespace}")
            self._run(["helm", "uninstall", release.name, "--ignore-not-found", *self._place(release, access)])

    def _chart_of(self, release: Release) -> tuple[str, list[str]]:
        """Darkroom's own chart, or the runtime's."""
        own = {r.name: r for r in self._config.models_runtime if r.chart_repository and not release.brings_nodes}
        runtime = own.get(release.name)
        if runtime is None:
            return str(self._chart), []
        address, version = str(runtime.chart_repository), ["--version", str(runtime.chart_version)]
        return (
            (address, version) if address.startswith("oci://") else ("darkroom-runtime", ["--repo", address, *version])
        )

    def _place(self, release: Release, access: Path) -> list[str]:
        place = ["--namespace", release.namespace, "--kubeconfig", str(access)]
        return [*place, *_WAIT] if release.brings_nodes else place

    def _access(self) -> Path:
        name = str(self._config.cluster.name)
        with translated(f"looking at the cluster {name}"):
            found = self._cloud.client("eks").describe_cluster(name=name)["cluster"]
        token = ["eks", "get-token", "--cluster-name", name, "--region", self._cloud.region, "--output", "json"]
        cluster = {"server": found["endpoint"], "certificate-authority-data": found["certificateAuthority"]["data"]}
        user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "aws", "args": token}}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "clusters": [{"name": name, "cluster": cluster}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        }
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._folder / "kubeconfig"
        file.write_text(json.dumps(document, indent=2))
        return file
