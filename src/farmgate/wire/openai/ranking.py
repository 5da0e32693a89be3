"""Rankings in the form that Jina, vLLM and llama.cpp share."""

from __future__ import annotations

import msgspec

from farmgate.core.answer import Answer
from farmgate.core.errors import UpstreamInvalidResponse
from farmgate.core.event import Event, Ranked, Usage
from farmgate.core.words import Rerank
from farmgate.wire.openai.media import usage_of
from farmgate.wire.upstream import proved

__all__ = ["decode_ranking", "encode_ranking"]


class Result(msgspec.Struct):
    """One document's place in what was sent, and its score: the higher, the better."""

    index: int
    relevance_score: float


class Ranking(msgspec.Struct):
    """What is read of a ranking."""

    results: list[Result]
    usage: msgspec.Raw = msgspec.Raw(b"")


decode = msgspec.json.Decoder(Ranking).decode


def decode_ranking(body: bytes, *, documents: int, provider: str) -> Event:
    """A ranking of so many documents. Raises UpstreamInvalidResponse for one of others."""
    told = proved(body, decode, provider, "answered with something that is not a ranking")
    places = {result.index for result in told.results}
    if len(places) != len(told.results) or not all(0 <= place < documents for place in places):
        raise UpstreamInvalidResponse(f"{provider} ranked documents that were not sent, or one twice.")
    ranked = tuple(Ranked(result.index, result.relevance_score) for result in told.results)
    usage = usage_of(bytes(told.usage))
    return Event((*ranked, usage) if usage is not None else ranked)


def encode_ranking(answer: Answer, words: Rerank, *, id: str, model: str, with_documents: bool) -> dict[str, object]:
    """A ranking in the form Jina, vLLM and llama.cpp share, best first."""
    best = sorted(answer.ranking, key=lambda ranked: -ranked.score)[: words.most]
    usage = answer.usage or Usage(estimated=True)

    def told(index: int) -> dict[str, object]:
        return {"document": {"text": words.documents[index]}} if with_documents else {}

    if any(not 0 <= ranked.index < len(words.documents) for ranked in best):
        raise UpstreamInvalidResponse("The provider ranks a document that was not sent.")
    return {
        "id": id,
        "object": "list",
        "model": model,
        "results": [{"index": one.index, "relevance_score": one.score, **told(one.index)} for one in best],
        "usage": {"prompt_tokens": usage.prompt_tokens, "total_tokens": usage.total_tokens},
    }
