"""Google Cloud's Vertex AI: Gemini, and other publishers' models, with an identity of Google Cloud.

Source: https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference
"""

from __future__ import annotations

import re
from functools import partial

from farmgate.core.errors import FarmError, ModelNotCapable, ModelNotFound
from farmgate.core.event import Event
from farmgate.core.model import Health, HealthStatus, ModelInfo
from farmgate.core.reply import Reply
from farmgate.core.request import Kind, Request
from farmgate.core.words import Embed
from farmgate.providers.anthropic import max_tokens_of
from farmgate.providers.checkup import checked_up
from farmgate.providers.credentials import google_credential
from farmgate.providers.exchange import ProviderCodec, ask, refusal
from farmgate.providers.gemini import CAPABILITIES, chat_codec, fixed_fields, whole_codec
from farmgate.providers.many import Texts, batched, embed
from farmgate.providers.openai import send
from farmgate.providers.paths import segment
from farmgate.providers.provider import ProviderBase
from farmgate.providers.settings import ProviderSettings
from farmgate.providers.transport import Upstream
from farmgate.wire.anthropic.answers import decode_count as decode_claude_count
from farmgate.wire.anthropic.answers import decode_whole as decode_claude
from farmgate.wire.anthropic.errors import decode_error as decode_anthropic_error
from farmgate.wire.anthropic.requests import NOT_COUNTED, betas_of
from farmgate.wire.anthropic.requests import encode_request as encode_claude
from farmgate.wire.anthropic.stream import StreamReader as ClaudeReader
from farmgate.wire.gemini.counting import decode_count, encode_count
from farmgate.wire.gemini.embeddings import (
    decode_one,
    decode_predictions,
    encode_one,
    encode_predictions,
    task_of,
)
from farmgate.wire.gemini.errors import decode_error
from farmgate.wire.gemini.flavors import VERTEX
from farmgate.wire.gemini.requests import chat_path, encode_request, quoted
from farmgate.wire.losses import Losses, Outgoing
from farmgate.wire.strictjson import encode

__all__ = ["VertexProvider"]

ANTHROPICS = re.compile(rb'\s*\{\s*"type"\s*:\s*"error"')
LOCATION = re.compile(r"[a-z][a-z0-9-]{0,62}")
GLOBAL = "global"
MULTI_REGIONS = ("us", "eu")
CLAUDE_VERSION = {"anthropic_version": "vertex-2023-10-16"}
HEALTH_S = 5.0
MOST_TEXTS = 250
"""That one predict takes; the Gemini embedding models take one."""


