"""Amazon Bedrock: chat through Converse, embeddings through InvokeModel, signed with AWS's credentials or a key."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from farmgate.core.errors import ModelNotCapable, ModelNotFound, UpstreamInvalidResponse
from farmgate.core.model import Capability, Health, HealthStatus, ModelInfo
from farmgate.core.reply import Reply
from farmgate.core.request import Request
from farmgate.core.words import Chat, Embed
from farmgate.providers.amazon import open_amazon, text_option
from farmgate.providers.exchange import ProviderCodec, ask, refusal
from farmgate.providers.many import all_of, vectors_event
from farmgate.providers.paths import segment
from farmgate.providers.provider import ProviderBase
from farmgate.providers.settings import ProviderSettings
from farmgate.wire.bedrock.answers import decode_whole
from farmgate.wire.bedrock.embeddings import Embedded, Maker, decode_embedding, encode_embeddings, maker_of
from farmgate.wire.bedrock.errors import decode_error
from farmgate.wire.bedrock.requests import Habits, encode_chat
from farmgate.wire.bedrock.stream import StreamReader
from farmgate.wire.bedrock.thinking import Thinks
from farmgate.wire.losses import Losses

__all__ = ["BedrockProvider"]

EVENT_STREAM = "application/vnd.amazon.eventstream"
TOKENS_HEADER = b"x-amzn-bedrock-input-token-count"
LONGEST_COUNT = 10
ASKS_NOTHING = b'{"messages":[]}'
AT_ONCE = 8
"""How many of one request's embeddings are asked for at a time: Titan takes one text each."""


class BedrockProvider(ProviderBase):
    """One region of Bedrock.

    Options: `region`, `credential: {profile}`, `guardrail` (Converse's guardrailConfig, for every request) and
    `thinking` (`budget` or `adaptive`: how Claude is told).
    """

    capabilities = frozenset(
        {
            Capability.CHAT,
            Capability.EMBEDDING,
            Capability.TOOLS,
            Capability.VISION,
            Capability.AUDIO,
            Capability.FILES,
            Capability.STRUCTURED,
            Capability.REASONING,
        }
    )

    def __init__(self, settings: ProviderSettings) -> None:
        """Raises ValueError for a setting that makes no sense."""
        self.name = settings.name
        self._settings = settings
        self._habits = habits_of(settings)
        self._amazon = open_amazon(settings, service="bedrock", host="bedrock-runtime")

    async def send(self, request: Request) -> Reply:
        self._refuse_resource(request.model or "")
        words = request.body.ask()
        match words:
            case Chat():
                return await self._chat(request, words)
            case Embed():
                return await self._embed(request, words)
            case _:
                raise ModelNotCapable(f"{self.name} has no {request.kind} API: it chats and embeds.", param="model")

    def _refuse_resource(self, model: str) -> None:
        """An ARN names an account, a region and a kind of resource: the operator's to choose, not a caller's."""
        known = (*self._settings.models, self._settings.default_model)
        if model.startswith("arn:") and model not in known:
            raise ModelNotFound(
                f"{self.name} asks only for ARNs that stand in ai.providers.{self.name}.models.", param="model"
            )

    async def _chat(self, request: Request, words: Chat) -> Reply:
        outgoing = encode_chat(request, words, provider=self.name, habits=self._habits)
        path = path_of(request.model or "", "converse-stream" if request.stream else "converse")
        lines = await self._amazon.lines(path, outgoing.body, deadline=request.deadline)
        return await ask(
            self._amazon.upstream,
            path,
            outgoing,
            request=request,
            settings=self._settings,
            codec=self._codec(request.model or ""),
            headers=lines,
        )

    def _codec(self, model: str) -> ProviderCodec:
        name = self.name
        return ProviderCodec(
            error=partial(decode_error, provider=name, model=model),
            whole=partial(decode_whole, provider=name),
            reader=lambda: StreamReader(provider=name, model=model, frame_bytes=self._settings.frame_bytes),
            stream_type=EVENT_STREAM,
        )

    async def _embed(self, request: Request, words: Embed) -> Reply:
        model = request.model or ""
        maker = maker_of(model, provider=self.name)
        losses = Losses(self.name)
        bodies = encode_embeddings(words, maker, losses)
        jobs = [partial(self._invoke, request, body, maker) for body in bodies]
        found = await all_of(jobs, at_once=AT_ONCE)
        if sum(len(one.vectors) for one in found) != len(words.inputs):
            raise UpstreamInvalidResponse(f"{self.name} gave another number of vectors than there were texts.")
        event = vectors_event([one.vectors for one in found], [one.tokens for one in found])
        reply = Reply.whole(event, provider=self.name, model=model)
        reply.dropped = losses.dropped
        return reply

    async def _invoke(self, request: Request, body: bytes, maker: Maker) -> Embedded:
        model = request.model or ""
        async with await self._amazon.send(path_of(model, "invoke"), body, deadline=request.deadline) as answer:
            if answer.status != 200:
                raise await refusal(answer, partial(decode_error, provider=self.name, model=model))
            counted = answer.header(TOKENS_HEADER)
            embedded = decode_embedding(await answer.whole(self._settings.answer_bytes), maker, provider=self.name)
        if embedded.tokens is None and counted.isdecimal() and len(counted) < LONGEST_COUNT:
            embedded.tokens = int(counted)
        return embedded

    async def models(self) -> tuple[ModelInfo, ...]:
        """Those of the settings: what an account may invoke is told by another service, to other permissions."""
        return self._settings.named

    async def health(self) -> Health:
        """Whether the credentials are accepted: a conversation without messages is refused before a model is asked,
        and costs nothing. Whether the model has capacity only a real answer can tell."""
        known = self._settings.models
        model = self._settings.default_model or (known[0] if known else None)
        # Permissions are given by model: without a name, being refused says nothing.
        fine = frozenset({400}) if model else frozenset({400, 403, 404})
        path = path_of(model or "farmgate.health", "converse")
        trouble = await self._amazon.trouble(path, ASKS_NOTHING, fine=fine)
        if trouble is not None:
            return Health(name=self.name, status=HealthStatus.UNHEALTHY, models=known, detail=trouble)
        detail = (
            None if model else f"Name a model in ai.providers.{self.name}.models to know whether it may be invoked."
        )
        return Health(name=self.name, status=HealthStatus.HEALTHY, models=known, detail=detail)

    async def close(self) -> None:
        await self._amazon.close()


def path_of(model: str, action: str) -> str:
    """An id may be an ARN, with slashes and colons in it."""
    return f"/model/{segment(model)}/{action}"


def habits_of(settings: ProviderSettings) -> Habits:
    """What the operator decided. Raises ValueError."""
    guardrail = settings.options.get("guardrail")
    if guardrail is not None and not isinstance(guardrail, Mapping):
        raise ValueError(
            f"ai.providers.{settings.name}: options.guardrail holds guardrailIdentifier and guardrailVersion"
        )
    thinks = text_option(settings, "thinking") or Thinks.BUDGET
    if thinks not in list(Thinks):
        raise ValueError(f"ai.providers.{settings.name}: options.thinking has to be budget or adaptive")
    return Habits(guardrail=guardrail, thinks=Thinks(thinks))
