"""What is a link, and which addresses may be connected to."""

from __future__ import annotations

import ipaddress

import pytest

from darkroom.errors import LinkRefused
from darkroom.policy.links import (
    BucketLink,
    WebLink,
    credentials_reason,
    find_links,
    forbidden_reason,
    parse_link,
    replace_strings,
)

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
    assert parse_link(url) == BucketLink(url, "my-bucket", ("folder/a+cat?.png",))


def test_a_web_link_names_its_host() -> None:
    url = "http://[2606:4700::1111]:8080/x"
    assert parse_link(url) == WebLink(url, url, "2606:4700::1111")


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
        ("file:///etc/passwd", "only http, https and s3"),
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
        "169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200", "fd00:ec2::254", "fe80::1",
        "fe80::1%eth0", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1",
    ],
)  # fmt: skip
def test_where_clouds_keep_credentials_is_closed_also_where_private_networks_are_open(text: str) -> None:
    assert "where clouds keep their credentials" in str(credentials_reason(ipaddress.ip_address(text)))


@pytest.mark.parametrize("text", ["127.0.0.1", "::1", "10.1.2.3", "192.168.1.1", "fd12:3456::1", "8.8.8.8"])
def test_private_networks_and_this_machine_keep_no_clouds_credentials(text: str) -> None:
    assert credentials_reason(ipaddress.ip_address(text)) is None


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


@pytest.mark.parametrize(
    "text",
    [
        "https://example.com/cat.png\n",
        " s3://bucket/folder/cat.png\r\n",
        "\ufeffhttps://example.com/cat.png\u200b",
        "https://example.com/my dog.png",
        "https://example.com/my dog/my dog-2dtr-1.png?size=large one",
        "s3://bucket/output/my dog/my dog-2dtr-1.png",
        "https://example.com/größe/猫.webp",
        "S3://bucket/cat.png",
    ],
)
def test_links_as_people_write_them_are_links(text: str) -> None:
    assert list(find_links({"anything": text})) == [text]


@pytest.mark.parametrize("field", ["init_images", "mask", "image", "input_image"])
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ftp://example.com/cat.png", "only http, https and s3"),
        ("file:///home/me/cat.png", "only http, https and s3|names no host"),
        ("gs://bucket/cat.png", "only http, https and s3"),
        ("C:\\pictures\\cat.png", "backslash"),
        ("https:/example.com/cat.png", "names no host"),
        ("http://", "names no host"),
        ("s3:bucket/key", "names no host"),
        ("s3://Bucket_With_Capitals/cat.png", "not a bucket's name"),
        ("www.example.com/cat.png", "begins with http://, https:// or s3://"),
        ("//example.com/cat.png", "begins with http://, https:// or s3://"),
        ("https://exam ple.com/cat.png", "host .* blank"),
        ("https://example.com/a.png\nhttps://example.com/b.png", "cannot be printed"),
        ("https://example.com/" + "a" * 5000, "longer than 4096 characters"),
    ],
)
def test_what_looks_like_a_link_where_a_picture_belongs_is_refused_as_a_link(
    field: str, text: str, reason: str
) -> None:
    assert list(find_links({field: [text]})) == [text]
    with pytest.raises(LinkRefused, match=reason) as caught:
        parse_link(text)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("text", ["iVBORw0KGgo=", "data:image/png;base64,iVBORw0KGgo=", "iVBO\nRw0K", "", "none"])
def test_what_is_no_link_stays_where_a_picture_belongs(text: str) -> None:
    assert list(find_links({"init_images": [text], "mask": text})) == []


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://example.com/my dog.png\n", "https://example.com/my%20dog.png"),
        ("https://example.com/a%20b.png?x=1%2F2&y=a+b", "https://example.com/a%20b.png?x=1%2F2&y=a+b"),
        ("https://example.com/100% dog.png", "https://example.com/100%25%20dog.png"),
        ("https://example.com/größe.png?q=ä", "https://example.com/gr%C3%B6%C3%9Fe.png?q=%C3%A4"),
        ("http://[2606:4700::1111]:8080/x y", "http://[2606:4700::1111]:8080/x%20y"),
    ],
)
def test_what_is_asked_for_is_a_proper_address(url: str, target: str) -> None:
    link = parse_link(url)
    assert isinstance(link, WebLink)
    assert link.target == target


def test_a_key_with_escapes_may_mean_either() -> None:
    plain, escaped = parse_link("s3://bucket/my dog.png "), parse_link("s3://bucket/my%20dog.png")
    assert isinstance(plain, BucketLink)
    assert isinstance(escaped, BucketLink)
    assert plain.keys == ("my dog.png",)
    assert escaped.keys == ("my%20dog.png", "my dog.png")
