"""Ollama's API: its clients and UIs work on any provider. /api/ai and /api/admin stay Farmgate's."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Protocol, TypeAlias, cast

from farmgate.core.answer import fold
from farmgate.core.errors import InvalidType, MissingParameter, ModelNotFound, NotAnAdmin, NotSupported
from farmgate.core.event import Event
from farmgate.core.identity import Principal
from farmgate.core.model import LONGEST_NAME, Capability, ModelInfo
from farmgate.core.ports import Report, Target
from farmgate.core.reply import Reply
from farmgate.core.request import Request
from farmgate.flow.plan import plan
from farmgate.flow.route import Candidate, View
from farmgate.surfaces.http.asking import Asking, SurfaceCodec
from farmgate.surfaces.http.exchange import Exchange
from farmgate.surfaces.http.front import Endpoint
from farmgate.surfaces.http.listing import Models, name_each
from farmgate.surfaces.http.once import IDEMPOTENCY_KEY, claim_once
from farmgate.surfaces.http.told import error_headers
from farmgate.wire.ollama.answers import (
    LineWriter,
    encode_embedding,
    encode_embeddings,
    encode_error,
    encode_loaded,
    encode_whole,
)
from farmgate.wire.ollama.asks import OllamaBody, decode_ask
from farmgate.wire.ollama.listing import OLLAMA_VERSION, encode_ps, encode_show, encode_tags
from farmgate.wire.strictjson import decode_object, encode
from farmgate.work.jobs import Job, Jobs

__all__ = ["Catalog", "OllamaSurface", "ollama_routes"]

Load: TypeAlias = Callable[[str, str | None, Report], Awaitable[None]]
Unload: TypeAlias = Callable[[str, Report], Awaitable[None]]
NDJSON = b"application/x-ndjson"
PULL_S = 24 * 3600.0
"""How long one client may watch a pull: a large model takes longer than any request may."""


class Catalog(Models, Protocol):
    """Who answers to which name, too."""

    def view(self) -> View: ...


def body_of(request: Request) -> OllamaBody:
    return cast("OllamaBody", request.body)


def writer(request: Request, reply: Reply) -> LineWriter:
    body = body_of(request)
    is_chat = body.path == "/api/chat"
    return LineWriter(model=body.model or "", is_chat=is_chat, began=request.started, dropped=reply.dropped)


def whole(request: Request, reply: Reply, events: list[Event]) -> bytes:
    body = body_of(request)
    model = body.model or ""
    match body.path:
        case "/api/embed":
            return encode_embeddings(fold(events), model=model, began=request.started, dropped=reply.dropped)
        case "/api/embeddings":
            return encode_embedding(fold(events))
        case _:
            is_chat = body.path == "/api/chat"
            return encode_whole(events, model=model, is_chat=is_chat, began=request.started, dropped=reply.dropped)


def is_admin(exchange: Exchange, principal: Principal) -> bool:
    # Here, because pydantic comes with it, which no request for an answer needs.
    from farmgate.surfaces.http.care import must_be_admin

    try:
        must_be_admin(exchange, principal)
    except NotAnAdmin:
        return False
    return True


def unread(*_: object, **__: object) -> OllamaBody:
    """Bodies are read by the surface: one path here stands for two kinds of asks."""
    raise AssertionError("a body of Ollama's API is read with its path")


CODEC = SurfaceCodec(
    decode=unread, writer=writer, whole=whole, error=encode_error, error_frame=encode_error, stream_type=NDJSON
)


class OllamaSurface:
    """The endpoints. `load` makes a model ready, getting it first; a pull is a job of the gate, not of its caller, and
    so is what `unload` does."""

    def __init__(
        self, target: Target, catalog: Catalog, *, load: Load, unload: Unload, jobs: Jobs, streaming: bool = True
    ) -> None:
        self._asking = Asking(target, CODEC, streaming=streaming)
        self._catalog = catalog
        self._load = load
        self._unload = unload
        self._jobs = jobs

    async def ask(self, exchange: Exchange) -> None:
        """/api/chat, /api/generate, /api/embed, /api/embeddings."""
        await run(exchange, partial(self._ask, exchange))

    async def _ask(self, exchange: Exchange) -> None:
        principal = exchange.principal()
        limits = exchange.desk.limits
        raw = await exchange.body()
        if exchange.header(IDEMPOTENCY_KEY) is not None:
            claim_once(exchange, principal, raw)
        body = decode_ask(raw, exchange.path, json_limits=limits.json, list_limits=limits.lists)
        if body.is_empty:
            await self._only_load(exchange, principal, body)
            return
        await self._asking.send(exchange, principal, body, body.kind)

    async def _only_load(self, exchange: Exchange, principal: Principal, body: OllamaBody) -> None:
        """An ask with nothing in it makes a model ready; one that needs no loading is ready. With `keep_alive: 0` it
        leaves, where an admin says so: others use it too."""
        candidate = await self._candidate(body.model)
        headers: tuple[tuple[bytes, bytes], ...] = ()
        lets_go = body.fields.get("keep_alive") == 0
        if not lets_go:
            with contextlib.suppress(NotSupported):
                await self._load(candidate.model, candidate.provider, lambda _: None)
        elif is_admin(exchange, principal):
            name = f"{candidate.provider}/{candidate.model}"
            self._jobs.start("unload", name, partial(self._let_go, name), principal=principal)
        else:
            headers = ((b"x-farmgate-dropped", b"keep_alive"),)
        reason = "unload" if lets_go else "load"
        told = encode_loaded(body.model or "", is_chat=body.path == "/api/chat", reason=reason)
        await exchange.answer(200, told, headers)

    async def _let_go(self, name: str, report: Report) -> None:
        with contextlib.suppress(NotSupported):
            await self._unload(name, report)

    async def _candidate(self, model: str | None) -> Candidate:
        if not model:
            raise MissingParameter("`model` is required.", param="model")
        await self._catalog.refresh()
        return plan(model, None, self._catalog.view()).first

    async def tags(self, exchange: Exchange) -> None:
        await run(exchange, partial(self._list, exchange, encode_tags))

    async def ps(self, exchange: Exchange) -> None:
        await run(exchange, partial(self._list, exchange, lambda named: encode_ps(named, now_unix=time.time())))

    async def _list(self, exchange: Exchange, write: Callable[[list[tuple[str, ModelInfo]]], bytes]) -> None:
        exchange.principal()
        exchange.watch()
        await self._catalog.refresh()
        await exchange.answer(200, write(list(name_each(self._catalog.models()).items())))

    async def show(self, exchange: Exchange) -> None:
        await run(exchange, partial(self._show, exchange))

    async def _show(self, exchange: Exchange) -> None:
        exchange.principal()
        name = model_in(await fields_of(exchange))
        found = await self._candidate(name)
        known = next((one for one in self._catalog.models() if (one.provider, one.name) == key(found)), None)
        model = known or ModelInfo(name=found.model, provider=found.provider)
        await exchange.answer(200, encode_show(name, model, self._catalog.view().providers[found.provider].kinds))

    async def version(self, exchange: Exchange) -> None:
        await run(exchange, partial(self._version, exchange))

    async def _version(self, exchange: Exchange) -> None:
        exchange.principal()
        await exchange.answer(200, encode({"version": OLLAMA_VERSION}))

    async def alive(self, exchange: Exchange) -> None:
        """GET and HEAD /: Ollama's clients ask whether anybody is there before they ask for anything."""
        await exchange.answer(200, b"Farmgate is running\n", kind=b"text/plain; charset=utf-8")

    # ------------------------------------------------------------------------------------------------------- pulling

    async def pull(self, exchange: Exchange) -> None:
        await run(exchange, partial(self._pull, exchange))

    async def _pull(self, exchange: Exchange) -> None:
        principal = exchange.principal()
        fields = await fields_of(exchange)
        name = model_in(fields)
        provider, model = self._puller(name)

        async def get(report: Report) -> None:
            await self._load(model, provider, report)

        job = self._jobs.start("pull", f"{provider}/{model}", get, principal=principal)
        # One turn of the loop: what is refused before anything is waited for has its true status.
        await asyncio.sleep(0)
        exchange.deadline = exchange.loop.time() + PULL_S
        async with lines_of(job) as lines:
            if fields.get("stream") is not False and job.snapshot().error is None:
                await exchange.stream(lines, lambda event: event.raw, bytes, kind=NDJSON)
                return
            async for _ in lines:
                pass
        failed = job.snapshot().error
        if failed is not None:
            # Not raised: the job keeps its error, and with a traceback would keep this exchange.
            exchange.desk.telemetry.failed(failed.code)
            await exchange.answer(failed.status, encode_error(failed), error_headers(failed))
            return
        await exchange.answer(200, b'{"status":"success"}')

    def _puller(self, name: str) -> tuple[str, str]:
        """Who gets a model: the provider it names, else the first that can get any, else the first that can load."""
        providers = self._catalog.view().providers
        head, _, rest = name.partition("/")
        if rest and head in providers:
            return head, rest
        for capability in (Capability.PULL, Capability.LOAD):
            for provider, known in providers.items():
                if known.kinds is not None and capability in known.kinds:
                    return provider, name
        raise NotSupported("No provider here can get models: the ones there are serve theirs by themselves.")


