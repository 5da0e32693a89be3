"""The unmodified openai SDK and its Responses, against a real gate in front of providers that only speak chat."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.responses import FunctionToolParam, ResponseFunctionToolCall, ResponseInputParam, ResponseStreamEvent
from pydantic import BaseModel
from tests.journey.gate import KEY, RealGate
from tests.journey.upstream import Upstream

PARIS = "What is the weather in Paris?"
WEATHER: FunctionToolParam = {
    "type": "function",
    "name": "weather",
    "description": "The weather in a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}


class Dog(BaseModel):
    """A dog."""

    name: str
    age: int


@pytest.fixture
def client(gate: RealGate) -> Iterator[OpenAI]:
    with OpenAI(base_url=gate.ready["apiBase"], api_key=KEY, max_retries=0) as client:
        yield client


@pytest.mark.parametrize(("model", "text"), [("demo", 'beginning with "Hello there"'), ("say", "Hello there")])
def test_an_input_is_answered_whole(client: OpenAI, model: str, text: str) -> None:
    answer = client.responses.create(model=model, input="Hello there")
    assert (answer.object, answer.status, answer.error) == ("response", "completed", None)
    assert [item.type for item in answer.output] == ["message"]
    assert text in answer.output_text
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    assert answer.usage.output_tokens >= 3
    assert answer._request_id


def test_an_answer_that_is_cut_is_incomplete(client: OpenAI) -> None:
    answer = client.responses.create(model="demo", input="Hello there", max_output_tokens=16)
    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"


@pytest.mark.parametrize("model", ["demo", "say"])
def test_a_response_is_streamed_with_the_full_sequence_of_events(client: OpenAI, model: str) -> None:
    with client.responses.create(model=model, input="Hello there", stream=True) as stream:
        events = list(stream)
    kinds = [event.type for event in events]
    deltas = kinds.count("response.output_text.delta")
    assert deltas >= 3
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        *["response.output_text.delta"] * deltas,
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))


def test_the_sdk_s_own_stream_helper_puts_the_response_together(client: OpenAI) -> None:
    with client.responses.stream(model="demo", input="Hello there") as stream:
        told = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        answer = stream.get_final_response()
    assert 'beginning with "Hello there"' in told == answer.output_text
    assert answer.status == "completed"
    assert answer.usage is not None


@pytest.mark.parametrize("is_streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("is_stored", [False, True], ids=["by hand", "previous_response_id"])
def test_a_loop_with_a_tool_comes_to_an_end(client: OpenAI, is_streamed: bool, is_stored: bool) -> None:
    items: ResponseInputParam = [{"role": "user", "content": PARIS}]
    previous = None
    heard = []
    for _ in range(4):
        common: dict[str, Any] = {
            "input": items,
            "tools": [WEATHER],
            "store": is_stored,
            "previous_response_id": previous,
        }
        if is_streamed:
            with client.responses.stream(model="demo", **common) as stream:
                answer = stream.get_final_response()
        else:
            answer = client.responses.create(model="demo", **common)
        calls = [item for item in answer.output if isinstance(item, ResponseFunctionToolCall)]
        if not calls:
            break
        results: ResponseInputParam = []
        for call in calls:
            assert call.name == "weather"
            heard.append(f"It rains in {json.loads(call.arguments)['city']}.")
            results.append({"type": "function_call_output", "call_id": call.call_id, "output": heard[-1]})
        if is_stored:
            items, previous = results, answer.id
        else:
            items += [*(item.to_dict() for item in answer.output), *results]  # type: ignore[list-item]  # as its guide says
    assert heard == ["It rains in Paris."]
    assert "It rains in Paris." in answer.output_text


def test_a_tool_s_arguments_are_streamed(client: OpenAI) -> None:
    with client.responses.create(model="demo", input=PARIS, tools=[WEATHER], stream=True) as stream:
        events = list(stream)
    pieces = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
    (done,) = [event for event in events if event.type == "response.function_call_arguments.done"]
    assert json.loads("".join(pieces)) == json.loads(done.arguments) == {"city": "Paris"}


def test_a_tool_is_left_alone_or_named_as_the_caller_chooses(client: OpenAI) -> None:
    clock: FunctionToolParam = {"type": "function", "name": "clock", "parameters": None, "strict": False}
    tools = [WEATHER, clock]
    without = client.responses.create(model="demo", input=PARIS, tools=tools, tool_choice="none")
    assert [item.type for item in without.output] == ["message"]
    choice: openai.types.responses.ToolChoiceFunctionParam = {"type": "function", "name": "clock"}
    named = client.responses.create(model="demo", input=PARIS, tools=tools, tool_choice=choice)
    assert [item.name for item in named.output if isinstance(item, ResponseFunctionToolCall)] == ["clock"]


def test_an_answer_is_parsed_into_the_shape_it_was_asked_for(client: OpenAI) -> None:
    answer = client.responses.parse(model="demo", input="A dog called Rex, 3 years old", text_format=Dog)
    assert answer.output_parsed == Dog(name="Rex", age=3)


def test_a_response_is_kept_until_it_is_deleted(client: OpenAI) -> None:
    answer = client.responses.create(
        model="demo", instructions="Be kind.", input="Hello there", metadata={"purpose": "a test"}
    )
    again = client.responses.retrieve(answer.id)
    assert (again.id, again.output_text, again.metadata) == (answer.id, answer.output_text, {"purpose": "a test"})
    (item,) = client.responses.input_items.list(answer.id)
    assert item.type == "message"
    assert "Hello there" in item.to_json()
    client.responses.delete(answer.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(answer.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.delete(answer.id)


def test_a_streamed_response_is_kept_as_well(client: OpenAI) -> None:
    with client.responses.stream(model="demo", input="Hello there") as stream:
        answer = stream.get_final_response()
    assert client.responses.retrieve(answer.id).output_text == answer.output_text


def test_a_response_that_is_not_to_be_stored_is_not(client: OpenAI) -> None:
    answer = client.responses.create(model="demo", input="Hello there", store=False)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(answer.id)
    with pytest.raises(openai.APIStatusError) as caught:
        client.responses.create(model="demo", input="And now?", previous_response_id=answer.id)
    assert caught.value.code == "previous_response_not_found"


def test_a_conversation_goes_on_from_the_response_before(client: OpenAI, upstream: Upstream) -> None:
    first = client.responses.create(model="say", instructions="Be kind.", input="Hello there")
    second = client.responses.create(model="say", input="And now?", previous_response_id=first.id)
    assert second.previous_response_id == first.id
    assert [(message["role"], text_of(message["content"])) for message in upstream.seen[-1].body["messages"]] == [
        ("user", "Hello there"),
        ("assistant", "Hello there"),
        ("user", "And now?"),
    ]


def text_of(content: object) -> object:
    """A message's text, whether it is plain or in parts."""
    return "".join(part["text"] for part in content) if isinstance(content, list) else content


