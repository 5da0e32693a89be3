"""The demo says that it is one, and says the same thing every time."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from farmgate.core.answer import Answer, fold, gather
from farmgate.core.errors import InvalidValue, NotSupported
from farmgate.core.event import FinishReason
from farmgate.core.identity import ANONYMOUS
from farmgate.core.model import HealthStatus
from farmgate.core.request import Kind, Request, Typed
from farmgate.core.words import (
    Ask,
    CacheMark,
    Chat,
    Complete,
    Embed,
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
from farmgate.providers.demo import DemoProvider
from farmgate.providers.provider import Provider
from farmgate.providers.settings import ProviderSettings


def provider_with(**options: object) -> DemoProvider:
    return DemoProvider(ProviderSettings(name="demo", options=options))


def chat(*contents: str | tuple[TextPart | ImagePart, ...] | None, most: int | None = None) -> Chat:
    messages = tuple(Message(role=Role.USER, content=content) for content in contents)
    return Chat(messages=messages, sampling=Sampling(max_tokens=most))


def asking(words: Ask) -> Request:
    return Request(
        id="r",
        kind=Kind.CHAT,
        body=Typed(words),
        principal=ANONYMOUS,
        deadline=asyncio.get_running_loop().time() + 60.0,
        started=0.0,
    )


async def answer_of(provider: DemoProvider, words: Ask) -> Answer:
    return fold(await gather(await provider.send(asking(words))))


async def test_it_says_that_it_is_no_model_and_what_to_do() -> None:
    answer = await answer_of(provider_with(), chat("What is love?"))
    assert "not a language model" in answer.text
    assert "farmgate pull starter" in answer.text
    assert '3 words, beginning with "What is love?"' in answer.text
    assert answer.choices[0].finish is FinishReason.STOP


@pytest.mark.parametrize(
    "words",
    [
        chat(),
        chat(None),
        chat(""),
        chat("{} {0} {count} %s \N{PARTY POPPER} \udce4"),
        chat((TextPart(text="look"), ImagePart(url="data:,"))),
        Complete(prompt="Once"),
        Complete(prompt=""),
    ],
)
async def test_the_same_question_has_the_same_answer(words: Ask) -> None:
    first, second = [await answer_of(provider_with(), words) for _ in range(2)]
    assert first == second
    assert first.text
    assert first.usage is not None
    assert first.usage.completion_tokens == len(first.choices[0].texts)
    assert not first.usage.estimated


@pytest.mark.parametrize("most", [1, 5])
async def test_it_stops_where_it_is_told_to(most: int) -> None:
    answer = await answer_of(provider_with(), chat("hi", most=most))
    assert len(answer.choices[0].texts) == most
    assert answer.choices[0].finish is FinishReason.LENGTH


async def test_it_says_what_it_is_told_to() -> None:
    answer = await answer_of(provider_with(text="a  b {c}"), chat("hi"))
    assert answer.text == "a  b {c}"


@pytest.mark.parametrize("delay", [None, "soon", [], -5])
async def test_an_option_that_makes_no_sense_is_no_delay(delay: object) -> None:
    assert (await answer_of(provider_with(chunkDelayMs=delay), chat("hi"))).text


async def test_a_delay_lies_between_the_words(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    async def sleep(delay_s: float) -> None:
        waited.append(delay_s)

    monkeypatch.setattr("farmgate.providers.demo.asyncio.sleep", sleep)
    await answer_of(provider_with(chunkDelayMs=20, text="a b c"), chat("hi"))
    assert waited == [0.02] * 3


ADD = Tool(name="add", parameters={"properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}})
QUESTION = Message(role=Role.USER, content="What is 19 and 23?")


async def test_a_tool_is_called_in_pieces_and_its_result_is_passed_on() -> None:
    asked = await answer_of(provider_with(), Chat(messages=(QUESTION,), tools=(ADD,)))
    choice = asked.choices[0]
    use = choice.tools[0]
    assert (use.name, json.loads(use.arguments)) == ("add", {"a": 19, "b": 23})
    assert choice.finish is FinishReason.TOOL_CALLS
    assert not choice.text
    messages = (
        QUESTION,
        Message(role=Role.ASSISTANT, tool_uses=(ToolUse(id=use.id, name="add", arguments=use.arguments),)),
        Message(role=Role.TOOL, tool_call_id=use.id, content="{42}"),
    )
    answer = await answer_of(provider_with(text="always this"), Chat(messages=messages, tools=(ADD,)))
    assert answer.text == "This is Farmgate's demo, not a language model. The tool said: {42}"
    assert answer.choices[0].finish is FinishReason.STOP


async def test_an_answer_in_json_is_made_of_what_was_said() -> None:
    form = ResponseFormat(kind=FormatKind.SCHEMA, schema={"properties": {"sum": {"type": "integer"}}})
    answer = await answer_of(provider_with(), Chat(messages=(QUESTION,), response_format=form))
    assert json.loads(answer.text) == {"sum": 19}


async def test_equal_texts_have_equal_vectors_of_length_one() -> None:
    answer = await answer_of(provider_with(), Embed(inputs=("a", "b", "a", "\udce4")))
    assert answer.vectors[0] == answer.vectors[2] != answer.vectors[1]
    for values in answer.vectors.values():
        assert len(values) == 64
        assert sum(value * value for value in values) == pytest.approx(1.0)


@pytest.mark.parametrize("size", [1, 2, 1536])
async def test_vectors_are_as_long_as_asked(size: int) -> None:
    answer = await answer_of(provider_with(), Embed(inputs=("a",), dimensions=size))
    assert len(answer.vectors[0]) == size


@pytest.mark.parametrize("size", [-1, 2049, 1 << 20, 1 << 40])
async def test_nobody_can_ask_for_vectors_that_fill_the_memory(size: int) -> None:
    with pytest.raises(InvalidValue) as refused:
        await answer_of(provider_with(), Embed(inputs=("a",), dimensions=size))
    assert refused.value.param == "dimensions"


async def test_it_is_a_provider_with_one_model() -> None:
    provider = provider_with()
    assert isinstance(provider, Provider)
    assert [(model.name, model.loaded) for model in await provider.models()] == [("demo", True)]
    health = await provider.health()
    assert (health.status, health.models) == (HealthStatus.HEALTHY, ("demo",))
    with pytest.raises(NotSupported):
        await provider.load("demo", lambda _: None)
    await provider.close()


@pytest.mark.parametrize(
    ("text", "stop", "said", "sequence"),
    [
        ("one two three", ("two",), "one ", "two"),
        ("one two three", ("three", "two"), "one ", "two"),
        ("one two three", ("four", ""), "one two three", None),
        ("one two", ("one",), "", "one"),
    ],
)
async def test_a_stop_sequence_ends_it(text: str, stop: tuple[str, ...], said: str, sequence: str | None) -> None:
    words = Chat(messages=(Message(role=Role.USER, content="hi"),), sampling=Sampling(stop=stop))
    answer = await answer_of(provider_with(text=text), words)
    assert answer.text == said
    assert (answer.choices[0].finish, answer.choices[0].stop) == (FinishReason.STOP, sequence)


async def test_what_it_has_no_use_for_is_announced() -> None:
    look = Message(role=Role.USER, content=(TextPart(text="look", cache=CacheMark()), ImagePart(url="data:,")))
    words = Chat(
        messages=(look, replace(look, place="input[3]")),
        sampling=Sampling(temperature=0.0, seed=1, max_tokens=5, stop=("x",), top_logprobs=0),
        thinking=Thinking(effort="high"),
        user="u",
        extra={"verbosity": "low"},
    )
    reply = await provider_with().send(asking(words))
    reply.close()
    assert set(reply.dropped) == {
        *("verbosity", "user", "temperature", "seed", "logprobs", "reasoning_effort", "cache_control"),
        *("messages[0].content[1]", "input[3].content[1]"),
    }


@pytest.mark.parametrize("words", [chat("hi"), Complete(prompt="a"), Embed(inputs=("a",))])
async def test_nothing_is_announced_where_nothing_was_said(words: Ask) -> None:
    reply = await provider_with().send(asking(words))
    reply.close()
    assert reply.dropped == ()
