"""A Farmgate that already runs, seen from the command line: a Target over HTTP, on the standard library alone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from farmgate.core.errors import FarmError, InvalidApiKey, InvalidValue, UpstreamInvalidResponse, UpstreamUnreachable
from farmgate.core.event import Event
from farmgate.core.model import ModelInfo
from farmgate.core.ports import Progress, Report
from farmgate.core.reply import Reply
from farmgate.core.request import Kind, Request

if TYPE_CHECKING:
    from farmgate.config import Config
    from farmgate.surfaces.http.route_models import RouteAnswer

__all__ = ["Reloaded", "RemoteGate", "find", "reachable_host", "required"]

PROBE_S = 0.3
LIST_S = 10.0
RELOAD_S = 120.0
LOOK_S = 0.2
WHOLE_BYTES = 64 << 20
READ_BYTES = 64 << 10
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing is bound here


def reachable_host(host: str) -> str:
    """Where to call a server that listens on `host`."""
    bare = host.strip("[]")
    return ANY_ADDRESS.get(bare, bare)


def find(config: Config) -> RemoteGate | None:
    """The Farmgate on the configured address, or None. Takes at most 0.3 s."""
    if not config.server.port:
        return None
    gate = RemoteGate(config.server.host, config.server.port, key=config.variable("FARM_KEY"))
    return gate if gate.is_alive() else None


def required(config: Config) -> RemoteGate:
    """The Farmgate on the configured address. Raises UpstreamUnreachable when none runs."""
    running = find(config)
    if running is None:
        raise unreachable(RemoteGate(config.server.host, config.server.port).url)
    return running


@dataclass(frozen=True, slots=True, kw_only=True)
class Reloaded:
    """What a running Farmgate tells of its reload; `record` is all of it."""

    record: Mapping[str, object]
    generation: str
    changed: tuple[str, ...]
    needs_restart: tuple[str, ...]
    warnings: tuple[str, ...]


class GateRefused(FarmError):
    """The running Farmgate refused."""


class RemoteGate:
    """A running Farmgate at one address."""

    def __init__(self, host: str, port: int, *, key: str | None = None) -> None:
        self._key = key
        self._host = reachable_host(host)
        self._port = port

    @property
    def url(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    def is_alive(self) -> bool:
        """Whether a Farmgate answers there, quickly."""
        try:
            told = self._ask("GET", "/health/live", timeout_s=PROBE_S)
        except FarmError:
            return False
        return isinstance(told, Mapping) and told.get("status") == "ok"

    def models(self) -> list[ModelInfo]:
        """Its models. Raises FarmError."""
        import msgspec

        from farmgate.wire.farm_models import decode_models

        told = self._ask("GET", "/api/ai/models", timeout_s=LIST_S)
        try:
            return decode_models(told)
        except msgspec.ValidationError as error:
            raise UpstreamInvalidResponse(f"{self.url} does not list models as Farmgate does.") from error

    def reload(self) -> Reloaded:
        """Have it read its configuration anew. Raises FarmError; `config_invalid` has every problem in its message."""
        told = self._ask("POST", "/api/admin/config/reload", timeout_s=RELOAD_S)
        try:
            assert isinstance(told, dict)
            return Reloaded(
                record=told,
                generation=str(told["generation"]),
                changed=tuple(str(change["text"]) for change in told["changed"]),
                needs_restart=tuple(map(str, told["needsRestart"])),
                warnings=tuple(map(str, told["warnings"])),
            )
        except (AssertionError, KeyError, TypeError) as error:
            raise UpstreamInvalidResponse(f"{self.url} does not tell of a reload as Farmgate does.") from error

    def route(self, asked: Mapping[str, str]) -> RouteAnswer:
        """Who it would ask now. Raises FarmError."""
        from pydantic import ValidationError

        from farmgate.surfaces.http.route_models import RouteAnswer

        told = self._ask("POST", "/api/admin/route", json.dumps(asked).encode(), timeout_s=LIST_S)
        try:
            return RouteAnswer.model_validate(told)
        except ValidationError as error:
            raise UpstreamInvalidResponse(f"{self.url} does not tell of a plan as Farmgate does.") from error

    def processes(self) -> list[dict[str, Any]]:
        """What runs of its local models, as `/api/ai/processes` tells it. Raises FarmError."""
        return self._listed("/api/ai/processes", "processes")

    def devices(self) -> list[dict[str, Any]]:
        """What its models can be loaded on, as `/api/ai/gpus` tells it. Raises FarmError."""
        return self._listed("/api/ai/gpus", "devices")

    def do(self, model: str, verb: str, asked: Mapping[str, str], report: Report) -> None:
        """Have it load, unload, reload or roll back a model, and wait until that is done. Raises FarmError."""
        body = json.dumps(asked).encode() if asked else None
        told = self._ask("POST", f"/api/ai/models/{quote(model)}/{verb}", body, timeout_s=LIST_S)
        try:
            job = str(told["job"])  # type: ignore[index]
            while not self._is_done(job, report):
                time.sleep(LOOK_S)
        except (KeyError, TypeError) as error:
            raise UpstreamInvalidResponse(f"{self.url} does not tell of a job as Farmgate does.") from error

    def _is_done(self, job: str, report: Report) -> bool:
        told: Any = self._ask("GET", f"/api/ai/jobs/{job}", timeout_s=LIST_S)
        progress = told["progress"]
        report(Progress(status=progress["status"], completed=progress["completed"], total=progress["total"]))
        if told["error"] is not None:
            raise refusal(500, json.dumps({"error": told["error"]}).encode(), self.url)
        return told["endedAt"] is not None

    def _listed(self, path: str, key: str) -> list[dict[str, Any]]:
        told = self._ask("GET", path, timeout_s=LIST_S)
        if not isinstance(told, dict) or not isinstance(told.get(key), list):
            raise UpstreamInvalidResponse(f"{self.url} does not answer as Farmgate does.")
        return list(told[key])

    async def send(self, request: Request) -> Reply:
        """Ask it to chat. Raises FarmError. Closing the reply hangs up, which cancels the answer there."""
        from farmgate.wire.openai.requests import encode_request

        body = encode_request(request, provider="Farmgate", ask_usage=True).body
        call = Call(self, body, timeout_s=max(1.0, request.deadline - asyncio.get_running_loop().time()))
        try:
            response = await asyncio.to_thread(call.post)
        except asyncio.CancelledError:
            call.hang_up()
            raise
        provider = response.getheader("x-farmgate-provider") or "farmgate"
        model = response.getheader("x-farmgate-model") or request.model or ""
        following = call.streamed(response) if request.stream else call.whole(response)
        return Reply(following.next, provider=provider, model=model, close=call.hang_up, streams=request.stream)

    def connection(self, timeout_s: float) -> HTTPConnection:
        return HTTPConnection(self._host, self._port, timeout=timeout_s)

    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self._key}"} if self._key else {}

    def _ask(self, method: str, path: str, body: bytes | None = None, *, timeout_s: float) -> object:
        connection = self.connection(timeout_s)
        typed = {} if body is None else {"content-type": "application/json"}
        try:
            connection.request(method, path, body, {**typed, **self.headers()})
            response = connection.getresponse()
            body = response.read(WHOLE_BYTES)
            if response.status not in (200, 202):
                raise refusal(response.status, body, self.url)
            return json.loads(body)
        except (OSError, HTTPException) as error:
            raise unreachable(self.url) from error
        except ValueError as error:
            raise UpstreamInvalidResponse(f"{self.url} does not answer as Farmgate does.") from error
        finally:
            connection.close()


class Call:
    """One chat under way. Blocking parts run in threads; `hang_up` wakes them."""

    def __init__(self, gate: RemoteGate, body: bytes, *, timeout_s: float) -> None:
        self._gate = gate
        self._body = body
        self._connection = gate.connection(timeout_s)
        self._sock: socket.socket | None = None
        self._response: HTTPResponse | None = None

    def post(self) -> HTTPResponse:
        headers = {"content-type": "application/json", **self._gate.headers()}
        try:
            self._connection.connect()
            # Kept: http.client lets go of it as soon as the answer has begun.
            self._sock = self._connection.sock
            self._connection.request("POST", "/v1/chat/completions", self._body, headers)
            self._response = response = self._connection.getresponse()
            if response.status != 200:
                raise refusal(response.status, response.read(WHOLE_BYTES), self._gate.url)
        except (OSError, HTTPException) as error:
            self.hang_up()
            raise unreachable(self._gate.url) from error
        except FarmError:
            self.hang_up()
            raise
        return response

    def hang_up(self) -> None:
        if self._sock is not None:
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)
        if self._response is not None:
            self._response.close()
        self._connection.close()

    def streamed(self, response: HTTPResponse) -> Streamed:
        return Streamed(response)

    def whole(self, response: HTTPResponse) -> Whole:
        return Whole(response)


class Streamed:
    """The events of a streamed answer."""

    def __init__(self, response: HTTPResponse) -> None:
        from farmgate.wire.openai.stream import StreamReader

        self._response = response
        self._reader = StreamReader(provider="farmgate", show_usage=True)

    async def next(self) -> Event | None:
        while not self._reader.is_done:
            data = await read(self._response)
            if not data:
                break
            event = self._reader.feed(data)
            if event is not None:
                return event
        self._reader.end()
        return None


class Whole:
    """A whole answer, as one event."""

    def __init__(self, response: HTTPResponse) -> None:
        self._response = response
        self._told = False

    async def next(self) -> Event | None:
        from farmgate.wire.openai.answers import decode_whole

        if self._told:
            return None
        self._told = True
        pieces = []
        while data := await read(self._response):
            pieces.append(data)
        return decode_whole(b"".join(pieces), kind=Kind.CHAT, provider="farmgate")


async def read(response: HTTPResponse) -> bytes:
    """What comes next, nothing at the end. Raises UpstreamUnreachable when the connection breaks."""
    try:
        return await asyncio.to_thread(response.read1, READ_BYTES)
    except (OSError, HTTPException, ValueError, AttributeError) as error:
        # ValueError and AttributeError: it was closed from another thread, which is how a read is ended.
        raise UpstreamUnreachable("The connection to the running Farmgate broke.") from error


def refusal(status: int, body: bytes, url: str) -> FarmError:
    """The error a running gate answered with."""
    try:
        told = json.loads(body)["error"]
        message, code, kind = str(told["message"]), str(told.get("code") or ""), str(told.get("type") or "")
        param = told.get("param")
    except (ValueError, KeyError, TypeError, AttributeError):
        message, code, kind, param = f"{url} answered HTTP {status}.", "", "", None
    if status == 401:
        return InvalidApiKey(f"The Farmgate at {url} wants an API key: set FARM_KEY to one of its keys.")
    if code == InvalidValue.code and param in ("provider", "version"):
        # Its class tells the exit code: a name that is not there.
        return InvalidValue(message, param=param)
    error = GateRefused(message)
    error.status, error.code, error.type = status, code or error.code, kind or error.type
    return error


def unreachable(url: str) -> UpstreamUnreachable:
    return UpstreamUnreachable(f"no Farmgate is running at {url}: farmgate dev")
