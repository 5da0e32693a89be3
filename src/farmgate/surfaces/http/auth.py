"""Who is asking: one function takes the credential from a request, whatever header carries it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container, Mapping

from farmgate.core.errors import AmbiguousCredentials, BadRequest, InvalidApiKey
from farmgate.core.identity import ANONYMOUS, Principal

__all__ = ["Doorman", "MisdirectedRequest"]

# Checked before anything else is done with it, so that no strange byte travels further.
KEY = re.compile(rb"[\x21-\x7e]{1,512}")
RECENT = 1024
LOOPBACK_HOSTS = frozenset({b"127.0.0.1", b"localhost", b"[::1]"})


class MisdirectedRequest(BadRequest):
    """Without an API key configured, Farmgate only answers to loopback names. Configure a key to use another name."""

    status = 421
    code = "misdirected_request"


class Doorman:
    """Lets callers in. Keys are known by their SHA-256 only.

    With keys configured one of them is required. Without any, the gate is bound to loopback (the configuration sees
    to that) and everybody who reaches it by a loopback name may ask: the name is checked because a web page can make
    a browser send requests to 127.0.0.1 under a name of its own (DNS rebinding).
    """

    def __init__(self, names_by_sha256: Mapping[str, str], *, admins: Container[str] = frozenset()) -> None:
        """`names_by_sha256`: the name of each key, by the hexadecimal SHA-256 of the key. `admins`: names of keys."""
        self._principals = {
            digest: Principal(key_name=name, is_admin=name in admins) for digest, name in names_by_sha256.items()
        }
        self._recent: dict[bytes, Principal] = {}
        """Valid keys seen lately, whole: hashing one again costs as much as routing a request."""

    @property
    def needs_key(self) -> bool:
        return bool(self._principals)

    def admit(self, authorization: bytes | None, x_api_key: bytes | None, host: bytes | None) -> Principal:
        """The caller. Raises InvalidApiKey, AmbiguousCredentials or MisdirectedRequest."""
        if not self._principals:
            if host is None or bare(host) not in LOOPBACK_HOSTS:
                raise MisdirectedRequest
            return ANONYMOUS
        if authorization is not None and x_api_key is not None:
            raise AmbiguousCredentials
        key = x_api_key if authorization is None else bearer(authorization)
        if key is None or (key not in self._recent and not KEY.fullmatch(key)):
            raise InvalidApiKey
        return self._recent.get(key) or self._look_up(key)

    def _look_up(self, key: bytes) -> Principal:
        principal = self._principals.get(hashlib.sha256(key).hexdigest())
        if principal is None:
            raise InvalidApiKey("This API key is not known.")
        if len(self._recent) < RECENT:
            self._recent[key] = principal
        return principal


def bearer(authorization: bytes) -> bytes | None:
    """The key in an Authorization header."""
    scheme, _, key = authorization.partition(b" ")
    return key.strip() if scheme.lower() == b"bearer" else None


def bare(host: bytes) -> bytes:
    """A Host header without its port."""
    name, colon, port = host.rpartition(b":")
    return name.lower() if colon and port.isdigit() else host.lower()
