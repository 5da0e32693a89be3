"""Cohere's requests: each word under its name, and what has none is refused or announced."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.words import PIXEL, chats

from farmgate.core.errors import BadRequest, UnsupportedParameter
from farmgate.core.identity import ANONYMOUS
from farmgate.core.request import Kind, Request, Typed
from farmgate.core.words import (
    Ask,
    AudioPart,
    CacheMark,
    Chat,
    ContentPart,
    Embed,
    FilePart,
    FormatKind,
    HostedTool,
    ImagePart,
    Message,
    OtherPart,
    Rerank,
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
from farmgate.wire.cohere.requests import encode_chat, encode_embed, encode_rerank

steady = settings(max_examples=100, deadline=None, derandomize=True, database=None)


def request_of(words: Ask, *, stream: bool = False) -> Request:
    return Request(
        id="r",
        kind=Kind.CHAT,
        body=Typed(words),
        principal=ANONYMOUS,
        deadline=0.0,
        started=0.0,
        model="command-a-03-2025",
        stream=stream,
    )


def sent(words: Chat, *, stream: bool = False) -> tuple[dict[str, Any], tuple[str, ...]]:
    outgoing = encode_chat(request_of(words, stream=stream), words, provider="co")
    fields: dict[str, Any] = json.loads(outgoing.body)
    assert (fields.pop("model"), fields.pop("stream")) == ("command-a-03-2025", stream)
    return fields, outgoing.dropped


def chat(*messages: Message, **more: Any) -> Chat:
    return Chat(messages=messages or (user("hi"),), **more)


def user(content: str | tuple[ContentPart, ...]) -> Message:
    return Message(role=Role.USER, content=content)


def refused(words: Chat) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        sent(words)
    return caught.value


def test_a_conversation_keeps_its_turns() -> None:
    fields, dropped = sent(
        chat(
            Message(role=Role.DEVELOPER, content=(TextPart(text="Be brief.", cache=CacheMark()),)),
            user((TextPart(text="Look."), ImagePart(url=PIXEL, detail="low"), FilePart(text="rules", name="r.txt"))),
            Message(
                role=Role.ASSISTANT,
                content=(ThinkingPart(text="hm", signature="s"), TextPart(text="A pixel.")),
                name="a",
            ),
            user("b"),
        ),
        stream=True,
    )
    assert fields == {
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Look."},
                    {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
                    {"type": "text", "text": "rules"},
                ],
            },
            {
                "role": "assistant",
                "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "A pixel."}],
            },
            {"role": "user", "content": "b"},
        ]
    }
    assert dropped == ("cache_control", "messages[].name", "thinking.signature")


def test_what_is_said_before_tools_are_called_is_the_plan() -> None:
    use = ToolUse(id="call_1", name="weather", arguments='{"city":"Oslo"}')
    fields, dropped = sent(
        chat(
            user("?"),
            Message(role=Role.ASSISTANT, content=(ThinkingPart(text="hm"), TextPart(text="I look.")), tool_uses=(use,)),
            Message(role=Role.TOOL, content="rain", tool_call_id="call_1", is_error=True, name="weather"),
            Message(role=Role.ASSISTANT, tool_uses=(ToolUse(id="call_2", name="clock", arguments=""),)),
            tools=(Tool(name="weather"),),
        )
    )
    called = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
    assert fields["messages"][1:] == [
        {
            "role": "assistant",
            "tool_plan": "I look.",
            "content": [{"type": "thinking", "thinking": "hm"}],
            "tool_calls": [called],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
        {
            "role": "assistant",
            "tool_calls": [{"id": "call_2", "type": "function", "function": {"name": "clock", "arguments": "{}"}}],
        },
    ]
    assert dropped == ("is_error",)


def test_sampling_has_cohere_s_names() -> None:
    sampling = Sampling(
        temperature=0.0,
        top_p=0.9,
        top_k=40,
        max_tokens=100,
        stop=("END",),
        seed=7,
        presence_penalty=0.1,
        frequency_penalty=0.2,
    )
    fields, dropped = sent(chat(sampling=sampling, user="u"))
    del fields["messages"]
    assert fields == {
        "temperature": 0.0,
        "p": 0.9,
        "k": 40,
        "max_tokens": 100,
        "stop_sequences": ["END"],
        "seed": 7,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
    }
    assert dropped == ("user",)


WEATHER = Tool(name="weather", description="How it is.", parameters={"type": "object", "required": ["city"]})
CLOCK = Tool(name="clock")
FUNCTION = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "How it is.",
        "parameters": {"type": "object", "required": ["city"]},
    },
}


def test_tools_and_what_must_be_called() -> None:
    for choice, told in [
        (None, {}),
        ("auto", {}),
        ("none", {"tool_choice": "NONE"}),
        ("required", {"tool_choice": "REQUIRED"}),
    ]:
        mode = None if choice is None else ToolChoice(mode=ToolMode(choice))
        fields, _ = sent(chat(tools=(WEATHER, CLOCK), tool_choice=mode))
        assert len(fields.pop("tools")) == 2
        assert fields == {"messages": fields["messages"]} | told


def test_the_tool_that_must_be_called_is_offered_alone() -> None:
    named = ToolChoice(mode=ToolMode.NAMED, name="weather")
    fields, dropped = sent(chat(tools=(CLOCK, WEATHER), tool_choice=named))
    assert (fields["tools"], fields["tool_choice"], dropped) == ([FUNCTION], "REQUIRED", ())
    assert refused(chat(tools=(CLOCK,), tool_choice=named)).param == "tool_choice"


def test_tools_are_strict_together_or_not_at_all() -> None:
    strict = Tool(name="s", strict=True)
    assert sent(chat(tools=(strict,)))[0]["strict_tools"] is True
    fields, dropped = sent(chat(tools=(strict, CLOCK)))
    assert "strict_tools" not in fields
    assert dropped == ("tools[].function.strict",)


def test_the_form_of_an_answer() -> None:
    schema = ResponseFormat(kind=FormatKind.SCHEMA, schema={"type": "object"}, description="d")
    fields, dropped = sent(chat(response_format=schema))
    assert fields["response_format"] == {"type": "json_object", "json_schema": {"type": "object"}}
    assert dropped == ("response_format.json_schema.description",)
    assert sent(chat(response_format=ResponseFormat(kind=FormatKind.JSON)))[0]["response_format"] == {
        "type": "json_object"
    }
    assert "response_format" not in sent(chat(response_format=ResponseFormat(kind=FormatKind.TEXT)))[0]


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (Thinking(effort="none"), {"type": "disabled"}),
        (Thinking(is_enabled=False), {"type": "disabled"}),
        (Thinking(effort="low"), {"type": "enabled", "token_budget": 2_048}),
        (Thinking(is_enabled=True, budget_tokens=99), {"type": "enabled", "token_budget": 99}),
        (Thinking(is_enabled=True), {"type": "enabled"}),
        (Thinking(), None),
    ],
)
def test_how_much_to_think(wanted: Thinking, told: object) -> None:
    assert sent(chat(thinking=wanted))[0].get("thinking") == told


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"sampling": Sampling(count=2)}, "n"),
        ({"sampling": Sampling(top_logprobs=0)}, "logprobs"),
        ({"tools": (HostedTool(kind="web_search", data={}),)}, "tools[0]"),
        ({"tools": (CLOCK,), "parallel_tools": False}, "parallel_tool_calls"),
        ({"extra": {"logit_bias": {"1": 1}}}, "logit_bias"),
    ],
)
def test_what_would_make_another_answer_is_refused_by_name(more: dict[str, Any], param: str) -> None:
    error = refused(chat(**more))
    assert (type(error), error.param) == (UnsupportedParameter, param)


@pytest.mark.parametrize(
    "part",
    [
        AudioPart(data="AAAA", format="wav"),
        FilePart(data="AAAA"),
        FilePart(url="https://files.example/a"),
        OtherPart(kind="video", data={}),
    ],
)
def test_what_has_no_form_is_refused_by_its_place(part: ContentPart) -> None:
    assert refused(chat(user("a"), user((TextPart(text="b"), part)))).param == "messages[1].content[1]"


def test_only_users_show_images() -> None:
    for role in (Role.SYSTEM, Role.ASSISTANT, Role.TOOL):
        error = refused(chat(Message(role=role, content=(ImagePart(url=PIXEL),), place="input[2]")))
        assert error.param == "input[2].content[0]"


def test_cohere_s_own_fields_go_by_their_own_names() -> None:
    extra = {
        "documents": [{"id": "d1", "data": {"text": "dawn"}}],
        "citation_options": {"mode": "accurate"},
        "safety_mode": "OFF",
        "priority": 3,
    }
    fields, dropped = sent(chat(extra={**extra, "store": True, "metadata": None}))
    del fields["messages"]
    assert fields == extra
    assert dropped == ("store",)


def test_texts_are_embedded_by_the_hundred_and_never_cut_in_silence() -> None:
    words = Embed(inputs=tuple(map(str, range(97))), dimensions=256, user="u")
    bodies = encode_embed(request_of(words), words, provider="co", input_type="search_document")
    first, second = (json.loads(one.body) for one in bodies)
    assert (len(first.pop("texts")), second["texts"]) == (96, ["96"])
    assert first == {
        "model": "command-a-03-2025",
        "input_type": "search_document",
        "truncate": "NONE",
        "embedding_types": ["float"],
        "output_dimension": 256,
    }
    assert bodies[0].dropped == ("user",)
    words = Embed(inputs=("a",), extra={"input_type": "search_query", "truncate": "END"})
    (one,) = encode_embed(request_of(words), words, provider="co", input_type="search_document")
    assert json.loads(one.body)["input_type"] == "search_query"
    assert json.loads(one.body)["truncate"] == "END"


def test_documents_are_ranked_in_cohere_s_words() -> None:
    words = Rerank(
        query="when?", documents=("a", "b"), most=1, extra={"max_tokens_per_doc": 50, "return_documents": True}
    )
    outgoing = encode_rerank(request_of(words), words, provider="co")
    assert json.loads(outgoing.body) == {
        "model": "command-a-03-2025",
        "query": "when?",
        "documents": ["a", "b"],
        "top_n": 1,
        "max_tokens_per_doc": 50,
    }
    assert outgoing.dropped == ("return_documents",)


# ----------------------------------------------------------------------------------------- round trip

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)
NAMES = st.text(st.sampled_from("abcdefghij_-"), min_size=1, max_size=8)
USES = st.builds(ToolUse, id=NAMES, name=NAMES, arguments=st.just('{"a":1}'))
PARTS = st.one_of(
    st.builds(TextPart, text=TEXTS), st.builds(ThinkingPart, text=TEXTS), st.builds(ImagePart, url=st.just(PIXEL))
)
MESSAGES = st.one_of(
    st.builds(Message, role=st.just(Role.SYSTEM), content=TEXTS),
    st.builds(Message, role=st.just(Role.USER), content=TEXTS | st.lists(PARTS, min_size=1).map(tuple)),
    st.builds(Message, role=st.just(Role.ASSISTANT), content=TEXTS, tool_uses=st.lists(USES, max_size=2).map(tuple)),
    st.builds(Message, role=st.just(Role.TOOL), content=TEXTS, tool_call_id=NAMES),
)


def part_of(piece: dict[str, Any]) -> ContentPart:
    match piece["type"]:
        case "text":
            return TextPart(text=piece["text"])
        case "thinking":
            return ThinkingPart(text=piece["thinking"])
        case _:
            return ImagePart(url=piece["image_url"]["url"])


def read_back(told: dict[str, Any]) -> Message:
    """A message of Cohere's as words; only the tests read one."""
    content = told.get("tool_plan", told.get("content"))
    if isinstance(content, list):
        content = tuple(map(part_of, content))
    uses = tuple(
        ToolUse(id=call["id"], name=call["function"]["name"], arguments=call["function"]["arguments"])
        for call in told.get("tool_calls", ())
    )
    return Message(role=Role(told["role"]), content=content, tool_uses=uses, tool_call_id=told.get("tool_call_id"))


@steady
@given(st.lists(MESSAGES, min_size=1, max_size=4).map(tuple))
def test_a_conversation_comes_back_as_it_went(messages: tuple[Message, ...]) -> None:
    fields, dropped = sent(Chat(messages=messages))
    assert tuple(map(read_back, fields["messages"])) == messages
    assert dropped == ()


@steady
@given(chats())
def test_any_conversation_is_a_body_or_a_bad_request(words: Chat) -> None:
    try:
        fields, _ = sent(words)
    except BadRequest:
        return
    assert len(fields["messages"]) == len(words.messages)
