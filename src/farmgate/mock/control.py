"""The mock's own small API, under `/mock/`: its script, its calls, its state. For this machine only."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from farmgate.mock.arguments import WrongFault
from farmgate.mock.calls import Calls
from farmgate.mock.reading import Request
from farmgate.wire.strictjson import encode

__all__ = ["PREFIX", "Controlled", "control"]

PREFIX = "/mock/"
ALLOWED = "PUT /mock/script, DELETE /mock/script, GET /mock/calls, DELETE /mock/calls, GET /mock/state"
MOST_SHOWN = 1000
decode = msgspec.json.Decoder().decode


class Controlled(Protocol):
    """What there is to steer."""

    @property
    def counted(self) -> Calls: ...

    def script(self, told: object) -> None:
        """Raises WrongFault."""

    def forget_script(self) -> None: ...

    def state(self) -> Mapping[str, object]: ...


def control(request: Request, peer: str, mock: Controlled) -> bytes:
    """The whole answer, head and body."""
    if not is_loopback(peer) or not is_local_name(request.headers.get("host", "")):
        return told(403, failure("The mock is steered from its own machine only, by its address there."))
    act = acts(request, mock).get(f"{request.method} {request.path}")
    if act is None:
        return told(404, failure(f"There is no such thing to steer. There is {ALLOWED}."))
    try:
        return told(200, act())
    except WrongFault as error:
        return told(400, failure(error.message))


def acts(request: Request, mock: Controlled) -> Mapping[str, Callable[[], object]]:
    """What each method and path does."""
    return {
        "GET /mock/state": mock.state,
        "GET /mock/calls": lambda: shown(mock.counted, request.query),
        "DELETE /mock/calls": lambda: {"forgotten": mock.counted.forget()},
        "PUT /mock/script": lambda: put(request, mock),
        "DELETE /mock/script": lambda: dropped(mock),
    }


def put(request: Request, mock: Controlled) -> object:
    try:
        script = decode(request.body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise WrongFault(f"The script is no JSON: {error}.") from error
    mock.script(script)
    return mock.state()


def dropped(mock: Controlled) -> object:
    mock.forget_script()
    return mock.state()


def shown(calls: Calls, query: Mapping[str, str]) -> object:
    """The newest calls, oldest first: at most `limit` with numbers above `since`, of one `model`."""
    since, limit = (number(query.get(name, ""), default) for name, default in (("since", 0), ("limit", 100)))
    model = query.get("model")
    found = [call for call in calls.kept if call.number > since and model in (None, call.model)]
    limit = min(limit, MOST_SHOWN)
    return calls.counts() | {"calls": [call.told() for call in (found[-limit:] if limit else ())]}


def number(text: str, default: int) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else default


def failure(message: str) -> object:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": "mock"}}


def told(status: int, body: object) -> bytes:
    data = encode(body) + b"\n"
    head = f"HTTP/1.1 {status} Told\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
    return head.encode() + data


def is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False


def is_local_name(host: str) -> bool:
    """Whether a page of somebody else's, whose name leads here, could not have sent that."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return name in ("", "localhost") or is_loopback(name)
