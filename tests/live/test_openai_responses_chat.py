"""The unmodified openai SDK's Responses API against a real gate, in front of a provider that only speaks chat."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types.responses import Response, ResponseStreamEvent, ToolParam
from pydantic import BaseModel, TypeAdapter
from tests.journey.gate import KEY, RealGate
from tests.journey.upstream import TALK, Upstream

OTHER_KEY = "another-key-of-the-tests-0123456789"
MODELS = [*TALK, "say", "die-3", "end-3", "fail-3", "refuse-400", "refuse-500", "refuse-429"]
WEATHER: ToolParam = {
    "type": "function",
    "name": "weather",
    "description": "The weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": True,
}
EVENT: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)


class Weather(BaseModel):
    """What a city is like."""

    city: str
    warm: bool


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[RealGate]:
    config = {
        "keys": [{"name": "tests", "key": KEY}, {"name": "others", "key": OTHER_KEY}],
        "responses": {"store": "disk"},
        "ai": {
            "providers": {
                "demo": {"options": {"text": "Hello from the demo"}},
                "up": {"provider": "openai", "url": upstream.url, "apiKey": "none", "models": MODELS},
            },
            "routing": {"production": "demo"},
        },
    }
    with RealGate(tmp_path_factory.mktemp("gate"), config=config).start() as gate:
        yield gate


@pytest.fixture
def client(gate: RealGate) -> Iterator[OpenAI]:
    with OpenAI(base_url=gate.ready["apiBase"], api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture
def stranger(gate: RealGate) -> Iterator[OpenAI]:
    with OpenAI(base_url=gate.ready["apiBase"], api_key=OTHER_KEY, max_retries=0) as client:
        yield client


def strictly(told: Response) -> Response:
    """The response, once it is of the SDK's own types without leniency."""
    return Response.model_validate_json(told.model_dump_json(by_alias=True))


@pytest.mark.parametrize("model", ["demo", "say"])
def test_a_response_is_answered_whole(client: OpenAI, model: str) -> None:
    told = strictly(client.responses.create(model=model, input="Hello", instructions="Be brief.", metadata={"a": "b"}))
    assert told.output_text in ("Hello from the demo", "Hello there")
    assert (told.object, told.status, told.model) == ("response", "completed", model)
    assert told.id.startswith("resp_")
    assert told.output[0].id is not None
    assert told.output[0].id.startswith("msg_")
    assert (told.instructions, told.metadata, told.error, told.incomplete_details) == (
        "Be brief.",
        {"a": "b"},
        None,
        None,
    )
    assert told.usage is not None
    assert told.usage.total_tokens == told.usage.input_tokens + told.usage.output_tokens > 0
    assert told.completed_at is not None
    assert told.created_at <= told.completed_at


def test_the_sampling_that_was_asked_for_reaches_the_provider_and_is_told(client: OpenAI, upstream: Upstream) -> None:
    count = len(upstream.seen)
    told = client.responses.create(
        model="say",
        input="Hello",
        temperature=0.5,
        top_p=0.9,
        max_output_tokens=50,
        text={"format": {"type": "json_object"}, "verbosity": "low"},
        reasoning={"effort": "low", "summary": "auto"},
        parallel_tool_calls=False,
        tools=[WEATHER],
        user="me",
        prompt_cache_key="k",
    )
    sent = upstream.last(count + 1).body
    assert sent["messages"] == [{"role": "user", "content": "Hello"}]
    assert (sent["temperature"], sent["top_p"], sent["max_tokens"]) == (0.5, 0.9, 50)
    assert (sent["response_format"], sent["verbosity"]) == ({"type": "json_object"}, "low")
    assert (sent["reasoning_effort"], sent["parallel_tool_calls"], sent["user"]) == ("low", False, "me")
    assert sent["tools"][0]["function"]["name"] == "weather"
    assert sent["prompt_cache_key"] == "k"
    assert "store" not in sent
    assert (told.temperature, told.top_p, told.max_output_tokens) == (0.5, 0.9, 50)
    assert told.reasoning is not None
    assert (told.reasoning.effort, told.parallel_tool_calls, told.user) == ("low", False, "me")
    assert told.text is not None
    assert told.text.verbosity == "low"


def kinds(events: list[ResponseStreamEvent]) -> list[str]:
    """The types in order, one for each run of the same."""
    found: list[str] = []
    for event in events:
        if not found or found[-1] != event.type:
            found.append(event.type)
    return found


