"""The Open Inference Protocol, KServe's v2 in JSON: /v2, its health, and models of this machine that take tensors.

Source: https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Protocol

from farmgate import __version__
from farmgate.core.errors import FarmError, MethodNotAllowed, UnknownUrl
from farmgate.core.event import Event
from farmgate.core.model import Served
from farmgate.core.ports import Target
from farmgate.core.reply import Reply
from farmgate.core.request import Body, Kind, Request
from farmgate.surfaces.http.asking import Asking, StreamWriter, SurfaceCodec
from farmgate.surfaces.http.exchange import JSON, Exchange
from farmgate.surfaces.http.front import Endpoint, refuse
from farmgate.wire.openai.rules import ListLimits
from farmgate.wire.strictjson import JsonLimits, encode
from farmgate.wire.triton.bodies import LENGTH, Address, Inferred, decode_body, read_address, read_length
from farmgate.wire.triton.errors import encode_error

__all__ = ["Inference", "OipSurface", "oip_routes"]

METHODS = {"": "GET", "ready": "GET", "infer": "POST"}


class Inference(Protocol):
    """The models that take tensors."""

    async def served(self, name: str, version: str | None) -> Served:
        """One of them; nothing is started. Raises ModelNotFound, also for a version that does not answer, and
        ModelNotCapable."""

    async def describe(self, name: str, version: str | None, *, deadline: float) -> bytes:
        """Its metadata as the protocol has it; it is started, since only it knows. Raises FarmError."""

    def all(self) -> tuple[Served, ...]: ...


def no_stream(request: Request, reply: Reply) -> StreamWriter:
    raise AssertionError("an inference has no stream")


def unread(*_: object, **__: object) -> Body:
    raise AssertionError("a body is read with the version in its address")


def unwritten(request: Request, reply: Reply, events: list[Event]) -> bytes:
    raise AssertionError("an answer is written with its header")


CODEC = SurfaceCodec(decode=unread, writer=no_stream, whole=unwritten, error=encode_error, error_frame=encode_error)


class OipSurface:
    """The endpoints. `is_draining`: new requests are not welcome any more."""

    def __init__(self, target: Target, models: Inference, *, is_draining: Callable[[], bool]) -> None:
        self._target = target
        self._models = models
        self._is_draining = is_draining

    async def server(self, exchange: Exchange) -> None:
        """GET /v2."""

        async def tell() -> None:
            exchange.principal()
            told = {
                "name": "farmgate",
                "version": __version__,
                "extensions": ["binary_tensor_data", "model_repository"],
            }
            await exchange.answer(200, encode(told))

        await run(exchange, tell)

    async def live(self, exchange: Exchange) -> None:
        """GET /v2/health/live."""
        await exchange.answer(200, b'{"live":true}')

    async def ready(self, exchange: Exchange) -> None:
        """GET /v2/health/ready."""
        is_ready = not self._is_draining()
        await exchange.answer(200 if is_ready else 503, encode({"ready": is_ready}))

    async def index(self, exchange: Exchange) -> None:
        """POST /v2/repository/index, as Triton has it: which models there are, and which are loaded."""

        async def tell() -> None:
            exchange.principal()
            told = [
                {"name": one.name, "version": one.version, "state": "READY" if one.is_ready else "UNAVAILABLE"}
                for one in self._models.all()
            ]
            await exchange.answer(200, encode(told))

        await run(exchange, tell)

    async def model(self, exchange: Exchange) -> None:
        """/v2/models/{name}, with /versions/{version} behind it or not: itself, .../ready and .../infer."""
        address = read_address(exchange.path)
        if address is None:
            await self.refuse(exchange, UnknownUrl(f"There is nothing at {exchange.path[:200]}."))
        elif exchange.method != METHODS[address.action]:
            allowed = METHODS[address.action]
            error = MethodNotAllowed(f"{exchange.path[:200]} answers {allowed}.", allow=allowed)
            await self.refuse(exchange, error)
        elif address.action == "infer":
            await self._infer(exchange, address)
        else:
            tell = self._tell_ready if address.action else self._tell
            await run(exchange, partial(tell, exchange, address))

    async def refuse(self, exchange: Exchange, error: FarmError) -> None:
        """Answer with an error and nothing else."""
        await refuse(exchange, error, shape=encode_error)

    async def _tell(self, exchange: Exchange, address: Address) -> None:
        exchange.principal()
        exchange.watch()
        await self._models.served(address.model, address.version)
        told = await self._models.describe(address.model, address.version, deadline=exchange.deadline)
        await exchange.answer(200, told)

    async def _tell_ready(self, exchange: Exchange, address: Address) -> None:
        exchange.principal()
        exchange.watch()
        served = await self._models.served(address.model, address.version)
        told: dict[str, object] = {"name": served.name, "version": served.version, "ready": served.is_ready}
        if not served.is_ready:
            told["error"] = f"{served.name} is not loaded: the first who asks it for something loads it."
        await exchange.answer(200 if served.is_ready else 503, encode(told))

    async def _infer(self, exchange: Exchange, address: Address) -> None:
        exchange.model = address.model
        length = exchange.header(LENGTH)

        def decode(body: bytes, kind: Kind, *, json_limits: JsonLimits, list_limits: ListLimits) -> Body:
            return decode_body(body, address.version, read_length(length, len(body)))

        def whole(request: Request, reply: Reply, events: list[Event]) -> bytes:
            """The engine's own bytes."""
            (event,) = events
            if isinstance(event, Inferred) and event.json_bytes is not None:
                exchange.headers_told = ((LENGTH, str(event.json_bytes).encode()),)
                if exchange.claim is not None:
                    # What is kept under a key is a body, without the header that says where its JSON ends.
                    exchange.claim.keep(None)
                    exchange.claim = None
            return event.raw

        codec = replace(CODEC, decode=decode, whole=whole, body_type=body_type(exchange))
        await Asking(self._target, codec).ask(exchange, Kind.INFER)


def body_type(exchange: Exchange) -> bytes:
    """What a body must be said to be. Triton's own clients say nothing, and no browser can have sent that: it would
    tell where the page is from, and has to ask before it sends a header of ours."""
    told = exchange.header(b"content-type")
    if exchange.header(LENGTH) is not None:
        return told or b""
    return b"" if told is None and exchange.header(b"origin") is None else JSON


async def run(exchange: Exchange, work: Callable[[], Awaitable[None]]) -> None:
    await exchange.run(work, shape=encode_error, frame=encode_error)


def oip_routes(surface: OipSurface) -> Mapping[str, Mapping[str, Endpoint]]:
    """Where each is asked for."""
    return {
        "/v2": {"GET": surface.server},
        "/v2/health/live": {"GET": surface.live},
        "/v2/health/ready": {"GET": surface.ready},
        "/v2/repository/index": {"POST": surface.index},
        "/v2/models/": {"GET": surface.model, "POST": surface.model},
    }
