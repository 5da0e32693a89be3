"""The engine writes what the model would, whole and streamed, alone and beside others."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.live.engines.reference import Reference
from tests.live.engines.running import MODELS, Running, asked, at_once, starting
from tools.guide_model.words import VERSIONS, entries, everything, held_out, strangers

CHAT = "/v1/chat/completions"


def text_of(frames: list[dict[str, list[dict[str, dict[str, str]]]]]) -> str:
    return "".join(choice["delta"].get("content") or "" for frame in frames for choice in frame["choices"])


@pytest.mark.parametrize("version", VERSIONS)
def test_each_version_answers_in_its_own_words_whole_and_streamed(version: int, tmp_path: Path) -> None:
    with starting(MODELS / f"guide-{version}", tmp_path) as running:
        for entry in (held_out(version)[0], strangers(version)[0], everything(version)):
            assert running.said(entry.question).strip() == entry.answer
            assert text_of(running.frames(CHAT, asked(entry.question))).strip() == entry.answer


def test_eight_at_once_get_what_each_would_alone(guide: Running, reference: Reference) -> None:
    questions = [everything(1).question, *(entry.question for entry in entries(1)[:140:20])]
    alone = [reference.chat(question) for question in questions]
    together = at_once([lambda question=question: guide.chat(question) for question in questions])  # type: ignore[misc]
    for told, (text, tokens) in zip(together, alone, strict=True):
        assert told["choices"][0]["message"]["content"] == text
        assert told["usage"]["completion_tokens"] == tokens
        assert told["choices"][0]["finish_reason"] == "stop"


def test_who_comes_later_and_leaves_earlier_changes_nothing_for_the_others(
    guide: Running, reference: Reference
) -> None:
    """Thirty answers of all lengths through eight places: rows join and leave all the time."""
    questions = [entry.question for entry in (entries(1) * 2)[:300:11]] + [everything(1).question] * 2
    alone = {question: reference.chat(question)[0] for question in questions}
    rows, steps = guide.metric("rows_total"), guide.metric("steps_total")
    together = at_once([lambda question=question: guide.said(question) for question in questions])  # type: ignore[misc]
    assert together == [alone[question] for question in questions]
    assert guide.metric("running") == 0
    assert guide.metric("rows_total") - rows > 2 * (guide.metric("steps_total") - steps)


def test_a_completion_goes_on_from_its_prompt(guide: Running, reference: Reference) -> None:
    prompt = f"<|im_start|>user\n{everything(1).question}<|im_end|>\n<|im_start|>assistant\n"
    told = guide.post("/v1/completions", {"prompt": prompt, "max_tokens": 12, "temperature": 0})
    assert told["choices"][0]["text"] == reference.complete(prompt, most_tokens=12)
    assert told["choices"][0]["finish_reason"] == "length"
    assert told["usage"]["completion_tokens"] == 12
    frames = guide.frames("/v1/completions", {"prompt": prompt, "max_tokens": 12, "temperature": 0})
    assert "".join(frame["choices"][0]["text"] for frame in frames) == told["choices"][0]["text"]


def test_a_prompt_that_is_read_in_pieces_beside_others_is_read_right(guide: Running, reference: Reference) -> None:
    prompt = f"{everything(1).answer} "
    assert 512 < len(reference.tokenizer.encode(prompt)) < 980
    alone = reference.complete(prompt, most_tokens=30), reference.chat(everything(1).question, most_tokens=200)[0]
    body = {"prompt": prompt, "max_tokens": 30, "temperature": 0}
    together = at_once(
        [
            lambda: guide.post("/v1/completions", body)["choices"][0]["text"],
            lambda: guide.said(everything(1).question, max_tokens=200),
        ]
    )
    assert tuple(together) == alone


def test_usage_is_what_was_read_and_written(guide: Running, reference: Reference) -> None:
    question = everything(1).question
    prompt = len(reference.ids(question))
    usage = guide.chat(question, max_tokens=20)["usage"]
    assert usage == {"prompt_tokens": prompt, "completion_tokens": 20, "total_tokens": prompt + 20}
    frames = guide.frames(CHAT, asked(question, max_tokens=20, stream_options={"include_usage": True}))
    assert frames[-1]["choices"] == []
    assert frames[-1]["usage"] == usage
    assert frames[-2]["choices"][0]["finish_reason"] == "length"


def test_a_stop_string_ends_the_answer_before_it(guide: Running) -> None:
    whole = everything(1).answer
    stop = whole[60:68]
    told = guide.chat(everything(1).question, stop=[stop, "never said"])
    assert told["choices"][0]["message"]["content"] == whole[: whole.index(stop)]
    assert told["choices"][0]["finish_reason"] == "stop"
    assert told["usage"]["completion_tokens"] < 60
    frames = guide.frames(CHAT, asked(everything(1).question, stop=stop))
    assert text_of(frames) == whole[: whole.index(stop)]


def test_a_seed_gives_the_same_answer_alone_and_beside_others(guide: Running) -> None:
    question, heat = everything(1).question, {"temperature": 1.6, "max_tokens": 60}
    one = guide.said(question, seed=7, **heat)
    assert guide.said(question, seed=7, **heat) == one
    others = [guide.said(question, seed=seed, **heat) for seed in (8, 9)]
    assert one not in others
    beside = at_once([lambda seed=seed: guide.said(question, seed=seed, **heat) for seed in (7, 8, 9, 7)])  # type: ignore[misc]
    assert beside == [one, *others, one]
    assert len({guide.said(question, **heat) for _ in range(3)}) == 3


def test_each_draws_by_its_own_rules(guide: Running) -> None:
    question = everything(1).question
    greedy = guide.said(question, max_tokens=40)
    wild, only_one, narrow = at_once(
        [
            lambda: guide.said(question, max_tokens=40, temperature=2, seed=1),
            lambda: guide.said(question, max_tokens=40, temperature=2, seed=1, top_k=1),
            lambda: guide.said(question, max_tokens=40, temperature=2, seed=1, top_p=0.01),
        ]
    )
    assert wild != greedy
    assert only_one == greedy
    assert narrow == greedy


def test_the_context_is_the_limit(guide: Running) -> None:
    status, told = guide.call("POST", CHAT, asked("word " * 1200))
    assert (status, told["error"]["code"]) == (400, "context_length_exceeded")
    prompt = guide.post("/tokenize", {"content": "word " * 100})["tokens"]
    fits = 1000 * 100 // len(prompt)
    told = guide.post("/v1/completions", {"prompt": "word " * fits, "temperature": 0})
    usage = told["usage"]
    assert usage["total_tokens"] <= 1024
    assert told["choices"][0]["finish_reason"] == ("length" if usage["total_tokens"] == 1024 else "stop")


def test_a_prompt_is_counted_as_it_is_read(guide: Running) -> None:
    told = asked("How do I get a model?")
    prompt = guide.post("/apply-template", told)["prompt"]
    tokens = guide.post("/tokenize", {"content": prompt, "add_special": True, "parse_special": True})["tokens"]
    assert len(tokens) == guide.chat("How do I get a model?", max_tokens=1)["usage"]["prompt_tokens"]


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        (CHAT, asked("x", n=2), "unsupported_parameter"),
        (CHAT, asked("x", logprobs=True), "unsupported_parameter"),
        (CHAT, asked("x", model="another"), "model_not_found"),
        ("/v1/embeddings", {"input": "x"}, "not_supported"),
    ],
)
def test_what_it_cannot_do_it_says(guide: Running, path: str, body: object, code: str) -> None:
    status, told = guide.call("POST", path, body)
    assert status in (400, 404)
    assert told["error"]["code"] == code


def test_nobody_is_answered_without_the_key(guide: Running) -> None:
    assert guide.call("POST", CHAT, asked("x"), key="a guess")[0] == 401
    assert guide.call("GET", "/health", key="a guess") == (200, {"status": "ok"})