def test_pages_of_input_items_follow_the_order_asked_for(client: OpenAI) -> None:
    items: ResponseInputParam = [{"role": "user", "content": text} for text in ("one", "two", "three")]
    answer = client.responses.create(model="demo", input=items)
    listed = [item.to_json() for item in client.responses.input_items.list(answer.id, order="asc", limit=2)]
    assert ["one" in listed[0], "two" in listed[1], "three" in listed[2]] == [True] * 3


def test_a_wrong_key_is_an_authentication_error(gate: RealGate) -> None:
    with (
        OpenAI(base_url=gate.ready["apiBase"], api_key="a-guess", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.responses.create(model="demo", input="Hello there")


@pytest.mark.parametrize(
    ("model", "kind", "code"),
    [
        ("nobody", openai.NotFoundError, "model_not_found"),
        ("refuse-400", openai.BadRequestError, "told"),
        ("refuse-429", openai.RateLimitError, "rate_limit_exceeded"),
        ("refuse-500", openai.InternalServerError, "upstream_error"),
    ],
)
def test_what_is_refused_is_the_exception_of_its_status(
    client: OpenAI, model: str, kind: type[openai.APIStatusError], code: str
) -> None:
    with pytest.raises(kind) as caught:
        client.responses.create(model=model, input="Hello there")
    assert caught.value.code == code


@pytest.mark.parametrize("model", ["die-3", "fail-3"])
def test_a_stream_that_breaks_is_an_api_error_after_what_had_come(
    client: OpenAI, upstream: Upstream, model: str
) -> None:
    text = ""

    def read(stream: openai.Stream[ResponseStreamEvent]) -> None:
        nonlocal text
        for event in stream:
            if event.type == "response.output_text.delta":
                text += event.delta
            upstream.seen[-1].go.set()

    with (
        client.responses.create(model=model, input="Hello there", stream=True) as stream,
        pytest.raises(openai.APIError),
    ):
        read(stream)
    assert text == "Hello"


async def test_the_asynchronous_client_does_the_same(gate: RealGate) -> None:
    async with AsyncOpenAI(base_url=gate.ready["apiBase"], api_key=KEY, max_retries=0) as client:
        answer = await client.responses.create(model="demo", input="Hello there")
        assert 'beginning with "Hello there"' in answer.output_text
        async with client.responses.stream(model="say", input="Hello there") as stream:
            assert (await stream.get_final_response()).output_text == "Hello there"