class VertexProvider(ProviderBase):
    """Vertex AI in one location.

    Options: `project`, else that of the credential; `location` (`global`, `us`, `eu` or a region; `global` if left
    out); `safetySettings`, for Gemini; `maxTokens`, for Claude and callers who set none; `credential`: see
    credentials/google.py. With an `apiKey` and no project: express mode.
    """

    capabilities = CAPABILITIES

    def __init__(self, settings: ProviderSettings) -> None:
        """Raises ValueError or CredentialError for a setting that makes no sense."""
        self.name = settings.name
        self._settings = settings
        self._location = location_of(settings)
        self._fixed = fixed_fields(settings)
        self._max_tokens = max_tokens_of(settings)
        self._is_express = bool(settings.api_key) and not settings.options.get("project")
        self._credential = google_credential(settings)
        self._upstream = Upstream(
            settings.url or address_of(self._location),
            name=settings.name,
            headers=settings.headers,
            timeouts=settings.timeouts,
        )

    async def send(self, request: Request) -> Reply:
        publisher, model = self._named(request)
        match request.kind:
            case Kind.CHAT if publisher == "google":
                return await self._chat(request, model)
            case Kind.CHAT if publisher == "anthropic":
                return await self._claude(request, model)
            case Kind.CHAT:
                return await self._open(request, f"{publisher}/{model}")
            case Kind.EMBEDDING if publisher == "google":
                return await self._embed(request, model)
            case _:
                raise ModelNotCapable(f"{self.name} has no {request.kind} API for {model[:100]!r}.", param="model")

    def _named(self, request: Request) -> tuple[str, str]:
        """The publisher and the model's name there. A name with more steps is a resource of whatever project it says,
        and some go out in a body, where nothing quotes them. Raises ModelNotFound."""
        publisher, model = publisher_of(request.model or "")
        if segment(publisher) != publisher or "/" in model:
            raise ModelNotFound(
                f"{self.name} has no model {(request.model or '')[:100]!r}: write `publisher/model`.", param="model"
            )
        segment(model)
        return publisher, model

    async def _chat(self, request: Request, model: str) -> Reply:
        outgoing = encode_request(request, provider=self.name, flavor=VERTEX, fixed=self._fixed)
        path = chat_path(await self._path(model, request.deadline), stream=request.stream)
        lines = await self._lines(path, outgoing.body, request.deadline)
        return await ask(
            self._upstream,
            path,
            outgoing,
            request=request,
            settings=self._settings,
            codec=chat_codec(request, self._settings),
            headers=lines,
        )

    async def _claude(self, request: Request, model: str) -> Reply:
        """Anthropic's models speak Messages, their name and the version of the API said elsewhere."""
        outgoing = encode_claude(
            request, provider=self.name, max_tokens=self._max_tokens, without=("model",), put=CLAUDE_VERSION
        )
        resource = await self._path(model, request.deadline, publisher="anthropic")
        path = f"{resource}:{'streamRawPredict' if request.stream else 'rawPredict'}"
        name = request.model or ""
        codec = ProviderCodec(
            error=partial(decode_claude_error, provider=self.name, model=name),
            whole=partial(decode_claude, provider=self.name, model=name),
            reader=lambda: ClaudeReader(provider=self.name, model=name, frame_bytes=self._settings.frame_bytes),
        )
        lines = await self._lines(path, outgoing.body, request.deadline) + beta_lines(request)
        return await ask(
            self._upstream, path, outgoing, request=request, settings=self._settings, codec=codec, headers=lines
        )

    async def _open(self, request: Request, model: str) -> Reply:
        """Open models served by Google speak OpenAI, under one address for all of them."""
        place = await self._place(request.deadline)
        prefix = f"{place}/endpoints/openapi"
        lines = await self._lines(prefix, b"", request.deadline)
        addressed = request.to(provider=request.provider or self.name, model=model)
        return await send(
            self._upstream, addressed, settings=self._settings, asks_usage=True, prefix=prefix, headers=lines
        )

    async def _embed(self, request: Request, model: str) -> Reply:
        words = request.body.ask()
        assert isinstance(words, Embed)
        losses = Losses(self.name)
        task = task_of(words, losses)
        resource = await self._path(model, request.deadline)
        is_single = embeds_content(model)

        async def one(texts: Texts) -> Event:
            body = encode_one(texts[0], words, task=task) if is_single else encode_predictions(texts, words, task=task)
            path = f"{resource}:embedContent" if is_single else f"{resource}:predict"
            decode = partial(decode_one, provider=self.name)
            if not is_single:
                decode = partial(decode_predictions, inputs=len(texts), provider=self.name)
            reply = await ask(
                self._upstream,
                path,
                Outgoing(body=body),
                request=request,
                settings=self._settings,
                codec=whole_codec(self._settings, request, decode),
                headers=await self._lines(path, body, request.deadline),
            )
            with reply:
                assert reply.event is not None
                return reply.event

        event = await embed(batched(words.inputs, 1 if "gemini" in model else MOST_TEXTS), one)
        reply = Reply.whole(event, provider=self.name, model=request.model or "")
        reply.dropped = losses.dropped
        return reply

    async def count_tokens(self, request: Request) -> int | None:
        """As Google or Anthropic counts them; None for open models. Costs nothing there."""
        publisher, model = self._named(request)
        if publisher == "google":
            path = f"{await self._path(model, request.deadline)}:countTokens"
            body = encode_count(request, provider=self.name, flavor=VERTEX, resource="")
            return decode_count(await self._told(path, body, request), provider=self.name)
        if publisher != "anthropic":
            return None
        path = f"{await self._path('count-tokens', request.deadline, publisher='anthropic')}:rawPredict"
        body = encode_claude(
            request.to(provider=self.name, model=model),
            provider=self.name,
            without=NOT_COUNTED,
            put=CLAUDE_VERSION,
        ).body
        return decode_claude_count(await self._told(path, body, request), provider=self.name)

    async def _told(self, path: str, body: bytes, request: Request) -> bytes:
        lines = await self._lines(path, body, request.deadline) + beta_lines(request)
        async with await self._upstream.send(
            "POST", path, body=body, headers=lines, deadline=request.deadline
        ) as answer:
            if answer.status != 200:
                error = partial(decode_claude_error, provider=self.name, model=request.model or "")
                raise await refusal(answer, error)
            return await answer.whole(self._settings.answer_bytes)

    async def models(self) -> tuple[ModelInfo, ...]:
        """The models of the settings: the publishers' hundreds are not all open to a project."""
        named = self._settings.models or ((self._settings.default_model,) if self._settings.default_model else ())
        return tuple(ModelInfo(name=name, provider=self.name) for name in named)

    async def health(self) -> Health:
        """Whether the credential is good, and for the first model that is named whether its tokens may be counted: that
        costs nothing."""
        return await checked_up(self._look(), self._upstream, within_s=HEALTH_S)

    async def _look(self) -> Health:
        models = await self.models()
        await self._knock(next((one.name for one in models if publisher_of(one.name)[0] == "google"), None))
        return Health(name=self.name, status=HealthStatus.HEALTHY, models=tuple(model.name for model in models))

    async def _knock(self, model: str | None) -> None:
        if model is None or "embedding" in model:
            await self._lines("", b"", None)
            return
        path = f"{await self._path(publisher_of(model)[1], None)}:countTokens"
        body = encode({"contents": [{"role": "user", "parts": [{"text": "."}]}]})
        lines = await self._lines(path, body, None)
        async with await self._upstream.send("POST", path, body=body, headers=lines) as answer:
            if answer.status != 200:
                raise await refusal(answer, partial(decode_error, provider=self.name, model=model))

    async def close(self) -> None:
        await self._credential.close()
        self._upstream.close()

    async def _place(self, deadline: float | None) -> str:
        """Where everything of the project is in this location."""
        project = await self._credential.project(deadline=deadline)
        return f"/v1/projects/{quoted(project)}/locations/{self._location}"

    async def _path(self, model: str, deadline: float | None, *, publisher: str = "google") -> str:
        """A publisher's model."""
        place = "/v1" if self._is_express else await self._place(deadline)
        return f"{place}/publishers/{publisher}/models/{segment(model)}"

    async def _lines(self, path: str, body: bytes, deadline: float | None) -> bytes:
        return await self._credential.headers(method="POST", path=path, body=body, deadline=deadline)


