"""LangGraph: an agent that asks the model, runs the tool it asks for, and asks again, with Farmgate as `base_url`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import pytest
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from pydantic import SecretStr
from tests.journey.gate import KEY

Agent: TypeAlias = CompiledStateGraph[MessagesState, None, MessagesState, MessagesState]
QUESTION = {"messages": [("user", "What is the weather in Paris?")]}


def weather(city: str) -> str:
    """The weather in a city."""
    return f"It rains in {city}."


@pytest.fixture
def agent(base_url: str) -> Agent:
    model = ChatOpenAI(model="demo", base_url=base_url, api_key=SecretStr(KEY), max_retries=0)
    with_tools = model.bind_tools([weather])

    def ask(state: MessagesState) -> dict[str, list[BaseMessage]]:
        return {"messages": [with_tools.invoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("ask", ask)
    graph.add_node("tools", ToolNode([weather]))
    graph.add_edge(START, "ask")
    graph.add_conditional_edges("ask", tools_condition)
    graph.add_edge("tools", "ask")
    return graph.compile()


def went_well(messages: Sequence[BaseMessage]) -> None:
    _, asked, result, answer = messages
    assert isinstance(asked, AIMessage)
    assert [(call["name"], call["args"]) for call in asked.tool_calls] == [("weather", {"city": "Paris"})]
    assert isinstance(result, ToolMessage)
    assert result.content == "It rains in Paris."
    assert "It rains in Paris." in answer.text


def test_an_agent_uses_its_tool_and_comes_to_an_end(agent: Agent) -> None:
    went_well(agent.invoke(QUESTION, {"recursion_limit": 6})["messages"])


def test_an_agent_s_words_are_streamed_as_they_come(agent: Agent) -> None:
    said = [message.text for message, _ in agent.stream(QUESTION, {"recursion_limit": 6}, stream_mode="messages")]
    assert len(said) > 5
    assert "It rains in Paris." in "".join(said)
