"""What a file says of its making, and whether that can be trusted: read, and put into words for a person."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from darkroom.errors import CredentialsUnreadable
from darkroom.policy.media_types import MediaType
from darkroom.provenance.certificate import find_certificate
from darkroom.provenance.formats import MARK
from darkroom.provenance.library import read_credentials
from darkroom.provenance.manifest import MODEL, PROMPT, RUNTIME, TASK
from darkroom.provenance.source_types import SourceType, mentions, name_of


class Verdict(StrEnum):
    """What is to be thought of a file's credentials."""

    TRUSTED = "trusted"
    UNKNOWN_SIGNER = "unknown-signer"
    CHANGED = "changed"
    INVALID = "invalid"
    NONE = "none"


class Deed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that was done, by C2PA's name for it, with what, and what that makes of the picture."""

    action: str
    agent: str | None = None
    source_type: str | None = None
    when: str | None = None


class Source(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An input. `made_by` is who signed it, where it has credentials; `is_intact`: as they were signed."""

    title: str
    is_parent: bool
    made_by: str | None = None
    is_intact: bool | None = None


class Account(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a file says of its making.

    `source_types` are IPTC's words that stand anywhere in it; the rest is what its credentials say. `faults` say in the
    library's words why they are not to be believed. Times are ISO 8601.
    """

    verdict: Verdict
    media_type: str
    source_types: list[str] = []
    signer: str | None = None
    signed_at: str | None = None
    certificate_expires: str | None = None
    maker: str | None = None
    runtime: str | None = None
    model: str | None = None
    task: str | None = None
    deeds: list[Deed] = []
    made_from: list[Source] = []
    prompts: dict[str, str] = {}
    faults: list[str] = []


def read_account(
    data: bytes, media_type: MediaType, *, sidecar: bytes | None = None, trust_anchors: bytes | None = None
) -> Account:
    """Read what a file, or what lies beside it, says. `trust_anchors` are certificates as PEM that are trusted."""
    said = sorted(mentions(data))
    try:
        found = read_credentials(io.BytesIO(data), media_type, sidecar=sidecar, trust_anchors=trust_anchors)
    except CredentialsUnreadable as error:
        verdict = Verdict.INVALID if sidecar is not None or MARK in data else Verdict.NONE
        return Account(verdict=verdict, media_type=media_type.content_type, source_types=said, faults=[str(error)])
    if found is None:
        return Account(verdict=Verdict.NONE, media_type=media_type.content_type, source_types=said)
    document, state = found
    manifests: Mapping[str, Any] = document.get("manifests", {})
    active: Mapping[str, Any] = manifests.get(str(document.get("active_manifest")), {})
    faults = _faults(document)
    signature: Mapping[str, Any] = active.get("signature_info", {})
    certificate = find_certificate(data if sidecar is None else sidecar)
    generator: Mapping[str, Any] = next(iter(active.get("claim_generator_info") or []), {})
    actions = list(_actions(active))
    parameters = [action.get("parameters") or {} for action in actions]
    return Account(
        verdict=_verdict(state, [code for code, _ in faults]),
        media_type=media_type.content_type,
        source_types=said,
        signer=_signer(signature),
        signed_at=signature.get("time"),
        certificate_expires=None if certificate is None else certificate.not_after.isoformat(),
        maker=" ".join(str(generator[key]) for key in ("name", "version") if generator.get(key)) or None,
        runtime=generator.get(RUNTIME),
        model=generator.get(MODEL),
        task=next((found[TASK] for found in parameters if TASK in found), None),
        deeds=[_deed(action) for action in actions],
        made_from=[_source(ingredient, manifests) for ingredient in active.get("ingredients", [])],
        prompts={
            key.removeprefix(f"{PROMPT}."): str(value)
            for found in parameters
            for key, value in found.items()
            if key.startswith(f"{PROMPT}.")
        },
        faults=[f"{code}: {text}" for code, text in faults if code != _UNTRUSTED],
    )


_UNTRUSTED = "signingCredential.untrusted"


def _verdict(state: str, codes: Sequence[str]) -> Verdict:
    if state == "Trusted":
        return Verdict.TRUSTED
    if state == "Valid":
        return Verdict.UNKNOWN_SIGNER
    return Verdict.CHANGED if any(code.endswith("Hash.mismatch") for code in codes) else Verdict.INVALID


def _faults(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (str(fault.get("code")), str(fault.get("explanation", ""))) for fault in document.get("validation_status") or []
    ]


def _actions(manifest: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for assertion in manifest.get("assertions", []):
        if str(assertion.get("label", "")).startswith("c2pa.actions"):
            yield from assertion.get("data", {}).get("actions", [])


def _deed(action: Mapping[str, Any]) -> Deed:
    agent = action.get("softwareAgent")
    source_type = action.get("digitalSourceType")
    return Deed(
        action=str(action.get("action", "")),
        agent=agent.get("name") if isinstance(agent, dict) else agent,
        source_type=None if source_type is None else name_of(source_type),
        when=action.get("when"),
    )


def _source(ingredient: Mapping[str, Any], manifests: Mapping[str, Any]) -> Source:
    label = ingredient.get("active_manifest")
    made_by = None if label is None else _signer(manifests.get(label, {}).get("signature_info", {}))
    results = ingredient.get("validation_results", {}).get("activeManifest", {})
    wrong = [fault for fault in results.get("failure", []) if fault.get("code") != _UNTRUSTED]
    return Source(
        title=str(ingredient.get("title") or "an input"),
        is_parent=ingredient.get("relationship") == "parentOf",
        made_by=made_by,
        is_intact=None if label is None else not wrong,
    )


def _signer(signature: Mapping[str, Any]) -> str | None:
    names = (signature.get("common_name"), signature.get("issuer"))
    return ", ".join(str(name) for name in names if name) or None


_WORDS = {
    "c2pa.created": "It was created",
    "c2pa.opened": "A picture was opened",
    "c2pa.edited": "It was edited",
    "c2pa.resized": "It was resized",
}
_TYPES: dict[str, str] = {
    SourceType.GENERATED: "made by a trained model",
    SourceType.COMPOSITE: "made from a picture, with a trained model",
    SourceType.ENHANCED: "changed by arithmetic, without a trained model",
}
_VERDICTS = {
    Verdict.TRUSTED: "It is as it was signed, and the signer is one that you trust.",
    Verdict.UNKNOWN_SIGNER: (
        "It is as it was signed. Whether the signer is who it says, nobody vouches for: it is on no list that was "
        "given (--trust-anchors)."
    ),
    Verdict.CHANGED: "IT WAS CHANGED after it was signed: believe nothing of the following.",
    Verdict.INVALID: "ITS CREDENTIALS ARE NOT RIGHT: believe nothing of the following.",
    Verdict.NONE: "It has no Content Credentials, so nobody vouches for what it says.",
}


def told(account: Account) -> Iterator[str]:
    """The same in lines for a person."""
    yield _VERDICTS[account.verdict]
    yield from (f"  {fault}" for fault in account.faults)
    if account.signer:
        when = f" at {account.signed_at}, by a timestamp authority's clock" if account.signed_at else ""
        until = f" (certificate until {account.certificate_expires[:10]})" if account.certificate_expires else ""
        yield f"Signed by: {account.signer}{until}{when}"
    if account.maker:
        yield f"Made with: {account.maker}{_bracketed(account.runtime)}"
    if account.model:
        yield f"Model: {account.model}"
    if account.task:
        yield f"Task: {account.task}"
    for deed in account.deeds:
        words = _WORDS.get(deed.action, deed.action)
        with_what = f" with {deed.agent}" if deed.agent else ""
        when = f" at {deed.when}" if deed.when else ""
        what = f": {_TYPES.get(deed.source_type, deed.source_type)}" if deed.source_type else ""
        yield f"{words}{with_what}{when}{what}"
    for source in account.made_from:
        yield f"{'Made from' if source.is_parent else 'With'}: {source.title}{_bracketed(_said_of(source))}"
    for name, text in account.prompts.items():
        yield f"{name.replace('_', ' ').capitalize()}: {text}"
    if account.verdict is Verdict.NONE:
        words = ", ".join(_TYPES.get(name, name) for name in account.source_types)
        yield f"It says of itself: {words}" if words else "It does not say how it was made."


def _said_of(source: Source) -> str:
    if source.made_by is None:
        return "without credentials of its own"
    return f"signed by {source.made_by}" + ("" if source.is_intact else ", and changed since")


def _bracketed(text: str | None) -> str:
    return f" ({text})" if text else ""
