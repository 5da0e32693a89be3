"""A chat written in a dialect and read again is the same chat, and so it is by way of any other dialect.

What a dialect has no word for is not among the chats here: the matrix shows what becomes of that.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farmgate.core.identity import ANONYMOUS
from farmgate.core.request import Body, Dialect, Kind, Request, Typed
from farmgate.core.words import (
    Chat,
    ContentPart,
    FormatKind,
    ImagePart,
    Message,
    ResponseFormat,
    Role,
    Sampling,
    TextPart,
    Thinking,
    Tool,
    ToolUse,
)
from farmgate.wire.anthropic import requests as anthropic
from farmgate.wire.ollama import asks
from farmgate.wire.ollama import requests as ollama
from farmgate.wire.openai import requests as openai
from farmgate.wire.openai.rules import ListLimits
from farmgate.wire.strictjson import JsonLimits

steady = settings(derandomize=True, deadline=None, max_examples=60)

Trip = Callable[[Chat], Body]


def request(words: Chat) -> Request:
    return Request(
        id="r",
        kind=Kind.CHAT,
        body=Typed(words),
        principal=ANONYMOUS,
        deadline=0.0,
        started=0.0,
        model="claude-sonnet-4-5",
    )


def by_openai(words: Chat) -> Body:
    sent = openai.encode_request(request(words), provider="p", ask_usage=False)
    assert sent.dropped == ()
    return openai.decode_request(sent.body, Kind.CHAT, json_limits=JsonLimits(), list_limits=ListLimits())


def by_anthropic(words: Chat) -> Body:
    sent = anthropic.encode_request(request(words), provider="p")
    assert sent.dropped == ()
    return anthropic.decode_request(sent.body, Kind.CHAT, json_limits=JsonLimits(), list_limits=ListLimits())


def by_ollama(words: Chat) -> Body:
    sent = ollama.encode_request(request(words), provider="p", stream=False)
    assert sent.dropped == ()
    return asks.decode_ask(sent.body, "/api/chat", json_limits=JsonLimits(), list_limits=ListLimits())


TRIPS: dict[Dialect, Trip] = {
    Dialect.OPENAI: by_openai,
    Dialect.ANTHROPIC: by_anthropic,
    Dialect.OLLAMA: by_ollama,
}


def plain(body: Body) -> Chat:
    """The words in a body, without what says where they stood in it, and in one of several forms of the same."""
    words = body.ask()
    assert isinstance(words, Chat)
    # Anthropic knows strict schemas alone.
    form = words.response_format and replace(words.response_format, strict=None)
    return replace(words, messages=tuple(map(plain_message, words.messages)), response_format=form)


def plain_message(message: Message) -> Message:
    """One part of text is a text; arguments are JSON, however they are spaced."""
    content = message.content
    if isinstance(content, tuple) and all(isinstance(part, TextPart) for part in content):
        content = "\n".join(part.text for part in content if isinstance(part, TextPart)) or None
    uses = tuple(replace(use, arguments=json.dumps(json.loads(use.arguments))) for use in message.tool_uses)
    return replace(message, content=content or None, tool_uses=uses, place="")


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=12).filter(str.strip)
NAMES = st.sampled_from(["tide_at", "now", "log-entry"])
PNG = "data:image/png;base64,iVBORw0KGgo="
IMAGES = st.sampled_from([PNG, "data:image/jpeg;base64,/9j/4AAQ"]).map(lambda url: ImagePart(url=url))
OBJECTS = st.dictionaries(
    st.sampled_from(["port", "days", "é"]), st.integers(-9, 9) | TEXTS | st.booleans() | st.none(), max_size=3
)
SCHEMAS = st.sampled_from(
    [
        {"type": "object", "properties": {"port": {"type": "string"}}, "required": ["port"]},
        {"type": "object", "properties": {}},
    ]
)
TOOLS = st.lists(NAMES, unique=True, min_size=1).flatmap(
    lambda names: st.tuples(
        *(st.builds(Tool, name=st.just(name), description=TEXTS, parameters=SCHEMAS) for name in names)
    )
)

SOME_TOOLS: st.SearchStrategy[tuple[Tool, ...]] = st.one_of(st.just(()), TOOLS)


@st.composite
def turns(draw: st.DrawFn, tools: tuple[Tool, ...]) -> tuple[Message, ...]:
    """A conversation in its right order: a user, then an assistant who speaks or calls tools that answer."""
    told: list[Message] = []
    if draw(st.booleans()):
        told.append(Message(role=Role.SYSTEM, content=draw(TEXTS)))
    count, has_tools = 0, bool(tools)
    for _ in range(draw(st.integers(0, 2))):
        told.append(draw(users()))
        if has_tools and draw(st.booleans()):
            size = draw(st.integers(1, 2))
            uses = tuple(
                ToolUse(
                    id=f"call_{count + at}",
                    name=draw(st.sampled_from([tool.name for tool in tools])),
                    arguments=json.dumps(draw(OBJECTS)),
                )
                for at in range(size)
            )
            told.append(Message(role=Role.ASSISTANT, content=draw(st.none() | TEXTS), tool_uses=uses))
            told += [Message(role=Role.TOOL, content=draw(TEXTS), tool_call_id=use.id) for use in uses]
            count += size
        told.append(Message(role=Role.ASSISTANT, content=draw(TEXTS)))
    return (*told, draw(users()))


@st.composite
def users(draw: st.DrawFn) -> Message:
    text = draw(TEXTS)
    images = draw(st.lists(IMAGES, max_size=2))
    content: str | tuple[ContentPart, ...] = (TextPart(text=text), *images) if images else text
    return Message(role=Role.USER, content=content)


@st.composite
def chats(draw: st.DrawFn) -> Chat:
    tools = draw(SOME_TOOLS)
    return Chat(
        messages=draw(turns(tools)),
        tools=tools,
        sampling=Sampling(
            temperature=draw(st.none() | st.sampled_from([0.0, 0.5, 1.0])),
            max_tokens=draw(st.integers(1, 4096)),
            stop=tuple(draw(st.lists(TEXTS, max_size=2))),
        ),
        response_format=draw(st.none() | st.builds(ResponseFormat, kind=st.just(FormatKind.SCHEMA), schema=SCHEMAS)),
    )


@pytest.mark.parametrize("dialect", TRIPS)
def test_a_chat_is_the_same_after_a_trip_through_a_dialect(dialect: Dialect) -> None:
    @steady
    @given(chats())
    def trip(words: Chat) -> None:
        assert plain(TRIPS[dialect](words)) == plain(Typed(words))

    trip()


@pytest.mark.parametrize("first", TRIPS)
@pytest.mark.parametrize("second", TRIPS)
def test_a_chat_is_the_same_after_a_trip_through_two_dialects(first: Dialect, second: Dialect) -> None:
    @steady
    @given(chats())
    def trip(words: Chat) -> None:
        there = TRIPS[first](words).ask()
        assert isinstance(there, Chat)
        assert plain(TRIPS[second](replace(there, extra={}))) == plain(Typed(words))

    trip()


@pytest.mark.parametrize("effort", ["low", "medium", "high"])
@pytest.mark.parametrize("dialect", [Dialect.OPENAI, Dialect.OLLAMA])
def test_how_much_to_think_is_the_same_in_words(dialect: Dialect, effort: str) -> None:
    thinking = Thinking(is_enabled=True, effort=effort)
    words = Chat(messages=(Message(role=Role.USER, content="hi"),), thinking=thinking)
    assert plain(TRIPS[dialect](words)).thinking == thinking
