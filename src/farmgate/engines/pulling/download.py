"""One file comes over HTTP, taken up by Range where it was cut."""

from __future__ import annotations

import asyncio
import http.client
import re
import urllib.error
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from farmgate.engines.pulling.plan import Piece
from farmgate.engines.pulling.sources import CHUNK_BYTES, SourceFailed, Stop, size_of
from farmgate.engines.pulling.web import MOST_BUSY, Busy, Visit, Web, busy_or, reason

__all__ = ["Download", "bring", "start_of"]

# Each but a few must bring something, so that this bounds a server that gives a byte a time, not a bad line.
MOST_TRIES = 1000
MOST_FRUITLESS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """`tell` hears, on the thread, how many bytes are there. `refusal` puts a status into words."""

    piece: Piece
    into: Path
    tell: Callable[[int], object]
    refusal: Callable[[urllib.error.HTTPError], SourceFailed] | None = None

    def run(self, visit: Visit) -> None:
        """Blocking. Goes on from what is in `into`. Raises SourceFailed or OSError; what came is kept."""
        if size_of(self.into) > self.piece.size_bytes:
            self.into.unlink()
        if not self.piece.size_bytes:
            visit.stop.guard(self.into.touch)
        why, fruitless = "the connection ended early", 0
        for _ in range(MOST_TRIES):
            had = size_of(self.into)
            if had == self.piece.size_bytes:
                return
            busy: Busy | None = None
            try:
                self._go_on(visit, had)
            except Busy as error:
                busy, why = error, str(error)
            except (OSError, http.client.HTTPException) as error:
                why = reason(error)
            if size_of(self.into) > had:
                fruitless = 0
                continue
            fruitless += 1
            # Who never sent anything is given up at once, unless it says that it is busy.
            if fruitless >= (MOST_BUSY if busy is not None else MOST_FRUITLESS if had else 1):
                break
            if busy is not None or fruitless > 1:
                visit.pause(fruitless, busy.wait_s if busy is not None else None)
        raise SourceFailed(f"{self.piece.shown}: {why}")

    def _go_on(self, visit: Visit, had: int) -> None:
        headers = {"Range": f"bytes={had}-"} if had else {}
        try:
            with visit.open(self.piece.url, headers) as response:
                self._must_be_same(response)
                start = start_of(response, self.piece.size_bytes)
                with self.into.open("r+b" if had else "wb") as file:
                    visit.stop.guard(lambda: file.truncate(start))
                    file.seek(start)
                    self._copy(response, file, start, visit.stop)
        except urllib.error.HTTPError as error:
            with error:
                if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                    raise busy_or(error, self.refusal or self._refused) from None
            self.into.unlink(missing_ok=True)

    def _refused(self, error: urllib.error.HTTPError) -> SourceFailed:
        return SourceFailed(f"{self.piece.shown} answered {error.code}")

    def _must_be_same(self, response: http.client.HTTPResponse) -> None:
        told = response.headers.get("ETag")
        if self.piece.etag is not None and told is not None and told != self.piece.etag:
            raise SourceFailed(f"{self.piece.shown} changed while it was fetched: pull it again")

    def _copy(self, response: http.client.HTTPResponse, file: BinaryIO, at: int, stop: Stop) -> None:
        def write(chunk: bytes) -> None:
            try:
                file.write(chunk)
                # At once: from a slow server a buffer would hold what a kill then loses.
                file.flush()
            except OSError as error:
                # Not of the network: trying again would not help.
                raise SourceFailed(f"{self.into} cannot be written to: {error.strerror}") from error

        while chunk := response.read1(CHUNK_BYTES):
            at += len(chunk)
            if at > self.piece.size_bytes:
                raise SourceFailed(f"{self.piece.shown} sent more than the {self.piece.size_bytes} bytes expected")
            stop.guard(partial(write, chunk))
            self.tell(at)


async def bring(
    web: Web,
    piece: Piece,
    into: Path,
    *,
    where: str,
    tell: Callable[[int], object],
    pausing: Callable[[float], object] = lambda _: None,
    refusal: Callable[[urllib.error.HTTPError], SourceFailed] | None = None,
) -> None:
    """A Download on a thread of its own; `tell` and `pausing` are called on the event loop."""
    loop = asyncio.get_running_loop()
    download = Download(
        piece=piece,
        into=into,
        tell=lambda count: loop.call_soon_threadsafe(tell, count),
        refusal=refusal,
    )
    await web.run(download.run, where=where, pausing=pausing)


def start_of(response: http.client.HTTPResponse, size_bytes: int) -> int:
    """The offset at which the answer starts. Raises SourceFailed when it is an answer about another file."""
    if response.status != http.HTTPStatus.PARTIAL_CONTENT:
        start, total = 0, response.headers.get("Content-Length")
    else:
        found = re.fullmatch(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18})", response.headers.get("Content-Range") or "")
        if found is None:
            raise SourceFailed("it answered with a part of the file that it does not name")
        start, total = int(found[1]), found[2]
    if total is not None and total != str(size_bytes):
        raise SourceFailed(f"the file there has {total} bytes and not the {size_bytes} expected")
    return start
