"""Header lines that carry a key or a token, and a credential that never changes."""

from __future__ import annotations

import re

from farmgate.core.errors import UpstreamInvalidResponse

__all__ = ["KeyCredential", "header_line"]

SAFE = re.compile(r"[!-~]+(?: [!-~]+)*")


def header_line(name: str, value: str) -> bytes:
    """One line ended by CRLF. Raises UpstreamInvalidResponse, without the value, if it would not stay one line."""
    if not SAFE.fullmatch(value):
        raise UpstreamInvalidResponse(f"A token service gave something that cannot stand in the header {name!r}.")
    return f"{name}: {value}\r\n".encode("ascii")


class KeyCredential:
    """A plain key in one header."""

    def __init__(self, name: str, value: str) -> None:
        self._lines = header_line(name, value)

    async def headers(self, *, method: str, path: str, body: bytes, deadline: float | None = None) -> bytes:
        """The same line for every request."""
        return self._lines

    async def close(self) -> None:
        """Nothing is held."""
