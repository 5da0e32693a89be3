"""Google's Agent Development Kit: an agent with a tool, on ADK's own OpenAI model class with Farmgate as `base_url`."""

from __future__ import annotations

import asyncio

import pytest
from google.adk.agents import Agent
from google.adk.agents.run_config import RunConfig, StreamingMode
from google.adk.events import Event
from google.adk.integrations.openai import OpenAILlm
from google.adk.runners import InMemoryRunner
from google.genai import types
from tests.journey.gate import KEY


def weather(city: str) -> dict[str, str]:
    """The weather in a city."""
    return {"report": f"It rains in {city}."}


async def run(base_url: str, mode: StreamingMode) -> list[Event]:
    """All that happens between the question and the answer."""
    agent = Agent(
        name="forecaster",
        model=OpenAILlm(model="demo", base_url=base_url, api_key=KEY),
        instruction="Answer questions about the weather. Use the tool.",
        tools=[weather],
    )
    async with InMemoryRunner(agent, app_name="tests") as runner:
        session = await runner.session_service.create_session(app_name="tests", user_id="someone")
        question = types.Content(role="user", parts=[types.Part(text="What is the weather in Paris?")])
        return [
            event
            async for event in runner.run_async(
                user_id="someone",
                session_id=session.id,
                new_message=question,
                run_config=RunConfig(streaming_mode=mode, max_llm_calls=4),
            )
        ]


@pytest.mark.parametrize("mode", [StreamingMode.NONE, StreamingMode.SSE], ids=["whole", "streamed"])
def test_an_agent_uses_its_tool_and_comes_to_an_end(base_url: str, mode: StreamingMode) -> None:
    events = asyncio.run(run(base_url, mode))
    done = [event for event in events if not event.partial]
    calls = [call for event in done for call in event.get_function_calls()]
    results = [result for event in done for result in event.get_function_responses()]
    assert [(call.name, call.args) for call in calls] == [("weather", {"city": "Paris"})]
    assert [(result.name, result.response) for result in results] == [("weather", {"report": "It rains in Paris."})]
    assert done[-1].is_final_response()
    assert "It rains in Paris." in said(done[-1])
    assert bool(len(done) < len(events)) is (mode is StreamingMode.SSE)


def said(event: Event) -> str:
    return "".join(part.text or "" for part in (event.content.parts if event.content else None) or [])
