"""Where a front door is said to be: what is no URL of a server is refused at once, with what to change."""

from __future__ import annotations

import pytest

from darkroom.client import AsyncClient, Client, InvalidRequest
from darkroom.client.endpoint import checked_endpoint


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        ("not a url", "white space"),
        ("https://example.com/prod\n", "white space or a control character"),
        ("localhost:8080/prod", "must begin with https:// or http://"),
        ("ftp://example.com", "must begin with https:// or http://"),
        ("http://", "names no host"),
        ("https:///prod", "names no host"),
        ("http://127.0.0.1:99999/prod", "is no URL"),
        ("http://[::1/prod", "is no URL"),
        ("https://example.com/prod?x=1", "leave out what begins with ?"),
        ("https://example.com/prod#top", "leave out what begins with #"),
    ],
)
def test_what_is_no_address_is_refused_before_anything_is_sent(endpoint: str, said: str) -> None:
    for client in (Client, AsyncClient):
        with pytest.raises(InvalidRequest) as caught:
            client(endpoint, "key")
        (fault,) = caught.value.faults
        assert fault.path == "endpoint"
        assert said in fault.reason


@pytest.mark.parametrize(
    "endpoint",
    ["http://127.0.0.1:8000/prod", "HTTPS://Example.com/prod/", "http://[::1]:8000", "http://bücher.example/a"],
)
def test_an_address_stays_as_it_is(endpoint: str) -> None:
    assert checked_endpoint(endpoint) == endpoint
