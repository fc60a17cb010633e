"""The snapshots that nodes start from, where config.yaml wants `fastStart: snapshot` and names none.

One snapshot holds the images of every runtime that needs one. It carries a tag that follows from the images' names, so
the next deployment finds it, and another set of images gets another snapshot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from darkroom.config.model import DarkroomConfig, RuntimeConfig
from darkroom.config.node_pool import NodePoolConfig
from darkroom.infra.cloud import Cloud, Told, translated
from darkroom.infra.snapshots.builder_profile import ensure_builder_profile
from darkroom.infra.snapshots.cache_leftovers import KIND_TAG, SNAPSHOT
from darkroom.infra.snapshots.image_cache import CONTENTS_TAG, DEFAULT_VOLUME_GIB, CacheRequest, ImageCache, contents_of
from darkroom.infra.template.chart_values import merge, pod_images


def images_to_cache(config: DarkroomConfig, *, tracing: bool) -> list[str]:
    """The images, sorted, of all runtimes whose nodes are to start from a snapshot that config.yaml does not name."""
    names = nodes_without_snapshot(config)
    lacking = [runtime for runtime in config.models_runtime if _nodes_of(config, runtime).name in names]
    return sorted({image for runtime in lacking for image in pod_images(config, runtime, tracing=tracing)})


def volume_gib(config: DarkroomConfig) -> int:
    """The size, in GiB, that the snapshot's volume may have: no node's volume may be smaller than its snapshot."""
    names = nodes_without_snapshot(config)
    sizes = [
        config.node_values_of(runtime).get("nodeTemplate", {}).get("dataVolume", {}).get("volumeSize", "")
        for runtime in config.models_runtime
        if _nodes_of(config, runtime).name in names
    ]
    return min([DEFAULT_VOLUME_GIB, *(_gibibytes(size) for size in sizes if size)])


def _gibibytes(size: str) -> int:
    return int(size[:-2]) * (1024 if size.endswith("Ti") else 1)


def uses_snapshots(config: DarkroomConfig) -> bool:
    """Whether any nodes start from a snapshot."""
    return any(config.fast_start_of(runtime) == "snapshot" for runtime in config.models_runtime)


def nodes_without_snapshot(config: DarkroomConfig) -> list[str]:
    """The runtimes with nodes of their own, and the pools, that are to start from a snapshot and name none."""
    nodes: list[RuntimeConfig | NodePoolConfig] = [
        *(runtime for runtime in config.models_runtime if config.pool_of(runtime) is None),
        *config.node_pools,
    ]
    return [entry.name for entry in nodes if _lacks_snapshot(config, entry)]


@dataclass(frozen=True)
class CachedImages:
    """Finds or builds the snapshot for one configuration."""

    cloud: Cloud
    told: Told
    cache: ImageCache

    def find(self, images: Sequence[str], most_gib: int) -> str | None:
        """The newest complete snapshot with these images that fits into `most_gib` GiB. Raises `AwsFailure`."""
        wanted = {KIND_TAG: SNAPSHOT, CONTENTS_TAG: contents_of(images)}
        filters = [{"Name": f"tag:{key}", "Values": [value]} for key, value in wanted.items()]
        with translated("looking for a snapshot with the images"):
            pages = self.cloud.client("ec2").get_paginator("describe_snapshots")
            found = [
                snapshot
                for page in pages.paginate(OwnerIds=["self"], Filters=[*filters, _COMPLETED])
                for snapshot in page["Snapshots"]
                if snapshot["VolumeSize"] <= most_gib
            ]
        return max(found, key=lambda snapshot: snapshot["StartTime"])["SnapshotId"] if found else None

    def ensure(self, config: DarkroomConfig) -> DarkroomConfig:
        """The configuration with a snapshot wherever one was lacking. Raises what `ImageCache.build` raises."""
        images = images_to_cache(config, tracing=self.cloud.facts.topic_tracing)
        if not images:
            return config
        size = volume_gib(config)
        snapshot = self.find(images, size)
        if snapshot is None:
            self.told(f"image cache: building a snapshot with {len(images)} images")
            profile = ensure_builder_profile(self.cloud, self.told)
            snapshot = self.cache.build(CacheRequest(images, profile, config.kubernetes_version, volume_gib=size))
        self.told(f"image cache: {snapshot}")
        return with_snapshot(config, snapshot)


_COMPLETED = {"Name": "status", "Values": ["completed"]}


def with_snapshot(config: DarkroomConfig, snapshot: str) -> DarkroomConfig:
    """The configuration, in which all nodes that lack a snapshot have this one."""
    place = {"karpenter": {"nodeTemplate": {"dataVolume": {"snapshotID": snapshot}}}}
    runtimes = [
        runtime.model_copy(update={"extra_values": merge(runtime.extra_values, place)})
        if config.pool_of(runtime) is None and _lacks_snapshot(config, runtime)
        else runtime
        for runtime in config.models_runtime
    ]
    pools = [
        pool.model_copy(update={"snapshot_id": snapshot}) if _lacks_snapshot(config, pool) else pool
        for pool in config.node_pools
    ]
    return config.model_copy(update={"models_runtime": runtimes, "node_pools": pools})


def _nodes_of(config: DarkroomConfig, runtime: RuntimeConfig) -> RuntimeConfig | NodePoolConfig:
    return config.pool_of(runtime) or runtime


def _lacks_snapshot(config: DarkroomConfig, nodes: RuntimeConfig | NodePoolConfig) -> bool:
    return config.fast_start_of(nodes) == "snapshot" and not nodes.snapshot_id
