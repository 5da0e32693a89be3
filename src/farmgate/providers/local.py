"""Models on this machine: leases an engine's address for each request and speaks OpenAI to it."""

from __future__ import annotations

import asyncio
import difflib
import math
from collections.abc import Mapping
from typing import TypeVar, cast

import msgspec

from farmgate.core.errors import (
    EngineLost,
    EngineUnavailable,
    InvalidValue,
    ModelNotFound,
    UnsupportedParameter,
    UpstreamError,
    UpstreamUnreachable,
)
from farmgate.core.event import Event, Vector
from farmgate.core.model import Capability, Health, ModelInfo
from farmgate.core.ports import Lease, Lender, Purpose, Report, Weights
from farmgate.core.reply import Reply
from farmgate.core.request import Dialect, Kind, Request
from farmgate.core.words import Chat, Embed, ToolMode
from farmgate.providers.http1 import Broken
from farmgate.providers.inference import check_version, describe, infer
from farmgate.providers.openai import send
from farmgate.providers.provider import ProviderBase
from farmgate.providers.ranking import rank
from farmgate.providers.settings import ProviderSettings
from farmgate.providers.transport import Upstream
from farmgate.wire.openai.requests import encode_request
from farmgate.wire.strictjson import encode
from farmgate.wire.triton.bodies import InferBody

__all__ = ["LocalProvider"]

ADDRESSES_KEPT = 16
NOTICED_S, NOTICED_EVERY_S = 1.0, 0.02
"""How long an engine may have ended before that is known, and how often it is asked for anew meanwhile."""
PURPOSES = {Kind.EMBEDDING: Purpose.EMBED, Kind.RERANK: Purpose.RERANK, Kind.INFER: Purpose.INFER}
NOT_THEIRS: Mapping[str, object] = {"lora": None, "lora_path": None, "adapter_id": None}
"""How engines are told of an adapter beside the model's name: callers say it by the name alone."""
T = TypeVar("T")


