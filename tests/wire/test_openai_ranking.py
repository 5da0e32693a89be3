"""Rankings as llama.cpp, vLLM and Jina write them."""

from __future__ import annotations

import json

import pytest

from farmgate.core.answer import fold
from farmgate.core.errors import UpstreamInvalidResponse
from farmgate.core.event import Ranked, Usage
from farmgate.core.words import Rerank
from farmgate.wire.openai.ranking import decode_ranking, encode_ranking

TOLD = {
    "model": "m",
    "object": "list",
    "usage": {"prompt_tokens": 28, "total_tokens": 28},
    "results": [{"index": 2, "relevance_score": -0.5}, {"index": 0, "relevance_score": -2.9}],
}
BODY = json.dumps(TOLD).encode()


def test_places_scores_and_tokens_are_read() -> None:
    event = decode_ranking(BODY, documents=3, provider="up")
    assert event.parts == (Ranked(2, -0.5), Ranked(0, -2.9), Usage(prompt_tokens=28))


def test_without_tokens_it_is_a_ranking_all_the_same() -> None:
    body = json.dumps({"results": TOLD["results"]}).encode()
    assert decode_ranking(body, documents=3, provider="up").parts == (Ranked(2, -0.5), Ranked(0, -2.9))


@pytest.mark.parametrize("places", [[0, 3], [-1], [1, 1]])
def test_documents_that_were_not_sent_or_come_twice_are_no_ranking(places: list[int]) -> None:
    body = json.dumps({"results": [{"index": at, "relevance_score": 1.0} for at in places]}).encode()
    with pytest.raises(UpstreamInvalidResponse, match="not sent, or one twice"):
        decode_ranking(body, documents=3, provider="up")


def test_cut_anywhere_it_is_none() -> None:
    for end in range(len(BODY)):
        with pytest.raises(UpstreamInvalidResponse):
            decode_ranking(BODY[:end], documents=3, provider="up")


def test_it_is_told_best_first_and_no_more_than_asked_for() -> None:
    words = Rerank(query="q", documents=("a", "b", "c"), most=1)
    answer = fold([decode_ranking(BODY, documents=3, provider="up")])
    told = encode_ranking(answer, words, id="rerank-1", model="m", with_documents=True)
    assert told["results"] == [{"index": 2, "relevance_score": -0.5, "document": {"text": "c"}}]
    assert told["usage"] == {"prompt_tokens": 28, "total_tokens": 28}
