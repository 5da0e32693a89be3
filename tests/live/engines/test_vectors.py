"""Embeddings are the mean of what the model makes of each token, whoever is embedded beside them."""

from __future__ import annotations

import base64
import json
import math
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.live.engines.reference import Reference
from tests.live.engines.running import MODELS, Running, StartFailed, asked, at_once, starting

from farmgate.core.ports import Purpose

TEXTS = ["How do I get a model?", "Tell me how to get a model.", "The winter is cold, and long, and dark.", "x"]


@pytest.fixture(scope="module")
def embedding(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with starting(MODELS / "guide-1", tmp_path_factory.mktemp("logs"), purpose=Purpose.EMBED) as running:
        yield running


def vectors(running: Running, texts: object, **more: object) -> list[list[float]]:
    told = running.post("/v1/embeddings", {"input": texts, **more})
    assert [each["index"] for each in told["data"]] == list(range(len(told["data"])))
    return [each["embedding"] for each in told["data"]]


def near(one: list[float], other: list[float]) -> bool:
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) < 1e-5


def mean(reference: Reference, text: str) -> list[float]:
    ids = torch.tensor([reference.tokenizer.encode(text)])
    with torch.inference_mode():
        hidden = reference.model.model(ids).last_hidden_state[0].mean(0)
        told: list[float] = (hidden / hidden.norm()).tolist()
    return told


def test_a_vector_is_the_mean_over_its_tokens_and_as_long_as_one(embedding: Running, reference: Reference) -> None:
    together = vectors(embedding, TEXTS)
    for text, vector in zip(TEXTS, together, strict=True):
        assert math.isclose(math.hypot(*vector), 1, abs_tol=1e-5)
        assert near(vector, mean(reference, text))
        assert near(vector, vectors(embedding, text)[0])


def test_who_asks_at_the_same_time_gets_its_own(embedding: Running, reference: Reference) -> None:
    texts = [f"{text} {number}" for number in range(25) for text in TEXTS]
    told = at_once([lambda text=text: vectors(embedding, text)[0] for text in texts[:24]])  # type: ignore[misc]
    assert all(near(vector, mean(reference, text)) for text, vector in zip(texts, told, strict=False))
    many = vectors(embedding, texts)
    assert near(many[0], told[0])
    assert len(many) == 100
    assert embedding.metric("rows_total") > embedding.metric("steps_total")


def test_vectors_come_shorter_and_packed_where_that_is_asked(embedding: Running) -> None:
    (whole,) = vectors(embedding, "a text")
    (short,) = vectors(embedding, "a text", dimensions=16)
    assert len(short) == 16
    assert math.isclose(math.hypot(*short), 1, abs_tol=1e-5)
    told: Any = embedding.post("/v1/embeddings", {"input": "a text", "encoding_format": "base64"})
    packed = base64.b64decode(told["data"][0]["embedding"])
    assert near(list(struct.unpack(f"<{len(whole)}f", packed)), whole)
    assert told["usage"]["prompt_tokens"] == told["usage"]["total_tokens"] > 0


def test_a_text_that_is_too_long_is_refused_and_not_cut(embedding: Running) -> None:
    status, told = embedding.call("POST", "/v1/embeddings", {"input": ["ok", "word " * 1200]})
    assert (status, told["error"]["code"], told["error"]["param"]) == (400, "context_length_exceeded", "input[1]")


def test_a_process_for_vectors_writes_no_text(embedding: Running) -> None:
    status, told = embedding.call("POST", "/v1/chat/completions", asked("x"))
    assert (status, told["error"]["code"]) == (400, "not_supported")


def test_makers_who_want_another_token_get_it(tmp_path: Path, reference: Reference) -> None:
    folder = tmp_path / "last"
    shutil.copytree(MODELS / "guide-1", folder)
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling/config.json").write_text(json.dumps({"pooling_mode_lasttoken": True}))
    with starting(folder, tmp_path, purpose=Purpose.EMBED) as running:
        ids = torch.tensor([reference.tokenizer.encode(TEXTS[0])])
        with torch.inference_mode():
            hidden = reference.model.model(ids).last_hidden_state[0, -1]
        assert near(vectors(running, TEXTS)[0], (hidden / hidden.norm()).tolist())
    (folder / "1_Pooling/config.json").write_text(json.dumps({"pooling_mode_max_tokens": True}))
    with pytest.raises(StartFailed, match="pooled by"), starting(folder, tmp_path, purpose=Purpose.EMBED):
        pass
