"""JSON as it arrives: its structure is bounded before it is decoded, and what is no plain JSON is named."""

from __future__ import annotations

import gzip
import json
import time
import tracemalloc
import zlib
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from darkroom.policy.admission import Refused, admit, readmit
from darkroom.policy.catalogue import Catalogue, RuntimeSpec
from darkroom.tasks import v1alpha1, v1alpha2
from darkroom.tasks.json_bounds import MESSAGE_BOUNDS, REQUEST_BOUNDS, JsonBounds
from darkroom.tasks.json_text import BadJson, read_json
from darkroom.tasks.message import decode_message, encode_message

RUNTIME = RuntimeSpec(name="sdruntime", type="sdwebui", model="m.safetensors")
CATALOGUE = Catalogue([RUNTIME])
MEBIBYTE = 1024 * 1024
VALUES = st.recursive(
    st.none() | st.integers() | st.text(st.sampled_from('ab"\\[]{},:é\n')) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)


def depth_of(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth_of, inner), default=0)


def values_in(value: Any) -> int:
    """Elements and members; an empty list counts as one with an element."""
    inner = list(value.values() if isinstance(value, dict) else value) if isinstance(value, dict | list) else []
    return (max(1, len(inner)) if isinstance(value, dict | list) else 0) + sum(map(values_in, inner))


@given(VALUES, st.booleans())
@example(["\\", '\\"', "[{,", '"'], True)
def test_depth_and_number_are_what_a_decoder_would_find(value: Any, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only).encode()
    depth, values = depth_of(value), values_in(value)
    assert JsonBounds(depth=depth, values=values).excess(text) is None
    if values:
        assert JsonBounds(depth=depth, values=values - 1).excess(text) == f"holds more than {values - 1} values"
    if depth > 0:
        assert JsonBounds(depth=depth - 1, values=values).excess(text) == f"is nested more than {depth - 1} deep"


@given(st.binary() | st.text(st.sampled_from('"\\[]{},ab')).map(str.encode))
def test_any_bytes_are_measured(text: bytes) -> None:
    JsonBounds(depth=2, values=5).excess(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"[" + b"[]," * (2 * MEBIBYTE) + b"[]]", "values"),
        (b"[" + b'"",' * (2 * MEBIBYTE) + b'""]', "values"),
        (b'{"a":' * 101 + b"1" + b"}" * 101, "deep"),
        (b"[" * (6 * MEBIBYTE), "values"),
        (b"[" * 90_000 + b"]" * (5 * MEBIBYTE), "deep"),
        (b'"' + b'\\"' * (3 * MEBIBYTE) + b'"', None),
        (b'"' + b"[{,:" * MEBIBYTE + b'"', None),
    ],
    ids=["lists", "strings", "deep", "open", "closed", "escapes", "brackets in a string"],
)
def test_too_much_is_refused_before_anything_is_made_of_it(text: bytes, reason: str | None) -> None:
    began = time.process_time()
    tracemalloc.start()
    try:
        excess = REQUEST_BOUNDS.excess(text)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (excess is None) == (reason is None)
    assert (reason or "") in (excess or "")
    assert peak < 3 * len(text) + 8 * MEBIBYTE
    assert time.process_time() - began < 5  # some 20 ms, if nobody walks it byte by byte


@pytest.mark.parametrize("version", ["v1alpha1", "v1alpha2"])
def test_what_the_front_door_takes_the_agent_takes(version: str) -> None:
    """The front door wraps what it was sent, and the agent must not refuse a task for that."""

    def request(content: Any) -> bytes:
        if version == "v1alpha1":
            scripts = {"task": "text-to-image", "id_task": "t", "sd_model_checkpoint": "m.safetensors"}
            return json.dumps({"alwayson_scripts": scripts, "x": content}).encode()
        metadata = {"id": "t", "runtime": "sdruntime", "tasktype": "text-to-image", "prefix": "p"}
        return json.dumps({"task": {"metadata": metadata, "content": {"x": content}}}).encode()

    decode = v1alpha1.decode_request if version == "v1alpha1" else v1alpha2.decode_request
    outer = 1 if version == "v1alpha1" else 3
    deep: Any = 1
    for _ in range(REQUEST_BOUNDS.depth - outer):
        deep = [deep]
    for content in (deep, list(range(REQUEST_BOUNDS.values - 20))):
        verdict = admit(decode(request(content)), CATALOGUE, 0.0)
        assert not isinstance(verdict, Refused)
        assert not isinstance(readmit(decode_message(encode_message(verdict.task)), RUNTIME), Refused)
    for content in ([deep], list(range(REQUEST_BOUNDS.values + 1))):
        (fault,) = decode(request(content)).faults
        assert fault.path == ""
        assert str(REQUEST_BOUNDS.values if isinstance(content[0], int) else REQUEST_BOUNDS.depth) in fault.reason


@pytest.mark.parametrize("depth", [105, 978, 984, 5000])
def test_a_message_that_is_nested_too_deep_is_no_task(depth: int) -> None:
    text = '{"metadata": {"id": "t", "context": ' + "[" * depth + "]" * depth + "}}"
    (fault,) = decode_message(text).faults
    assert fault.reason == f"the message is nested more than {MESSAGE_BOUNDS.depth} deep"


@pytest.mark.parametrize(
    "text",
    [b'\xef\xbb\xbf{"a": "\xc3\xa9"}', '\ufeff{"a": "é"}', '{"a": "é"}'.encode()],
    ids=["mark", "mark in text", "none"],
)
def test_a_byte_order_mark_does_not_matter(text: bytes | str) -> None:
    assert read_json(text) == {"a": "é"}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('{"a": "é"}'.encode("utf-16"), "UTF-16"),
        ('{"a": "é"}'.encode("utf-16-le"), "UTF-16"),
        ('{"a": "é"}'.encode("utf-16-be"), "UTF-16"),
        ('{"a": "é"}'.encode("utf-32"), "UTF-32"),
        ('{"a": "é"}'.encode("latin-1"), "byte 0xe9 at position 7"),
        ('{"a": "“"}'.encode("cp1252"), "Windows-1252"),
        (gzip.compress(b"{}", mtime=0), "compressed (gzip)"),
        (zlib.compress(b"{}"), "compressed (deflate)"),
        (b"\x28\xb5\x2f\xfd....", "compressed (zstd)"),
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"{'a': 1}", "is not valid JSON"),
        (b'{"a": NaN}', "is not valid JSON"),
        ('"\ud800"', "lone surrogate"),
    ],
)
def test_what_is_no_plain_json_is_named(text: bytes | str, name: str) -> None:
    with pytest.raises(BadJson) as raised:
        read_json(text)
    assert name in str(raised.value)