async def run(exchange: Exchange, work: Callable[[], Awaitable[None]]) -> None:
    await exchange.run(work, shape=encode_error, frame=encode_error)


async def fields_of(exchange: Exchange) -> dict[str, object]:
    return decode_object(await exchange.body(), exchange.desk.limits.json)


def model_in(fields: Mapping[str, object]) -> str:
    """The model named in a body; older clients say `name`."""
    told = fields.get("model") or fields.get("name")
    if told is None:
        raise MissingParameter("`model` is required.", param="model")
    if not isinstance(told, str):
        raise InvalidType("`model` must be a string.", param="model")
    if len(told) > LONGEST_NAME:
        raise ModelNotFound(f"There is no model with a name of more than {LONGEST_NAME} characters.", param="model")
    return told


def key(candidate: Candidate) -> tuple[str, str]:
    return candidate.provider, candidate.model


def lines_of(job: Job) -> Reply:
    """A job's progress as Ollama tells a pull's. The job goes on when its watcher leaves."""
    states = job.watch()
    has_ended = False

    async def following() -> Event | None:
        nonlocal has_ended
        state = None if has_ended else await anext(states, None)
        if state is None:
            return None
        if state.is_over:
            has_ended = True
            return Event(raw=b'{"status":"success"}\n' if state.error is None else encode_error(state.error))
        progress = state.progress
        told: dict[str, object] = {"status": progress.status}
        if progress.total is not None:
            told |= {"digest": "", "total": progress.total, "completed": progress.completed}
        return Event(raw=encode(told) + b"\n")

    return Reply(following, provider="", model="")


def ollama_routes(surface: OllamaSurface) -> Mapping[str, Mapping[str, Endpoint]]:
    """Where each is asked for."""
    return {
        "/": {"GET": surface.alive, "HEAD": surface.alive},
        "/api/chat": {"POST": surface.ask},
        "/api/generate": {"POST": surface.ask},
        "/api/embed": {"POST": surface.ask},
        "/api/embeddings": {"POST": surface.ask},
        "/api/tags": {"GET": surface.tags, "HEAD": surface.tags},
        "/api/ps": {"GET": surface.ps},
        "/api/show": {"POST": surface.show},
        "/api/version": {"GET": surface.version, "HEAD": surface.version},
        "/api/pull": {"POST": surface.pull},
    }
