"""`darkroom deploy`, step by step.

    preflight ─► model bucket ─► model ─► image cache ─► configuration
              ─► bootstrap ─► versions ─► synthesis ─► deploy ─► nodes ─► verification

Each step looks at what is there and does only what is missing, so a run that was interrupted is mended by the next one.
`plan` says the same steps without doing them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from botocore.exceptions import ClientError

from darkroom.config.loader import parse_config
from darkroom.config.model import DarkroomConfig
from darkroom.errors import AwsFailure, DarkroomError, StackFailure
from darkroom.infra import buckets
from darkroom.infra.checks.findings import Finding, Verdict
from darkroom.infra.checks.preflight import check
from darkroom.infra.checks.zones import settled
from darkroom.infra.cloud import Cloud, Told, translated
from darkroom.infra.cluster_api import ClusterApi
from darkroom.infra.cluster_api import open_cluster as open_cluster_on_aws
from darkroom.infra.commands import Run, run_program
from darkroom.infra.models import DEFAULT_MODEL, has_checkpoint, upload_model
from darkroom.infra.releases import releases
from darkroom.infra.service_times import ServiceTime, look, said_of, with_measured
from darkroom.infra.snapshots.cached_images import CachedImages, images_to_cache, uses_snapshots, volume_gib
from darkroom.infra.snapshots.image_cache import ImageCache
from darkroom.infra.steps.account_settings import activate_cost_tag, ensure_api_logging
from darkroom.infra.steps.chart_installation import ChartInstallation
from darkroom.infra.steps.cluster_looks import ClusterLooks
from darkroom.infra.steps.initial_config import Wishes, initial_config
from darkroom.infra.steps.pinning import Pinning, settle
from darkroom.infra.steps.plan import Sight, Step, steps
from darkroom.infra.steps.stack_operations import StackOperations, Timing
from darkroom.infra.steps.verification import look_at_the_front_door
from darkroom.infra.template.assembly import Assembly, publish
from darkroom.infra.template.pins import Pins, decode_pins
from darkroom.infra.template.synthesis import chart_folder, synthesise

Synthesis = Callable[[DarkroomConfig, Pins, Path, str], Assembly]


class Deployment:
    """One deployment: its configuration file, where it goes, and the steps to get there."""

    def __init__(
        self,
        cloud: Cloud,
        config_file: Path,
        wishes: Wishes,
        told: Told,
        *,
        synthesis: Synthesis | None = None,
        out: Path | None = None,
        timing: Timing | None = None,
        renew: bool = False,
        run: Run = run_program,
        open_cluster: Callable[[Cloud, Mapping[str, str]], ClusterApi] | None = None,
    ) -> None:
        self._cloud = cloud
        self._renew = renew
        self._run_program = run
        self._file = config_file
        self._wishes = wishes
        self._told = told
        self._synthesis = synthesis or self._synthesise
        self._out = out or Path("cdk.out")
        self._timing = timing or Timing(cloud.clock, cloud.sleep)
        opened = open_cluster or (open_cluster_on_aws if cloud.endpoint_url is None else None)
        self._cluster = ClusterLooks(cloud, opened, self._timing, told)

    def configuration(self) -> DarkroomConfig:
        """The configuration as it is, or as it will be written. Raises `SettingsError`."""
        text = self._text()
        config = parse_config(text, str(self._file), self._cloud.region)
        return config.model_copy(update={"model_bucket_arn": config.model_bucket_arn or self._bucket_arn(config)})

    def run(self) -> dict[str, str]:
        """Do what is missing, and return the stack's outputs. Raises a `DarkroomError` that says what to mend."""
        config = self.configuration()
        self._told("preflight: credentials, quotas, instance types, images and models")
        missing = [finding for finding in self._preflight(config) if finding.verdict is Verdict.MISSING]
        if missing:
            listed = "\n".join(f"  {finding.subject}: {finding.remedy}" for finding in missing)
            raise StackFailure(f"nothing was changed, because something is missing:\n{listed}")
        there = self._operations(config).outputs_if_there()
        config = settled(self._cloud, config, has_stack=there is not None)
        pinning = self._pinning(config, there or {})
        self._told(f"versions: Kubernetes {config.kubernetes_version}, {', '.join(pinning.pins.listed())}")
        self._told(f"availability zones: {', '.join(config.network.availability_zones or ['the first ones'])}")
        config = self._with_measured(config, there or {})
        bucket = config.model_bucket
        if bucket is None:
            raise StackFailure("there is no model bucket: set modelBucketArn in config.yaml")
        self._told(f"model bucket: {bucket}")
        if self._is_ours(config, bucket) and not buckets.is_made(self._cloud, bucket):
            buckets.make(self._cloud, bucket)
        self._upload_default_model(config, bucket)
        config = self._cached_images().ensure(config)
        self._write_configuration(config)
        self._told("bootstrap: the bucket for the deployment's files, and the role for Spot instances")
        buckets.make(self._cloud, self._cloud.asset_bucket)
        self._allow_spot()
        ensure_api_logging(self._cloud, self._told)
        self._told("synthesis: from config.yaml to a CloudFormation template")
        assembly = self._synthesis(config, pinning.pins, self._out, self._cloud.asset_bucket)
        with translated("publishing the deployment's files"):
            publish(assembly, self._cloud.client("s3"), self._told)
        self._told(f"deploy: the stack {config.cloudformation_stack_name}; the first time takes 20 to 30 minutes")
        operations = self._operations(config)
        if (there := operations.outputs_if_there()) is not None:
            self._cluster.wait_for_what_goes(config, there)
        try:
            with translated("deploying"):
                outputs = operations.deploy(self._template_url(assembly), {"stack": config.cloudformation_stack_name})
        except KeyboardInterrupt:
            self._told("interrupted: what CloudFormation has begun goes on by itself; run this again to follow it")
            raise
        if config.cluster.name is not None and config.cluster.charts == "deployment":
            self._charts(config).install(releases(config, outputs, self._cloud.region))
        if config.alarms.monthly_spend_usd is not None and self._cloud.facts.budgets:
            activate_cost_tag(self._cloud, self._told)
        self._cluster.look_at_the_nodes(config, outputs)
        look_at_the_front_door(self._cloud, outputs, self._told)
        return outputs

    def measured(self) -> dict[str, ServiceTime]:
        """What the deployed stack's tasks took, by runtime; none where it is not there, or nobody may look."""
        try:
            outputs = self._outputs(self.configuration())
        except AwsFailure:
            return {}
        return look(self._cloud, outputs, self._told)

    def _with_measured(self, config: DarkroomConfig, outputs: Mapping[str, str]) -> DarkroomConfig:
        times = look(self._cloud, outputs, self._told)
        for line in said_of(config, times):
            self._told(line)
        return with_measured(config, times)

    def plan(self) -> tuple[list[Step], list[Finding]]:
        """What `run` would do, and what was found. Only reads; works without credentials as far as it can."""
        config = self.configuration()
        findings = self._preflight(config)
        bucket, images = config.model_bucket, images_to_cache(config, tracing=self._cloud.facts.topic_tracing)
        has_snapshot = bool(images) and _is_known(
            lambda: self._cached_images().find(images, volume_gib(config)) is not None
        )
        sight = Sight(
            bucket=bucket,
            has_bucket=_is_known(lambda: bucket is not None and self._has_bucket(config, bucket)),
            wants_model=self._wants_default(config),
            has_file=self._file.exists(),
            uses_snapshots=uses_snapshots(config),
            uncached_images=() if has_snapshot else tuple(images),
            has_stack=_is_known(lambda: self._stack_exists(config)),
            pinning=self._known_pinning(config),
        )
        return steps(config, self._file, sight), findings

    def _known_pinning(self, config: DarkroomConfig) -> Pinning | None:
        try:
            return self._pinning(config, self._outputs(config))
        except AwsFailure:
            return None

    def _cached_images(self) -> CachedImages:
        return CachedImages(self._cloud, self._told, ImageCache(self._cloud, self._told, self._timing.poll_seconds))

    def _text(self) -> str:
        if self._file.exists():
            return self._file.read_text(encoding="utf-8")
        return initial_config(self._wishes, self._cloud.facts.name)

    def _bucket_arn(self, config: DarkroomConfig) -> str | None:
        """Where models will be, in a configuration that does not say: the name needs the account's number."""
        name = self._wishes.bucket
        if name is None:
            try:
                name = buckets.model_bucket_name(config.stack_name, self._cloud.account, self._cloud.region)
            except DarkroomError:
                return None
        return f"arn:{self._cloud.facts.name}:s3:::{name}"

    def _preflight(self, config: DarkroomConfig) -> list[Finding]:
        """A bucket or model that this run would make itself is not missing."""
        findings = check(self._cloud, config)
        if self._names_a_bucket():
            return findings
        return [
            replace(finding, verdict=Verdict.UNKNOWN, remedy="this run makes it")
            if finding.verdict is Verdict.MISSING and finding.subject.startswith(("model bucket ", "model "))
            else finding
            for finding in findings
        ]

    def _names_a_bucket(self) -> bool:
        if self._wishes.bucket is not None:
            return True
        return self._file.exists() and parse_config(self._text(), str(self._file)).model_bucket_arn is not None

    def _wants_default(self, config: DarkroomConfig) -> bool:
        return not self._names_a_bucket() and any(
            runtime.static_model == DEFAULT_MODEL for runtime in config.models_runtime
        )

    def _is_ours(self, config: DarkroomConfig, bucket: str) -> bool:
        """Whether a run of ours made this bucket, or would: the user's own is not touched."""
        return bucket == buckets.model_bucket_name(config.stack_name, self._cloud.account, self._cloud.region)

    def _has_bucket(self, config: DarkroomConfig, bucket: str) -> bool:
        look = buckets.is_made if self._is_ours(config, bucket) else buckets.exists
        return look(self._cloud, bucket)

    def _upload_default_model(self, config: DarkroomConfig, bucket: str) -> None:
        wanted = any(runtime.static_model == DEFAULT_MODEL for runtime in config.models_runtime)
        if self._is_ours(config, bucket) and wanted and not has_checkpoint(self._cloud, bucket, DEFAULT_MODEL):
            self._told(f"model: {self._wishes.model_url}")
            upload_model(self._cloud, bucket, self._wishes.model_url, name=DEFAULT_MODEL, told=self._told)

    def _write_configuration(self, config: DarkroomConfig) -> None:
        if self._file.exists():
            return
        self._file.write_text(initial_config(self._wishes, self._cloud.facts.name, config.model_bucket))
        self._told(f"configuration: {self._file} written")

    def _allow_spot(self) -> None:
        """The account's role for Spot; there is one of it, made once."""
        try:
            self._cloud.client("iam").create_service_linked_role(AWSServiceName="spot.amazonaws.com")
        except ClientError as error:
            if "has been taken" not in str(error) and "already exists" not in str(error):
                self._told(f"bootstrap: the role for Spot instances was not made: {error}")

    def _synthesise(self, config: DarkroomConfig, pins: Pins, out: Path, asset_bucket: str) -> Assembly:
        return synthesise(
            config, region=self._cloud.region, out=out, asset_bucket=asset_bucket, pins=pins, told=self._told
        )

    def _pinning(self, config: DarkroomConfig, outputs: Mapping[str, str]) -> Pinning:
        """The versions to deploy: a stack's outputs say which it has."""
        return settle(self._cloud, config, decode_pins(outputs.get("Versions", "")), renew=self._renew)

    def _outputs(self, config: DarkroomConfig) -> Mapping[str, str]:
        """What the stack says of itself; nothing where there is none."""
        return self._operations(config).outputs_if_there() or {}

    def _charts(self, config: DarkroomConfig) -> ChartInstallation:
        folder = self._out / "charts"
        return ChartInstallation(self._cloud, config, chart_folder(), folder, self._run_program, self._told)

    def _operations(self, config: DarkroomConfig) -> StackOperations:
        client = self._cloud.client("cloudformation")
        return StackOperations(client, config.cloudformation_stack_name, self._timing, self._told)

    def _template_url(self, assembly: Assembly) -> str:
        template = assembly.template
        if self._cloud.endpoint_url is not None:
            return f"{self._cloud.endpoint_url}/{template.bucket}/{template.key}"
        return f"https://s3.{self._cloud.region}.{self._cloud.facts.dns_suffix}/{template.bucket}/{template.key}"

    def _stack_exists(self, config: DarkroomConfig) -> bool:
        with translated("looking for the stack"):
            return self._operations(config).status() is not None


def _is_known(look: Callable[[], bool]) -> bool:
    """What a look came to, or False where we are not allowed to look."""
    try:
        return look()
    except DarkroomError:
        return False
