"""`darkroom cost`: what a month would cost, line by line; `darkroom cost refresh`: prices from AWS itself."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from darkroom.cli.deployment_options import (
    DEFAULT_CONFIG,
    ConfigOption,
    EndpointOption,
    ProfileOption,
    RegionOption,
    console_of,
)
from darkroom.cli.options import JsonOption, SvgOption
from darkroom.cli.output import print_json
from darkroom.cli.planner_options import (
    PriceFilesOption,
    PricesOption,
    configuration,
    must_be_finite,
    named_shares,
    prices_of,
)
from darkroom.cli.tables import Table, new_table, numbers, print_table
from darkroom.errors import MissingExtra, SettingsError
from darkroom.planner.cost_picture import cost_picture
from darkroom.planner.estimate import Estimate, as_csv, as_json, estimate
from darkroom.planner.guide import STATED_TOTAL, GuideLine, fixed_lines, picture_lines, total_of
from darkroom.planner.prices import PRICED_REGION, load_prices, priced_regions
from darkroom.planner.usage import by_caller, read_usage
from darkroom.planner.workload import Workload

cost = typer.Typer(help="Say what a month would cost, line by line; or fetch prices.", invoke_without_command=True)
_DEFAULT = Workload()
_FORMATS = ("table", "json", "csv")


@cost.callback()
def cost_month(
    context: typer.Context,
    config: ConfigOption = DEFAULT_CONFIG,
    region: RegionOption = None,
    price_files: PriceFilesOption = None,
    price: PricesOption = None,
    pictures: Annotated[int, typer.Option(min=0, help="Pictures in a month.")] = _DEFAULT.pictures,
    seconds: Annotated[float, typer.Option(min=0, help="GPU seconds for a picture.")] = _DEFAULT.seconds,
    picture_kb: Annotated[float, typer.Option(min=0, help="KB of a picture.")] = _DEFAULT.picture_bytes / 1000,
    request_kib: Annotated[float, typer.Option(min=0, help="KiB of a request.")] = _DEFAULT.request_bytes / 1024,
    months_stored: Annotated[float, typer.Option(min=0, help="How long pictures are kept.")] = _DEFAULT.months_stored,
    downloads: Annotated[float, typer.Option(min=0, help="How often a picture leaves AWS.")] = _DEFAULT.downloads,
    uploads: Annotated[float, typer.Option(min=0, help="Pictures that are uploaded for one.")] = _DEFAULT.uploads,
    lookups: Annotated[float, typer.Option(min=0, help="How often a task is asked for.")] = _DEFAULT.lookups,
    keyed: Annotated[float, typer.Option(min=0, max=1, help="Share with an idempotency key.")] = _DEFAULT.keyed,
    webhooks: Annotated[float, typer.Option(min=0, max=1, help="Share of tasks with a webhook.")] = _DEFAULT.webhooks,
    traced: Annotated[float, typer.Option(min=0, max=1, help="Share of tasks that are traced.")] = _DEFAULT.traced,
    spot: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Share of GPU hours as Spot. Default: all, where allowed.", show_default=False),
    ] = None,
    wake_ups: Annotated[int, typer.Option(min=0, help="How often GPUs start from none.")] = _DEFAULT.wake_ups,
    switches: Annotated[float, typer.Option(min=0, help="Model switches for a picture.")] = _DEFAULT.switches,
    switch_seconds: Annotated[float, typer.Option(min=0, help="Seconds of a switch.")] = _DEFAULT.switch_seconds,
    instance_type: Annotated[
        str | None, typer.Option(help="GPU instance type. Default: the cheapest that config.yaml allows.")
    ] = None,
    mix: Annotated[list[str] | None, typer.Option(help="RUNTIME=SHARE of the pictures. Default: equal.")] = None,
    usage: Annotated[Path | None, typer.Option(help="Task records or a usage export: cost per caller.")] = None,
    guide: Annotated[bool, typer.Option("--guide", help="The guide's own two tables, from its own inputs.")] = False,
    output: Annotated[str, typer.Option("--format", help="table, json or csv.")] = "table",
    for_scripts: JsonOption = False,
    picture: SvgOption = None,
) -> None:
    """Say what a month would cost, line by line."""
    if context.invoked_subcommand is not None:
        return
    output = "json" if for_scripts else output
    if output not in _FORMATS:
        raise SettingsError(f"--format {output} is not known: use {', '.join(_FORMATS)}")
    must_be_finite(
        seconds=seconds, picture_kb=picture_kb, request_kib=request_kib, months_stored=months_stored, uploads=uploads,
        downloads=downloads, lookups=lookups, keyed=keyed, webhooks=webhooks, traced=traced, spot=spot,
        switches=switches, switch_seconds=switch_seconds,
    )  # fmt: skip
    if guide:
        _show_guide(seconds, request_kib, picture_kb)
        return
    prices = prices_of(region, price_files, price)
    used = read_usage(usage) if usage is not None else []
    if used:
        pictures = sum(one.pictures for one in used)
        device = [one.device_seconds for one in used if one.device_seconds is not None]
        seconds = sum(device) / len(device) if device else seconds
    work = Workload(
        pictures, seconds, picture_kb * 1000, request_kib * 1024, months_stored, downloads, uploads, lookups,
        keyed, webhooks, traced, spot,
        wake_ups, switches, switch_seconds, instance_type, named_shares(mix),
    )  # fmt: skip
    found = estimate(configuration(config), work, prices)
    if picture is not None:
        picture.write_text(cost_picture(found))
    if output == "table":
        _show(found)
        if used:
            _show_callers(found, usage)
    else:
        typer.echo(as_json(found) if output == "json" else as_csv(found), nl=output == "json")


@cost.command("refresh")
def cost_refresh(
    region: RegionOption = None,
    profile: ProfileOption = None,
    endpoint_url: EndpointOption = None,
    to: Annotated[Path, typer.Option(help="The file to write.")] = Path("prices.toml"),
    as_json: JsonOption = False,
) -> None:
    """Fetch a region's prices from AWS's price list, and what Spot cost in the last week, into a file."""
    try:  # only this needs the AWS library
        from darkroom.infra.cloud import open_cloud
        from darkroom.infra.price_list import ask_price_list, spot_prices
    except ModuleNotFoundError as error:
        raise MissingExtra("deploy", "`darkroom cost refresh`") from error
    from darkroom.planner.price_names import instance_hour
    from darkroom.planner.price_refresh import price_file, refreshed

    cloud = open_cloud(region, profile, endpoint_url)
    known = load_prices(cloud.region if cloud.region in priced_regions() else PRICED_REGION)
    found = refreshed(
        cloud.region, known.instance_types, lambda service, filters: ask_price_list(cloud, service, filters)
    )
    seen = spot_prices(cloud, known.spot_saving)
    hours = {kind: found.usd[instance_hour(kind)] for kind in seen if instance_hour(kind) in found.usd}
    savings = {kind: max(0.0, 1 - seen[kind] / hours[kind]) for kind in hours}
    to.write_text(price_file(cloud.region, found, datetime.now(UTC).date(), savings, known.interrupted))
    if as_json:
        told = {"file": str(to), "region": cloud.region, "prices": len(found.usd), "not_found": list(found.not_found)}
        print_json(told)
        return
    console = console_of()
    console.print(
        f"{escape(str(to))}: {len(found.usd)} prices of {cloud.region}; use them with --prices", highlight=False
    )
    if found.not_found:
        names = ", ".join(found.not_found)
        console.print(
            f"AWS's list has no {escape(names)}: these stay as they are in Darkroom's own list, if it has them"
        )


def _show(found: Estimate) -> None:
    console = console_of()
    for section in found.sections:
        table = new_table("", *numbers("quantity", "each", "USD"), title=section.title)
        for line in section.lines:
            about = "~" if line.is_estimate else ""
            quantity = f"{line.quantity:,.4g}" if line.quantity < 1000 else f"{line.quantity:,.0f}"
            table.add_row(
                escape(line.what), f"{quantity} {line.unit}", f"{line.unit_usd:.7g}", f"{about}{line.usd:,.2f}"
            )
        table.add_row("[bold]together[/]", "", "", f"[bold]{section.usd:,.2f}[/]")
        print_table(table)
    per = found.usd_per_picture
    each = "" if per is None else f", {per * 1000:,.4f} for a thousand pictures"
    console.print(f"[bold]{found.usd:,.2f} USD a month[/] in {found.region}{each}", highlight=False)
    console.print(
        f"List prices, the oldest of {found.as_of}, without free tiers, discounts and taxes. "
        "~: an estimate, not only a price. `darkroom cost refresh` fetches today's.",
        highlight=False,
    )


def _show_callers(found: Estimate, source: Path | None) -> None:
    """Each caller's share: of services by tasks, of GPUs by device seconds; the idle month is nobody's."""
    callers = by_caller(read_usage(source) if source else [])
    tasks = sum(len(used) for used in callers.values())
    weights = {name: sum(one.device_seconds or 0.0 for one in used) for name, used in callers.items()}
    device = sum(weights.values())
    _, gpus, services = (section.usd for section in found.sections)
    table = new_table(
        "caller", *numbers("tasks", "device seconds", "USD"), title="By caller, without what is paid anyway"
    )
    for name, used in callers.items():
        part = weights[name] / device if device else len(used) / tasks
        usd = gpus * part + services * len(used) / tasks
        table.add_row(escape(name), f"{len(used):,}", f"{weights[name]:,.0f}", f"{usd:,.2f}")
    print_table(table)


def _show_guide(seconds: float, request_kib: float, picture_kb: float) -> None:
    console = console_of()
    pictures, fixed = picture_lines(seconds, request_kib, picture_kb), fixed_lines()
    for title, lines in (("The guide: a million images", pictures), ("The guide: each month", fixed)):
        print_table(_guide_table(title, lines))
    together = total_of(pictures) + total_of(fixed)
    console.print(
        f"[bold]{together} USD[/]; the guide states {STATED_TOTAL}, which its lines do not come to", highlight=False
    )


def _guide_table(title: str, lines: list[GuideLine]) -> Table:
    table = new_table("service", "billing dimension", *numbers("quantity", "unit price", "USD"), "", title=title)
    for line in lines:
        remark = f"{line.remark}; else {line.by_its_inputs}" if line.remark else ""
        quantity = f"{line.quantity.normalize():,f}"
        table.add_row(line.service, line.dimension, quantity, f"{line.unit_usd}", f"{line.usd:,}", remark)
    table.add_row("[bold]together[/]", "", "", "", f"[bold]{total_of(lines):,}[/]", "")
    return table
