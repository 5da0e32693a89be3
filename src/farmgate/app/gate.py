"""One configuration, running: its providers, its catalogue, its application. Built, started and stopped once."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from farmgate.admin.catalog import Listed, ModelCatalog
from farmgate.app.care import ModelCare
from farmgate.app.careful import CarefulSource, CarefulTarget, careful_close, careful_health, careful_kinds
from farmgate.app.entries import DEMO, Entries, is_built_in, is_open, make_provider, missing_key
from farmgate.app.explaining import doubts_of, known_caller
from farmgate.app.fetching import Get, fetching
from farmgate.app.inferring import Inferring
from farmgate.app.known import known_beside
from farmgate.app.limits import http_limits, room_at, room_of
from farmgate.app.routed import pace_of, routes_of
from farmgate.config import Config
from farmgate.config.schema import Provider as Entry
from farmgate.core.errors import FarmError
from farmgate.core.model import Health, ModelInfo
from farmgate.core.ports import Counted, Journal, Lender, Report, Responses, Target, Weights
from farmgate.core.request import Request
from farmgate.core.words import Chat
from farmgate.flow.admit import Pressure
from farmgate.flow.attempt import find
from farmgate.flow.chain import RoomOf, chain
from farmgate.flow.explain import Explanation, Question, explain
from farmgate.flow.health import Ward
from farmgate.flow.plan import plan
from farmgate.flow.queue import ModelQueues
from farmgate.flow.repeat import Repeats
from farmgate.flow.route import who_gets
from farmgate.flow.slots import Room
from farmgate.providers.local import LocalProvider
from farmgate.providers.provider import CountsTokens
from farmgate.providers.registry import LOCAL, ROWS, is_cloud, tells, version_joint
from farmgate.surfaces.cli.house import Finding
from farmgate.surfaces.http.anthropic import AnthropicSurface
from farmgate.surfaces.http.auth import Doorman
from farmgate.surfaces.http.desk import Desk
from farmgate.surfaces.http.door import Receive, Scope, Send
from farmgate.surfaces.http.exchange import Exchange
from farmgate.surfaces.http.front import Endpoint, Front
from farmgate.surfaces.http.health import HealthSurface
from farmgate.surfaces.http.media import MediaSurface, media_routes
from farmgate.surfaces.http.oip import OipSurface, oip_routes
from farmgate.surfaces.http.ollama import OllamaSurface, ollama_routes
from farmgate.surfaces.http.openai import OpenAISurface
from farmgate.surfaces.http.responses import ResponsesSurface
from farmgate.telemetry import Telemetry, log
from farmgate.wire.estimate import estimate
from farmgate.work.jobs import Jobs

if TYPE_CHECKING:
    # What is behind it (pydantic's models) is imported for the first request that needs it.
    from farmgate.surfaces.http.admin import Administration

__all__ = ["Gate", "Shared"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What outlives a configuration: counters, records, long tasks, and the engines with their models."""

    telemetry: Telemetry
    journal: Journal
    responses: Responses
    jobs: Jobs
    engines: Lender
    ward: Ward
    repeats: Repeats = field(default_factory=Repeats)
    pressure: Pressure = field(default_factory=Pressure)
    queues: ModelQueues = field(default_factory=ModelQueues)
    weights: Weights
    is_draining: Callable[[], bool]
    administration: Callable[[], Administration | None] = lambda: None
    declare: Callable[[Config], Callable[[], None]] = lambda _: lambda: None
    """Serve the models of this machine as a configuration says; what it returns takes that back."""
    fetch: Get | None = None


