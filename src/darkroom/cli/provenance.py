"""`darkroom provenance`: what a picture says of its making."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from darkroom.cli.options import JsonOption
from darkroom.errors import Fault, InvalidRequest
from darkroom.policy.media_types import HEAD_BYTES, named, recognise
from darkroom.provenance.certificate import certificates_in
from darkroom.provenance.formats import SIDECAR
from darkroom.provenance.reading import Verdict, read_account, told

provenance = typer.Typer(help="See who made a picture, by which model, from what, and whether that can be trusted.")

# Beside those of all commands: what a file says is not to be believed.
NOT_TO_BE_BELIEVED = 1


def _printable(text: str) -> str:
    """Without what would steer the terminal: what a file says is anybody's."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


@provenance.callback()
def _group() -> None:
    pass


@provenance.command()
def show(
    file: Annotated[Path, typer.Argument(help="The picture, film or sound.", exists=True, dir_okay=False)],
    sidecar: Annotated[
        Path | None,
        typer.Option(
            help="Its credentials, where they lie in a file of their own. Default: the file beside it that is called "
            "the same and ends in .c2pa, if there is one.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    trust_anchors: Annotated[
        Path | None,
        typer.Option(
            help="Certificates (PEM) that you trust: C2PA's trust list, or your own authority's.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say who made a picture, by which model, from what, and whether that can be trusted.

    Exits with 1 when the file was changed after it was signed, or its credentials are not right.

    [bold]darkroom provenance show pictures/t1-x7ab-1.png[/]
    """
    data = file.read_bytes()
    beside = sidecar or file.with_suffix(f".{SIDECAR.extension}")
    anchors = None if trust_anchors is None else trust_anchors.read_bytes()
    if anchors is not None and not certificates_in(anchors):
        raise InvalidRequest([Fault("--trust-anchors", f"{trust_anchors} holds no PEM block CERTIFICATE")])
    account = read_account(
        data,
        recognise(data[:HEAD_BYTES]) or named(file.suffix.removeprefix(".")),
        sidecar=beside.read_bytes() if beside != file and beside.exists() else None,
        trust_anchors=anchors,
    )
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(account)).decode())
    else:
        console = Console(soft_wrap=True)
        for line in told(account):
            console.print(_printable(line), markup=False, highlight=False)
    if account.verdict in (Verdict.CHANGED, Verdict.INVALID):
        raise typer.Exit(NOT_TO_BE_BELIEVED)
