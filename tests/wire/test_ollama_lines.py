"""Ollama's answers as callers get them: lines that its own clients read, and whole answers."""

from __future__ import annotations

import json
import time

from farmgate.core.answer import fold
from farmgate.core.errors import ModelNotFound
from farmgate.core.event import (
    Event,
    Finish,
    FinishReason,
    Logprobs,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolDelta,
    Usage,
    Vector,
)
from farmgate.core.model import Capability, ModelInfo
from farmgate.wire.ollama.answers import (
    LineWriter,
    encode_embedding,
    encode_embeddings,
    encode_error,
    encode_loaded,
    encode_whole,
)
from farmgate.wire.ollama.listing import encode_ps, encode_show, encode_tags
from farmgate.wire.ollama.stream import StreamReader

SAID: list[Part] = [
    Reasoning("hm"),
    Text("Hel"),
    Text("lo"),
    Refusal("no"),
    Text("another answer", 1),
    ToolDelta(index=0, id="c", name="f"),
    ToolDelta(index=0, arguments='{"x":'),
    ToolDelta(index=0, arguments="1}"),
    ToolDelta(index=1, id="d", name="g", arguments="[1]"),
    Finish(FinishReason.TOOL_CALLS),
    Usage(prompt_tokens=7, completion_tokens=3),
]


def written(*parts: Part, is_chat: bool = True, dropped: tuple[str, ...] = ()) -> list[dict[str, object]]:
    writer = LineWriter(model="m", is_chat=is_chat, began=time.monotonic(), dropped=dropped)
    raw = b"".join(writer.write(Event((part,))) for part in parts) + writer.end()
    assert raw.endswith(b"\n")
    return [json.loads(line) for line in raw.splitlines()]


def test_what_is_written_is_read_as_the_same_words() -> None:
    writer = LineWriter(model="m", is_chat=True, began=time.monotonic())
    raw = b"".join(writer.write(Event((part,))) for part in SAID) + writer.end()
    for cut in range(len(raw)):
        reader = StreamReader(provider="p", model="m")
        events = [event for event in (reader.feed(raw[:cut]), reader.feed(raw[cut:]), reader.end()) if event]
        heard = fold(events)
        assert heard.text == "Hellono"
        assert heard.choices[0].reasoning == "hm"
        assert [(use.name, use.arguments) for use in heard.choices[0].tools.values()] == [
            ("f", '{"x":1}'),
            ("g", '{"_arguments":"[1]"}'),
        ]
        assert heard.usage == Usage(prompt_tokens=7, completion_tokens=3)


def test_only_the_last_line_is_done_and_says_what_it_took() -> None:
    *lines, last = written(*SAID, dropped=("user",))
    assert not any(line["done"] for line in lines)
    assert all(line["model"] == "m" and str(line["created_at"]).endswith("Z") for line in [*lines, last])
    assert (last["done"], last["done_reason"], last["prompt_eval_count"], last["eval_count"]) == (True, "stop", 7, 3)
    assert isinstance(last["total_duration"], int)
    assert last["farmgate_dropped"] == ["user"]


def test_an_answer_that_was_filtered_is_not_told_as_one_that_ended_by_itself() -> None:
    filtered = Finish(FinishReason.CONTENT_FILTER)
    assert written(Text("a"), filtered)[-1]["done_reason"] == "content_filter"
    whole = json.loads(encode_whole([Event((Text("a"), filtered))], model="m", is_chat=True, began=0.0))
    assert whole["done_reason"] == "content_filter"


def test_generate_says_response_where_chat_says_message() -> None:
    lines = written(Reasoning("hm"), Text("hi"), Finish(FinishReason.LENGTH), is_chat=False)
    assert [(line["response"], line.get("thinking")) for line in lines] == [("", "hm"), ("hi", None), ("", None)]
    assert lines[-1]["done_reason"] == "length"


def test_log_probabilities_stand_beside_the_message() -> None:
    line = written(Logprobs(({"token": "a", "logprob": -1.0},)), Finish())[0]
    assert line["logprobs"] == [{"token": "a", "logprob": -1.0}]
    assert line["message"] == {"role": "assistant", "content": ""}