def location_of(settings: ProviderSettings) -> str:
    """`options.location`. Raises ValueError."""
    told = settings.options.get("location", GLOBAL)
    if not isinstance(told, str) or not LOCATION.fullmatch(told):
        raise ValueError(f"ai.providers.{settings.name}: location is `global`, `us`, `eu` or a region, not {told!r}")
    return told


def address_of(location: str) -> str:
    """Source: https://docs.cloud.google.com/gemini-enterprise-agent-platform/resources/locations"""
    if location == GLOBAL:
        return "https://aiplatform.googleapis.com"
    if location in MULTI_REGIONS:
        return f"https://aiplatform.{location}.rep.googleapis.com"
    return f"https://{location}-aiplatform.googleapis.com"


def publisher_of(model: str) -> tuple[str, str]:
    """Who published a model, and its name there. `claude-...`, `meta/llama-...` and `publishers/x/models/...` tell;
    any other is Google's."""
    plain = model.removeprefix("publishers/")
    publisher, slash, name = plain.partition("/")
    if slash:
        return publisher, name.removeprefix("models/")
    return ("anthropic" if model.startswith("claude") else "google"), model


def embeds_content(model: str) -> bool:
    """Whether a model embeds by embedContent: those after gemini-embedding-001, which predicts as the older ones do."""
    return "gemini" in model and model != "gemini-embedding-001"


def beta_lines(request: Request) -> bytes:
    """The beta features a caller of Anthropic's dialect asked for."""
    betas = betas_of(request.body)
    return f"anthropic-beta: {','.join(betas)}\r\n".encode("latin-1") if betas else b""


def decode_claude_error(status: int, body: bytes, *, provider: str, model: str) -> FarmError:
    """What an error means behind Anthropic's models: Anthropic's own passes through, Google's own comes before it."""
    decode = decode_anthropic_error if ANTHROPICS.match(body) else decode_error
    return decode(status, body, provider=provider, model=model)
