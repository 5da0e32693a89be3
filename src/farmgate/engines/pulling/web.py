"""HTTP as pulls need it: two timeouts, a token that stays with its host, and patience with those who are busy."""

from __future__ import annotations

import asyncio
import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, TypeVar
from urllib.parse import urlsplit

from farmgate.core.locator import is_loopback
from farmgate.engines.pulling.sources import SourceFailed, Stop
from farmgate.engines.threads import in_daemon_thread
from farmgate.engines.timing import either
from farmgate.wire.retry_after import retry_after_s

__all__ = ["Busy", "Token", "Visit", "Web", "origin_of", "reason"]

USER_AGENT = "farmgate"
PASSING = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses after which the same request may well be answered."""
TOKEN = re.compile(r"[\x21-\x7e]{1,512}")
# https://huggingface.co/docs/hub/rate-limits: `"api";r=0;t=55`, where t is in seconds, of a window of 5 minutes.
RATE_LIMIT = re.compile(r";\s*r=0\s*;\s*t=(\d{1,4})(?!\d)")
MOST_BUSY = 6
PAUSE_S = 1.0
LONGEST_PAUSE_S = 300.0

T = TypeVar("T")


class Busy(SourceFailed):
    """It may answer in a while. `wait_s`: when it said so itself."""

    def __init__(self, why: str, wait_s: float | None) -> None:
        super().__init__(why)
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A credential, and the one origin it is for."""

    origin: str
    value: str

    def __post_init__(self) -> None:
        if not TOKEN.fullmatch(self.value):
            # Never with the value: this is shown.
            raise ValueError("a token must be visible ASCII characters only, without spaces or line ends")

    def __repr__(self) -> str:
        return f"Token(origin={self.origin!r})"

    @property
    def is_safe(self) -> bool:
        """Whether nobody on the way can read it."""
        parts = urlsplit(self.origin)
        return parts.scheme == "https" or is_loopback(parts.hostname or "")

    def put_on(self, request: urllib.request.Request) -> None:
        """A header that a redirect does not take along: each request is looked at anew."""
        if self.is_safe and origin_of(request.full_url) == self.origin:
            request.add_unredirected_header("Authorization", f"Bearer {self.value}")


class Web:
    """How the network is reached. An address that does not connect costs `connect_s` in all, silence `stall_s`.

    `wait` does nothing for a number of seconds, unless its Stop is set.
    """

    def __init__(
        self,
        *,
        token: Token | None = None,
        connect_s: float = 5.0,
        stall_s: float = 30.0,
        wait: Callable[[Stop, float], None] = Stop.wait,
    ) -> None:
        self.token = token
        self.connect_s = connect_s
        self.stall_s = stall_s
        self.wait = wait

    async def run(
        self, work: Callable[[Visit], T], *, where: str, pausing: Callable[[float], object] = lambda _: None
    ) -> T:
        """What blocking `work` gives, on a thread of its own. When this is cancelled it writes nothing more.

        `pausing` hears, on the event loop, for how many seconds nothing is done.
        """
        loop = asyncio.get_running_loop()
        connected = asyncio.Event()
        visit = Visit(
            self,
            connected=lambda: loop.call_soon_threadsafe(connected.set),
            pausing=lambda seconds: loop.call_soon_threadsafe(pausing, seconds),
        )
        running = asyncio.ensure_future(in_daemon_thread(lambda: work(visit)))
        try:
            # A name server that does not answer, or several dead addresses, must not add up.
            await either(running, connected.wait(), timeout_s=self.connect_s)
            if not running.done() and not connected.is_set():
                raise SourceFailed(f"{where} did not connect within {self.connect_s:g} s")
            return await running
        finally:
            visit.stop.set()
            running.cancel()


