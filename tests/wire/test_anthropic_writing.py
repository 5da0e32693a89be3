"""What others' words become in Anthropic's dialect: told, refused by name, or dropped and announced."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from farmgate.core.errors import InvalidMessages, InvalidValue, UnsupportedParameter
from farmgate.core.request import Dialect
from farmgate.core.words import (
    AudioPart,
    CacheMark,
    Chat,
    FilePart,
    FormatKind,
    HostedTool,
    ImagePart,
    Message,
    OtherPart,
    ResponseFormat,
    Role,
    Sampling,
    TextPart,
    Thinking,
    ThinkingPart,
    Tool,
    ToolChoice,
    ToolMode,
    ToolUse,
)
from farmgate.wire.anthropic.generations import takes_budgets, takes_effort
from farmgate.wire.anthropic.writing import encode_chat
from farmgate.wire.losses import Losses

OLD, NEW = "claude-sonnet-4-5-20250929", "claude-opus-5"
HI = Message(role=Role.USER, content="hi")
CHAT = Chat(messages=(HI,))


def written(
    words: Chat, *, model: str = OLD, dialect: Dialect = Dialect.OPENAI, max_tokens: int = 4096
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The fields, and what was dropped."""
    losses = Losses("there")
    told = encode_chat(words, losses, model=model, dialect=dialect, max_tokens=max_tokens)
    return json.loads(json.dumps(told)), losses.dropped


def messages(*told: Message) -> list[dict[str, Any]]:
    fields, dropped = written(Chat(messages=told))
    assert dropped == ()
    found: list[dict[str, Any]] = fields["messages"]
    return found


def refused(words: Chat, *, model: str = OLD) -> str | None:
    with pytest.raises(UnsupportedParameter) as caught:
        written(words, model=model)
    assert "there" in caught.value.message
    return caught.value.param


# ----------------------------------------------------------------------------------------- turns


def test_a_limit_is_set_where_nobody_set_one() -> None:
    assert written(CHAT)[0] == {"max_tokens": 4096, "messages": [{"role": "user", "content": "hi"}]}
    assert written(CHAT, max_tokens=7)[0]["max_tokens"] == 7
    assert written(replace(CHAT, sampling=Sampling(max_tokens=5)))[0]["max_tokens"] == 5


