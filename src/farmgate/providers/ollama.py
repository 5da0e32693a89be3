"""Ollama, through its native API. Its `/v1` is never used: that drops settings and loses errors in mid-stream."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import cast

from farmgate.core.errors import (
    ContextLengthExceeded,
    FarmError,
    ModelNotFound,
    UnsupportedParameter,
    UpstreamInvalidResponse,
    UpstreamUnreachable,
)
from farmgate.core.event import Event
from farmgate.core.model import Capability, Health, HealthStatus, ModelInfo
from farmgate.core.ports import Progress, Report
from farmgate.core.reply import Reply
from farmgate.core.request import Kind, Request
from farmgate.core.words import Embed
from farmgate.providers.checkup import checked_up
from farmgate.providers.exchange import refusal
from farmgate.providers.provider import SAID_IN, ProviderBase
from farmgate.providers.settings import ProviderSettings
from farmgate.providers.transport import Answer, Upstream
from farmgate.wire.ollama.embeddings import decode_embeddings
from farmgate.wire.ollama.errors import decode_error
from farmgate.wire.ollama.models import (
    Installed,
    Resident,
    Shown,
    decode_installed,
    decode_resident,
    decode_show,
    decode_version,
    full_name,
    host_in,
    is_cloud,
)
from farmgate.wire.ollama.pull import PullReader
from farmgate.wire.ollama.requests import (
    PATHS,
    Residence,
    encode_preload,
    encode_pull,
    encode_request,
    encode_show,
    path_of,
)
from farmgate.wire.ollama.stream import StreamReader

__all__ = ["OLLAMA_URL", "OllamaProvider"]

OLLAMA_URL = "http://127.0.0.1:11434"
REGISTRIES = frozenset({"registry.ollama.ai", "ollama.com", "hf.co", "huggingface.co"})
HINT = "Start it with `ollama serve`, or install it from ollama.com."
HEALTH_S = 3.0
# Ollama gives a model 5 minutes to load, and says nothing while it does so or while it verifies a large pull.
JOB_S = 330.0
DRAIN_S = 1.0
SHOW_S = 1.5
SHOWN_AT_ONCE = 8


class OllamaProvider(ProviderBase):
    """One Ollama server.

    Options: `num_ctx` and `keep_alive` go with every request and are never the caller's (a change of num_ctx loads the
    model anew); `allow_cloud` lets models through that Ollama would send on to ollama.com; `registries` are further
    hosts that models may be pulled from.
    """

    capabilities = frozenset(
        {
            Capability.CHAT,
            Capability.COMPLETION,
            Capability.EMBEDDING,
            Capability.TOOLS,
            Capability.VISION,
            Capability.LOAD,
            Capability.PULL,
        }
    )

    def __init__(self, settings: ProviderSettings) -> None:
        """Raises ValueError for a setting that makes no sense."""
        self.name = settings.name
        self._settings = settings
        self._residence = residence_of(settings)
        self._registries = registries_of(settings)
        self._allow_cloud = settings.options.get("allow_cloud") is True
        headers = dict(settings.headers)
        if settings.api_key:
            headers["authorization"] = f"Bearer {settings.api_key}"
        url = (settings.url or OLLAMA_URL).rstrip("/").removesuffix("/v1")
        times = settings.timeouts
        patient = replace(times, first_byte_s=max(times.first_byte_s, JOB_S), idle_s=max(times.idle_s, JOB_S))
        self._shown: dict[tuple[str, str | None], Shown] = {}
        self._upstream = Upstream(url, name=settings.name, headers=headers, timeouts=times)
        self._jobs = Upstream(url, name=settings.name, headers=headers, timeouts=patient)

    async def send(self, request: Request) -> Reply:
        """Chat and completion are always streamed by Ollama: its first byte comes with its first token then, and a slow
        machine's long answer is not taken for silence."""
        model = request.model or ""
        self._refuse_cloud(model)
        outgoing = encode_request(request, provider=self.name, stream=True, residence=self._residence)
        try:
            answer = await self._ask("POST", path_of(request), outgoing.body, model=model, deadline=request.deadline)
        except ContextLengthExceeded as error:
            error.param = SAID_IN.get(request.kind)
            raise
        try:
            is_embedding = request.kind is Kind.EMBEDDING
            reply = await self._embedded(answer, request) if is_embedding else self._stream(answer, model)
        except BaseException:
            answer.close()
            raise
        reply.dropped = outgoing.dropped
        return reply

    async def _embedded(self, answer: Answer, request: Request) -> Reply:
        words = cast("Embed", request.body.ask())
        body = await answer.whole(self._settings.answer_bytes)
        answer.close()
        model = request.model or ""
        event = decode_embeddings(body, inputs=len(words.inputs), provider=self.name, model=model)
        return Reply.whole(event, provider=self.name, model=model)

    def _stream(self, answer: Answer, model: str) -> Reply:
        reader = StreamReader(provider=self.name, model=model, frame_bytes=self._settings.frame_bytes)

        async def following() -> Event | None:
            while not reader.is_done:
                data = await answer.read()
                event = reader.end() if data is None else reader.feed(data)
                if event is not None:
                    return event
            if reader.failure is not None:
                raise reader.failure
            await drain(answer)
            return None

        return Reply(following, provider=self.name, model=model, close=answer.close)

    async def models(self) -> tuple[ModelInfo, ...]:
        """Those of the settings first, under the names given there, then whatever else is installed."""
        installed = await self._installed()
        try:
            resident = decode_resident(await self._get("/api/ps"), provider=self.name)
        except FarmError:  # The list is right without it: `loaded` is unknown then.
            resident = None
        return listed(self._settings, installed, resident, shown=self._shown, num_ctx=self._residence.num_ctx)

    async def learn(self) -> None:
        """What each model can, asked once for as long as it stays what it is, and within a time that leaves the list
        its own. What is not known by then is asked for the next time."""
        wanted = {(model.name, model.modified_at) for model in await self._installed()}
        self._shown = {key: shown for key, shown in self._shown.items() if key in wanted}
        several = asyncio.Semaphore(SHOWN_AT_ONCE)

        async def show(key: tuple[str, str | None]) -> None:
            async with several:
                with suppress(FarmError):
                    self._shown[key] = await self._show(key[0])

        with suppress(TimeoutError):
            async with asyncio.timeout(SHOW_S):
                await asyncio.gather(*map(show, wanted - self._shown.keys()))

    async def _installed(self) -> list[Installed]:
        found = decode_installed(await self._get("/api/tags"), provider=self.name)
        return [model for model in found if self._allow_cloud or not is_cloud(model.name)]

    async def load(self, model: str, report: Report) -> None:
        """Pull the model if it is missing, then have Ollama load it. Runs in the caller's task: cancelling it ends the
        pull, which goes on where it was the next time."""
        self._refuse_cloud(model)
        try:
            shown = await self._show(model)
        except ModelNotFound:
            await self.pull(model, report)
            shown = await self._show(model)
        report(Progress(status="loading"))
        abilities = shown.abilities
        embeds_only = Capability.EMBEDDING in abilities and Capability.COMPLETION not in abilities
        kind = Kind.EMBEDDING if embeds_only else Kind.COMPLETION
        body = encode_preload(model, kind=kind, residence=self._residence)
        async with await self._ask("POST", PATHS[kind], body, model=model, upstream=self._jobs) as answer:
            whole = await answer.whole(self._settings.answer_bytes)
        if kind is Kind.COMPLETION:
            reader = StreamReader(provider=self.name, model=model)
            reader.feed(whole)
            reader.end()
        report(Progress(status="loaded"))

    async def unload(self, model: str) -> None:
        """Ollama lets those who are at it end first."""
        self._refuse_cloud(model)
        kind = Kind.COMPLETION
        body = encode_preload(model, kind=kind, residence=Residence(keep_alive=0))
        async with await self._ask("POST", PATHS[kind], body, model=model, upstream=self._jobs) as answer:
            await answer.whole(self._settings.answer_bytes)

    async def pull(self, model: str, report: Report) -> None:
        """Get a model, or bring it up to date. Raises ModelNotFound when Ollama's library has none by that name."""
        self._refuse_cloud(model)
        self._refuse_elsewhere(model)
        reader = PullReader(provider=self.name, model=model)
        async with await self._ask("POST", "/api/pull", encode_pull(model), model=model, upstream=self._jobs) as answer:
            while not reader.is_done:
                data = await answer.read()
                progress = reader.end() if data is None else reader.feed(data)
                if progress is not None:
                    report(progress)
            await drain(answer)

    async def _show(self, model: str) -> Shown:
        async with await self._ask("POST", "/api/show", encode_show(model), model=model) as answer:
            return decode_show(await answer.whole(self._settings.answer_bytes), provider=self.name)

    async def health(self) -> Health:
        """Whether the server answers. That a model is listed as loaded does not prove that it still answers (loads can
        hang for hours while every list looks well), and only a token can: this does not spend one."""
        return await checked_up(self._look(), self._upstream, within_s=HEALTH_S)

    async def _look(self) -> Health:
        decode_version(await self._get("/api/version"), provider=self.name)
        installed = await self._installed()
        names = tuple(model.name for model in listed(self._settings, installed, None))
        advice = missing_default(self._settings, installed)
        return Health(name=self.name, status=HealthStatus.HEALTHY, models=names, detail=advice)

    async def close(self) -> None:
        self._upstream.close()
        self._jobs.close()

    def _refuse_cloud(self, model: str) -> None:
        if is_cloud(model) and not self._allow_cloud:
            raise UnsupportedParameter(
                f"{model!r} does not run on this machine: Ollama sends its prompts to ollama.com. "
                f"Set `allow_cloud: true` for ai.providers.{self.name} if that is what you want.",
                param="model",
            )

    def _refuse_elsewhere(self, model: str) -> None:
        """A model's name may begin with the host it is pulled from: no caller makes Ollama fetch any address."""
        host = host_in(model)
        if host and host not in self._registries:
            raise UnsupportedParameter(
                f"Models are pulled from {', '.join(sorted(self._registries))} only. Name another host under "
                f"`registries` in the options of ai.providers.{self.name}.",
                param="model",
            )

    async def _get(self, path: str) -> bytes:
        async with await self._ask("GET", path) as answer:
            return await answer.whole(self._settings.answer_bytes)

    async def _ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        model: str = "",
        deadline: float | None = None,
        upstream: Upstream | None = None,
    ) -> Answer:
        """An answer with status 200 that holds JSON. The caller closes it. Raises FarmError."""
        try:
            answer = await (upstream or self._upstream).send(method, path, body=body, deadline=deadline)
        except UpstreamUnreachable as error:
            raise UpstreamUnreachable(f"{error.message} {HINT}") from error
        try:
            if answer.status != 200:
                raise await refusal(answer, partial(decode_error, provider=self.name, model=model))
            kind = answer.header(b"content-type")
            if not kind.startswith(("application/json", "application/x-ndjson")):
                raise UpstreamInvalidResponse(
                    f"{self.name} answered with {kind[:80] or 'no content type'}: is it an Ollama server?"
                )
        except BaseException:
            answer.close()
            raise
        return answer