class Gate:
    """Where requests go while this configuration holds."""

    def __init__(self, config: Config, entries: Entries, shared: Shared) -> None:
        self.config = config
        self._entries = entries
        self._shared = shared
        self.providers = {
            name: make_provider(name, entry, config, lender=shared.engines, weights=shared.weights)
            for name, entry in entries.entries.items()
        }
        self._listed_by_name = self._listed()
        self.catalog = ModelCatalog(
            self._listed_by_name,
            default_provider=entries.default,
            clock=time.monotonic,
            left_out=config.left_out,
            configured=config.models,
            beside=known_beside(config),
            routes=routes_of(config),
            falls_back=config.ai.features.fallback,
            region=config.ai.region,
        )
        made = chain(
            {name: self._target(name, entry) for name, entry in entries.entries.items()},
            catalog=self.catalog,
            journal=shared.journal,
            telemetry=shared.telemetry,
            room=room_of(config.server.limits),
            ward=shared.ward,
            pace=pace_of(config),
            pressure=shared.pressure,
            queues=shared.queues,
            rooms={name: room for name, entry in entries.entries.items() if (room := self._room_of(name, entry))},
        )
        shared.telemetry.count_queued = shared.queues.waiting
        shared.telemetry.see_models, shared.telemetry.see_devices = shared.engines.states, shared.engines.devices
        self.target = made.target
        self.means = made.means
        self._care = ModelCare(
            lambda name: who_gets(name, None, self.catalog.view()),
            self.providers,
            shared.engines,
            waiting=shared.queues.waiting,
            pace=partial(shared.telemetry.tokens_per_s, LOCAL),
            changed=partial(self.catalog.refresh, at_once=True, near=True),
        )
        self._loads = 0
        self.front = self._front()

    @property
    def is_idle(self) -> bool:
        """Nothing that was begun here goes on any more."""
        return not self.front.open and not self._loads

    def is_free_to_ask(self, provider: str) -> bool:
        """Whether nobody is paid for an answer of it: an engine of one's own."""
        entry = self._entries.entries.get(provider)
        return entry is not None and is_built_in(provider, entry) and not is_cloud(entry.provider or provider)

    def _target(self, name: str, entry: Entry) -> Target:
        """What is asked: our own providers directly, those from outside with care."""
        provider = self.providers[name]
        return provider if is_built_in(name, entry) else CarefulTarget(provider)

    def _room_of(self, name: str, entry: Entry) -> RoomOf | None:
        """What bounds the line before a provider's models: the engines of this machine know, of others it is said."""
        if isinstance(self.providers[name], LocalProvider):
            return lambda model: room_at(self._shared.engines.places(model))
        if entry.parallel is None:
            return None
        room = Room(in_flight=entry.parallel, waiting=entry.queue, patience_s=entry.queue_timeout_s)
        return lambda _: room

    def _listed(self) -> dict[str, Listed]:
        default_model = self.config.ai.default_model
        asked = {
            name: is_asked(entry.provider or name, names_models=bool(entry.models))
            for name, entry in self._entries.entries.items()
        }
        return {
            name: Listed(
                source=CarefulSource(self.providers[name]),
                models=entry.models,
                default_model=(default_model if name == self._entries.default else None) or entry.default_model,
                is_open=is_open(name, entry),
                kinds=careful_kinds(self.providers[name]),
                version_joint=version_joint(entry.provider or name),
                # A cloud's list of hundreds is not fetched just to route: it is asked for what a caller names.
                asks=asked[name],
                is_near=(entry.provider or name) == LOCAL,
                tells=tells(entry.provider or name, is_asked=asked[name]),
            )
            for name, entry in self._entries.entries.items()
        }

    def _front(self) -> Front:
        desk = Desk(
            doorman=Doorman(
                {key.sha256: key.name for key in self.config.keys},
                admins={key.name for key in self.config.keys if key.is_admin},
            ),
            limits=http_limits(self.config.server.limits),
            telemetry=self._shared.telemetry,
            repeats=self._shared.repeats,
        )
        streaming = self.config.ai.features.streaming
        openai = OpenAISurface(self.target, self, streaming=streaming)
        responses = ResponsesSurface(self.target, self._shared.responses, count=self.count, streaming=streaming)
        ollama = OllamaSurface(
            self.target,
            self.catalog,
            load=self.load,
            unload=self._care.unload,
            jobs=self._shared.jobs,
            streaming=streaming,
        )
        anthropic = AnthropicSurface(self.target, self, count=self.count, streaming=streaming)
        health = HealthSurface(self._shared.is_draining, lambda: self.config.generation)
        models_here = Inferring(self.catalog, self.providers, self._shared.engines)
        oip = OipSurface(self.target, models_here, is_draining=self._shared.is_draining)
        posts: dict[str, Endpoint] = {}

        async def versioned(exchange: Exchange) -> None:
            await openai.versioned(exchange, posts)

        async def models(exchange: Exchange) -> None:
            await (anthropic if anthropic.is_asked(exchange) else openai).models(exchange)

        routes: dict[str, Mapping[str, Endpoint]] = {
            "/v1/chat/completions": {"POST": openai.chat},
            "/v1/completions": {"POST": openai.completion},
            "/v1/embeddings": {"POST": openai.embedding},
            "/v1/responses": {"POST": responses.create},
            "/v1/responses/input_tokens": {"POST": responses.input_tokens},
            "/v1/responses/compact": {"POST": responses.compact},
            "/v1/responses/": dict.fromkeys(("GET", "POST", "DELETE"), responses.below),
            "/v1/messages": {"POST": anthropic.messages},
            "/v1/messages/count_tokens": {"POST": anthropic.count_tokens},
            **media_routes(MediaSurface(self.target, streaming=streaming)),
            **ollama_routes(ollama),
            **oip_routes(oip),
            "/v1/models": {"GET": models},
            "/v1/models/": {"GET": models, "POST": versioned},
            "/health/live": {"GET": health.live},
            "/health/ready": {"GET": health.ready},
            "/metrics": {"GET": health.metrics},
        }
        posts |= {path: methods["POST"] for path, methods in routes.items() if "POST" in methods}
        return Front(
            desk,
            routes,
            api=self._typed_api(desk),
            start=self.start,
            stop=self.stop,
            refusals={"/v1/messages": anthropic.refuse, "/v2": oip.refuse},
        )

    def _typed_api(self, desk: Desk) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
        """FastAPI takes a quarter of a second to import: it is made for the first request that needs it."""
        made: list[Callable[[Scope, Receive, Send], Awaitable[None]]] = []

        async def api(scope: Scope, receive: Receive, send: Send) -> None:
            if not made:
                from farmgate.surfaces.http.farm import farm_app

                made.append(
                    farm_app(
                        desk,
                        target=self.target,
                        models=self,
                        health=self.health,
                        load=self.load,
                        fetch=fetching(self._shared.fetch, self._shared.engines, self.catalog, self._loading),
                        jobs=self._shared.jobs,
                        care=self._care,
                        streaming=self.config.ai.features.streaming,
                        administration=self._shared.administration(),
                        explain=self.explain,
                    )
                )
            await made[0](scope, receive, send)

        return api

    async def count(self, request: Request) -> Counted:
        """The tokens of a conversation: counted by the provider that would answer, where it can, or estimated."""
        candidate = (await find(request, self.catalog)).first
        provider, model = candidate.provider, candidate.model
        addressed = request.to(provider=provider, model=model)
        there = self.providers[provider]
        tokens = await there.count_tokens(addressed) if isinstance(there, CountsTokens) else None
        if tokens is not None:
            return Counted(tokens=tokens, provider=provider, model=model)
        words = request.body.ask()
        assert isinstance(words, Chat)
        return Counted(tokens=estimate(words), provider=provider, model=model, estimated=True)

    def explain(self, question: Question) -> Explanation:
        """Who would be asked now. Nobody is asked. Raises FarmError as the asking would."""
        known_caller(question, self.config)
        return explain(
            question,
            self.catalog,
            self._shared.ward,
            now=time.monotonic(),
            calls=self.config.ai.attempts.calls,
            left_out=self.config.left_out,
            doubts=doubts_of(self._entries, self.config),
        )

    async def start(self) -> None:
        """Learn what the providers have."""
        await self.catalog.refresh()

    async def stop(self) -> None:
        """Close every provider. Requests still in flight are cut off."""
        await self.catalog.close()
        for provider in self.providers.values():
            await careful_close(provider)

    @property
    def default(self) -> tuple[str, str | None] | None:
        """Provider and model that answer when none is named."""
        view = self.catalog.view()
        if view.default_provider is None:
            return None
        with contextlib.suppress(FarmError):
            candidate = plan(None, None, view).first
            return candidate.provider, candidate.model
        return view.default_provider, None

    @property
    def is_demo(self) -> bool:
        """Nothing but the demo can answer."""
        return self._entries.default == DEMO

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What answers and what does not, a line each."""
        counts: dict[str, int] = dict.fromkeys(self.providers, 0)
        for model in self.catalog.models():
            counts[model.provider] += 1
        lines = [self._finding(name, counts[name]) for name in self.providers]
        lines += [Finding(name=name, is_there=False, text=why) for name, why in self.config.left_out.items()]
        return tuple(lines)

    def _finding(self, name: str, count: int) -> Finding:
        found = self._entries.found.get(name)
        entry = self._entries.entries[name]
        silent = self.catalog.silent.get(name)
        if silent is not None:
            return Finding(name=name, is_there=False, text=silent)
        if variable := missing_key(name, entry, self.config):
            return Finding(name=name, is_there=False, text=f"no key: set {variable}")
        if not count and (entry.provider or name) == LOCAL:
            return Finding(name=name, is_there=False, text="no model yet: farmgate pull starter")
        where = f"at {found.url}" if found and found.url else f"key from {found.key_variable}" if found else ""
        models = f"{count} model{'s' if count != 1 else ''}" if count or not is_open(name, entry) else ""
        if count and not self._listed_by_name[name].asks:
            models += " named, asked when needed"
        return Finding(
            name=name,
            is_there=models != "0 models",
            text=", ".join(filter(None, (models, where))) or "any model",
            url=found.url if found else None,
            key_variable=found.key_variable if found else None,
        )

    def models(self) -> list[ModelInfo]:
        return self.catalog.models()

    async def refresh(self) -> None:
        """Look again at what the providers have, and what they tell of it."""
        await asyncio.gather(self.catalog.refresh(), self.catalog.learn())

    async def health(self) -> dict[str, Health]:
        """Every provider's state, asked all at once."""
        answers = await asyncio.gather(*map(careful_health, self.providers.values()))
        return dict(zip(self.providers, answers, strict=True))

    @contextlib.contextmanager
    def _loading(self) -> Iterator[None]:
        self._loads += 1  # a job outlives the request that began it: what it needs stays open till then
        try:
            yield
        finally:
            self._loads -= 1

    async def load(self, model: str, provider: str | None, report: Report) -> None:
        """Make a model ready. One that is not there is got by the provider named, or by the default one."""
        candidate = who_gets(model, provider, self.catalog.view())
        with self._loading():
            await self.providers[candidate.provider].load(candidate.model, report)
        log.info("model_loaded", provider=candidate.provider, model=candidate.model)
        await self.catalog.refresh(at_once=True)
        self.catalog.learn_soon()


def is_asked(kind: str, *, names_models: bool) -> bool:
    """Whether routing needs a provider's own list of models."""
    return not is_cloud(kind) and not (kind in ROWS and names_models)
