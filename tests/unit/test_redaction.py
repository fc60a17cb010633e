"""No secret of a link is left in a text, and what is left still says where the link leads."""

from __future__ import annotations

import io
import json
import logging
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.errors import AwsUnavailable, DarkroomError, GenerationFailed, LinkRefused, LinkUnreachable, SettingsError
from darkroom.logs import JsonFormatter, log
from darkroom.policy.links import parse_link
from darkroom.redaction import shown, without_url_secrets
from darkroom.runtimes.base_url import parse_base_url
from darkroom.tasks.notification import NotifiedError

SECRET = "pl4nted"


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("https://a.example/b.png", "https://a.example/b.png"),
        ("https://a.example:8443/b.png?X-Amz-Signature=pl4nted&x=1", "https://a.example:8443/b.png?(hidden)"),
        ("https://user:pl4nted@a.example/b.png", "https://a.example/b.png"),
        ("https://pl4nted@a.example/b.png", "https://a.example/b.png"),
        ("https://u:pl4nted@x@a.example/b.png", "https://a.example/b.png"),
        ("https://u:pl4nted/x@a.example/b.png", "https://a.example/b.png"),
        ("https://u:pl4n?pl4nted@a.example/b.png", "https://a.example/b.png"),
        ("https://a.example/@user/b.png", "https://a.example/@user/b.png"),
        ("https://a.example/b.png#token=pl4nted", "https://a.example/b.png?(hidden)"),
        ("https://a.example?pl4nted", "https://a.example?(hidden)"),
        ("s3://bucket/key?pl4nted", "s3://bucket/key?(hidden)"),
        ("//u:pl4nted@a.example/b", "//a.example/b"),
        ("/b?sig=pl4nted", "/b?(hidden)"),
        ("HTTPS://U:pl4nted@A.example/b", "HTTPS://A.example/b"),
    ],
)
def test_a_link_is_shown_without_its_secrets(link: str, expected: str) -> None:
    assert shown(link) == expected


@pytest.mark.parametrize(
    "text",
    [
        "see https://u:pl4nted@h/b, or not",
        "https://h/b,https://u:pl4nted@h/b",
        "['https://h/b?x=1','https://u:pl4nted@h/b']",
        '{"detail":[{"input":"https://h/b?sig=pl4nted","loc":["init_images"]}]}',
        '{\\"input\\":\\"https://h/b?sig=pl4nted\\"}',
        'Could not connect to the endpoint URL: "https://b.s3.amazonaws.com/k?X-Amz-Credential=pl4nted"',
        "/b.png?X-Amz-Algorithm=x&X-Amz-Signature=pl4nted was not found",
        "redirected to https://h/?next=https://u:pl4nted@i/?sig=pl4nted",
        "<a href=https://h/?sig=pl4nted>",
    ],
)
def test_a_text_that_quotes_links_shows_no_secret(text: str) -> None:
    assert SECRET not in without_url_secrets(text)
    assert SECRET not in str(DarkroomError(text))
    assert SECRET not in NotifiedError.of(AwsUnavailable(text)).message


@given(st.text(st.sampled_from(":/?#@ab1,'\" ")))
def test_a_text_without_secrets_stays_as_it_is_and_hiding_is_done_once(text: str) -> None:
    hidden = without_url_secrets(text)
    assert without_url_secrets(hidden) == hidden
    if "://" not in text:
        assert hidden == text


@pytest.mark.parametrize("kind", [LinkRefused, LinkUnreachable])
def test_the_failure_of_a_link_holds_none(kind: type[LinkRefused] | type[LinkUnreachable]) -> None:
    failure = kind(f"https://u:{SECRET}@h/b?{SECRET}", f"it redirects to https://i/c?sig={SECRET}, which is no picture")
    assert SECRET not in f"{failure} {failure.url} {failure.reason}"
    assert failure.url == "https://h/b?(hidden)"


@pytest.mark.parametrize("unit", ["a.", "a:", "://", "a://", "@", "?", "a://b@", "://?", "a:b@", "://b://c?", "sig="])
def test_no_text_takes_more_than_its_length(unit: str) -> None:
    """A quarter of a megabyte takes minutes where a part of it is looked at from each of its beginnings."""
    text = unit * (256 * 1024 // len(unit))
    began = time.process_time()
    assert isinstance(without_url_secrets(text), str)
    assert time.process_time() - began < 10


def test_no_line_of_a_log_holds_one() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("darkroom")
    logger.addHandler(handler)
    link = f"https://u:{SECRET}@h/b?sig={SECRET}"
    try:
        log(
            logging.ERROR,
            "x",
            f"at {link}",
            link=link,
            links=[link],
            more={"link": {"deep": link}},
            error=ValueError(link),
        )
        logging.getLogger("darkroom.library").warning("failed at %s", link)
        try:
            raise ValueError(link)
        except ValueError:
            logger.exception("half a character: \ud800")
    finally:
        logger.removeHandler(handler)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert len(lines) == 3
    assert SECRET not in stream.getvalue()
    assert lines[0]["more"] == {"link": {"deep": "https://h/b?(hidden)"}}
    assert "ValueError: https://h/b?(hidden)" in lines[2]["exception"]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            "cannot identify image file <_io.BytesIO object at 0x7f5d3c0a1b20>",
            "cannot identify image file <_io.BytesIO>",
        ),
        ("<function load at 0x7F00> failed for <a.B object at 0x1>", "<function load> failed for <a.B>"),
        ("at 0x7f00 in memory", "at 0x7f00 in memory"),
    ],
)
def test_no_error_shows_where_an_object_lies(said: str, shown: str) -> None:
    assert str(GenerationFailed(said)) == shown
    assert NotifiedError.of(GenerationFailed(said)).message == shown


@pytest.mark.parametrize(
    "link",
    [
        f"https://u:{SECRET}/x@h/b",
        f"https://u:{SECRET}",
        f"https://u:{SECRET}@h/b?{SECRET}",
        f"https://[::1/b?{SECRET}",
        f"https://h:99999/b?{SECRET}",
        f"s3://-/k?{SECRET}",
        f"https://h\\{SECRET}@i/",
    ],
)
def test_no_library_quotes_a_part_of_a_url_that_it_cannot_read(link: str) -> None:
    with pytest.raises(LinkRefused) as refused:
        parse_link(link)
    assert SECRET not in refused.value.reason
    if "@" in link or "?" in link:  # without, it could be anything
        assert SECRET not in str(refused.value)


@pytest.mark.parametrize("url", [f"http://u:{SECRET}/x@h:80", f"ftp://u:{SECRET}@h", f"http://u:{SECRET}@[::1"])
def test_the_address_of_a_runtime_that_cannot_be_one_is_named_without_its_password(url: str) -> None:
    with pytest.raises(SettingsError, match="API_BASE_URL") as refused:
        parse_base_url(url)
    assert SECRET not in str(refused.value)
