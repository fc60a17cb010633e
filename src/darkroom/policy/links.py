"""Links in a request's content: where they stand, what they say, and whether an address may be connected to."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

import msgspec

from darkroom.errors import LinkRefused

# A link is a whole string: a scheme, a host, and no blank. "https" at the start of a prompt is not one.
_LINK = re.compile(r"(?i:https?|s3)://[^\s/?#]\S*")
# With blanks in it, it is one if it is the name of a picture to its end: "https://example.com/my dog.png".
_LINK_WITH_BLANKS = re.compile(
    r"(?i:https?|s3)://[^\s/?#]+/(?:(?!://)[^\t\r\n?#])*"
    r"\.(?i:a?png|jpe?g|webp|gif|bmp|tiff?|avif|hei[cf]|svg|mp4|m4v|mov|webm|mkv|mp3|wav|flac|ogg)(?:[?#][^\t\r\n]*)?"
)
# What people paste along with a link.
_AROUND = " \t\r\n\f\v\u00a0\u3000\ufeff\u200b"
# Where a picture belongs, these are no base64, which has neither ':' nor '.' nor a second '/' to begin with.
_PICTURE_FIELDS = frozenset({"init_images", "image", "mask", "mask_image", "image_mask", "input_image", "imageList"})
_NO_BASE64 = re.compile(r"(?!data:)[A-Za-z][A-Za-z0-9+.-]{0,20}:|//|www\.", re.IGNORECASE)
_LONGEST_LINK = 4096
# What answers below these on a public host is no picture server but one for mail, logins and the like.
_FIRST_FREE_PORT = 1024
_WEB_PORTS = (80, 443)
_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")

NO_URL = "it is not a valid URL"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
_IPV4_COMPATIBLE = ipaddress.IPv6Network("::/96")
# Python knows the ranges that are not global, save these: what IANA lists as reachable, yet no picture server has.
# Beside the link-local ones.
_CREDENTIALS = tuple(
    ipaddress.ip_network(network)
    for network in (
        "168.63.129.16/32",  # Azure's metadata and health address
        "100.100.100.200/32",  # Alibaba Cloud's metadata address
        "fd00:ec2::/32",  # Amazon's metadata, time and name services
    )
)
_CLOSED = _CREDENTIALS + tuple(
    ipaddress.ip_network(network)
    for network in (
        "192.88.99.0/24",  # 6to4 relays
        "fec0::/10",  # site-local, as it was before unique local addresses
        "5f00::/16",  # segment routing
    )
)


class WebLink(msgspec.Struct, frozen=True):
    """A link to a web server. `url` is what people wrote, `target` a proper address. `host` has no brackets."""

    url: str
    target: str
    host: str


class BucketLink(msgspec.Struct, frozen=True):
    """A link to an object in Amazon S3. `keys` are those that it may mean, the likeliest first."""

    url: str
    bucket: str
    keys: tuple[str, ...]


def find_links(content: Any) -> Iterator[str]:
    """Every http, https and s3 URL that is a whole string value anywhere in `content`; the same one once.

    Where a picture belongs, also what looks like a link and cannot be one: `parse_link` says why.
    """
    seen: set[str] = set()
    for field, text in _strings(content, ""):
        if text not in seen and (is_link(text) or (field in _PICTURE_FIELDS and _is_no_base64(text))):
            seen.add(text)
            yield text


def is_link(text: str) -> bool:
    """Whether `text`, as a whole, is a link."""
    if len(text) > _LONGEST_LINK:
        return False
    text = text.strip(_AROUND)
    return _LINK.fullmatch(text) is not None or _LINK_WITH_BLANKS.fullmatch(text) is not None


def _is_no_base64(text: str) -> bool:
    return _NO_BASE64.match(text[:100].lstrip(_AROUND)) is not None


def replace_strings(content: Any, replacements: Mapping[str, str]) -> Any:
    """A copy of `content` in which each string value that is a key of `replacements` is replaced."""
    if isinstance(content, str):
        return replacements.get(content, content)
    if isinstance(content, dict):
        return {key: replace_strings(value, replacements) for key, value in content.items()}
    if isinstance(content, list):
        return [replace_strings(value, replacements) for value in content]
    return content


def parse_link(url: str) -> WebLink | BucketLink:
    """Read a link as people write it: blanks, letters of any script, and something around it.

    Raises `LinkRefused` for one that must not be followed, whatever its address turns out to be.
    """
    if len(url) > _LONGEST_LINK:
        raise LinkRefused(f"{url[:100].strip(_AROUND)}…", f"it is longer than {_LONGEST_LINK} characters")
    url = url.strip(_AROUND)
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", url):
        raise LinkRefused(url, "it has no scheme; a link begins with http://, https:// or s3://")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:  # its text quotes what should be a port, which may be a password
        raise LinkRefused(url, f"{NO_URL}: its host or its port cannot be read") from None
    if "\\" in url or not url.isprintable():
        # Parsers disagree on these, so what was judged would not be what is fetched.
        raise LinkRefused(url, "it has a backslash or a character that cannot be printed")
    if parts.username is not None or parts.password is not None:
        raise LinkRefused(url, "it carries a user name or a password; a link must not")
    if parts.scheme not in ("http", "https", "s3"):
        raise LinkRefused(url, "only http, https and s3 links are followed")
    if not host:
        raise LinkRefused(url, "it names no host")
    if " " in parts.netloc:
        raise LinkRefused(url, f"the host {parts.netloc!r} has a blank in it")
    if parts.scheme == "s3":
        return _bucket_link(url, parts)
    if port is not None and port < _FIRST_FREE_PORT and port not in _WEB_PORTS:
        raise LinkRefused(url, f"port {port} is not one of a web server (80, 443, or {_FIRST_FREE_PORT} and above)")
    return WebLink(url, _quoted(url, parts), host)


def _quoted(url: str, parts: SplitResult) -> str:
    """`url` with escapes for what may not stand in an address. What is escaped stays as it is: it may be signed."""
    start = len(parts.scheme) + len("://") + len(parts.netloc)
    rest = re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", url[start:])
    return url[:start] + quote(rest, safe="!#$%&'()*+,/:;=?@[]~", errors="surrogateescape")


def forbidden_reason(address: Address) -> str | None:
    """Why nothing at `address` may be connected to, or None for one that anybody on the internet can reach.

    An IPv6 address that stands for an IPv4 one (mapped, compatible, NAT64, 6to4, Teredo) is judged by that one too.
    """
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return f"{address} is a link-local address"
        for inner in _inner_addresses(address):
            reason = forbidden_reason(inner)
            if reason is not None:
                return f"{address} stands for {reason}"
        if address.ipv4_mapped is not None or address in _NAT64:
            return None
    if address.is_link_local:
        return f"{address}, a link-local address, where clouds keep their credentials"
    if address.is_loopback:
        return f"{address}, the machine itself"
    if address.is_multicast:
        return f"{address}, a multicast address"
    if not address.is_global or any(address in network for network in _CLOSED):
        return f"{address}, which is not a public address"
    return None


def credentials_reason(address: Address) -> str | None:
    """Why nothing at `address` may be connected to even where private networks are allowed, or None.

    Clouds hand out a machine's credentials there to whoever asks from it, and no caller is to have those.
    """
    inner = _inner_addresses(address) if isinstance(address, ipaddress.IPv6Address) else ()
    for each in (address, *inner):
        if each.is_link_local or any(each in network for network in _CREDENTIALS):
            return f"{address}, where clouds keep their credentials, whatever else is allowed"
    return None


def _bucket_link(url: str, parts: SplitResult) -> BucketLink:
    bucket, key = parts.netloc, url[len("s3://") :].partition("/")[2]  # a key may hold '?' and '#'
    if not _BUCKET_NAME.fullmatch(bucket):
        raise LinkRefused(url, f"{bucket!r} is not a bucket's name")
    if not key:
        raise LinkRefused(url, "it names a bucket and no object in it")
    unescaped = unquote(key)
    return BucketLink(url, bucket, (key,) if unescaped == key else (key, unescaped))


def _inner_addresses(address: ipaddress.IPv6Address) -> Iterator[ipaddress.IPv4Address]:
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if address in _NAT64 or address in _LOCAL_NAT64 or address in _IPV4_COMPATIBLE:
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)


def _strings(content: Any, field: str) -> Iterator[tuple[str, str]]:
    """Every string value with the name of the field that it stands in, by itself or in a list."""
    if isinstance(content, str):
        yield field, content
    elif isinstance(content, dict):
        for name, value in content.items():
            # A picture of `imageList` stands in its `data`.
            yield from _strings(value, field if field == "imageList" and name == "data" else name)
    elif isinstance(content, list):
        for value in content:
            yield from _strings(value, field)
