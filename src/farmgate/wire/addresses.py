"""Addresses that callers name: none of them leads into a private network. Nothing is resolved, nothing is fetched."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from typing import cast
from urllib.parse import urlsplit

from farmgate.core.errors import BadRequest

__all__ = ["InvalidImage", "UrlNotAllowed", "foreign_parts", "image_url", "public_address", "public_addresses"]


class InvalidImage(BadRequest):
    """An image is not a valid `data:` URL of an image."""

    code = "invalid_image"


class UrlNotAllowed(BadRequest):
    """An address leads into a private network."""

    code = "url_not_allowed"


def image_url(url: str, where: str) -> None:
    """An image is given whole or by a public address. The gate fetches neither, but a provider on our network might."""
    if url.startswith("data:"):
        head, comma, data = url.partition(",")
        if not comma or not data or not head.startswith("data:image/") or not head.endswith(";base64"):
            raise InvalidImage(f"`{where}` must be `data:image/...;base64,...`.", param=where)
        return
    public_address(url, where)


def public_addresses(told: Mapping[str, object], where: str) -> None:
    """Check what an object names as an address, of whatever kind it is: servers on our network take `video_url` and
    `audio_url` as they take images, some of them beside any type."""
    for name, value in told.items():
        if not name.endswith("_url"):
            continue
        url = value.get("url") if isinstance(value, Mapping) else value
        if isinstance(url, str) and not url.startswith("data:"):
            public_address(url, where)


def foreign_parts(told: object, where: str) -> None:
    """Content whose form is a provider's business: no address in it leads into a private network either."""
    if type(told) is dict:
        public_addresses(told, where)
        foreign_parts(told.get("content"), f"{where}.content")
    for at, part in enumerate(told if type(told) is list else ()):
        if type(part) is dict:
            public_addresses(part, f"{where}[{at}]")


def public_address(url: str, where: str) -> None:
    """Raises UrlNotAllowed."""
    try:
        address = urlsplit(url)
        host = plain_host(address.hostname or "")
    except ValueError:
        host = ""
    if not host or address.scheme not in ("http", "https") or "\\" in url or is_private(host):
        raise UrlNotAllowed(f"`{where}`: only public http(s) addresses and data: URLs are allowed.", param=where)


def plain_host(host: str) -> str:
    """A host as clients will resolve it; empty for one that two of them could read differently.

    Browsers and most libraries turn full-width digits into digits and undo `%2e`. Raises UnicodeError, which is a
    ValueError, for what is no name.
    """
    if "%" in host:
        return ""
    if not host.isascii():
        host = host.encode("idna").decode()
    return host.rstrip(".").lower()


PRIVATE_NAMES = ("localhost", ".localhost", ".local", ".internal", ".lan", ".home.arpa")


def is_private(host: str) -> bool:
    """Whether a host is, or is written so as to be, an address that is not on the public internet."""
    if host.endswith(PRIVATE_NAMES) or ("." not in host and ":" not in host and not host[:1].isdigit()):
        return True
    try:
        address: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(host)
    except ValueError:
        try:  # inet_aton reads what browsers and libcurl read too: 2130706433, 0x7f.1, 017700000001
            address = ipaddress.IPv4Address(socket.inet_aton(host))
        except (OSError, ValueError, UnicodeError):
            return False
    if isinstance(address, ipaddress.IPv6Address) and any(address in network for network in CARRIES_IPV4):
        address = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    within = getattr(address, "sixtofour", None)
    return not address.is_global or (within is not None and not cast("ipaddress.IPv4Address", within).is_global)


# IPv4-compatible, IPv4-mapped and NAT64 addresses end in an IPv4 address, which is where they lead.
CARRIES_IPV4 = tuple(map(ipaddress.IPv6Network, ("::/96", "::ffff:0:0/96", "64:ff9b::/96")))