@pytest.mark.parametrize("model", ["demo", "say"])
def test_a_response_is_streamed_as_the_sdk_s_own_events(client: OpenAI, model: str) -> None:
    with client.responses.create(model=model, input="Hello", stream=True) as stream:
        events = list(stream)
    for event in events:
        EVENT.validate_json(event.model_dump_json(by_alias=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert kinds(events) == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    last = events[-1]
    assert last.type == "response.completed"
    assert text == last.response.output_text
    assert last.response.usage is not None
    assert last.response.usage.output_tokens > 0
    assert client.responses.retrieve(last.response.id).output_text == text


def test_the_sdk_s_own_stream_helper_puts_the_response_together(client: OpenAI) -> None:
    with client.responses.stream(model="say", input="Hello") as stream:
        pieces = [event.delta for event in stream if event.type == "response.output_text.delta"]
        told = stream.get_final_response()
    assert "".join(pieces) == told.output_text == "Hello there"


def test_thoughts_are_streamed_as_a_summary_and_are_an_item(client: OpenAI) -> None:
    with client.responses.stream(model="think", input="What?") as stream:
        events = list(stream)
        told = stream.get_final_response()
    thought = "".join(event.delta for event in events if event.type == "response.reasoning_summary_text.delta")
    assert thought == "Let me see."
    assert [item.type for item in told.output] == ["reasoning", "message"]
    whole = strictly(client.responses.create(model="think", input="What?"))
    assert whole.output[0].type == "reasoning"
    assert whole.output[0].summary[0].text == thought
    assert whole.output_text == "Forty-two"


def test_a_refusal_is_a_refusal(client: OpenAI) -> None:
    with client.responses.create(model="decline", input="Do it", stream=True) as stream:
        events = list(stream)
    assert "".join(event.delta for event in events if event.type == "response.refusal.delta") == "I would rather not."
    whole = strictly(client.responses.create(model="decline", input="Do it"))
    assert whole.output[0].type == "message"
    assert whole.output[0].content[0].type == "refusal"
    assert whole.output_text == ""


def test_an_answer_that_reached_its_limit_is_incomplete(client: OpenAI) -> None:
    whole = strictly(client.responses.create(model="cut", input="Tell", max_output_tokens=2))
    assert whole.status == "incomplete"
    assert whole.incomplete_details is not None
    assert whole.incomplete_details.reason == "max_output_tokens"
    with client.responses.create(model="cut", input="Tell", stream=True) as stream:
        last = list(stream)[-1]
    assert last.type == "response.incomplete"
    assert last.response.output_text == "Once upon"


# ------------------------------------------------------------------------------------------------------------- tools


def answers(told: Response) -> list[Any]:
    """What the functions say that were called."""
    calls = [item for item in told.output if item.type == "function_call"]
    assert [json.loads(call.arguments) for call in calls] == [{"city": "Oslo"}, {"city": "Rome"}]
    return [{"type": "function_call_output", "call_id": call.call_id, "output": "rain"} for call in calls]


def final(client: OpenAI, **asked: Any) -> Response:
    """The response of a stream."""
    with client.responses.stream(**asked) as stream:
        return stream.get_final_response()


@pytest.mark.parametrize("streams", [False, True])
def test_a_tool_loop_on_what_is_kept(client: OpenAI, upstream: Upstream, *, streams: bool) -> None:
    ask = (lambda **asked: final(client, **asked)) if streams else client.responses.create
    first = ask(model="call", input="Weather?", instructions="Be brief.", tools=[WEATHER])
    count = len(upstream.seen)
    second = ask(model="call", input=answers(first), previous_response_id=first.id, tools=[WEATHER])
    assert second.output_text == "Hello there"
    assert second.previous_response_id == first.id
    sent = upstream.last(count + 1).body["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "tool", "tool"]
    assert [call["function"]["arguments"] for call in sent[1]["tool_calls"]] == ['{"city":"Oslo"}', '{"city":"Rome"}']
    third = ask(model="say", input="And now?", previous_response_id=second.id)
    sent = upstream.last(count + 2).body["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "tool", "tool", "assistant", "user"]
    assert third.output_text == "Hello there"


def test_a_tool_loop_that_keeps_nothing_here(client: OpenAI) -> None:
    given: list[Any] = [{"role": "user", "content": "Weather?"}]
    first = client.responses.create(model="call", input=given, tools=[WEATHER], store=False)
    assert first.model_extra is not None
    given += [*first.output, *answers(first)]
    assert client.responses.create(model="call", input=given, tools=[WEATHER], store=False).output_text == "Hello there"
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.id)


def test_structured_answers_are_parsed(client: OpenAI, upstream: Upstream) -> None:
    count = len(upstream.seen)
    told = client.responses.parse(model="json", input="Oslo?", text_format=Weather)
    assert told.output_parsed == Weather(city="Oslo", warm=False)
    wanted = upstream.last(count + 1).body["response_format"]
    assert wanted["type"] == "json_schema"
    assert wanted["json_schema"]["name"] == "Weather"
    assert wanted["json_schema"]["strict"] is True
    with client.responses.stream(model="json", input="Oslo?", text_format=Weather) as stream:
        assert stream.get_final_response().output_parsed == Weather(city="Oslo", warm=False)


# ----------------------------------------------------------------------------------------------------- what is kept


def test_a_response_is_found_again_and_deleted(client: OpenAI) -> None:
    told = client.responses.create(model="say", input="Hello")
    assert client.responses.retrieve(told.id).model_dump() == told.model_dump()
    client.responses.delete(told.id)
    for gone in (client.responses.retrieve, client.responses.delete, client.responses.input_items.list):
        with pytest.raises(openai.NotFoundError) as caught:
            gone(told.id)
        assert caught.value.code == "not_found"


def test_the_input_of_a_response_is_listed_page_by_page(client: OpenAI) -> None:
    first = client.responses.create(model="say", input="One")
    second = client.responses.create(
        model="say", input=[{"role": "user", "content": "Two"}], previous_response_id=first.id
    )
    told = list(client.responses.input_items.list(second.id, order="asc", limit=1))
    texts = [part.text for item in told if item.type == "message" for part in item.content if "text" in part.type]  # type: ignore[union-attr] # parts of three kinds
    assert texts == ["One", "Hello there", "Two"]
    newest = client.responses.input_items.list(second.id, limit=2)
    assert newest.has_more
    assert [item.id for item in newest.data] == [item.id for item in told[:0:-1]]
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.input_items.list(second.id, after="nothing")
    assert (caught.value.code, caught.value.param) == ("invalid_value", "after")


def test_items_can_be_named_instead_of_repeated(client: OpenAI, upstream: Upstream) -> None:
    first = client.responses.create(model="say", input="One")
    count = len(upstream.seen)
    given: list[Any] = [
        {"role": "user", "content": "One"},
        {"type": "item_reference", "id": first.output[0].id},
        {"role": "user", "content": "Two"},
    ]
    client.responses.create(model="say", input=given)
    sent = upstream.last(count + 1).body["messages"]
    assert [message["content"] for message in sent] == ["One", "Hello there", "Two"]
    given[1]["id"] = "msg_nobody"
    with pytest.raises(openai.NotFoundError) as caught:
        client.responses.create(model="say", input=given)
    assert caught.value.param == "input[1].id"


def test_what_one_key_keeps_no_other_finds(client: OpenAI, stranger: OpenAI) -> None:
    told = client.responses.create(model="say", input="A secret")
    for look in (stranger.responses.retrieve, stranger.responses.delete, stranger.responses.input_items.list):
        with pytest.raises(openai.NotFoundError):
            look(told.id)
    with pytest.raises(openai.NotFoundError) as caught:
        stranger.responses.create(model="say", input="What was it?", previous_response_id=told.id)
    assert (caught.value.code, caught.value.param) == ("previous_response_not_found", "previous_response_id")
    with pytest.raises(openai.NotFoundError):
        stranger.responses.create(
            model="say",
            input=[{"type": "item_reference", "id": str(told.output[0].id)}, {"role": "user", "content": "?"}],
        )
    assert client.responses.retrieve(told.id).id == told.id


def test_only_work_in_the_background_is_cancelled_and_there_is_none(client: OpenAI) -> None:
    told = client.responses.create(model="say", input="Hello")
    with pytest.raises(openai.BadRequestError):
        client.responses.cancel(told.id)
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="say", input="Hello", background=True)
    assert (caught.value.code, caught.value.param) == ("not_supported", "background")


def test_the_tokens_of_an_input_are_counted(client: OpenAI) -> None:
    told = client.responses.input_tokens.count(model="say", input="Hello", instructions="Be brief.")
    assert (told.object, told.input_tokens > 0) == ("response.input_tokens", True)


# ------------------------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("model", "error", "code"),
    [
        ("nobody", openai.NotFoundError, "model_not_found"),
        ("refuse-400", openai.BadRequestError, "told"),
        ("refuse-429", openai.RateLimitError, "rate_limit_exceeded"),
        ("refuse-500", openai.InternalServerError, "upstream_error"),
    ],
)
@pytest.mark.parametrize("streams", [False, True])
def test_errors_are_the_sdk_s_own(
    client: OpenAI, model: str, error: type[openai.APIStatusError], code: str, *, streams: bool
) -> None:
    with pytest.raises(error) as caught:
        client.responses.create(model=model, input="Hello", stream=streams)
    assert caught.value.code == code


@pytest.mark.parametrize("model", ["die-3", "end-3", "fail-3"])
def test_a_stream_that_breaks_raises_and_shows_what_came(client: OpenAI, upstream: Upstream, model: str) -> None:
    events: list[ResponseStreamEvent] = []
    code = "upstream_error" if model == "fail-3" else "upstream_stream_truncated"
    with client.responses.create(model=model, input="Hello", stream=True) as stream:
        upstream.seen[-1].go.set()
        with pytest.raises(openai.APIError) as caught:
            events.extend(stream)
    assert caught.value.code == code
    failed = events[-1]
    assert failed.type == "response.failed"
    assert failed.response.status == "failed"
    assert failed.response.error is not None
    assert failed.response.error.code == "server_error"
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == "Hello"
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(failed.response.id)


def test_the_stream_helper_raises_too(client: OpenAI) -> None:
    with client.responses.stream(model="end-3", input="Hello") as stream, pytest.raises(openai.APIError):
        stream.until_done()
