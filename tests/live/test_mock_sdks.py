"""The unmodified openai, anthropic and ollama SDKs read the mock's proper answers, and catch its refusals."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anthropic
import ollama
import openai
import pytest

from farmgate.mock import Mock, answer_text

TEXT = answer_text()


@pytest.fixture
async def mock() -> AsyncIterator[Mock]:
    async with Mock() as mock:
        yield mock


@pytest.fixture
async def gpt(mock: Mock) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{mock.url}/v1", api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture
async def claude(mock: Mock) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=mock.url, api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture
async def llama(mock: Mock) -> AsyncIterator[ollama.AsyncClient]:
    async with ollama.AsyncClient(host=mock.url) as client:
        yield client


async def test_chat_comes_whole(gpt: openai.AsyncOpenAI) -> None:
    answer = await gpt.chat.completions.create(model="mock", messages=[{"role": "user", "content": "marker=tree"}])
    assert answer.choices[0].message.content == answer_text("tree")
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.completion_tokens, answer.usage.total_tokens) == (5, 7)


async def test_chat_comes_in_a_stream(gpt: openai.AsyncOpenAI) -> None:
    stream = gpt.chat.completions.stream(
        model="mock:frames=7", messages=[{"role": "user", "content": "hi"}], stream_options={"include_usage": True}
    )
    async with stream as events:
        final = await events.get_final_completion()
    assert final.choices[0].message.content == answer_text(frames=7)
    assert final.usage is not None
    assert final.usage.completion_tokens == 7


async def test_no_more_is_said_than_the_caller_wants(gpt: openai.AsyncOpenAI) -> None:
    answer = await gpt.chat.completions.create(
        model="mock", messages=[{"role": "user", "content": "hi"}], max_completion_tokens=2
    )
    assert answer.choices[0].message.content == answer_text(frames=2)
    assert answer.choices[0].finish_reason == "length"


async def test_a_response_comes_whole(gpt: openai.AsyncOpenAI) -> None:
    answer = await gpt.responses.create(model="mock", input="hi")
    assert (answer.output_text, answer.status) == (TEXT, "completed")
    assert answer.usage is not None
    assert answer.usage.output_tokens == 5


async def test_a_response_comes_in_a_stream(gpt: openai.AsyncOpenAI) -> None:
    async with gpt.responses.stream(model="mock", input="hi") as events:
        seen = [event async for event in events]
        final = await events.get_final_response()
    kinds = [event.type for event in seen]
    assert kinds.count("response.output_text.delta") == 5
    assert [event.sequence_number for event in seen] == list(range(len(seen)))
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")
    assert (final.output_text, final.status) == (TEXT, "completed")


async def test_a_response_may_be_incomplete(gpt: openai.AsyncOpenAI) -> None:
    answer = await gpt.responses.create(model="mock:finish=length", input="hi")
    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"


async def test_embeddings_are_the_same_for_the_same_text_packed_or_not(gpt: openai.AsyncOpenAI) -> None:
    packed = await gpt.embeddings.create(model="mock-embed", input=["a", "b", "a"], dimensions=12)
    plain = await gpt.embeddings.create(model="mock-embed", input="a", dimensions=12, encoding_format="float")
    first, second, third = (one.embedding for one in packed.data)
    assert first == third != second
    assert plain.data[0].embedding == pytest.approx(first, abs=1e-6)
    assert sum(number * number for number in first) == pytest.approx(1)


async def test_models_are_listed_for_everybody(
    gpt: openai.AsyncOpenAI, claude: anthropic.AsyncAnthropic, llama: ollama.AsyncClient
) -> None:
    assert [model.id async for model in gpt.models.list()] == ["mock", "mock-embed"]
    assert [(one.type, one.display_name) async for one in claude.models.list()] == [
        ("model", "mock"),
        ("model", "mock-embed"),
    ]
    assert [model.model for model in (await llama.list()).models] == ["mock:latest", "mock-embed:latest"]


async def test_a_message_comes_whole(claude: anthropic.AsyncAnthropic) -> None:
    answer = await claude.messages.create(model="mock", max_tokens=100, messages=[{"role": "user", "content": "hi"}])
    (block,) = answer.content
    assert block.type == "text"
    assert (block.text, answer.stop_reason, answer.usage.output_tokens) == (TEXT, "end_turn", 5)


async def test_a_message_comes_in_a_stream(claude: anthropic.AsyncAnthropic) -> None:
    stream = claude.messages.stream(model="mock", max_tokens=3, messages=[{"role": "user", "content": "hi"}])
    async with stream as events:
        final = await events.get_final_message()
        assert await events.get_final_text() == answer_text(frames=3)
    assert (final.stop_reason, final.usage.output_tokens) == ("max_tokens", 3)


async def test_tokens_are_counted(claude: anthropic.AsyncAnthropic) -> None:
    counted = await claude.messages.count_tokens(model="mock", messages=[{"role": "user", "content": "x" * 400}])
    assert counted.input_tokens > 99


async def test_ollama_is_answered_whole_in_a_stream_and_with_vectors(llama: ollama.AsyncClient) -> None:
    messages = [{"role": "user", "content": "hi"}]
    whole = await llama.chat(model="mock", messages=messages)
    assert (whole.message.content, whole.done_reason, whole.eval_count) == (TEXT, "stop", 5)
    pieces = [one.message.content or "" async for one in await llama.chat(model="mock", messages=messages, stream=True)]
    assert "".join(pieces) == TEXT
    generated = [one.response or "" async for one in await llama.generate(model="mock", prompt="hi", stream=True)]
    assert "".join(generated) == TEXT
    embedded = await llama.embed(model="mock-embed", input=["a", "b"])
    assert [len(vector) for vector in embedded.embeddings] == [8, 8]


async def test_refusals_are_what_the_sdks_call_them(
    gpt: openai.AsyncOpenAI, claude: anthropic.AsyncAnthropic, llama: ollama.AsyncClient
) -> None:
    with pytest.raises(openai.RateLimitError) as limited:
        await gpt.responses.create(model="mock:retry-after=3", input="hi")
    assert limited.value.response.headers["retry-after"] == "3"
    assert limited.value.code == "rate_limit_exceeded"
    with pytest.raises(anthropic.APIStatusError) as overloaded:
        await claude.messages.create(
            model="mock:status=529", max_tokens=9, messages=[{"role": "user", "content": "hi"}]
        )
    assert isinstance(overloaded.value.body, dict)
    assert overloaded.value.body["error"]["type"] == "overloaded_error"
    with pytest.raises(ollama.ResponseError) as missing:
        await llama.generate(model="mock:status=404", prompt="hi")
    assert missing.value.status_code == 404


async def test_an_sdk_that_tries_again_is_served_the_second_time(mock: Mock, gpt: openai.AsyncOpenAI) -> None:
    patient = gpt.with_options(max_retries=1)
    answer = await patient.responses.create(model="mock:status=503,times=1,retry-after=ms:1", input="hi")
    assert answer.output_text == TEXT
    assert [call.status for call in mock.calls] == [503, 200]
    assert mock.calls[1].headers["x-stainless-retry-count"] == "1"


async def test_a_stream_that_breaks_is_an_error_of_the_connection(gpt: openai.AsyncOpenAI) -> None:
    stream = await gpt.chat.completions.create(
        model="mock:fin=3", messages=[{"role": "user", "content": "hi"}], stream=True
    )
    seen = 0

    async def read() -> None:
        nonlocal seen
        async for _ in stream:
            seen += 1

    with pytest.raises(openai.APIConnectionError):
        await read()
    assert seen == 3
