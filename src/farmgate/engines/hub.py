"""A model file comes from the Hugging Face hub over HTTP, resumed by Range where it was cut."""

from __future__ import annotations

import asyncio
import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, urlsplit

from farmgate.core.ports import Progress, Report
from farmgate.engines.catalogue import HubFile, Item
from farmgate.engines.sources import CHUNK_BYTES, SourceFailed, Stop, in_daemon_thread, size_of
from farmgate.engines.timing import either

__all__ = ["HUB_URL", "Hub"]

HUB_URL = "https://huggingface.co"
MAX_TRIES = 50


class Hub:
    """`base_url` is the hub's own or a mirror's. An address that does not connect costs `connect_s` in all."""

    name = "the Hugging Face hub"

    def __init__(self, base_url: str = HUB_URL, *, connect_s: float = 5.0, stall_s: float = 30.0) -> None:
        if urlsplit(base_url).scheme not in {"http", "https"}:
            raise ValueError(f"the hub's address must start with https:// or http://, not {base_url!r}")
        self._base_url = base_url.rstrip("/")
        self._connect_s = connect_s
        self._stall_s = stall_s

    def offers(self, item: Item) -> bool:
        return item.hub is not None

    def scratch_bytes(self, item: Item) -> int:
        return 0

    async def fetch(self, item: Item, into: Path, report: Report) -> None:
        assert item.hub is not None
        loop = asyncio.get_running_loop()
        connected = asyncio.Event()
        stop = Stop()

        def tell(completed: int) -> None:
            progress = Progress(status=f"downloading from {self.name}", completed=completed, total=item.size_bytes)
            loop.call_soon_threadsafe(report, progress)

        download = _Download(
            url=self._url(item.hub),
            into=into,
            size_bytes=item.size_bytes,
            stop=stop,
            tell=tell,
            opener=_opener(self._connect_s, self._stall_s, lambda: loop.call_soon_threadsafe(connected.set)),
        )
        running = asyncio.ensure_future(in_daemon_thread(download.run))
        try:
            await self._until_connected(running, connected)
            await running
        finally:
            stop.set()
            running.cancel()

    def _url(self, hub: HubFile) -> str:
        return f"{self._base_url}/{hub.repository}/resolve/{hub.revision}/{quote(hub.file)}"

    async def _until_connected(self, running: asyncio.Future[None], connected: asyncio.Event) -> None:
        # A name server that does not answer, or several dead addresses, must not add up.
        await either(running, connected.wait(), timeout_s=self._connect_s)
        if not running.done() and not connected.is_set():
            raise SourceFailed(f"{self._base_url} did not connect within {self._connect_s:g} s")


class _Download:
    """Blocking; runs in a thread."""

    def __init__(
        self,
        *,
        url: str,
        into: Path,
        size_bytes: int,
        stop: Stop,
        tell: Callable[[int], None],
        opener: urllib.request.OpenerDirector,
    ) -> None:
        self._url = url
        self._into = into
        self._size_bytes = size_bytes
        self._stop = stop
        self._tell = tell
        self._opener = opener

    def run(self) -> None:
        if size_of(self._into) > self._size_bytes:
            self._into.unlink()
        stuck = False
        why = "the connection ended early"
        for _ in range(MAX_TRIES):
            had = size_of(self._into)
            if had == self._size_bytes:
                return
            try:
                self._go_on(had)
            except (OSError, http.client.HTTPException) as error:
                why = _reason(error)
            if size_of(self._into) > had:
                stuck = False
            elif stuck or had == 0:
                break
            else:
                # Once more: what was there may have been of no use, and the next try starts from nothing.
                stuck = True
        raise SourceFailed(f"{self._url}: {why}")

    def _go_on(self, had: int) -> None:
        headers = {"User-Agent": "farmgate", "Accept-Encoding": "identity"}
        if had:
            headers["Range"] = f"bytes={had}-"
        try:
            with self._opener.open(urllib.request.Request(self._url, headers=headers)) as response:  # noqa: S310  http(s) only, see Hub
                start = _start_of(response, self._size_bytes)
                with self._into.open("r+b" if had else "wb") as file:
                    self._stop.guard(lambda: file.truncate(start))
                    file.seek(start)
                    self._copy(response, file, start)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise SourceFailed(f"{self._url} answered {error.code}") from None
            self._into.unlink()

    def _copy(self, response: http.client.HTTPResponse, file: BinaryIO, at: int) -> None:
        while chunk := response.read1(CHUNK_BYTES):
            at += len(chunk)
            if at > self._size_bytes:
                raise SourceFailed(f"{self._url} sent more than the {self._size_bytes} bytes expected")
            self._stop.guard(lambda chunk=chunk: file.write(chunk))  # type: ignore[misc]
            self._tell(at)


def _start_of(response: http.client.HTTPResponse, size_bytes: int) -> int:
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


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it stopped sending"
    if isinstance(error, urllib.error.URLError):
        return str(error.reason)
    return str(error) or type(error).__name__


def _opener(connect_s: float, stall_s: float, connected: Callable[[], object]) -> urllib.request.OpenerDirector:
    """urllib has one timeout for everything; this connects within one and reads within another."""

    class Plain(http.client.HTTPConnection):
        def connect(self) -> None:
            self.timeout = connect_s
            super().connect()
            self.sock.settimeout(stall_s)
            connected()

    class Secure(http.client.HTTPSConnection):
        def connect(self) -> None:
            self.timeout = connect_s
            super().connect()
            self.sock.settimeout(stall_s)
            connected()

    class PlainHandler(urllib.request.HTTPHandler):
        def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(Plain, req)

    class SecureHandler(urllib.request.HTTPSHandler):
        def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(Secure, req)

    return urllib.request.build_opener(PlainHandler, SecureHandler)
