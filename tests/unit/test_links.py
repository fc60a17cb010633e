"""What is a link, and which addresses may be connected to."""

from __future__ import annotations

import ipaddress

import pytest

from darkroom.errors import LinkRefused
from darkroom.policy.links import BucketLink, WebLink, find_links, forbidden_reason, parse_link, replace_strings

PICTURE = "https://example.com/cat.png"


@pytest.mark.parametrize(
    "text",
    [
        "https://example.com/cat.png",
        "http://example.com",
        "HTTPS://EXAMPLE.COM/CAT.PNG",
        "s3://bucket/folder/cat.png",
        "https://example.com/a%20b.png?size=large&x=1#top",
        "http://[2606:4700::1111]/cat.png",
    ],
)
def test_a_url_that_stands_alone_is_a_link(text: str) -> None:
    assert list(find_links({"init_images": [text]})) == [text]


@pytest.mark.parametrize(
    "text",
    [
        "http",
        "https is a protocol",
        "http://",
        "https:// example.com",
        "https://example.com/cat.png and a dog",
        "see https://example.com/cat.png",
        "https://example.com/a.png\nhttps://example.com/b.png",
        "ftp://example.com/cat.png",
        "file:///etc/passwd",
        "s3:bucket/key",
        "",
        "https://" + "a" * 5000,
    ],
)
def test_a_string_that_merely_begins_like_one_is_not(text: str) -> None:
    assert list(find_links({"prompt": text, "nested": [{"deeper": text}]})) == []


def test_links_are_found_anywhere_but_in_keys_and_each_once() -> None:
    content = {
        "init_images": [PICTURE, "s3://bucket/mask.png"],
        "alwayson_scripts": {"controlnet": {"args": [{"image": {"image": PICTURE}, "weight": 1.0}]}},
        PICTURE: None,
        "n": 3,
    }
    assert list(find_links(content)) == [PICTURE, "s3://bucket/mask.png"]


def test_replacing_leaves_the_content_as_it_was() -> None:
    content = {"image": PICTURE, "list": [PICTURE, "other", 1, None]}
    assert replace_strings(content, {PICTURE: "DATA"}) == {"image": "DATA", "list": ["DATA", "other", 1, None]}
    assert content["image"] == PICTURE


def test_a_bucket_link_names_a_bucket_and_a_key() -> None:
    url = "s3://my-bucket/folder/a cat?.png".replace(" ", "+")
    assert parse_link(url) == BucketLink(url, "my-bucket", "folder/a+cat?.png")


def test_a_web_link_names_its_host() -> None:
    assert parse_link("http://[2606:4700::1111]:8080/x") == WebLink(
        "http://[2606:4700::1111]:8080/x", "2606:4700::1111"
    )


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://user:secret@example.com/", "user name"),
        ("http://user@example.com/", "user name"),
        ("http://@example.com/", "user name"),
        ("http://example.com:25/", "port 25"),
        ("http://example.com:22/", "port 22"),
        ("http://example.com:99999/", "not a valid URL"),
        ("http://example.com\\@127.0.0.1/", "backslash"),
        ("ftp://example.com/", "only http, https and s3"),
        ("file:///etc/passwd", "no host"),
        ("http:///path", "no host"),
        ("s3://bucket", "no object"),
        ("s3://Bucket_Name/key", "not a bucket's name"),
        ("s3://user@bucket/key", "user name"),
        ("http://[::1", "not a valid URL"),
    ],
)
def test_links_that_are_refused_before_anything_is_looked_up(url: str, reason: str) -> None:
    with pytest.raises(LinkRefused, match=reason):
        parse_link(url)


@pytest.mark.parametrize(
    "text",
    ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2a00::1"],
)
def test_public_addresses_are_open(text: str) -> None:
    assert forbidden_reason(ipaddress.ip_address(text)) is None


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",  # noqa: S104 - judged, not bound to
        "0.1.2.3",
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",
        "100.100.100.200",
        "168.63.129.16",
        "169.254.0.1",
        "169.254.169.254",
        "169.254.170.2",
        "192.0.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a00:1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2001:db8::1",
        "100::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%2",
        "fec0::1",
        "ff02::1",
        "5f00::1",
    ],
)
def test_every_other_address_is_closed_and_says_why(text: str) -> None:
    reason = forbidden_reason(ipaddress.ip_address(text))
    assert reason is not None
    assert text.split("%")[0].split(":")[0] in reason
