"""Ranking with a model of this machine: its engine gives each document a score, and the gate does the rest."""

from __future__ import annotations

from functools import partial
from typing import cast

from farmgate.core.errors import ContextLengthExceeded, FarmError
from farmgate.core.reply import Reply
from farmgate.core.request import Request
from farmgate.core.words import Rerank
from farmgate.providers.exchange import refusal
from farmgate.providers.settings import ProviderSettings
from farmgate.providers.transport import Upstream
from farmgate.wire.losses import Losses
from farmgate.wire.openai.errors import decode_error
from farmgate.wire.openai.ranking import decode_ranking
from farmgate.wire.strictjson import encode

__all__ = ["rank"]

WRITTEN_HERE = frozenset(("return_documents",))
"""What the gate does itself with a ranking."""


async def rank(upstream: Upstream, request: Request, *, settings: ProviderSettings, headers: bytes) -> Reply:
    """The documents' scores. No other field goes out: with some, engines answer in another form. Raises FarmError."""
    words = cast("Rerank", request.body.ask())
    losses = Losses(settings.name)
    losses.leave(words.extra, known=WRITTEN_HERE)
    body = encode({"model": request.model, "query": words.query, "documents": list(words.documents)})
    sent = await upstream.send("POST", "/v1/rerank", body=body, headers=headers, deadline=request.deadline)
    async with sent as answer:
        if answer.status != 200:
            raise await refusal(answer, partial(refused, provider=settings.name))
        told = await answer.whole(settings.answer_bytes)
    event = decode_ranking(told, documents=len(words.documents), provider=settings.name)
    reply = Reply.whole(event, provider=settings.name, model=request.model or "")
    reply.dropped = losses.dropped
    return reply


def refused(status: int, body: bytes, *, provider: str) -> FarmError:
    """What a status other than 200 means. The query goes with each document: what is too long is one of them."""
    error = decode_error(status, body, provider=provider)
    if isinstance(error, ContextLengthExceeded):
        error.param = "documents"
    return error