class Visit:
    """One thread's use of the network. Blocking. `stop` ends it from outside."""

    def __init__(self, web: Web, connected: Callable[[], object], pausing: Callable[[float], object]) -> None:
        self.stop = Stop()
        self._web = web
        self._pausing = pausing
        self._opener = opener(web, connected)

    def open(self, url: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        """The caller closes it. Raises HTTPError, OSError, HTTPException, and SourceFailed for a bad redirect."""
        told = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **headers}
        try:
            request = urllib.request.Request(url, headers=told)  # noqa: S310  http(s) only: whoever makes one checks
            if self._web.token is not None:
                self._web.token.put_on(request)
            response: http.client.HTTPResponse = self._opener.open(request)
        except ValueError as error:
            # A port beyond all, brackets without an end, a host that no name server could know.
            raise SourceFailed("it leads to an address that is none") from error
        return response

    def pause(self, tried: int, told_s: float | None) -> None:
        """Wait before the next try: as long as was asked, else 1, 2, 4 s. Raises SourceFailed when stopped."""
        seconds = PAUSE_S * 2 ** (tried - 1) if told_s is None else told_s
        seconds = min(seconds, LONGEST_PAUSE_S)
        if seconds >= 1:
            self._pausing(seconds)
        self._web.wait(self.stop, seconds)

    def patiently(self, act: Callable[[], T], refusal: Callable[[urllib.error.HTTPError], SourceFailed]) -> T:
        """What `act` gives, tried again while the other side is busy. Raises SourceFailed.

        `refusal` puts a status into words.
        """
        for tried in range(1, MOST_BUSY + 1):
            try:
                return act()
            except urllib.error.HTTPError as error:
                with error:
                    failed = busy_or(error, refusal)
                if not isinstance(failed, Busy) or tried == MOST_BUSY:
                    raise failed from None
                self.pause(tried, failed.wait_s)
            except (OSError, http.client.HTTPException) as error:
                raise SourceFailed(reason(error)) from error
        raise AssertionError

    def read(self, url: str, most_bytes: int) -> bytes:
        """A whole answer. Raises what `open` does, and SourceFailed for one that is too large."""
        with self.open(url, {"Accept": "application/json"}) as response:
            body = response.read(most_bytes + 1)
        if len(body) > most_bytes:
            raise SourceFailed(f"{url} answered with more than {most_bytes >> 20} MiB")
        return body


def busy_or(error: urllib.error.HTTPError, refusal: Callable[[urllib.error.HTTPError], SourceFailed]) -> SourceFailed:
    """Busy where waiting may help, else what `refusal` makes of it."""
    failed = refusal(error)
    if error.code not in PASSING:
        return failed

    def header(name: bytes) -> str:
        return error.headers.get(name.decode()) or ""

    wait_s = retry_after_s(error.code, header, now_unix=time.time())
    limit = RATE_LIMIT.search(error.headers.get("RateLimit") or "")
    if wait_s is None and error.code == http.HTTPStatus.TOO_MANY_REQUESTS and limit is not None:
        wait_s = float(limit[1])
    return Busy(str(failed), wait_s)


def reason(error: Exception) -> str:
    """Why the network failed, in one line."""
    if isinstance(error, TimeoutError):
        return "it stopped sending"
    if isinstance(error, urllib.error.URLError):
        return str(error.reason)
    return str(error) or type(error).__name__


def origin_of(url: str) -> str:
    """Scheme, host and port of an address: `https://host:443`."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    return f"{scheme}://{(parts.hostname or '').lower()}:{parts.port or {'https': 443, 'http': 80}.get(scheme, 0)}"


class Redirects(urllib.request.HTTPRedirectHandler):
    """Followed from http(s) to http(s), never out of encryption, and with the token only where it belongs."""

    def __init__(self, token: Token | None) -> None:
        self._token = token

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        scheme, was = urlsplit(newurl).scheme.lower(), urlsplit(req.full_url).scheme.lower()
        if scheme not in {"http", "https"} or (was == "https" and scheme != "https"):
            fp.close()
            raise SourceFailed(f"{origin_of(req.full_url)} sends on to a {scheme}:// address, which is not followed")
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None and self._token is not None:
            self._token.put_on(request)
        return request


def opener(web: Web, connected: Callable[[], object]) -> urllib.request.OpenerDirector:
    """urllib has one timeout for everything; this connects within one and reads within another."""

    class Plain(http.client.HTTPConnection):
        def connect(self) -> None:
            self.timeout = web.connect_s
            super().connect()
            self.sock.settimeout(web.stall_s)
            connected()

    class Secure(http.client.HTTPSConnection):
        def connect(self) -> None:
            self.timeout = web.connect_s
            super().connect()
            self.sock.settimeout(web.stall_s)
            connected()

    class PlainHandler(urllib.request.HTTPHandler):
        def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(Plain, req)

    class SecureHandler(urllib.request.HTTPSHandler):
        def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(Secure, req)

    return urllib.request.build_opener(PlainHandler, SecureHandler, Redirects(web.token))
