"""A provider with a Responses API: the caller's bytes go out, its bytes come back, and what they say is understood."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.upstream import FakeUpstream, chunked, say, whole

from farmgate.core.answer import Answer, fold, gather
from farmgate.core.errors import (
    FarmError,
    UpstreamError,
    UpstreamInvalidResponse,
    UpstreamRateLimited,
    UpstreamRefusedKey,
    UpstreamRejected,
    UpstreamStreamTruncated,
)
from farmgate.core.event import Event, FinishReason, Usage
from farmgate.core.identity import ANONYMOUS
from farmgate.core.request import Dialect, Kind, Request
from farmgate.core.words import ToolUse
from farmgate.providers.openai import OpenAIProvider, has_responses
from farmgate.providers.registry import ROWS
from farmgate.providers.settings import ProviderSettings
from farmgate.wire.openai.rules import ListLimits
from farmgate.wire.responses.items import Item
from farmgate.wire.responses.requests import Recalled, ResponsesBody, decode_request
from farmgate.wire.responses.stream import StreamReader
from farmgate.wire.strictjson import JsonLimits

RECORDED = Path(__file__).parents[2] / "recordings" / "responses"
KEY = "sk-canary-0123456789"
ASKED = b'{ "input":"h\\u00e9","model" :"m", "later_field": {"a": [1e0]} }'
STREAMED = b'{"model":"m","input":"hi","stream":true}'


def recorded(name: str) -> bytes:
    return (RECORDED / name).read_bytes()


def body_of(raw: bytes = ASKED, recalled: Recalled | None = None) -> ResponsesBody:
    body = decode_request(raw, Kind.CHAT, json_limits=JsonLimits(), list_limits=ListLimits())
    body.recall(recalled or Recalled())
    return body


async def ask(fake: FakeUpstream, body: ResponsesBody, *, model: str = "m") -> tuple[list[Event], tuple[str, ...]]:
    settings = ProviderSettings(
        name="up", url=f"{fake.url}/v1", api_key=KEY, models=("m",), options={"responses": True}
    )
    provider = OpenAIProvider(settings, ROWS["openai"])
    request = Request(
        id="r",
        kind=Kind.CHAT,
        body=body,
        principal=ANONYMOUS,
        deadline=float("inf"),
        started=0.0,
        model=model,
        provider="up",
        stream=body.stream,
    )
    try:
        reply = await provider.send(request)
        return await gather(reply), reply.dropped
    finally:
        await provider.close()


async def answered(name: str) -> tuple[list[Event], Answer]:
    """What a recording says, whole or streamed."""
    is_stream = name.endswith(".sse")
    script = say(chunked([recorded(name)])) if is_stream else say(whole(recorded(name)))
    async with FakeUpstream(script) as fake:
        events, _ = await ask(fake, body_of(STREAMED if is_stream else ASKED))
        assert fake.asked[0].path == "/v1/responses"
        assert fake.asked[0].body == (STREAMED if is_stream else ASKED)
        assert fake.asked[0].header("authorization") == f"Bearer {KEY}"
    return events, fold(events)


WHOLES = ["text.json", "tools.json", "parallel_tools.json", "reasoning.json", "web_search.json", "refusal.json"]
STREAMS = sorted(path.name for path in RECORDED.glob("*_stream.sse") if path.name[:6] not in ("failed", "limite"))


@pytest.mark.parametrize("name", [*WHOLES, "incomplete.json"])
async def test_a_whole_answer_comes_back_byte_for_byte(name: str) -> None:
    events, _ = await answered(name)
    assert [event.raw for event in events] == [recorded(name)]
    assert events[0].dialect is Dialect.RESPONSES


@pytest.mark.parametrize("name", ["stream.sse", *STREAMS])
async def test_a_stream_comes_back_byte_for_byte(name: str) -> None:
    events, _ = await answered(name)
    assert b"".join(event.raw for event in events) == recorded(name)


@pytest.mark.parametrize("name", ["text.json", "stream.sse"])
async def test_what_is_said_and_used_is_understood(name: str) -> None:
    _, answer = await answered(name)
    assert answer.text == "Good morning, Zoë 🙂."
    assert answer.usage == Usage(prompt_tokens=12, completion_tokens=7, cached_tokens=8)
    assert answer.choices[0].finish is FinishReason.STOP


@pytest.mark.parametrize("name", ["parallel_tools.json", "parallel_tools_stream.sse"])
async def test_calls_are_understood(name: str) -> None:
    _, answer = await answered(name)
    assert list(answer.choices[0].tools.values()) == [
        ToolUse(id="call_A1b2", name="weather", arguments='{"city":"Oslo"}'),
        ToolUse(id="call_C3d4", name="weather", arguments='{"city":"Rome"}'),
    ]
    assert answer.choices[0].finish is FinishReason.TOOL_CALLS


@pytest.mark.parametrize("name", ["reasoning.json", "reasoning_stream.sse"])
async def test_thoughts_are_understood(name: str) -> None:
    _, answer = await answered(name)
    assert answer.choices[0].reasoning == "**Weighing**\n\nSeven is  odd."
    assert answer.text == "It is odd."
    assert answer.usage is not None
    assert answer.usage.reasoning_tokens == 64


@pytest.mark.parametrize("name", ["incomplete.json", "incomplete_stream.sse"])
async def test_an_answer_that_is_not_the_whole_one_says_so(name: str) -> None:
    _, answer = await answered(name)
    assert answer.choices[0].finish is FinishReason.LENGTH


async def test_a_refusal_is_understood() -> None:
    _, answer = await answered("refusal.json")
    assert answer.choices[0].refusal == "I would rather not."


# ----------------------------------------------------------------------------------------------- what is asked

BEFORE: tuple[Item, ...] = (
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "One"}], "id": "msg_1"},
    {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "farmgate.1.s.proof"},
    {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "gAAAA"},
    {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}", "signature": "s"},
    {"type": "function_call_output", "id": "fco_1", "call_id": "c", "output": "1", "status": "completed"},
)
GOING_ON = b'{"model":"m","input":"Two","previous_response_id":"resp_1"}'


async def sent(body: ResponsesBody, *, model: str = "m") -> tuple[bytes, tuple[str, ...]]:
    async with FakeUpstream(say(whole(recorded("text.json")))) as fake:
        _, dropped = await ask(fake, body, model=model)
        return fake.asked[0].body, dropped


async def test_another_name_for_the_model_changes_nothing_else() -> None:
    raw, _ = await sent(body_of(), model="other")
    assert json.loads(raw) == json.loads(ASKED) | {"model": "other"}


async def test_a_conversation_held_with_this_provider_is_gone_on_from_by_its_id() -> None:
    raw, dropped = await sent(body_of(GOING_ON, Recalled(items=BEFORE, provider="up")))
    assert (raw, dropped) == (GOING_ON, ())


async def test_a_conversation_held_with_another_is_sent_whole_without_what_only_that_one_knows() -> None:
    raw, dropped = await sent(body_of(GOING_ON, Recalled(items=BEFORE, provider="elsewhere")))
    told = json.loads(raw)
    assert told["previous_response_id"] is None
    assert told["input"] == [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "One"}]},
        {"type": "reasoning", "summary": [], "encrypted_content": "gAAAA"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "1"},
        {"type": "message", "role": "user", "content": "Two"},
    ]
    assert dropped == ("thinking",)


async def test_an_item_that_is_named_is_sent_whole_where_its_name_is_not_known() -> None:
    raw = b'{"model":"m","input":[{"type":"item_reference","id":"msg_1"},{"role":"user","content":"x"}]}'
    told, _ = await sent(body_of(raw, Recalled(references={"msg_1": BEFORE[0]})))
    assert json.loads(told)["input"][0] == {key: value for key, value in BEFORE[0].items() if key != "id"}
    told, _ = await sent(body_of(raw, Recalled(references={"msg_1": BEFORE[0]}, provider="up")))
    assert told == raw


def test_only_openai_itself_is_taken_to_have_responses() -> None:
    def told(name: str, **more: Any) -> bool:
        return has_responses(ProviderSettings(name=name, **more), ROWS[name])

    assert told("openai")
    assert told("openai", url="https://api.openai.com/v1")
    assert not told("openai", url="http://127.0.0.1:9000/v1")
    assert told("openai", url="http://127.0.0.1:9000/v1", options={"responses": True})
    assert not told("openai", options={"responses": False})
    assert not any(told(name) for name in ROWS if name != "openai")


# ----------------------------------------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, UpstreamRejected), (401, UpstreamRefusedKey), (429, UpstreamRateLimited), (500, UpstreamError)],
)
async def test_a_refusal_of_the_provider_is_told(status: int, kind: type[FarmError]) -> None:
    async with FakeUpstream(say(whole(recorded(f"error_{status}.json"), status=status))) as fake:
        with pytest.raises(kind) as caught:
            await ask(fake, body_of())
    assert "canar" not in caught.value.message
    if status == 400:
        assert (caught.value.param, caught.value.code) == ("temperature", "unsupported_parameter")


@pytest.mark.parametrize(
    ("name", "kind"), [("failed_stream.sse", UpstreamError), ("limited_stream.sse", UpstreamRateLimited)]
)
async def test_a_failure_within_a_stream_is_raised_behind_what_came_before(name: str, kind: type[FarmError]) -> None:
    async with FakeUpstream(say(chunked([recorded(name)]))) as fake:
        with pytest.raises(kind) as caught:
            await ask(fake, body_of(STREAMED))
    assert type(caught.value) is kind


async def test_a_whole_response_that_failed_is_an_error() -> None:
    async with FakeUpstream(say(whole(recorded("failed.json")))) as fake:
        with pytest.raises(UpstreamError, match="had an error"):
            await ask(fake, body_of())


@pytest.mark.parametrize(
    "told", [b"null", b"[]", b"{}", b'{"output":[]}', b'{"id":"r","output":{}}', b"\xff", b"{", b'"a"']
)
async def test_what_is_no_response_is_not_relayed(told: bytes) -> None:
    async with FakeUpstream(say(whole(told))) as fake:
        with pytest.raises(UpstreamInvalidResponse):
            await ask(fake, body_of())


def read(data: bytes, *, cut: int = 0) -> list[Event]:
    """The events of a stream in pieces of `cut` bytes; 0: in one."""
    reader = StreamReader(provider="up")
    size = cut or len(data)
    events = [reader.feed(data[at : at + size]) for at in range(0, len(data), size)]
    return [event for event in (*events, reader.end()) if event is not None]


@pytest.mark.parametrize("name", ["stream.sse", *STREAMS])
@pytest.mark.parametrize("cut", [1, 2, 7, 0])
def test_a_stream_may_come_in_any_pieces(name: str, cut: int) -> None:
    data = recorded(name)
    events = read(data, cut=cut)
    assert b"".join(event.raw for event in events) == data
    assert fold(events) == fold(read(data))


def test_a_stream_cut_at_any_byte_is_truncated_unless_its_last_event_came() -> None:
    data = recorded("tools_stream.sse")
    whole_at = len(data) - 1  # The newline that ends the last event may be missing: then it did not come.
    for at in range(len(data)):
        reader = StreamReader(provider="up")
        reader.feed(data[:at])
        assert at <= whole_at
        with pytest.raises(UpstreamStreamTruncated):
            reader.end()


@pytest.mark.parametrize(
    "frame",
    [
        b"data: {not\n\n",
        b'data: {"type":"\xff"}\n\n',
        b'data: {"no_type":1}\n\n',
        b'data: {"type":"a\\nevent: response.completed"}\n\n',
        b'data: {"type":"response.completed"}\n\n',
        b'data: {"type":"response.completed","response":[1]}\n\n',
        b'data: {"type":7}\n\n',
        b"data: [DONE]\n\n",
    ],
)
def test_what_is_no_event_is_never_relayed(frame: bytes) -> None:
    reader = StreamReader(provider="up")
    with pytest.raises(UpstreamInvalidResponse):
        reader.feed(frame)


def test_usage_that_cannot_be_believed_is_ignored() -> None:
    for told in (
        b"null",
        b"[]",
        b'{"input_tokens":-1}',
        b'{"input_tokens":1e30,"output_tokens":2}',
        b'{"input_tokens":"7"}',
    ):
        frame = b'data: {"type":"response.completed","response":{"output":[],"usage":%b}}\n\n' % told
        event = StreamReader(provider="up").feed(frame)
        assert event is not None
        assert event.usage is None


def test_a_frame_above_the_limit_is_refused() -> None:
    reader = StreamReader(provider="up", frame_bytes=100)
    with pytest.raises(UpstreamInvalidResponse):
        reader.feed(b'data: {"type":"' + b"x" * 200)