class LocalProvider(ProviderBase):
    """The embedded engines as one provider. The engines outlive it: they keep their models over a new configuration."""

    capabilities = frozenset(
        {
            Capability.CHAT,
            Capability.COMPLETION,
            Capability.EMBEDDING,
            Capability.RERANK,
            Capability.INFER,
            Capability.LOAD,
        }
    )

    def __init__(self, settings: ProviderSettings, lender: Lender, weights: Weights) -> None:
        self.name = settings.name
        self._settings = settings
        self._lender = lender
        self._weights = weights
        self._upstreams: dict[str, Upstream] = {}
        self._know_tools: dict[str, bool] = {}

    async def send(self, request: Request) -> Reply:
        model, body = request.model or "", request.body
        if isinstance(body, InferBody) and body.version is not None:
            # Before it is started for a version that it does not have.
            check_version(model, body.version, self._lender.served(model).version)
        purpose = PURPOSES.get(request.kind, Purpose.GENERATE)
        loop = asyncio.get_running_loop()
        until = math.inf
        while True:
            lease = await self._lender.lease(model, purpose=purpose)
            try:
                return await self._answer(request, lease)
            except UpstreamUnreachable as error:
                # It has just ended, by nothing of this request, and who watches it will know in a moment.
                until = min(until, loop.time() + NOTICED_S)
                if loop.time() >= until:
                    raise gone(request) from error
                await asyncio.sleep(NOTICED_EVERY_S)

    async def _answer(self, request: Request, lease: Lease) -> Reply:
        """Ask the engine behind a lease, which is released with the answer. Raises UpstreamUnreachable where it was not
        reached at all, and EngineLost where it went away."""
        try:
            headers = credential(lease)
            if offers_tools(request) and not await self._knows_tools(lease, deadline=request.deadline):
                raise UnsupportedParameter(
                    f"{request.model} was not made to use tools: its chat template has no place for them. "
                    "Leave them out, or name a model that was.",
                    param="tools",
                )
            if request.kind is Kind.INFER:
                reply = await infer(self._upstream(lease), request, settings=self._settings, headers=headers)
            elif request.kind is Kind.RERANK:
                reply = await rank(self._upstream(lease), request, settings=self._settings, headers=headers)
            else:
                reply = await send(
                    self._upstream(lease),
                    request,
                    settings=self._settings,
                    asks_usage=True,
                    ours={**NOT_THEIRS, **lease.fields},
                    prefix="/v1",
                    headers=headers,
                    named=request.model,
                )
        except BaseException as error:
            lease.release()
            if isinstance(error, UpstreamError) and is_gone(error) and not isinstance(error, UpstreamUnreachable):
                raise lost(request) from error
            raise
        reply = reply if reply.event is not None else guarded(reply, request)
        reply.when_closed(lambda failure: lease.release(answered=failure is None))
        if request.kind is Kind.EMBEDDING:
            shorten(reply, request)
        return reply

    async def describe(self, model: str, version: str | None, *, deadline: float) -> bytes:
        """What tensors a model takes and gives. It is started if it does not run: only it knows. Raises FarmError."""
        check_version(model, version, self._lender.served(model).version)
        lease = await self._lender.lease(model, purpose=Purpose.INFER)
        try:
            return await describe(
                self._upstream(lease),
                model,
                version,
                settings=self._settings,
                headers=credential(lease),
                deadline=deadline,
            )
        finally:
            lease.release()

    async def count_tokens(self, request: Request) -> int | None:
        """As the engine itself counts: what would be sent, behind the model's template, through its tokenizer.

        None where it cannot show the model all of it, as images. The engine is started if it does not run.
        """
        lease = await self._lender.lease(request.model or "", purpose=Purpose.GENERATE)
        try:
            asked = encode_request(request, provider=self.name, ask_usage=False).body
            prompt = await self._ask(lease, "/apply-template", asked, Prompt, deadline=request.deadline)
            if prompt is None:
                return None
            text = encode({"content": prompt.prompt, "add_special": True, "parse_special": True})
            told = await self._ask(lease, "/tokenize", text, Tokens, deadline=request.deadline)
            return None if told is None else len(told.tokens)
        finally:
            lease.release()

    async def _ask(self, lease: Lease, path: str, body: bytes, kind: type[T], *, deadline: float) -> T | None:
        """What an engine answers; None for a refusal, or for what is nothing of that kind."""
        upstream, headers = self._upstream(lease), credential(lease)
        async with await upstream.send("POST", path, body=body, headers=headers, deadline=deadline) as answer:
            told = await answer.whole(self._settings.answer_bytes)
            if answer.status != 200:
                return None
        try:
            return msgspec.json.decode(told, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    async def _knows_tools(self, lease: Lease, *, deadline: float) -> bool:
        """Whether the model's template shows tools to it: llama.cpp leaves them out of any other, and says nothing."""
        known = self._know_tools.get(lease.url)
        if known is None:
            upstream = self._upstream(lease)
            async with await upstream.send("GET", "/props", headers=credential(lease), deadline=deadline) as answer:
                known = answer.status != 200 or shows_tools(await answer.whole(self._settings.answer_bytes))
            self._know_tools[lease.url] = known
        return known

    def _upstream(self, lease: Lease) -> Upstream:
        """The connections to a lease's address. Every start of an engine has an address of its own, so the oldest are
        dropped: those of engines that are no more."""
        upstream = self._upstreams.get(lease.url)
        if upstream is None:
            for url, old in list(self._upstreams.items())[: 1 - ADDRESSES_KEPT]:
                if not old.in_use:
                    old.close()
                    del self._upstreams[url]
                    self._know_tools.pop(url, None)
            upstream = Upstream(lease.url, name=self.name, timeouts=self._settings.timeouts)
            self._upstreams[lease.url] = upstream
        return upstream

    async def models(self) -> tuple[ModelInfo, ...]:
        return self._lender.models()

    async def load(self, model: str, report: Report) -> None:
        there = [known.name for known in self._lender.models()]
        if model not in there:
            try:
                await self._weights.pull(model, report)
            except ModelNotFound as error:
                if self._lender.places(model) is None:
                    if close := difflib.get_close_matches(model[:100], there, n=1):
                        said = f"There is no model {model[:100]!r} on this machine: did you mean {close[0]!r}?"
                        raise ModelNotFound(said, param="model") from error
                    raise
                raise ModelNotFound(
                    f"{model} is configured, and its files are not there: `farmgate doctor` says why.", param="model"
                ) from error
        await self._lender.load(model, report)

    async def unload(self, model: str) -> None:
        await self._lender.unload(model)

    async def health(self) -> Health:
        status, detail = self._lender.state()
        names = tuple(model.name for model in self._lender.models())
        return Health(name=self.name, status=status, models=names, detail=detail)

    async def close(self) -> None:
        for upstream in self._upstreams.values():
            upstream.close()


class Caps(msgspec.Struct):
    """What a model's chat template can show it."""

    supports_tools: bool = True


class Props(msgspec.Struct):
    """What an engine says of itself."""

    chat_template_caps: Caps = msgspec.field(default_factory=Caps)


class Prompt(msgspec.Struct):
    """A conversation behind a model's template."""

    prompt: str


class Tokens(msgspec.Struct):
    """A text in tokens."""

    tokens: list[object]


def shows_tools(props: bytes) -> bool:
    """What an engine does not say is taken for granted."""
    try:
        return msgspec.json.decode(props, type=Props).chat_template_caps.supports_tools
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return True


def offers_tools(request: Request) -> bool:
    """Whether the model may call a tool."""
    body = request.body
    if request.kind is not Kind.CHAT:
        return False
    if body.dialect is Dialect.OPENAI:  # not its words: they cost time, and some bodies have none
        return bool(body.fields.get("tools")) and body.fields.get("tool_choice") != "none"
    words = body.ask()
    is_off = isinstance(words, Chat) and words.tool_choice is not None and words.tool_choice.mode is ToolMode.NONE
    return isinstance(words, Chat) and bool(words.tools) and not is_off


def credential(lease: Lease) -> bytes:
    """The header an engine knows us by."""
    return f"authorization: Bearer {lease.key}\r\n".encode() if lease.key else b""


def shorten(reply: Reply, request: Request) -> None:
    """Cut the vectors of an answer to the number of dimensions asked for: llama.cpp's server knows no such field.

    Cut vectors are made as long as whole ones, 1, as OpenAI and Ollama do it. Closes the reply and raises InvalidValue
    where the model has fewer dimensions.
    """
    wanted = dimensions_in(request)
    if wanted is None or reply.event is None:
        return
    parts = reply.event.parts
    least = min((len(part.values) for part in parts if isinstance(part, Vector)), default=wanted)
    if least < wanted:
        error = InvalidValue(f"`dimensions` must be at most {least}: {request.model} has no more.", param="dimensions")
        reply.close(error)
        raise error
    reply.event = Event(tuple(cut(part, wanted) if isinstance(part, Vector) else part for part in parts))


def dimensions_in(request: Request) -> int | None:
    body = request.body
    if body.dialect is Dialect.OPENAI:  # not its words: an input of tokens has none
        told = cast("float | None", body.fields.get("dimensions"))
        return None if told is None else int(told)
    words = body.ask()
    return words.dimensions if isinstance(words, Embed) else None


def cut(vector: Vector, wanted: int) -> Vector:
    values = vector.values[:wanted]
    length = math.hypot(*values) or 1.0
    return Vector(tuple(value / length for value in values), vector.index)


def is_gone(error: UpstreamError) -> bool:
    """Whether the engine broke off, rather than answered with an error of its own."""
    return isinstance(error.__cause__, Broken | OSError)


def gone(request: Request) -> EngineUnavailable:
    return EngineUnavailable(f"The engine of {request.model} went away: it is started again.", retry_after_s=1.0)


def lost(request: Request) -> EngineLost:
    return EngineLost(
        f"The engine of {request.model} ended while it was at this: it is started again.", retry_after_s=1.0
    )


def guarded(reply: Reply, request: Request) -> Reply:
    """The same answer. An engine that dies before it has said anything did not answer: a fallback may."""
    has_spoken = False

    async def following() -> Event | None:
        nonlocal has_spoken
        try:
            event = await reply.next()
        except UpstreamError as error:
            if has_spoken or not is_gone(error):
                raise
            raise lost(request) from error
        has_spoken = event is None or has_spoken or event.bears_content
        return event

    # Poured is only what follows the first content.
    same = Reply(following, provider=reply.provider, model=reply.model, close=reply.close, pour=reply.pour)
    same.dropped = reply.dropped
    return same
