"""Reads config.yaml into a `DarkroomConfig`, or says everything that is wrong with it, line by line."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterable, Iterator
from pathlib import Path as FilePath
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from darkroom.config.callers import too_many_for_the_function, too_many_webhooks
from darkroom.config.chart_values import DEPLOYMENT_OWNED, ChartValues
from darkroom.config.document import ConfigFault, Document, Path, dotted, read_document, shown
from darkroom.config.karpenter_values import Karpenter
from darkroom.config.model import ORIGIN, DarkroomConfig
from darkroom.config.pool_rules import entries
from darkroom.config.rules import broken_rules
from darkroom.errors import SettingsError

_GRACE = "runtime.queueAgent.taskTimeoutSeconds sets the grace of agent, pod and nodes"
# What is told of a pattern that an error cannot show: it would be taken for a URL, and its end be hidden.
_IN_WORDS = {ORIGIN: "be as in https://studio.example or http://10.0.0.1:8443, without a path, or *"}
REPLACED = {"terminationGracePeriodSeconds": _GRACE, "gracePeriodSeconds": _GRACE}


def load_config(path: FilePath, region: str | None = None) -> DarkroomConfig:
    """Read the file at `path`. `region`, where known, is checked against the ARNs in it.

    Raises `SettingsError`, whose text lists every fault with its line, key, reason and the values that are allowed.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SettingsError(f"there is no file {path}; write one with: darkroom config init") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{path} is not in UTF-8 (line {line}): save it in that encoding") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from None
    return parse_config(text, str(path), region)


def parse_config(text: str, source: str = "config.yaml", region: str | None = None) -> DarkroomConfig:
    """The same for the file's text; `source` names it in errors."""
    document = read_document(text)
    config: DarkroomConfig | None = None
    faults = list(document.faults)
    if not faults:
        try:
            config = DarkroomConfig.model_validate(document.values)
        except ValidationError as error:
            faults.extend(_translate(details) for details in error.errors(include_url=False))
        faults.extend(broken_rules(document.values, region))
        faults.extend(_faults_of_extra_values(document.values))
    if config is not None:
        faults.extend(fault for check in (too_many_for_the_function, too_many_webhooks) if (fault := check(config)))
    if config is None or faults:
        raise SettingsError(_listing(faults, document, source))
    return config


def _faults_of_extra_values(values: dict[str, Any]) -> Iterator[ConfigFault]:
    """What Darkroom's chart would not take; a chart of the user's own takes what it likes."""
    for path, runtime in entries(values, "modelsRuntime"):
        if not runtime.get("chartRepository"):
            yield from _refused(runtime.get("extraValues"), (*path, "extraValues"), ChartValues, DEPLOYMENT_OWNED)
    owned = [place[1:] for place in DEPLOYMENT_OWNED if place[0] == "karpenter"]
    for path, pool in entries(values, "nodePools"):
        yield from _refused(pool.get("extraValues"), (*path, "extraValues"), Karpenter, owned)


def _refused(extra: Any, at: Path, model: type[BaseModel], owned: Iterable[tuple[str, ...]]) -> Iterator[ConfigFault]:
    if not isinstance(extra, dict):
        return
    try:
        model.model_validate(extra)
    except ValidationError as error:
        yield from _told_once(_translate(details, model, at) for details in error.errors(include_url=False))
    for place in owned:
        if _has(extra, place):
            yield ConfigFault((*at, *place), "is said by the deployment itself: remove it")


def _told_once(faults: Iterable[ConfigFault]) -> Iterator[ConfigFault]:
    """Without what is said of a whole that is a mapping or a list, where something is said of a part of it."""
    found = list(faults)
    for fault in found:
        depth = len(fault.path)
        is_whole = "must be a mapping" in fault.reason or "must be a list" in fault.reason
        if not is_whole or not any(len(other.path) > depth and other.path[:depth] == fault.path for other in found):
            yield fault


