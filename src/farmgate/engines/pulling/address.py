"""One GGUF file comes from an address that its owner named. Nothing vouches for it but that address, or a hash."""

from __future__ import annotations

import http.client
import re
import urllib.error
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from farmgate.core.locator import Locator, WebFile
from farmgate.engines.pulling.download import bring
from farmgate.engines.pulling.plan import Piece, Plan
from farmgate.engines.pulling.sources import NotThere, SourceFailed, SourceRefused, Stop
from farmgate.engines.pulling.web import Visit, Web, origin_of

__all__ = ["Address"]

ON_DISK = "model.gguf"
"""A file's own name may hold anything."""
TOTAL = re.compile(r"bytes 0-0/(\d{1,18})")


class Address:
    """Whatever there is at an https:// address. No token is ever sent there."""

    def __init__(
        self, *, connect_s: float = 5.0, stall_s: float = 30.0, wait: Callable[[Stop, float], None] = Stop.wait
    ) -> None:
        self._web = Web(connect_s=connect_s, stall_s=stall_s, wait=wait)

    async def plan(self, locator: Locator, pausing: Callable[[float], object]) -> Plan:
        assert isinstance(locator, WebFile)
        shown = str(locator)

        def look(visit: Visit) -> Piece:
            return visit.patiently(lambda: learned(visit, locator), refusal_at(shown))

        piece = await self._web.run(look, where=origin_of(locator.url), pausing=pausing)
        name = unquote(urlsplit(locator.url).path).rpartition("/")[2]
        return Plan(asked=shown, source=shown, pieces=(piece,), is_folder=False, description=name)

    async def bring(
        self, piece: Piece, into: Path, tell: Callable[[int], object], pausing: Callable[[float], object]
    ) -> None:
        where = origin_of(piece.url)
        await bring(self._web, piece, into, where=where, tell=tell, pausing=pausing, refusal=refusal_at(piece.shown))


def learned(visit: Visit, locator: WebFile) -> Piece:
    """Size and mark of the file. One byte is asked for: not every server knows HEAD, least of all signed addresses."""
    with visit.open(locator.url, {"Range": "bytes=0-0"}) as response:
        size = size_in(response)
        etag = response.headers.get("ETag")
    if size is None:
        raise SourceFailed(f"{locator} does not tell how large it is")
    # A weak mark may stay while bytes change; where the hash is known, it is all that counts.
    mark = etag if etag is not None and not etag.startswith("W/") and locator.sha256 is None else None
    return Piece(path=ON_DISK, url=locator.url, shown=str(locator), size_bytes=size, sha256=locator.sha256, etag=mark)


def size_in(response: http.client.HTTPResponse) -> int | None:
    if response.status == http.HTTPStatus.PARTIAL_CONTENT:
        found = TOTAL.fullmatch(response.headers.get("Content-Range") or "")
        return int(found[1]) if found else None
    length = response.headers.get("Content-Length") or ""
    return int(length) if re.fullmatch(r"\d{1,18}", length) else None


def refusal_at(shown: str) -> Callable[[urllib.error.HTTPError], SourceFailed]:
    def told(error: urllib.error.HTTPError) -> SourceFailed:
        match error.code:
            case 401 | 403:
                return SourceRefused(f"{shown} is not for everybody ({error.code})")
            case 404 | 410:
                return NotThere(f"there is nothing at {shown} ({error.code})")
        return SourceFailed(f"{shown} answered {error.code}")

    return told