def registries_of(settings: ProviderSettings) -> frozenset[str]:
    """The hosts models may be pulled from. Raises ValueError."""
    more = settings.options.get("registries", [])
    if not isinstance(more, list) or not all(isinstance(host, str) for host in more):
        raise ValueError(f"ai.providers.{settings.name}: registries must be a list of host names")
    return REGISTRIES | frozenset(host.lower() for host in more)


def residence_of(settings: ProviderSettings) -> Residence:
    """The pinned context and the time to stay in memory. Raises ValueError."""
    num_ctx = settings.options.get("num_ctx")
    if num_ctx is not None and (not isinstance(num_ctx, int) or isinstance(num_ctx, bool) or num_ctx < 1):
        raise ValueError(f"ai.providers.{settings.name}: num_ctx must be a whole number of tokens, not {num_ctx!r}")
    keep_alive = settings.options.get("keep_alive")
    if keep_alive is not None and (not isinstance(keep_alive, str | int | float) or isinstance(keep_alive, bool)):
        raise ValueError(
            f"ai.providers.{settings.name}: keep_alive must be a duration such as '10m' or seconds, not {keep_alive!r}"
        )
    return Residence(num_ctx=num_ctx, keep_alive=keep_alive)


async def drain(answer: Answer) -> None:
    """Read what is left behind a complete answer, so that the connection can carry the next exchange.

    The answer is whole already: a server that dawdles or breaks here only loses its connection.
    """
    with suppress(FarmError, TimeoutError):
        async with asyncio.timeout(DRAIN_S):
            while await answer.read() is not None:
                pass