def _has(values: Any, path: tuple[str, ...]) -> bool:
    for key in path:
        if not isinstance(values, dict) or key not in values:
            return False
        values = values[key]
    return True


def _listing(faults: list[ConfigFault], document: Document, source: str) -> str:
    placed = sorted({(document.line_of(fault.path), dotted(fault.path), fault.reason) for fault in faults})
    count = "1 fault" if len(placed) == 1 else f"{len(placed)} faults"
    lines = [f"  line {line}: {f'{where} ' if where else ''}{reason}" for line, where, reason in placed]
    return "\n".join([f"{source} has {count}:", *lines])


def _translate(details: ErrorDetails, root: type[BaseModel] = DarkroomConfig, at: Path = ()) -> ConfigFault:
    """A fault of pydantic's in our words; `root` stands at the path `at` of the file."""
    # Members of a union stand in pydantic's location, but in no file.
    inner = tuple(part for part in details["loc"] if not (isinstance(part, str) and _is_union_member(part)))
    path = (*at, *inner)
    context = details.get("ctx", {})
    value = details["input"]
    match details["type"]:
        case "missing":
            reason = "is missing"
        case "extra_forbidden":
            reason = _unknown_key(inner, root)
        case "invalid_key":
            path = (*path[:-1], shown(value))
            reason = "is a key that is no text; write it in quotes"
        case _ if value is None:
            reason = "is empty: write what it should be, or remove it"
        case "literal_error" | "enum":
            reason = f"must be {context['expected']}, not {shown(value)}"
            if isinstance(value, float) and "'" in str(context["expected"]):
                reason += "; write it in quotes"
        case "string_pattern_mismatch":
            form = _IN_WORDS.get(context["pattern"], f"match {context['pattern']}, which {shown(value)} does not")
            reason = f"must {form}"
        case "string_type" if isinstance(value, dict | list):
            reason = f"must be text, not {shown(value)}"
        case "string_type":
            reason = f"must be text, not {shown(value)}; write it in quotes"
        case "string_too_long":
            reason = f"must be at most {context['max_length']} characters long, and is {len(value)}"
        case "value_error":
            reason = str(context["error"])
        case "too_short":
            reason = f"must have at least {context['min_length']}"
        case "int_parsing_size":
            reason = f"is too large a number: {shown(value)}"
        case "list_type":
            reason = f"must be a list, not {shown(value)}"
        case "model_type" | "dict_type" | "model_attributes_type":
            reason = f"must be a mapping of keys to values, not {shown(value)}"
        case _:
            reason = f"{details['msg'].replace('Input should be', 'must be')}, not {shown(value)}"
    return ConfigFault(path, reason)


def _is_union_member(part: str) -> bool:
    return "[" in part or part.startswith("constrained-") or part in ("str", "int", "none", "literal")


def _unknown_key(path: Path, root: type[BaseModel]) -> str:
    model = _model_at(path[:-1], root)
    known = sorted(field.alias or name for name, field in model.model_fields.items()) if model is not None else []
    said = str(path[-1])
    if said in REPLACED:
        return f"is no key any more: {REPLACED[said]}"
    close = [key for key in known if key.endswith(f"/{said}")] or difflib.get_close_matches(said, known, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"is not a key here; {hint}there are: {', '.join(known)}"


def _model_at(path: Path, model: type[BaseModel]) -> type[BaseModel] | None:
    """The model whose keys are allowed at `path` below `model`."""
    for part in path:
        if isinstance(part, int):
            continue
        field = next((field for name, field in model.model_fields.items() if part in (field.alias, name)), None)
        inner = _model_in(field.annotation) if field is not None else None
        if inner is None:
            return None
        model = inner
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (list, Union, types.UnionType, Annotated):
        found = (_model_in(argument) for argument in get_args(annotation))
        return next((model for model in found if model is not None), None)
    return None
