"""The real gate in this process, every provider of the matrix behind it at its own loopback address."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.asking import use_keys
from tests.fakes.care import Still
from tests.fakes.upstream import Asked, Exchange, FakeUpstream, Script, say, say_and_close
from tests.matrix.custom import Custom, error_of, parts_of
from tests.matrix.facts import Fact
from tests.matrix.provider import Provider, Recording
from tests.matrix.surface import Answered, Json, Surface
from tests.matrix.walking import lost_facts

from farmgate.app.entries import Entries
from farmgate.app.gate import Gate, Shared
from farmgate.config import load
from farmgate.core.model import HealthStatus, ModelInfo
from farmgate.core.ports import Lease, Purpose, Report
from farmgate.flow.health import Health, Quota, Ward
from farmgate.providers.openai import OpenAIProvider
from farmgate.providers.registry import ROWS
from farmgate.stores.responses import NoResponses
from farmgate.telemetry import Telemetry
from farmgate.testing import FakeJournal
from farmgate.work.jobs import Jobs

__all__ = ["Stage", "stage", "written"]

UNREAD = frozenset({Fact.IMAGE, Fact.IMAGE_TYPE, Fact.EFFORT, Fact.TEMPERATURE, Fact.TOP_P, Fact.TOP_K, Fact.SEED})
UNREAD |= {Fact.PRESENCE, Fact.FREQUENCY, Fact.END_USER, Fact.UNKNOWN}
"""What the demo has no use for."""


@dataclass(frozen=True)
class Lent:
    """An engine that is always there."""

    url: str
    key: str = "engine-key"
    fields: Mapping[str, object] = field(default_factory=dict)

    def release(self, *, answered: bool = False) -> None: ...


@dataclass(frozen=True)
class Engine(Still):
    """Lends the address of one fake engine. It has weights of one model, and gets no others."""

    url: str
    model: str

    async def lease(self, model: str, *, purpose: Purpose = Purpose.GENERATE) -> Lease:
        return Lent(self.url)

    async def load(self, model: str, report: Report) -> None: ...

    def models(self) -> tuple[ModelInfo, ...]:
        return (ModelInfo(name=self.model, provider="local", loaded=True),)

    def state(self) -> tuple[HealthStatus, str | None]:
        return HealthStatus.HEALTHY, None

    async def close(self) -> None: ...

    def path(self, model: str) -> Path | None:
        return None

    async def pull(self, model: str, report: Report) -> Path:
        raise AssertionError("nothing is pulled here")

    def remove(self, model: str) -> bool:
        return False


class Stage:
    """Asks the gate, and shows what reached whom."""

    def __init__(self, gate: Gate, upstreams: Mapping[str, FakeUpstream]) -> None:
        self._gate = gate
        self._upstreams = upstreams

    def prepare(self, provider: Provider, recording: Recording | None) -> None:
        """Let the provider answer the next request with that, and forget the ones before."""
        own = self._gate.providers[provider.name]
        if isinstance(own, Custom):
            assert recording is not None
            own.asked = None
            is_error = recording.status != 200
            own.refuses = error_of(recording.status, recording.error) if is_error else None
            own.steps = parts_of(recording.told)
        elif provider.has_wire:
            upstream = self._upstreams[provider.name]
            upstream.asked.clear()
            upstream.scripts = [answering(provider, say(recording.answer() if recording is not None else b""))]

    def prepare_cut(self, provider: Provider, recording: Recording, at: int, *, in_order: bool) -> None:
        """Let the provider break off behind so many bytes, or behind so many parts."""
        own = self._gate.providers[provider.name]
        if isinstance(own, Custom):
            own.refuses = None
            own.steps = (*parts_of(recording.told)[:at], error_of(200, "the parrot flew away"))
            return
        upstream = self._upstreams[provider.name]
        upstream.asked.clear()
        script = say if in_order else say_and_close
        upstream.scripts = [answering(provider, script(recording.cut(at, in_order=in_order)))]

    def asked(self, provider: Provider) -> Sequence[Asked]:
        """What reached the provider over its wire, but for what is only looked up."""
        if not provider.has_wire:
            return ()
        return [asked for asked in self._upstreams[provider.name].asked if asked.path not in provider.looked_up]

    def is_reached(self, provider: Provider) -> bool:
        own = self._gate.providers[provider.name]
        return own.asked is not None if isinstance(own, Custom) else bool(self.asked(provider))

    def lost(self, provider: Provider, facts: frozenset[Fact]) -> list[Fact]:
        """The facts that did not reach the provider."""
        own = self._gate.providers[provider.name]
        if isinstance(own, Custom):
            return lost_facts(own.seen(), facts, provider.places)
        if not provider.has_wire:
            # It has no wire to look at: what it answers shows that it heard of tools, schemas, limits and stops.
            return [fact for fact in facts if fact in UNREAD]
        (asked,) = self.asked(provider)
        return provider.lost(asked, facts)

    async def ask(self, surface: Surface, path: str, body: Json) -> Answered:
        """One request, as a caller of that surface sends it."""
        raw = written(body)
        headers = {"host": "127.0.0.1", "content-type": "application/json", "content-length": str(len(raw))}
        return await call(self._gate, path, raw, headers | dict(surface.headers()))


def written(body: Json) -> bytes:
    """A body as a caller writes it, with a space behind each colon: nobody of ours would write it so."""
    return json.dumps(body, ensure_ascii=False).encode()


def answering(provider: Provider, script: Script) -> Script:
    """The same script, with answers to what is looked up in between."""

    async def answer(exchange: Exchange) -> None:
        looked_up = provider.looked_up.get(exchange.link.asked[-1].path)
        await (script if looked_up is None else say(Recording(file=looked_up).answer()))(exchange)

    return answer


async def call(gate: Gate, path: str, raw: bytes, headers: Mapping[str, str]) -> Answered:
    """One exchange over ASGI, with a client that stays to the end."""
    left = asyncio.Event()
    unread = [raw]
    started: MutableMapping[str, Any] = {}
    pieces: list[bytes] = []
    is_closed = False

    async def receive() -> MutableMapping[str, Any]:
        if unread:
            return {"type": "http.request", "body": unread.pop(), "more_body": False}
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        nonlocal is_closed
        if message["type"] == "http.response.start":
            started.update(message)
        else:
            pieces.append(message.get("body", b""))
            is_closed = not message.get("more_body", False)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 50000),
    }
    await asyncio.create_task(gate.front(scope, receive, send))
    told = {name.decode(): value.decode() for name, value in started["headers"]}
    return Answered(status=started["status"], headers=told, body=b"".join(pieces), is_closed=is_closed)


@contextlib.asynccontextmanager
async def stage(providers: Sequence[Provider], folder: Path) -> AsyncIterator[Stage]:
    """The gate with these providers, as a configuration in `folder` would make it."""
    async with contextlib.AsyncExitStack() as stack:
        use_keys(stack.enter_context(pytest.MonkeyPatch.context()), folder)
        upstreams = {
            provider.name: await stack.enter_async_context(FakeUpstream())
            for provider in providers
            if provider.has_wire
        }
        entries = {
            provider.name: entry_of(provider, upstreams[provider.name].url if provider.has_wire else "")
            for provider in providers
        }
        (folder / "farm.config.json").write_text(json.dumps({"ai": {"providers": entries, "attempts": {"retries": 0}}}))
        config = load(folder / "farm.config.json", cwd=folder, environ={"HOME": str(folder)})
        local = next(provider for provider in providers if provider.name == "local")
        engine = Engine(upstreams["local"].url, local.model)
        shared = Shared(
            telemetry=Telemetry(),
            journal=FakeJournal(),
            responses=NoResponses(),
            jobs=Jobs(time.time),
            engines=engine,
            ward=Forgetful(),
            weights=engine,
            is_draining=lambda: False,
        )
        gate = Gate(config, Entries(entries=config.ai.providers), shared)
        openai = gate.providers["openai"]
        assert isinstance(openai, OpenAIProvider)
        # OpenAI's API has ways of its own, which no server at another address is taken to have.
        openai._quirks = ROWS["openai"].quirks
        try:
            yield Stage(gate, upstreams)
        finally:
            await gate.stop()


class Unlimited(Quota):
    """A quota that is never used up."""

    def cool(self, now: float, retry_after_s: float | None) -> None:
        """One cell's 429 is no reason to refuse the next cell."""


class Forgetful(Ward):
    """Health of targets that does not carry over from one cell to the next."""

    def of(self, key: str, quota: str | None = None) -> Health:
        return Health(Unlimited())


def entry_of(provider: Provider, url: str) -> Json:
    """Its entry of `ai.providers`."""
    told: Json = {"models": [provider.model], **provider.entry}
    if provider.has_wire and provider.name != "local":
        told["url"] = url + provider.suffix
    return told
