"""The unmodified anthropic SDK against a real gate, in front of providers that do not speak Messages."""

from __future__ import annotations

import json
from collections.abc import Iterator

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic, beta_tool
from anthropic.types import MessageParam, ToolParam, ToolResultBlockParam
from pydantic import BaseModel
from tests.journey.gate import KEY, RealGate
from tests.journey.upstream import Upstream

HELLO: list[MessageParam] = [{"role": "user", "content": "Hello there"}]
PARIS: list[MessageParam] = [{"role": "user", "content": "What is the weather in Paris?"}]
WEATHER: ToolParam = {
    "name": "weather",
    "description": "The weather in a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
CLOCK: ToolParam = {"name": "clock", "input_schema": {"type": "object", "properties": {}}}


class Dog(BaseModel):
    """A dog."""

    name: str
    age: int


@pytest.fixture
def client(gate: RealGate) -> Iterator[Anthropic]:
    with Anthropic(base_url=gate.ready["url"], api_key=KEY, max_retries=0) as client:
        yield client


def text_of(message: anthropic.types.Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def test_a_message_is_answered_whole(client: Anthropic) -> None:
    answer = client.messages.create(model="demo", max_tokens=1000, messages=HELLO)
    assert (answer.type, answer.role, answer.model) == ("message", "assistant", "demo")
    assert [block.type for block in answer.content] == ["text"]
    assert 'beginning with "Hello there"' in text_of(answer)
    assert (answer.stop_reason, answer.stop_sequence) == ("end_turn", None)
    assert answer.usage.input_tokens == 2
    assert answer.usage.output_tokens > 10
    assert answer.id
    assert answer._request_id


def test_an_answer_that_is_cut_says_so(client: Anthropic) -> None:
    answer = client.messages.create(model="demo", max_tokens=3, messages=HELLO)
    assert answer.stop_reason == "max_tokens"
    assert answer.usage.output_tokens == 3


@pytest.mark.parametrize("model", ["demo", "say"])
def test_a_message_is_streamed_in_the_order_that_the_dialect_has(client: Anthropic, model: str) -> None:
    with client.messages.create(model=model, max_tokens=1000, messages=HELLO, stream=True) as stream:
        kinds = [event.type for event in stream]
    deltas = kinds.count("content_block_delta")
    assert deltas >= 3
    assert kinds == [
        "message_start",
        "content_block_start",
        *["content_block_delta"] * deltas,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


@pytest.mark.parametrize(("model", "text"), [("demo", 'beginning with "Hello there"'), ("say", "Hello there")])
def test_the_sdk_s_own_stream_helper_puts_the_message_together(client: Anthropic, model: str, text: str) -> None:
    with client.messages.stream(model=model, max_tokens=1000, messages=HELLO) as stream:
        pieces = list(stream.text_stream)
        answer = stream.get_final_message()
    assert len(pieces) >= 3
    assert text in "".join(pieces) == text_of(answer)
    assert answer.stop_reason == "end_turn"
    assert answer.usage.output_tokens >= 3


@pytest.mark.parametrize("is_streamed", [False, True], ids=["whole", "streamed"])
def test_a_loop_with_a_tool_comes_to_an_end(client: Anthropic, is_streamed: bool) -> None:
    messages = [*PARIS]
    heard = []
    for _ in range(4):
        if is_streamed:
            with client.messages.stream(model="demo", max_tokens=1000, messages=messages, tools=[WEATHER]) as stream:
                answer: anthropic.types.Message = stream.get_final_message()
        else:
            answer = client.messages.create(model="demo", max_tokens=1000, messages=messages, tools=[WEATHER])
        uses = [block for block in answer.content if block.type == "tool_use"]
        assert answer.stop_reason == ("tool_use" if uses else "end_turn")
        if not uses:
            break
        results: list[ToolResultBlockParam] = []
        for use in uses:
            assert use.name == "weather"
            heard.append(f"It rains in {use.input['city']}.")
            results.append({"type": "tool_result", "tool_use_id": use.id, "content": heard[-1]})
        messages += [{"role": "assistant", "content": answer.content}, {"role": "user", "content": results}]
    assert heard == ["It rains in Paris."]
    assert "It rains in Paris." in text_of(answer)


def test_a_tool_s_arguments_are_streamed_as_pieces_of_json(client: Anthropic) -> None:
    with client.messages.create(model="demo", max_tokens=1000, messages=PARIS, tools=[WEATHER], stream=True) as stream:
        pieces = [
            event.delta.partial_json
            for event in stream
            if event.type == "content_block_delta" and event.delta.type == "input_json_delta"
        ]
    assert json.loads("".join(pieces)) == {"city": "Paris"}


def test_the_sdk_s_own_runner_uses_a_tool(client: Anthropic) -> None:
    @beta_tool
    def weather(city: str) -> str:
        """The weather in a city."""
        return f"It rains in {city}."

    runner = client.beta.messages.tool_runner(
        model="demo", max_tokens=1000, messages=[{"role": "user", "content": "Hello in Paris"}], tools=[weather]
    )
    answer = runner.until_done()
    assert "It rains in Paris." in "".join(block.text for block in answer.content if block.type == "text")


def test_a_tool_is_left_alone_or_named_as_the_caller_chooses(client: Anthropic) -> None:
    tools = [WEATHER, CLOCK]
    without = client.messages.create(
        model="demo", max_tokens=1000, messages=PARIS, tools=tools, tool_choice={"type": "none"}
    )
    assert [block.type for block in without.content] == ["text"]
    named = client.messages.create(
        model="demo", max_tokens=1000, messages=PARIS, tools=tools, tool_choice={"type": "tool", "name": "clock"}
    )
    assert [block.name for block in named.content if block.type == "tool_use"] == ["clock"]


def test_an_answer_is_parsed_into_the_shape_it_was_asked_for(client: Anthropic) -> None:
    answer = client.messages.parse(
        model="demo",
        max_tokens=1000,
        messages=[{"role": "user", "content": "A dog called Rex, 3 years old"}],
        output_format=Dog,
    )
    assert answer.parsed_output == Dog(name="Rex", age=3)


def test_a_conversation_has_a_system_prompt_in_blocks_and_earlier_turns(client: Anthropic) -> None:
    answer = client.messages.create(
        model="demo",
        max_tokens=1000,
        system=[{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}],
        messages=[
            *HELLO,
            {"role": "assistant", "content": "Good morning."},
            {"role": "user", "content": [{"type": "text", "text": "And now?"}]},
        ],
        metadata={"user_id": "someone"},
        stop_sequences=["never said"],
        extra_body={"temperature": 0.5, "top_k": 40},
    )
    assert 'beginning with "And now?"' in text_of(answer)


def test_tokens_are_counted_before_anything_is_asked(client: Anthropic) -> None:
    few = client.messages.count_tokens(model="demo", messages=HELLO).input_tokens
    more = client.messages.count_tokens(
        model="demo", messages=[*HELLO, *PARIS], system="Be kind.", tools=[WEATHER]
    ).input_tokens
    assert 0 < few < more


def test_a_wrong_key_is_an_authentication_error(gate: RealGate) -> None:
    with (
        Anthropic(base_url=gate.ready["url"], api_key="a-guess", max_retries=0) as client,
        pytest.raises(anthropic.AuthenticationError) as caught,
    ):
        client.messages.create(model="demo", max_tokens=10, messages=HELLO)
    assert kind_of(caught.value) == "authentication_error"


def kind_of(error: anthropic.APIStatusError) -> object:
    """The type in an error's body, which has the dialect's own shape."""
    assert isinstance(error.body, dict)
    assert error.body["type"] == "error"
    assert error.body["error"]["message"]
    return error.body["error"]["type"]


@pytest.mark.parametrize(
    ("model", "kind", "name"),
    [
        ("nobody", anthropic.NotFoundError, "not_found_error"),
        ("refuse-400", anthropic.BadRequestError, "invalid_request_error"),
        ("refuse-429", anthropic.RateLimitError, "rate_limit_error"),
        ("refuse-500", anthropic.InternalServerError, "api_error"),
    ],
)
def test_what_is_refused_is_the_exception_of_its_status(
    client: Anthropic, model: str, kind: type[anthropic.APIStatusError], name: str
) -> None:
    with pytest.raises(kind) as caught:
        client.messages.create(model=model, max_tokens=10, messages=HELLO)
    assert kind_of(caught.value) == name


def test_a_wrong_parameter_is_a_bad_request_error_that_names_it(client: Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError) as caught:
        client.messages.create(model="demo", max_tokens=0, messages=HELLO)
    assert "max_tokens" in caught.value.message


@pytest.mark.parametrize("model", ["die-3", "fail-3"])
def test_a_stream_that_breaks_is_an_api_error_after_what_had_come(
    client: Anthropic, upstream: Upstream, model: str
) -> None:
    text = ""

    def read(stream: anthropic.Stream[anthropic.types.RawMessageStreamEvent]) -> None:
        nonlocal text
        for event in stream:
            if event.type == "content_block_delta" and event.delta.type == "text_delta":
                text += event.delta.text
            upstream.seen[-1].go.set()

    with (
        client.messages.create(model=model, max_tokens=10, messages=HELLO, stream=True) as stream,
        pytest.raises(anthropic.APIError),
    ):
        read(stream)
    assert text == "Hello"


async def test_the_asynchronous_client_does_the_same(gate: RealGate) -> None:
    async with AsyncAnthropic(base_url=gate.ready["url"], api_key=KEY, max_retries=0) as client:
        answer = await client.messages.create(model="demo", max_tokens=1000, messages=HELLO)
        assert 'beginning with "Hello there"' in text_of(answer)
        async with client.messages.stream(model="say", max_tokens=1000, messages=HELLO) as stream:
            assert "".join([piece async for piece in stream.text_stream]) == "Hello there"