def test_the_systems_words_go_to_the_top_and_one_that_moves_is_announced() -> None:
    system, developer = Message(role=Role.SYSTEM, content="a"), Message(role=Role.DEVELOPER, content="b")
    fields, dropped = written(Chat(messages=(system, HI)))
    assert (fields["system"], dropped) == ("a", ())
    fields, dropped = written(Chat(messages=(system, HI, developer)))
    assert fields["system"] == [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert fields["messages"] == [{"role": "user", "content": "hi"}]
    assert dropped == ("messages[2].role",)
    image = Message(role=Role.SYSTEM, content=(ImagePart(url="https://a.b/c"),))
    assert refused(Chat(messages=(image, HI))) == "messages[0].content[0]"


def test_calls_and_their_results_are_blocks_and_results_share_a_turn() -> None:
    uses = (ToolUse(id="call_1", name="f", arguments='{"x": 1}'), ToolUse(id="call_2", name="g", arguments=""))
    told = messages(
        HI,
        Message(role=Role.ASSISTANT, content="look", tool_uses=uses),
        Message(role=Role.TOOL, content="one", tool_call_id="call_1"),
        Message(role=Role.TOOL, content=(TextPart(text="x", cache=CacheMark(ttl="1h")),), tool_call_id="call_2"),
        HI,
    )
    assert told[1]["content"] == [
        {"type": "text", "text": "look"},
        {"type": "tool_use", "id": "call_1", "name": "f", "input": {"x": 1}},
        {"type": "tool_use", "id": "call_2", "name": "g", "input": {}},
    ]
    assert told[2]["content"] == [
        {"type": "tool_result", "tool_use_id": "call_1", "content": "one"},
        {
            "type": "tool_result",
            "tool_use_id": "call_2",
            "content": [{"type": "text", "text": "x"}],
            "cache_control": {"type": "ephemeral", "ttl": "1h"},
        },
    ]
    assert told[3] == {"role": "user", "content": "hi"}


def test_ids_that_anthropic_does_not_take_become_ids_that_it_takes_and_still_differ() -> None:
    uses = (
        ToolUse(id="functions.f:0", name="f", arguments="{}"),
        ToolUse(id="functions_f:0", name="f", arguments="{}"),
    )
    told = messages(
        HI,
        Message(role=Role.ASSISTANT, tool_uses=uses),
        Message(role=Role.TOOL, content="x", tool_call_id="functions.f:0"),
    )
    first, second = (block["id"] for block in told[1]["content"])
    assert first != second
    assert told[2]["content"][0]["tool_use_id"] == first
    assert set(first) <= set("abcdefghijklmnopqrstuvwxyz_0123456789")


@pytest.mark.parametrize("arguments", ["[1]", "{", "1", '{"a": NaN}', "\ud800"])
def test_arguments_that_are_no_object_are_refused_by_place(arguments: str) -> None:
    use = ToolUse(id="c", name="f", arguments=arguments)
    with pytest.raises(InvalidMessages) as caught:
        messages(HI, Message(role=Role.ASSISTANT, tool_uses=(use,)))
    assert caught.value.param == "messages[1].tool_calls[0].function.arguments"


def test_what_says_nothing_is_left_out() -> None:
    empty = Message(role=Role.ASSISTANT, content="")
    none = Message(role=Role.ASSISTANT, content=(TextPart(text=""),))
    assert messages(HI, empty, none, HI) == [{"role": "user", "content": "hi"}] * 2
    assert messages(Message(role=Role.USER, content="")) == [{"role": "user", "content": ""}]


def test_thinking_is_given_back_with_its_proof_only() -> None:
    parts = (
        ThinkingPart(text="a", signature="S"),
        ThinkingPart(redacted="R"),
        ThinkingPart(text="b"),
        TextPart(text="c"),
    )
    fields, dropped = written(Chat(messages=(HI, Message(role=Role.ASSISTANT, content=parts))))
    assert fields["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "a", "signature": "S"},
        {"type": "redacted_thinking", "data": "R"},
        {"type": "text", "text": "c"},
    ]
    assert dropped == ("thinking",)


def block_of(part: ImagePart | FilePart) -> dict[str, Any]:
    told: dict[str, Any] = messages(Message(role=Role.USER, content=(part,)))[0]["content"][0]
    return told


def test_images_and_documents_are_sources() -> None:
    assert block_of(ImagePart(url="data:IMAGE/PNG;base64,AA")) == {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": "AA"},
    }
    assert block_of(ImagePart(url="https://a.b/c"))["source"] == {"type": "url", "url": "https://a.b/c"}
    assert block_of(FilePart(data="JV", name="a.pdf")) == {
        "type": "document",
        "source": {"type": "base64", "media_type": "application/pdf", "data": "JV"},
        "title": "a.pdf",
    }
    text = {"type": "text", "media_type": "text/plain", "data": "hé"}
    assert block_of(FilePart(text="hé"))["source"] == text
    assert block_of(FilePart(data="aMOp", media_type="text/markdown"))["source"] == text
    assert block_of(FilePart(url="https://a.b/c"))["source"] == {"type": "url", "url": "https://a.b/c"}
    assert block_of(FilePart(id="f"))["source"] == {"type": "file", "file_id": "f"}


@pytest.mark.parametrize(
    "part",
    [
        AudioPart(data="AA", format="wav"),
        ImagePart(url="data:image/png,AA"),
        ImagePart(url="data:image/png;base64,"),
        FilePart(data="AA", media_type="application/zip"),
        FilePart(data="_", media_type="text/plain"),
        FilePart(data="/w==", media_type="text/plain"),
        OtherPart(kind="video_url", data={"type": "video_url"}),
    ],
)
def test_parts_that_anthropic_has_no_block_for_are_refused_by_place(part: Any) -> None:
    assert refused(Chat(messages=(HI, Message(role=Role.USER, content=(part,))))) == "messages[1].content[0]"


# ----------------------------------------------------------------------------------------- tools, form, sampling

TOOL = Tool(name="f")


def test_tools_and_how_they_are_chosen() -> None:
    choices = {
        ToolMode.AUTO: {"type": "auto"},
        ToolMode.REQUIRED: {"type": "any"},
        ToolMode.NONE: {"type": "none"},
    }
    for mode, told in choices.items():
        words = replace(CHAT, tools=(TOOL,), tool_choice=ToolChoice(mode=mode))
        assert written(words)[0]["tool_choice"] == told
        assert "tool_choice" not in written(replace(words, tools=()))[0] or mode is ToolMode.REQUIRED
    named = replace(CHAT, tools=(TOOL,), tool_choice=ToolChoice(mode=ToolMode.NAMED, name="f"), parallel_tools=False)
    assert written(named)[0]["tool_choice"] == {"type": "tool", "name": "f", "disable_parallel_tool_use": True}
    alone = replace(CHAT, tools=(TOOL,), parallel_tools=False)
    assert written(alone)[0]["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    assert written(replace(alone, tool_choice=ToolChoice(mode=ToolMode.NONE)))[0]["tool_choice"] == {"type": "none"}
    assert written(alone)[0]["tools"] == [{"name": "f", "input_schema": {"type": "object"}}]


def test_a_tool_that_another_provider_runs_is_refused() -> None:
    hosted = HostedTool(kind="web_search", data={"type": "web_search"})
    assert refused(replace(CHAT, tools=(TOOL, hosted))) == "tools[1]"
    assert written(replace(CHAT, tools=(hosted,)), dialect=Dialect.TYPED)[0]["tools"] == [{"type": "web_search"}]


def test_the_form_of_an_answer() -> None:
    schema = {"type": "object"}
    wanted = ResponseFormat(kind=FormatKind.SCHEMA, schema=schema, name="n", description="d", strict=False)
    fields, dropped = written(replace(CHAT, response_format=wanted))
    assert fields["output_config"] == {"format": {"type": "json_schema", "schema": schema}}
    assert dropped == ("response_format.json_schema.description",)
    assert "output_config" not in written(replace(CHAT, response_format=ResponseFormat(kind=FormatKind.TEXT)))[0]
    assert refused(replace(CHAT, response_format=ResponseFormat(kind=FormatKind.JSON))) == "response_format"


@pytest.mark.parametrize(
    ("sampling", "param"),
    [
        (Sampling(count=2), "n"),
        (Sampling(top_logprobs=0), "logprobs"),
        (Sampling(presence_penalty=0.5), "presence_penalty"),
        (Sampling(frequency_penalty=-1.0), "frequency_penalty"),
        (Sampling(temperature=1.2), "temperature"),
    ],
)
def test_what_would_make_another_answer_is_refused(sampling: Sampling, param: str) -> None:
    assert refused(replace(CHAT, sampling=sampling)) == param


def test_hints_are_dropped_and_announced() -> None:
    words = replace(
        CHAT,
        messages=(Message(role=Role.USER, content=(ImagePart(url="https://a.b/c", detail="high"),), name="ann"),),
        sampling=Sampling(seed=0, presence_penalty=0.0, top_k=-1),
        extra={"metadata": {"a": "b"}, "store": True, "service_tier": "auto"},
    )
    fields, dropped = written(words)
    assert dropped == ("metadata", "store", "messages[].name", "image_url.detail", "seed")
    assert set(fields) == {"max_tokens", "messages"}
    with pytest.raises(UnsupportedParameter):
        written(replace(CHAT, extra={"logit_bias": {"1": 2}}))


def test_what_the_callers_own_dialect_says_beyond_the_words_is_kept() -> None:
    words = replace(CHAT, extra={"service_tier": "standard_only", "anthropic-beta": ["x"]})
    fields, dropped = written(words, dialect=Dialect.TYPED)
    assert (fields["service_tier"], dropped) == ("standard_only", ("anthropic-beta",))


def test_settings_that_ask_for_nothing_are_not_told_to_models_that_refuse_them() -> None:
    words = replace(CHAT, sampling=Sampling(temperature=1.0, top_p=1.0))
    assert set(written(words, model=NEW)[0]) == {"max_tokens", "messages"}
    assert set(written(words, model=OLD)[0]) == {"max_tokens", "messages", "temperature", "top_p"}
    cooler = replace(CHAT, sampling=Sampling(temperature=0.5))
    assert written(cooler, model=NEW)[0]["temperature"] == 0.5


# ----------------------------------------------------------------------------------------- thinking


@pytest.mark.parametrize(
    ("name", "effort", "budgets"),
    [
        ("claude-3-7-sonnet-20250219", False, True),
        ("claude-sonnet-4-20250514", False, True),
        ("claude-opus-4-5-20251101", False, True),
        ("claude-sonnet-4-5@20250929", False, True),
        ("anthropic.claude-opus-4-6-v1:0", True, True),
        ("us.anthropic.claude-opus-4-7", True, False),
        ("claude-opus-5", True, False),
        ("claude-fable-5-1", True, False),
        ("claude-mythos-preview", True, False),
        ("our-deployment", True, False),
    ],
)
def test_generations_are_read_off_the_name(name: str, effort: bool, budgets: bool) -> None:
    assert (takes_effort(name), takes_budgets(name)) == (effort, budgets)


def thought(thinking: Thinking, *, model: str, max_tokens: int | None = None) -> dict[str, Any]:
    words = replace(CHAT, thinking=thinking, sampling=Sampling(max_tokens=max_tokens))
    fields, dropped = written(words, model=model)
    return {name: fields[name] for name in ("thinking", "output_config", "max_tokens") if name in fields} | (
        {"dropped": dropped} if dropped else {}
    )


def test_later_models_are_told_a_word() -> None:
    high = Thinking(is_enabled=True, effort="high")
    adaptive = {"type": "adaptive"}
    assert thought(high, model=NEW, max_tokens=9) == {
        "thinking": adaptive,
        "output_config": {"effort": "high"},
        "max_tokens": 9,
    }
    assert thought(Thinking(effort="minimal"), model=NEW, max_tokens=9) == {
        "output_config": {"effort": "low"},
        "max_tokens": 9,
    }
    budget = Thinking(is_enabled=True, budget_tokens=9_000, is_shown=True)
    assert thought(budget, model=NEW, max_tokens=9) == {
        "thinking": adaptive | {"display": "summarized"},
        "output_config": {"effort": "medium"},
        "max_tokens": 9,
    }
    assert thought(budget, model="claude-opus-4-6", max_tokens=20_000)["thinking"]["budget_tokens"] == 9_000


def test_earlier_models_are_told_tokens_and_the_limit_has_room_for_them() -> None:
    low = Thinking(is_enabled=True, effort="low")
    assert thought(low, model=OLD) == {
        "thinking": {"type": "enabled", "budget_tokens": 2_048},
        "max_tokens": 2_048 + 4_096,
    }
    assert thought(low, model=OLD, max_tokens=1_500) == {
        "thinking": {"type": "enabled", "budget_tokens": 1_499},
        "max_tokens": 1_500,
    }
    assert thought(low, model=OLD, max_tokens=1_024) == {"max_tokens": 1_024, "dropped": ("reasoning_effort",)}
    assert thought(Thinking(is_enabled=True), model=OLD)["thinking"]["budget_tokens"] == 8_192
    assert thought(Thinking(budget_tokens=5), model=OLD)["thinking"]["budget_tokens"] == 1_024


@pytest.mark.parametrize("model", [OLD, NEW])
def test_not_to_think_is_told_too(model: str) -> None:
    for thinking in (Thinking(is_enabled=False), Thinking(is_enabled=False, effort="none"), Thinking(effort="none")):
        assert thought(thinking, model=model)["thinking"] == {"type": "disabled"}


def test_a_word_nobody_knows_is_refused() -> None:
    with pytest.raises(InvalidValue) as caught:
        thought(Thinking(effort="loads"), model=NEW)
    assert caught.value.param == "reasoning_effort"


def test_calls_whose_thoughts_are_not_there_go_on_without_thinking_on_earlier_models() -> None:
    use = ToolUse(id="c", name="f", arguments="{}")
    result = Message(role=Role.TOOL, content="x", tool_call_id="c")
    loop = Chat(
        messages=(HI, Message(role=Role.ASSISTANT, tool_uses=(use,)), result),
        thinking=Thinking(is_enabled=True, effort="low"),
    )
    fields, dropped = written(loop)
    assert "thinking" not in fields
    assert dropped == ("reasoning_effort",)
    assert written(loop, model=NEW)[0]["thinking"] == {"type": "adaptive"}
    proved = Message(role=Role.ASSISTANT, content=(ThinkingPart(text="a", signature="S"),), tool_uses=(use,))
    for messages in ((HI, proved, result), (*loop.messages, HI)):
        assert written(replace(loop, messages=messages))[0]["thinking"]["type"] == "enabled"
