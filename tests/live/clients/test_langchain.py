"""langchain-openai: its chat model and its embeddings, with Farmgate as `base_url`."""

from __future__ import annotations

import openai
import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import StructuredTool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, SecretStr
from tests.journey.gate import KEY


class Dog(BaseModel):
    """A dog."""

    name: str
    age: int


def add(a: int, b: int) -> int:
    """The sum of two numbers."""
    return a + b


ADD = StructuredTool.from_function(add)
QUESTION = HumanMessage("What is 19 and 23?")


@pytest.fixture
def model(base_url: str) -> ChatOpenAI:
    return ChatOpenAI(model="demo", base_url=base_url, api_key=SecretStr(KEY), max_retries=0)


def test_a_chat_is_answered(model: ChatOpenAI) -> None:
    answer = model.invoke("Hello there")
    assert 'beginning with "Hello there"' in answer.text
    assert answer.response_metadata["finish_reason"] == "stop"
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["input_tokens"] == 2


def test_a_chat_is_streamed_and_tells_its_usage(model: ChatOpenAI) -> None:
    chunks = list(model.stream("Hello there", stream_usage=True))
    assert len(chunks) > 10
    whole = sum(chunks[1:], chunks[0])
    assert isinstance(whole, AIMessageChunk)
    assert 'beginning with "Hello there"' in whole.text
    assert whole.usage_metadata is not None
    assert whole.usage_metadata["output_tokens"] > 10


@pytest.mark.parametrize("is_streamed", [False, True], ids=["whole", "streamed"])
def test_a_tool_is_asked_for_and_its_result_heard(model: ChatOpenAI, is_streamed: bool) -> None:
    model.streaming = is_streamed
    with_tools = model.bind_tools([ADD])
    asked = with_tools.invoke([QUESTION])
    assert isinstance(asked, AIMessage)
    (call,) = asked.tool_calls
    assert (call["name"], call["args"]) == ("add", {"a": 19, "b": 23})
    result = ADD.invoke(call)
    assert isinstance(result, ToolMessage)
    assert "42" in with_tools.invoke([QUESTION, asked, result]).text


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_an_answer_has_the_shape_it_was_asked_for(model: ChatOpenAI, method: str) -> None:
    asking = model.with_structured_output(Dog, method=method)
    assert asking.invoke("A dog called Rex, 3 years old") == Dog(name="Rex", age=3)


async def ask(model: ChatOpenAI) -> str:
    return "".join([chunk.text async for chunk in model.astream("Hello there")])


def test_the_asynchronous_side_does_the_same(model: ChatOpenAI) -> None:
    import asyncio

    assert 'beginning with "Hello there"' in asyncio.run(ask(model))


def test_texts_become_vectors(base_url: str) -> None:
    # Without tiktoken's word lists, which it would fetch from elsewhere: Farmgate gets the texts themselves.
    embeddings = OpenAIEmbeddings(
        model="demo", base_url=base_url, api_key=SecretStr(KEY), check_embedding_ctx_length=False
    )
    cat, dog, again = embeddings.embed_documents(["a cat", "a dog", "a cat"])
    assert cat == again != dog
    assert len(embeddings.embed_query("a cat")) == 64


def test_a_wrong_key_is_the_sdk_s_own_exception(base_url: str) -> None:
    model = ChatOpenAI(model="demo", base_url=base_url, api_key=SecretStr("a-guess"), max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        model.invoke("Hello")
