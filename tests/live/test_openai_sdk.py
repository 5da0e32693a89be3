"""The unmodified openai SDK against a real gate: what its users call, and the exceptions they catch."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel
from tests.journey.gate import KEY, RealGate
from tests.journey.upstream import Upstream

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[RealGate]:
    slashed = "meta-llama/Llama-3.1-8B"
    config = {
        "keys": [{"name": "tests", "key": KEY}],
        "ai": {
            "providers": {
                "demo": {"options": {"text": "Hello from the demo"}},
                "slow": {"provider": "demo", "options": {"text": "word " * 8, "chunkDelayMs": 100}},
                "up": {
                    "provider": "openai",
                    "url": upstream.url,
                    "apiKey": "sk-CANARY-of-the-upstream",
                    "models": [*MODELS, slashed],
                },
            },
            "routing": {"production": "demo"},
        },
    }
    with RealGate(tmp_path_factory.mktemp("gate"), config=config).start() as gate:
        yield gate


MODELS = ["say", "die-3", "end-3", "fail-3", "refuse-400", "refuse-500", "refuse-429"]


@pytest.fixture
def client(gate: RealGate) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{gate.ready['apiBase']}", api_key=KEY, max_retries=0) as client:
        yield client


def test_a_chat_is_answered_whole(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="demo", messages=HELLO)
    assert answer.choices[0].message.content == "Hello from the demo"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.object == "chat.completion"
    assert answer.model == "demo"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens == 5
    assert answer._request_id


@pytest.mark.parametrize("model", ["demo", "say"])
def test_a_chat_is_streamed_and_tells_its_usage_when_asked(client: OpenAI, model: str) -> None:
    with client.chat.completions.create(
        model=model, messages=HELLO, stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = list(stream)
    told = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert "".join(choice.delta.content or "" for choice in told) in ("Hello from the demo", "Hello there")
    assert [choice.finish_reason for choice in told][-1] == "stop"
    assert chunks[-1].usage is not None
    assert not chunks[-1].choices
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_stream_does_not_show_usage_nobody_asked_for(client: OpenAI) -> None:
    with client.chat.completions.create(model="say", messages=HELLO, stream=True) as stream:
        assert all(chunk.usage is None and chunk.choices for chunk in stream)


def test_the_sdk_s_own_stream_helper_puts_the_answer_together(client: OpenAI) -> None:
    with client.chat.completions.stream(model="say", messages=HELLO) as stream:
        answer = stream.get_final_completion()
    assert answer.choices[0].message.content == "Hello there"


class Weather(BaseModel):
    """The weather in a city."""

    city: str


class Dog(BaseModel):
    """A dog."""

    name: str
    age: int


WEATHER = openai.pydantic_function_tool(Weather, name="weather")
PARIS: ChatCompletionMessageParam = {"role": "user", "content": "What is the weather in Paris?"}
REX: ChatCompletionMessageParam = {"role": "user", "content": "A dog called Rex, 3 years old"}


@pytest.mark.parametrize("is_streamed", [False, True], ids=["whole", "streamed"])
def test_a_loop_with_a_tool_comes_to_an_end(client: OpenAI, is_streamed: bool) -> None:
    messages = [PARIS]
    results = []
    for _ in range(4):
        if is_streamed:
            with client.chat.completions.stream(model="demo", messages=messages, tools=[WEATHER]) as stream:
                answer = stream.get_final_completion()
        else:
            answer = client.chat.completions.parse(model="demo", messages=messages, tools=[WEATHER])
        choice = answer.choices[0]
        if not choice.message.tool_calls:
            break
        assert choice.finish_reason == "tool_calls"
        messages.append(choice.message.to_dict())  # type: ignore[arg-type]  # as the SDK's own guide does it
        for call in choice.message.tool_calls:
            assert isinstance(call.function.parsed_arguments, Weather)
            results.append(f"It rains in {call.function.parsed_arguments.city}.")
            messages.append({"role": "tool", "tool_call_id": call.id, "content": results[-1]})
    assert results == ["It rains in Paris."]
    assert "It rains in Paris." in str(choice.message.content)
    assert choice.finish_reason == "stop"


def test_a_tool_is_left_alone_or_named_as_the_caller_chooses(client: OpenAI) -> None:
    tools = [WEATHER, openai.pydantic_function_tool(Dog, name="dog")]
    ask = client.chat.completions.parse
    without = ask(model="demo", messages=[PARIS], tools=tools, tool_choice="none")
    assert without.choices[0].message.content == "Hello from the demo"
    named = ask(
        model="demo", messages=[PARIS], tools=tools, tool_choice={"type": "function", "function": {"name": "dog"}}
    )
    assert [call.function.name for call in named.choices[0].message.tool_calls or ()] == ["dog"]


def test_an_answer_is_parsed_into_the_shape_it_was_asked_for(client: OpenAI) -> None:
    answer = client.chat.completions.parse(model="demo", messages=[REX], response_format=Dog)
    assert answer.choices[0].message.parsed == Dog(name="Rex", age=3)
    with client.chat.completions.stream(model="demo", messages=[REX], response_format=Dog) as stream:
        assert stream.get_final_completion().choices[0].message.parsed == Dog(name="Rex", age=3)


def test_a_text_is_continued(client: OpenAI) -> None:
    whole = client.completions.create(model="demo", prompt="Once upon", max_tokens=2)
    assert (whole.choices[0].text, whole.choices[0].finish_reason) == ("Hello from ", "length")
    with client.completions.create(model="demo", prompt="Once upon", stream=True) as stream:
        assert "".join(chunk.choices[0].text for chunk in stream) == "Hello from the demo"


def test_embeddings_are_equal_in_base64_and_in_numbers(client: OpenAI) -> None:
    usual = client.embeddings.create(model="demo", input=["a cat", "a dog"])
    floats = client.embeddings.create(model="demo", input=["a cat", "a dog"], encoding_format="float")
    assert [vector.index for vector in usual.data] == [0, 1]
    for one, other in zip(usual.data, floats.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding, rel=1e-6)
    assert usual.data[0].embedding != usual.data[1].embedding
    assert usual.usage.prompt_tokens == 4
    assert len(client.embeddings.create(model="demo", input="a cat", dimensions=8).data[0].embedding) == 8


def test_models_are_listed_and_found_by_ids_with_slashes(client: OpenAI) -> None:
    ids = [model.id for model in client.models.list()]
    assert {"demo", "meta-llama/Llama-3.1-8B", *MODELS} <= set(ids)
    for name in (*ids, "demo/demo"):
        assert client.models.retrieve(name).id == name
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("no/such/model")
    assert caught.value.code == "model_not_found"


def test_a_wrong_key_is_an_authentication_error(gate: RealGate) -> None:
    with (
        OpenAI(base_url=gate.ready["apiBase"], api_key="a-guess", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        client.chat.completions.create(model="demo", messages=HELLO)
    assert caught.value.code == "invalid_api_key"
    assert caught.value.request_id


def test_a_model_nobody_has_is_a_not_found_error(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="dem", messages=HELLO)
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    assert "'demo'" in caught.value.message


def test_a_wrong_parameter_is_a_bad_request_error_that_names_it(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="demo", messages=HELLO, temperature=3)
    assert (caught.value.code, caught.value.param, caught.value.type) == (
        "invalid_value",
        "temperature",
        "invalid_request_error",
    )


@pytest.mark.parametrize(
    ("model", "kind", "code"),
    [
        ("refuse-400", openai.BadRequestError, "told"),
        ("refuse-429", openai.RateLimitError, "rate_limit_exceeded"),
        ("refuse-500", openai.InternalServerError, "upstream_error"),
    ],
)
def test_what_a_provider_refuses_is_the_exception_of_its_status(
    client: OpenAI, model: str, kind: type[openai.APIStatusError], code: str
) -> None:
    with pytest.raises(kind) as caught:
        client.chat.completions.create(model=model, messages=HELLO)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("fail-3", "upstream_error"),
        ("die-3", "upstream_stream_truncated"),
        ("end-3", "upstream_stream_truncated"),
    ],
)
def test_a_stream_that_breaks_is_an_api_error_after_what_had_come(
    client: OpenAI, upstream: Upstream, model: str, code: str
) -> None:
    text = ""

    def read(stream: openai.Stream[openai.types.chat.ChatCompletionChunk]) -> None:
        nonlocal text
        for chunk in stream:
            text += chunk.choices[0].delta.content or ""
            upstream.seen[-1].go.set()

    with (
        client.chat.completions.create(model=model, messages=HELLO, stream=True) as stream,
        pytest.raises(openai.APIError) as caught,
    ):
        read(stream)
    assert text == "Hello"
    assert caught.value.code == code


def test_a_call_with_an_idempotency_key_is_answered_once(client: OpenAI, upstream: Upstream) -> None:
    key = {"Idempotency-Key": "once"}
    first = client.chat.completions.create(model="say", messages=HELLO, extra_headers=key)
    asked = len(upstream.seen)
    again = client.chat.completions.with_raw_response.create(model="say", messages=HELLO, extra_headers=key)
    assert again.parse() == first
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["x-request-id"] != first._request_id
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        client.chat.completions.create(model="say", messages=HELLO, temperature=0, extra_headers=key)
    assert caught.value.code == "idempotency_key_reused"
    assert len(upstream.seen) == asked


def test_a_call_repeated_while_it_is_answered_waits_for_the_same_answer(gate: RealGate, client: OpenAI) -> None:
    def ask() -> openai.types.chat.ChatCompletion:
        return client.with_options(max_retries=5).chat.completions.create(
            model="slow/demo", messages=HELLO, extra_headers={"Idempotency-Key": "patient"}
        )

    asked = gate.metric("farmgate_requests_total")
    with ThreadPoolExecutor() as pool:
        first = pool.submit(ask)
        assert gate.comes(lambda: gate.metric("farmgate_requests_in_flight") == 1)
        assert ask().id == first.result().id
    assert gate.metric('farmgate_errors_total{code="idempotency_in_flight"}') >= 1
    assert gate.metric("farmgate_requests_total") == asked + 1


def test_a_stream_that_was_answered_is_not_retried_by_the_sdk(gate: RealGate, client: OpenAI) -> None:
    def ask() -> None:
        with client.with_options(max_retries=5).chat.completions.create(
            model="say", messages=HELLO, stream=True, extra_headers={"Idempotency-Key": "streamed"}
        ) as stream:
            assert list(stream)

    ask()
    refused = 'farmgate_errors_total{code="idempotent_answer_not_kept"}'
    before = gate.metric(refused)
    with pytest.raises(openai.ConflictError) as caught:
        ask()
    assert caught.value.code == "idempotent_answer_not_kept"
    assert gate.metric(refused) == before + 1


async def test_the_asynchronous_client_does_the_same(gate: RealGate) -> None:
    async with AsyncOpenAI(base_url=gate.ready["apiBase"], api_key=KEY, max_retries=0) as client:
        answer = await client.chat.completions.create(model="demo", messages=HELLO)
        assert answer.choices[0].message.content == "Hello from the demo"
        async with await client.chat.completions.create(model="say", messages=HELLO, stream=True) as stream:
            assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == "Hello there"
        vectors = await client.embeddings.create(model="demo", input="a cat")
        assert len(vectors.data[0].embedding) == 64
        assert "demo" in [model.id async for model in client.models.list()]
        with pytest.raises(openai.BadRequestError):
            await client.chat.completions.create(model="demo", messages=[])
        async with await client.chat.completions.create(model="die-3", messages=HELLO, stream=True) as stream:
            with pytest.raises(openai.APIError):
                assert [chunk async for chunk in stream]