def listed(
    settings: ProviderSettings,
    installed: Iterable[Installed],
    resident: Iterable[Resident] | None,
    *,
    shown: Mapping[tuple[str, str | None], Shown] = MappingProxyType({}),
    num_ctx: int | None = None,
) -> tuple[ModelInfo, ...]:
    """The settings' models first, then the others; each once. `resident` None: nobody knows what is loaded.

    `num_ctx` goes with every request; without it a model may have as much context as it was made for.
    """
    found = {full_name(model.name): model for model in installed}
    running = None if resident is None else {full_name(model.name): model for model in resident}

    def info(name: str) -> ModelInfo:
        model = found.get(full_name(name))
        if model is None:
            missing = f"not there yet: `farmgate pull {name}`"
            return ModelInfo(name=name, provider=settings.name, description=missing, loaded=False)
        loaded = None if running is None else running.get(full_name(name))
        told = shown.get((model.name, model.modified_at), Shown())
        return ModelInfo(
            name=name,
            provider=settings.name,
            size_bytes=model.size,
            description=model.description,
            loaded=None if running is None else loaded is not None,
            loaded_context_tokens=loaded.context_length if loaded else None,
            context_tokens=min(filter(None, (num_ctx, told.context_tokens)), default=None),
            capabilities=told.abilities,
            lacks=told.lacks,
            created_unix=model.modified_unix,
        )

    wanted = {full_name(name): name for name in settings.models}
    others = [model.name for full, model in found.items() if full not in wanted]
    return tuple(info(name) for name in (*wanted.values(), *others))


def missing_default(settings: ProviderSettings, installed: Iterable[Installed]) -> str | None:
    """What to do where the default model is not installed; None where it is, or none is named."""
    default = settings.default_model
    if default is None or full_name(default) in {full_name(model.name) for model in installed}:
        return None
    return f"The default model {default!r} is not there yet: `farmgate pull {default}`."
