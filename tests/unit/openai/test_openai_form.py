"""Forms as real clients write them, and as nobody should."""

from __future__ import annotations

import contextlib

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.openai.form import MOST_PARTS, BadForm, Part, is_form, read_form

TYPE = 'multipart/form-data; boundary="b"'


def encoded(fields: dict[str, str], files: list[tuple[str, tuple[str, bytes, str]]]) -> tuple[str, bytes]:
    request = httpx.Request("POST", "http://x/", data=fields, files=files)
    return request.headers["content-type"], request.read()


@given(
    filename=st.text(st.characters(codec="utf-8", exclude_characters="\r\n\x00"), max_size=30),
    value=st.text(max_size=50),
    data=st.binary(max_size=300),
)
def test_what_a_client_encodes_is_read(filename: str, value: str, data: bytes) -> None:
    content_type, body = encoded({"prompt": value}, [("image[]", (filename or "x", data, "image/png"))] * 2)
    assert is_form(content_type)
    assert read_form(content_type, body) == (
        Part("prompt", value.encode()),
        Part("image[]", data, is_file=True),
        Part("image[]", data, is_file=True),
    )


@pytest.mark.parametrize("data", [b"\r\n", b"\r\n--", b"x--b", b"\n--b--\n", b"\r\n\r\n\r\n", b"\0\xff"])
def test_what_is_nearly_a_boundary_is_data(data: bytes) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n' + data + b"\r\n--b--\r\n"
    assert read_form(TYPE, body) == (Part("x", data),)


def test_names_are_read_whatever_stands_beside_them() -> None:
    header = b'CONTENT-DISPOSITION:form-data; filename="a; name=\\"no\\".png"; name=yes; name="later"'
    body = b"preamble\r\n--b \t\r\nX: y\r\n" + header + b"\r\n\r\n1\r\n--b--epilogue"
    assert read_form(TYPE, body) == (Part("yes", b"1", is_file=True),)


@pytest.mark.parametrize(
    ("content_type", "body", "reason"),
    [
        ("multipart/form-data", b"", "no boundary"),
        ("multipart/form-data; boundary=" + "x" * 300, b"", "no boundary"),
        (TYPE, b"", "does not hold its boundary"),
        (TYPE, b"--c\r\n\r\n--c--", "does not hold its boundary"),
        (TYPE, b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n1', "ends before its last boundary"),
        (TYPE, b"--b\r\nContent-Type: text/plain\r\n\r\n1\r\n--b--", "without a name"),
        (TYPE, b"--b\r\nContent-Disposition: form-data\r\n\r\n1\r\n--b--", "without a name"),
        (TYPE, b"--b-\r\n\r\n\r\n--b--", "something else than a new line"),
        (TYPE, b"--bc\r\n\r\n\r\n--b--", "something else than a new line"),
        (TYPE, b"--b\r\nno end\r\n--b--", "without headers"),
        (TYPE, b"--b\r\nX: " + b"x" * 9000 + b"\r\n\r\n\r\n--b--", "very long"),
        (TYPE, b"--b\r\n" * (MOST_PARTS + 2), "more than 100"),
    ],
)
def test_what_is_no_form_is_told(content_type: str, body: bytes, reason: str) -> None:
    with pytest.raises(BadForm, match=reason):
        read_form(content_type, body)


@given(st.binary(max_size=200))
def test_anything_is_a_form_or_a_reason(body: bytes) -> None:
    with contextlib.suppress(BadForm):
        assert all(part.name is not None for part in read_form(TYPE, b"--b" + body))