def test_a_servers_own_lines_are_relayed_untouched() -> None:
    raw = (
        b'{"model":"x","message":{"role":"assistant","content":"a"},"done":false,"odd":1}\n'
        b'{"model":"x","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","eval_count":1}\n'
    )
    event = StreamReader(provider="p", model="m").feed(raw)
    assert event is not None
    writer = LineWriter(model="m", is_chat=True, began=0.0)
    assert writer.write(event) + writer.end() == raw
    whole = json.loads(encode_whole([event], model="m", is_chat=True, began=0.0))
    assert (whole["message"]["content"], whole["done"], whole["eval_count"]) == ("a", True, 1)


def test_a_whole_answer_is_one_object() -> None:
    told = json.loads(encode_whole([Event(tuple(SAID))], model="m", is_chat=True, began=time.monotonic()))
    assert told["message"]["content"] == "Hellono"
    assert told["message"]["tool_calls"][0]["function"] == {"index": 0, "name": "f", "arguments": {"x": 1}}
    assert (told["done"], told["eval_count"]) == (True, 3)


def test_vectors_in_both_forms() -> None:
    answer = fold([Event((Vector((2.0,), 1), Vector((1.0,), 0), Usage(prompt_tokens=4)))])
    told = json.loads(encode_embeddings(answer, model="m", began=time.monotonic()))
    assert (told["embeddings"], told["prompt_eval_count"]) == ([[1.0], [2.0]], 4)
    assert json.loads(encode_embedding(answer)) == {"embedding": [1.0]}


def test_an_error_is_a_text() -> None:
    assert json.loads(encode_error(ModelNotFound("no model x"))) == {"error": "no model x"}


def test_a_load_is_an_answer_without_words() -> None:
    told = json.loads(encode_loaded("m", is_chat=False, reason="load"))
    assert (told["response"], told["done"], told["done_reason"]) == ("", True, "load")


def test_models_are_told_as_ollama_tells_them() -> None:
    model = ModelInfo(name="m", provider="p", size_bytes=5, loaded=True, context_tokens=8, created_unix=1)
    other = ModelInfo(name="o", provider="p")
    (tag, _) = json.loads(encode_tags([("m", model), ("p/o", other)]))["models"]
    assert (tag["name"], tag["size"], tag["modified_at"]) == ("m", 5, "1970-01-01T00:00:01Z")
    assert len(tag["digest"]) == 64
    (adapter,) = json.loads(encode_tags([("m:a", ModelInfo(name="m:a", provider="p", parent="m"))]))["models"]
    assert (tag["details"]["parent_model"], adapter["details"]["parent_model"]) == ("", "m")
    (running,) = json.loads(encode_ps([("m", model), ("p/o", other)], now_unix=0.0))["models"]
    assert (running["name"], running["context_length"]) == ("m", 8)
    shown = json.loads(encode_show("m", model, {"chat", "tools", "load"}))
    assert shown["capabilities"] == ["completion", "tools"]
    assert shown["model_info"]["farmgate.context_length"] == 8


def test_what_is_known_of_a_model_is_shown_before_what_its_provider_can() -> None:
    has, lacks = frozenset({Capability.REASONING}), frozenset({Capability.TOOLS})
    model = ModelInfo(name="m", provider="p", capabilities=has, lacks=lacks, context_tokens=9, loaded=True)
    shown = json.loads(encode_show("m", model, frozenset({"chat", "tools"})))
    assert shown["capabilities"] == ["completion", "thinking"]
    assert shown["model_info"]["farmgate.context_length"] == 9
    assert json.loads(encode_ps([("m", model)], now_unix=0.0))["models"][0]["context_length"] == 9


def test_a_model_in_memory_tells_when_it_leaves() -> None:
    def told(leaves_s: float | None) -> str:
        model = ModelInfo(name="m", provider="local", loaded=True, leaves_s=leaves_s)
        return str(json.loads(encode_ps([("m", model)], now_unix=1_796_000_000.7))["models"][0]["expires_at"])

    assert told(None) == told(1e12) == "9999-12-31T23:59:59Z"
    assert told(0.0) == "2026-11-30T00:53:20Z"
    assert told(600.5) == "2026-11-30T01:03:21Z"
