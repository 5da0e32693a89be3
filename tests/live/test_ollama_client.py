"""The unmodified Ollama client against a real gate, in front of providers that are not Ollama."""

from __future__ import annotations

import json
from collections.abc import Iterator

import ollama
import pytest
from ollama import AsyncClient, Client
from pydantic import BaseModel
from tests.journey.gate import KEY, RealGate
from tests.journey.upstream import Upstream

HELLO = [ollama.Message(role="user", content="Hello there")]
PARIS = ollama.Message(role="user", content="What is the weather in Paris?")
ALLOWED = {"authorization": f"Bearer {KEY}"}


def weather(city: str) -> str:
    """The weather in a city.

    Args:
        city: Where.
    """
    return f"It rains in {city}."


class Dog(BaseModel):
    """A dog."""

    name: str
    age: int


@pytest.fixture
def client(gate: RealGate) -> Iterator[Client]:
    with Client(host=gate.ready["url"], headers=ALLOWED) as client:
        yield client


@pytest.mark.parametrize(("model", "text"), [("demo", 'beginning with "Hello there"'), ("say", "Hello there")])
def test_a_chat_is_answered_whole(client: Client, model: str, text: str) -> None:
    answer = client.chat(model=model, messages=HELLO)
    assert answer.message.role == "assistant"
    assert text in str(answer.message.content)
    assert (answer.model, answer.done, answer.done_reason) == (model, True, "stop")
    assert answer.created_at
    assert answer.prompt_eval_count
    assert answer.eval_count
    assert answer.total_duration


@pytest.mark.parametrize(("model", "text"), [("demo", 'beginning with "Hello there"'), ("say", "Hello there")])
def test_a_chat_is_streamed_and_tells_its_usage_at_the_end(client: Client, model: str, text: str) -> None:
    *pieces, last = client.chat(model=model, messages=HELLO, stream=True)
    assert len(pieces) >= 3
    assert not any(piece.done for piece in pieces)
    assert text in "".join(piece.message.content or "" for piece in [*pieces, last])
    assert (last.done, last.done_reason) == (True, "stop")
    assert last.eval_count
    assert last.prompt_eval_count


def test_an_answer_that_is_cut_says_so(client: Client) -> None:
    answer = client.chat(model="demo", messages=HELLO, options={"num_predict": 3})
    assert (answer.done_reason, answer.eval_count) == ("length", 3)


@pytest.mark.parametrize("is_streamed", [False, True], ids=["whole", "streamed"])
def test_a_loop_with_a_tool_comes_to_an_end(client: Client, is_streamed: bool) -> None:
    messages = [PARIS]
    heard = []
    for _ in range(4):
        pieces = (
            list(client.chat(model="demo", messages=messages, tools=[weather], stream=True))
            if is_streamed
            else [client.chat(model="demo", messages=messages, tools=[weather])]
        )
        text = "".join(piece.message.content or "" for piece in pieces)
        calls = [call for piece in pieces for call in piece.message.tool_calls or ()]
        if not calls:
            break
        messages.append(ollama.Message(role="assistant", content=text, tool_calls=calls))
        for call in calls:
            assert call.function.name == "weather"
            heard.append(weather(**call.function.arguments))
            messages.append(ollama.Message(role="tool", content=heard[-1], tool_name=call.function.name))
    assert heard == ["It rains in Paris."]
    assert "It rains in Paris." in text
    assert pieces[-1].done_reason == "stop"


def test_an_answer_has_the_shape_it_was_asked_for(client: Client) -> None:
    rex = [ollama.Message(role="user", content="A dog called Rex, 3 years old")]
    answer = client.chat(model="demo", messages=rex, format=Dog.model_json_schema())
    assert Dog.model_validate_json(str(answer.message.content)) == Dog(name="Rex", age=3)
    loose = client.chat(model="demo", messages=rex, format="json")
    assert isinstance(json.loads(str(loose.message.content)), dict)


def test_a_text_is_generated_whole_and_streamed(client: Client) -> None:
    answer = client.generate(model="demo", prompt="Hello there")
    assert 'beginning with "Hello there"' in str(answer.response)
    assert (answer.done, answer.done_reason) == (True, "stop")
    pieces = list(client.generate(model="demo", prompt="Hello there", stream=True))
    assert len(pieces) > 10
    assert "".join(piece.response or "" for piece in pieces) == answer.response
    assert pieces[-1].eval_count == answer.eval_count


def test_texts_become_vectors(client: Client) -> None:
    cat, dog, again = client.embed(model="demo", input=["a cat", "a dog", "a cat"]).embeddings
    assert cat == again != dog
    (short,) = client.embed(model="demo", input="a cat", dimensions=8).embeddings
    assert len(short) == 8
    assert client.embeddings(model="demo", prompt="a cat").embedding == pytest.approx(cat)


def test_models_are_listed_shown_and_seen_running(client: Client) -> None:
    names = {model.model for model in client.list().models}
    assert {"demo", "say"} <= {str(name).removesuffix(":latest") for name in names}
    shown = client.show("demo")
    assert {"completion", "tools"} <= set(shown.capabilities or ())
    assert "demo" in {str(model.model).removesuffix(":latest") for model in client.ps().models}
    assert client.show("demo:latest").capabilities == shown.capabilities


def test_a_model_is_loaded_by_asking_nothing_of_it(client: Client) -> None:
    assert client.chat(model="demo", messages=[]).done_reason == "load"
    assert client.generate(model="demo").done_reason == "load"


def test_a_wrong_key_is_an_error_of_its_status(gate: RealGate) -> None:
    with (
        Client(host=gate.ready["url"], headers={"authorization": "Bearer a-guess"}) as client,
        pytest.raises(ollama.ResponseError) as caught,
    ):
        client.chat(model="demo", messages=HELLO)
    assert caught.value.status_code == 401


@pytest.mark.parametrize(
    ("model", "status"), [("nobody", 404), ("refuse-400", 400), ("refuse-429", 429), ("refuse-500", 502)]
)
@pytest.mark.parametrize("is_streamed", [False, True], ids=["whole", "streamed"])
def test_what_is_refused_is_an_error_of_its_status(client: Client, model: str, status: int, is_streamed: bool) -> None:
    with pytest.raises(ollama.ResponseError) as caught:
        list(client.chat(model=model, messages=HELLO, stream=True)) if is_streamed else client.chat(model, HELLO)
    assert caught.value.status_code == status
    assert isinstance(caught.value.error, str)
    assert model != "nobody" or "nobody" in caught.value.error


@pytest.mark.parametrize("model", ["die-3", "fail-3"])
def test_a_stream_that_breaks_is_an_error_after_what_had_come(client: Client, upstream: Upstream, model: str) -> None:
    text = ""

    def read() -> None:
        nonlocal text
        for piece in client.chat(model=model, messages=HELLO, stream=True):
            text += piece.message.content or ""
            upstream.seen[-1].go.set()

    with pytest.raises(ollama.ResponseError):
        read()
    assert text == "Hello"


async def test_the_asynchronous_client_does_the_same(gate: RealGate) -> None:
    async with AsyncClient(host=gate.ready["url"], headers=ALLOWED) as client:
        answer = await client.chat(model="demo", messages=HELLO)
        assert 'beginning with "Hello there"' in str(answer.message.content)
        pieces = [piece async for piece in await client.chat(model="say", messages=HELLO, stream=True)]
        assert "".join(piece.message.content or "" for piece in pieces) == "Hello there"
