"""Messages requests: the bytes that go out are those that came in, and every word survives the way there and back."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farmgate.core.errors import BadRequest, InvalidValue, UnsupportedParameter
from farmgate.core.identity import ANONYMOUS
from farmgate.core.request import Body, Dialect, Kind, Request, Typed
from farmgate.core.words import (
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
from farmgate.wire.anthropic.requests import (
    AnthropicBody,
    betas_of,
    decode_count,
    decode_request,
    encode_count,
    encode_request,
    version_of,
)
from farmgate.wire.estimate import estimate
from farmgate.wire.losses import Losses
from farmgate.wire.openai.rules import ListLimits
from farmgate.wire.openai.writing import encode_words
from farmgate.wire.strictjson import JsonLimits

steady = settings(max_examples=100, deadline=None, derandomize=True, database=None)
MODEL = "claude-sonnet-4-5"


def decode(raw: bytes) -> AnthropicBody:
    return decode_request(raw, Kind.CHAT, json_limits=JsonLimits(), list_limits=ListLimits())


def body_of(**fields: object) -> AnthropicBody:
    usual = {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    return decode(json.dumps(usual | fields).encode())


def words_of(**fields: object) -> Chat:
    words = body_of(**fields).ask()
    assert isinstance(words, Chat)
    return words


def request(body: Body, *, model: str = MODEL, stream: bool = False) -> Request:
    return Request(
        id="r", kind=Kind.CHAT, body=body, principal=ANONYMOUS, deadline=0.0, started=0.0, model=model, stream=stream
    )


def sent(body: Body, *, model: str = MODEL, stream: bool = False) -> bytes:
    return encode_request(request(body, model=model, stream=stream), provider="p").body


# ----------------------------------------------------------------------------------------- bytes to bytes

ODD = rb"""{ "model" : "m", "max_tokens":1e2,
  "x_new":{"a":[1,2.50,1e2]},
    "messages":[{"role":"user","content":"\u00e4","x":null}],"temperature":0.70 }"""


def test_a_body_goes_out_byte_for_byte() -> None:
    assert sent(decode(ODD), model="m") == ODD
    assert sent(decode(b"\xef\xbb\xbf" + ODD), model="m") == ODD


def test_another_name_for_the_model_changes_nothing_else() -> None:
    assert json.loads(sent(decode(ODD), model="other")) == json.loads(ODD) | {"model": "other"}


def test_a_cloud_may_have_the_model_in_its_address_and_the_version_in_the_body() -> None:
    body = body_of(stream=True)
    told = encode_request(
        request(body, model="other"),
        provider="p",
        without=("model", "stream"),
        put={"anthropic_version": "bedrock-2023-05-31"},
    )
    expected = {name: value for name, value in body.fields.items() if name not in ("model", "stream")}
    assert json.loads(told.body) == expected | {"anthropic_version": "bedrock-2023-05-31"}
    typed = encode_request(request(Typed(words_of()), stream=True), provider="p", without=("model",))
    assert set(json.loads(typed.body)) == {"max_tokens", "messages", "stream"}


def test_what_is_counted_is_only_what_is_said() -> None:
    raw = b'{"model":"m","messages":[{"role":"user","content":"a"}],"system":"s"}'
    body = decode_count(raw, json_limits=JsonLimits(), list_limits=ListLimits())
    assert encode_count(request(body, model="m"), provider="p").body == raw
    asked = encode_count(request(body_of(stream=True, temperature=1, system="s")), provider="p").body
    assert set(json.loads(asked)) == {"model", "messages", "system"}


def test_headers_are_heard_and_a_strange_one_is_refused() -> None:
    body = body_of()
    assert (version_of(body), betas_of(body)) == ("2023-06-01", ())
    assert (version_of(Typed(words_of())), betas_of(Typed(words_of()))) == ("2023-06-01", ())
    body.hear(version=b"2027-01-01", betas=b"files-api-2025-04-14, a.b ,")
    assert (version_of(body), betas_of(body)) == ("2027-01-01", ("files-api-2025-04-14", "a.b"))
    words = body.ask()
    assert words.extra == {"anthropic-beta": ["files-api-2025-04-14", "a.b"]}
    for version, betas in ((b"x\xe9", None), (None, b"a b"), (None, b"x" * 200), (None, b"b," * 65)):
        with pytest.raises(InvalidValue):
            body_of().hear(version=version, betas=betas)


def test_a_body_tells_its_words_once_and_fields_by_its_own_names() -> None:
    body = body_of()
    assert body.dialect is Dialect.ANTHROPIC
    assert body.ask() is body.ask()
    assert (body.own_name("stop"), body.own_name("messages[0]")) == ("stop_sequences", "messages[0]")


# ----------------------------------------------------------------------------------------- fields to words

TALK: list[dict[str, Any]] = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
            {"type": "image", "source": {"type": "url", "url": "https://a.example/b.png"}},
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}},
            {
                "type": "document",
                "title": "T",
                "context": "about",
                "source": {"type": "text", "media_type": "text/plain", "data": "d"},
                "citations": {"enabled": True},
            },
            {"type": "document", "source": {"type": "url", "url": "https://a.example/b.pdf"}},
            {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
        ],
    },
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "S"},
            {"type": "redacted_thinking", "data": "R"},
            {"type": "text", "text": "look"},
            {"type": "tool_use", "id": "t1", "name": "f", "input": {"x": 1}},
            {"type": "tool_use", "id": "t2", "name": "g", "input": {}},
        ],
    },
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "t1", "content": "one", "cache_control": {"type": "ephemeral"}},
            {
                "type": "tool_result",
                "tool_use_id": "t2",
                "is_error": True,
                "content": [
                    {"type": "text", "text": "bad"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/gif", "data": "BBBB"}},
                ],
            },
            {"type": "text", "text": "go on"},
        ],
    },
]


def test_every_block_has_its_word() -> None:
    assert words_of(messages=TALK).messages == (
        Message(
            role=Role.USER,
            content=(
                TextPart(text="a", cache=CacheMark(ttl="1h")),
                ImagePart(url="data:image/png;base64,AAAA"),
                ImagePart(url="https://a.example/b.png"),
                FilePart(data="JVBE"),
                TextPart(text="about"),
                FilePart(text="d", media_type="text/plain", name="T"),
                FilePart(url="https://a.example/b.pdf"),
                FilePart(id="file_1"),
            ),
            place="messages[0]",
        ),
        Message(
            role=Role.ASSISTANT,
            content=(ThinkingPart(text="hm", signature="S"), ThinkingPart(redacted="R"), TextPart(text="look")),
            tool_uses=(ToolUse(id="t1", name="f", arguments='{"x":1}'), ToolUse(id="t2", name="g", arguments="{}")),
            place="messages[1]",
        ),
        Message(
            role=Role.TOOL,
            content=(TextPart(text="one", cache=CacheMark()),),
            tool_call_id="t1",
            place="messages[2].content[0]",
        ),
        Message(
            role=Role.TOOL,
            content=(TextPart(text="bad"), ImagePart(url="data:image/gif;base64,BBBB")),
            tool_call_id="t2",
            is_error=True,
            place="messages[2].content[1]",
        ),
        Message(role=Role.USER, content=(TextPart(text="go on"),), place="messages[2]"),
    )


def test_every_field_has_its_word() -> None:
    schema = {"type": "object"}
    words = words_of(
        system=[{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}],
        temperature=0.5,
        top_p=0.9,
        top_k=40.0,
        stop_sequences=["END"],
        metadata={"user_id": "u"},
        tools=[
            {"name": "f", "description": "d", "input_schema": schema, "strict": True, "cache_control": {"ttl": "5m"}},
            {"type": "custom", "name": "g", "input_schema": schema},
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 2},
        ],
        tool_choice={"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        thinking={"type": "enabled", "budget_tokens": 2048, "display": "omitted"},
        output_config={"effort": "low", "format": {"type": "json_schema", "schema": schema}},
        service_tier="standard_only",
        cache_control={"type": "ephemeral"},
    )
    assert words == Chat(
        messages=(
            Message(role=Role.SYSTEM, content=(TextPart(text="be brief", cache=CacheMark()),), place="system"),
            Message(role=Role.USER, content="hi", place="messages[0]"),
        ),
        sampling=Sampling(temperature=0.5, top_p=0.9, top_k=40, max_tokens=9, stop=("END",)),
        tools=(
            Tool(name="f", description="d", parameters=schema, strict=True, cache=CacheMark(ttl="5m")),
            Tool(name="g", parameters=schema),
            HostedTool(
                kind="web_search_20250305", data={"type": "web_search_20250305", "name": "web_search", "max_uses": 2}
            ),
        ),
        tool_choice=ToolChoice(mode=ToolMode.NAMED, name="f"),
        parallel_tools=False,
        response_format=ResponseFormat(kind=FormatKind.SCHEMA, schema=schema, strict=True),
        thinking=Thinking(is_enabled=True, effort="low", budget_tokens=2048, is_shown=False),
        user="u",
        extra={"service_tier": "standard_only", "cache_control": {"type": "ephemeral"}},
    )


@pytest.mark.parametrize(
    ("fields", "thinking"),
    [
        ({"thinking": {"type": "disabled"}}, Thinking(is_enabled=False)),
        ({"thinking": {"type": "adaptive"}}, Thinking(is_enabled=True)),
        ({"thinking": {"type": "adaptive", "display": "summarized"}}, Thinking(is_enabled=True, is_shown=True)),
        ({"output_config": {"effort": "max"}}, Thinking(effort="max")),
        ({"output_config": {}}, None),
    ],
)
def test_how_much_to_think_has_its_word(fields: dict[str, object], thinking: Thinking | None) -> None:
    assert words_of(**fields).thinking == thinking


@pytest.mark.parametrize(
    ("choice", "mode", "parallel"),
    [
        ({"type": "auto"}, ToolMode.AUTO, None),
        ({"type": "any", "disable_parallel_tool_use": True}, ToolMode.REQUIRED, False),
        ({"type": "auto", "disable_parallel_tool_use": False}, ToolMode.AUTO, True),
        ({"type": "none"}, ToolMode.NONE, None),
    ],
)
def test_choices_of_tools(choice: dict[str, object], mode: ToolMode, parallel: bool | None) -> None:
    words = words_of(tool_choice=choice)
    assert words.tool_choice == ToolChoice(mode=mode)
    assert words.parallel_tools is parallel


def test_a_system_turn_and_system_text_are_the_systems() -> None:
    words = words_of(system="s", messages=[{"role": "user", "content": "a"}, {"role": "system", "content": "b"}])
    assert [(message.role, message.content, message.place) for message in words.messages] == [
        (Role.SYSTEM, "s", "system"),
        (Role.USER, "a", "messages[0]"),
        (Role.SYSTEM, "b", "messages[1]"),
    ]
    assert len(words_of(system=[]).messages) == 1


def test_a_document_made_of_blocks_is_text_or_what_it_is_made_of() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    marked = {"cache_control": {"type": "ephemeral"}, "title": "T"}

    def parts(content: object) -> object:
        block = {"type": "document", "source": {"type": "content", "content": content}} | marked
        return words_of(messages=[{"role": "user", "content": [block]}]).messages[0].content

    text = FilePart(text="a\nb", media_type="text/plain", name="T", cache=CacheMark())
    assert parts([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]) == (text,)
    assert parts("a\nb") == (text,)
    assert parts([{"type": "text", "text": "a"}, image]) == (
        TextPart(text="T"),
        TextPart(text="a"),
        ImagePart(url="data:image/png;base64,AAAA", cache=CacheMark()),
    )


def test_blocks_without_a_word_are_kept_as_they_came() -> None:
    blocks: list[dict[str, Any]] = [
        {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "x"}]},
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
        {"type": "document", "source": {"type": "later"}},
        {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}},
    ]
    (message,) = words_of(messages=[{"role": "user", "content": blocks}]).messages
    assert message.content == tuple(OtherPart(kind=block["type"], data=block) for block in blocks)


def test_what_blocks_say_beyond_their_words_is_named_for_whoever_cannot_be_told() -> None:
    words = words_of(
        messages=[
            {"role": "user", "content": [TALK[0]["content"][4]]},
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "x", "citations": [{"type": "char_location"}]},
                    {
                        "type": "tool_use",
                        "id": "t",
                        "name": "f",
                        "input": {},
                        "caller": {"type": "direct"},
                        "cache_control": {"type": "ephemeral"},
                    },
                ],
            },
        ],
        tools=[{"name": "f", "input_schema": {}, "defer_loading": True}],
        output_config={"task_budget": {"type": "tokens", "total": 9}},
        metadata={"team": "t"},
    )
    losses = Losses("p")
    losses.leave(words.extra)
    assert set(losses.dropped) == {
        "document.citations",
        "text.citations",
        "cache_control",
        "tools[].defer_loading",
        "output_config.task_budget",
        "metadata.team",
    }


def test_what_only_anthropic_can_do_is_refused_where_somebody_else_answers() -> None:
    for fields, param in (
        ({"thinking": {"type": "between_tools"}}, "thinking.type"),
        ({"max_tokens": 0}, "max_tokens"),
    ):
        with pytest.raises(BadRequest) as caught:
            words_of(**fields)
        assert caught.value.param == param
    for block in ({"type": "search_result", "content": []}, {"type": "container_upload", "file_id": "f"}):
        words = words_of(messages=[{"role": "user", "content": [{"type": "text", "text": "a"}, block]}])
        with pytest.raises(UnsupportedParameter) as refused:
            encode_words(words, Losses("there"), dialect=Dialect.ANTHROPIC)
        assert refused.value.param == "messages[0].content[1]"
    for name, value in (
        ("mcp_servers", [{"url": "https://tools.example/sse"}]),
        ("container", "c"),
        ("inference_geo", "eu"),
    ):
        with pytest.raises(UnsupportedParameter):
            encode_words(words_of(**{name: value}), Losses("there"), dialect=Dialect.ANTHROPIC)


def test_a_thread_is_anthropics_alone_and_its_end_goes_there_without_its_beginning() -> None:
    result = {"type": "tool_result", "tool_use_id": "t1", "content": "x"}
    body = body_of(
        messages=[{"role": "user", "content": [result]}],
        thread={"type": "continue", "previous_message_id": "msg_1"},
    )
    assert sent(body) == body.raw
    with pytest.raises(UnsupportedParameter) as caught:
        body.ask()
    assert (caught.value.code, caught.value.param) == ("thread_unsupported_request", "thread")
    assert words_of(thread=None).extra == {"thread": None}
    for thread in ({"type": "create"}, "continue", {"type": ["continue"]}):
        with pytest.raises(BadRequest):
            body_of(messages=[{"role": "user", "content": [result]}], thread=thread)


# ----------------------------------------------------------------------------------------- words and back

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)
NAMES = st.text(st.sampled_from("abcdefghij_-"), min_size=1, max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
EXTRAS = st.dictionaries(NAMES.map("x_{}".format), JSON, max_size=3)


def maybe(some: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | some


CACHES = maybe(st.builds(CacheMark, ttl=maybe(st.sampled_from(["5m", "1h"]))))
TEXT = st.builds(TextPart, text=TEXTS, cache=CACHES)
IMAGES = st.sampled_from(["data:image/png;base64,AAAA", "https://example.com/a.png"])
FILES = (
    st.builds(FilePart, data=st.just("JVBERi0="), name=maybe(TEXTS), cache=CACHES)
    | st.builds(FilePart, url=st.just("https://example.com/a.pdf"), name=maybe(TEXTS))
    | st.builds(FilePart, id=NAMES)
    | st.builds(FilePart, text=TEXTS, media_type=st.just("text/plain"))
)
SHOWN = TEXT | st.builds(ImagePart, url=IMAGES, cache=CACHES) | FILES
OTHERS = EXTRAS.map(lambda data: OtherPart(kind="search_result", data={**data, "type": "search_result"}))
THOUGHTS = st.builds(ThinkingPart, text=TEXTS, signature=TEXTS) | st.builds(ThinkingPart, redacted=TEXTS)
UNMARKED = st.lists(st.builds(TextPart, text=TEXTS) | st.builds(ImagePart, url=IMAGES), min_size=1, max_size=2)
RESULTS = TEXTS | st.builds(lambda parts, last: (*parts, last), UNMARKED, SHOWN)
PLAIN = st.builds(
    Message,
    role=st.just(Role.USER),
    content=TEXTS | st.lists(SHOWN | OTHERS, min_size=1, max_size=3).map(tuple),
)
USES = st.builds(
    ToolUse,
    id=NAMES,
    name=NAMES,
    arguments=EXTRAS.map(lambda told: json.dumps(told, separators=(",", ":"), ensure_ascii=False)),
)
CALLING = st.builds(
    Message,
    role=st.just(Role.ASSISTANT),
    content=st.none() | st.lists(TEXT | THOUGHTS, min_size=1, max_size=2).map(tuple),
    tool_uses=st.lists(USES, min_size=1, max_size=2).map(tuple),
)
SYSTEM = st.builds(
    Message, role=st.just(Role.SYSTEM), content=TEXTS | st.lists(TEXT, min_size=1, max_size=2).map(tuple)
)


@st.composite
def turns(draw: st.DrawFn) -> tuple[Message, ...]:
    told: list[Message] = draw(st.lists(SYSTEM, max_size=1))
    for _ in range(draw(st.integers(1, 3))):
        told.append(draw(PLAIN))
        if draw(st.booleans()):
            calling = draw(CALLING)
            told.append(calling)
            told += [
                Message(role=Role.TOOL, content=draw(RESULTS), tool_call_id=use.id, is_error=draw(st.booleans()))
                for use in calling.tool_uses
            ]
    return tuple(told)


TOOLS = st.lists(
    st.builds(
        Tool,
        name=NAMES,
        description=maybe(TEXTS),
        parameters=EXTRAS.map(lambda more: {**more, "type": "object"}),
        strict=maybe(st.booleans()),
        cache=CACHES,
    )
    | EXTRAS.map(lambda data: HostedTool(kind="bash_20250124", data={**data, "type": "bash_20250124"})),
    min_size=1,
    max_size=2,
).map(tuple)
CHOICES = st.sampled_from([ToolMode.AUTO, ToolMode.REQUIRED]).map(lambda mode: ToolChoice(mode=mode)) | NAMES.map(
    lambda name: ToolChoice(mode=ToolMode.NAMED, name=name)
)
CHATS = st.builds(
    Chat,
    messages=turns(),
    sampling=st.builds(
        Sampling,
        temperature=maybe(st.floats(0, 1)),
        top_p=maybe(st.floats(0, 1)),
        top_k=maybe(st.integers(1, 500)),
        max_tokens=st.integers(5000, 1 << 30),
        stop=st.lists(TEXTS, max_size=4).map(tuple),
    ),
    tools=TOOLS,
    tool_choice=CHOICES,
    parallel_tools=maybe(st.booleans()),
    response_format=maybe(
        st.builds(ResponseFormat, kind=st.just(FormatKind.SCHEMA), schema=EXTRAS, strict=st.just(True))
    ),
    user=maybe(TEXTS),
    extra=st.just({}) | st.just({"service_tier": "auto", "cache_control": {"type": "ephemeral"}}),
)
BUDGETS = maybe(
    st.builds(Thinking, is_enabled=st.just(True), budget_tokens=st.integers(1024, 4999), is_shown=maybe(st.booleans()))
    | st.just(Thinking(is_enabled=False))
)


def without_places(words: Chat) -> Chat:
    return replace(words, messages=tuple(replace(message, place="") for message in words.messages))


def is_loop(words: Chat) -> bool:
    return words.messages[-1].role is Role.TOOL


@steady
@given(CHATS, BUDGETS, st.booleans())
def test_words_written_and_read_again_are_the_same_words(words: Chat, thinking: Thinking | None, stream: bool) -> None:
    told = words if is_loop(words) else replace(words, thinking=thinking)
    again = decode(sent(Typed(told), stream=stream))
    assert again.stream is stream
    read = again.ask()
    assert isinstance(read, Chat)
    assert without_places(read) == told


@steady
@given(CHATS, st.sampled_from(["claude-sonnet-4-5", "claude-opus-5", "m"]))
def test_fields_read_and_written_again_are_the_same_fields(words: Chat, model: str) -> None:
    fields = json.loads(sent(Typed(words), model=model))
    read = decode(json.dumps(fields).encode()).ask()
    assert json.loads(sent(Typed(read), model=model)) == fields


# ----------------------------------------------------------------------------------------- strangers

RIGHT: dict[str, Any] = {
    "model": "m",
    "max_tokens": 9,
    "system": [{"type": "text", "text": "s"}],
    "messages": TALK,
    "tools": [{"name": "f", "input_schema": {"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}}}],
    "tool_choice": {"type": "auto"},
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {}}},
    "metadata": {"user_id": "u"},
    "stop_sequences": ["a"],
    "stream": True,
}


def paths(value: object, here: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """Every place in a value."""
    found = [here] if here else []
    inside: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        found += paths(inner, (*here, key))
    return found


def changed(path: tuple[Any, ...], value: object) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(json.dumps(RIGHT))
    inner: Any = fields
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return fields


@steady
@given(st.sampled_from(paths(RIGHT)), JSON)
def test_any_request_is_words_or_a_bad_request(path: tuple[Any, ...], value: object) -> None:
    try:
        words = decode(json.dumps(changed(path, value)).encode()).ask()
        sent(Typed(words))
        encode_words(words, Losses("p"), dialect=Dialect.ANTHROPIC)
        assert isinstance(words, Chat)
        assert estimate(words) > 0
    except BadRequest:
        pass


@steady
@given(st.dictionaries(st.sampled_from([*RIGHT, "top_p", "output_format"]), JSON))
def test_any_object_is_a_request_or_a_bad_request(fields: Mapping[str, object]) -> None:
    with contextlib.suppress(BadRequest):
        decode(json.dumps(fields).encode()).ask()


HI = {"role": "user", "content": "hi"}


def said(*blocks: dict[str, object]) -> list[dict[str, object]]:
    return [{"role": "user", "content": list(blocks)}]


WRONG: list[tuple[dict[str, object], str, str | None]] = [
    ({"max_tokens": None}, "missing_required_parameter", "max_tokens"),
    ({"messages": None}, "missing_required_parameter", "messages"),
    ({"max_tokens": -1}, "invalid_value", "max_tokens"),
    ({"max_tokens": "9"}, "invalid_type", "max_tokens"),
    ({"stream": "yes"}, "invalid_type", "stream"),
    ({"temperature": 1.5}, "invalid_value", "temperature"),
    ({"top_k": -1}, "invalid_value", "top_k"),
    ({"stop_sequences": "END"}, "invalid_type", "stop_sequences"),
    ({"stop_sequences": ["x"] * 65}, "too_many_items", "stop_sequences"),
    ({"metadata": {"user_id": 5}}, "invalid_type", "metadata.user_id"),
    ({"thinking": {"type": "enabled"}}, "missing_required_parameter", "thinking.budget_tokens"),
    ({"thinking": {"type": "enabled", "budget_tokens": 0}}, "invalid_value", "thinking.budget_tokens"),
    ({"thinking": {}}, "invalid_type", "thinking.type"),
    ({"output_config": {"format": {"type": "text"}}}, "invalid_value", "output_config.format.type"),
    ({"output_format": {"type": "json_schema"}}, "invalid_schema", "output_format.schema"),
    ({"tool_choice": {"type": "required"}}, "invalid_value", "tool_choice.type"),
    ({"tool_choice": {"type": "tool"}}, "invalid_type", "tool_choice.name"),
    ({"tools": [{"name": "f"}]}, "invalid_schema", "tools[0]"),
    ({"tools": [{"name": "", "input_schema": {}}]}, "invalid_value", "tools[0].name"),
    ({"tools": [{"name": "f", "input_schema": {"type": "array"}}]}, "invalid_schema", "tools[0]"),
    ({"tools": [{"name": "f", "input_schema": {"$ref": "https://a.b/c"}}]}, "invalid_schema", "tools[0]"),
    ({"tools": [{"name": "f", "input_schema": {}}] * 257}, "too_many_items", "tools"),
    ({"system": 5}, "invalid_type", "system"),
    ({"system": [{"type": "image"}]}, "invalid_messages", "system[0]"),
    ({"messages": []}, "invalid_messages", "messages"),
    ({"messages": [HI] * 2049}, "too_many_items", "messages"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "invalid_messages", "messages[0].role"),
    ({"messages": [{"role": "user"}]}, "invalid_messages", "messages[0].content"),
    ({"messages": [{"role": "user", "content": 5}]}, "invalid_messages", "messages[0].content"),
    ({"messages": said({"type": "text"})}, "invalid_messages", "messages[0].content[0].text"),
    ({"messages": said({"text": "a"})}, "invalid_messages", "messages[0].content[0].type"),
    ({"messages": said({"type": "image"})}, "invalid_messages", "messages[0].content[0].source.type"),
    (
        {"messages": said({"type": "image", "source": {"type": "url", "url": "http://169.254.169.254/"}})},
        "url_not_allowed",
        "messages[0].content[0].source",
    ),
    (
        {"messages": said({"type": "document", "source": {"type": "url", "url": "http://localhost/"}})},
        "url_not_allowed",
        "messages[0].content[0].source",
    ),
    ({"mcp_servers": [{"type": "url", "url": "http://10.0.0.1/sse"}]}, "url_not_allowed", "mcp_servers[0].url"),
    (
        {"messages": said({"type": "image", "source": {"type": "base64", "media_type": "text/html", "data": "AAAA"}})},
        "invalid_image",
        "messages[0].content[0].source.media_type",
    ),
    (
        {"messages": said({"type": "tool_result", "tool_use_id": "t1", "content": "x"})},
        "invalid_messages",
        "messages[0].content[0].tool_use_id",
    ),
    (
        {"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": "{}"}]}]},
        "invalid_messages",
        "messages[0].content[0].input",
    ),
]


@pytest.mark.parametrize(("fields", "code", "param"), WRONG, ids=range(len(WRONG)))
def test_what_is_wrong_is_named(fields: dict[str, object], code: str, param: str | None) -> None:
    with pytest.raises(BadRequest) as caught:
        body_of(**fields)
    assert (caught.value.code, caught.value.param) == (code, param)


def test_more_images_than_allowed_are_too_many() -> None:
    image: dict[str, object] = {"type": "image", "source": {"type": "url", "url": "https://a.example/b.png"}}
    with pytest.raises(BadRequest) as caught:
        body_of(messages=said(*[image] * 257))
    assert caught.value.code == "too_many_items"
