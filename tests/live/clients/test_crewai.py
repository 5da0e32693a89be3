"""CrewAI: an agent with a tool, on CrewAI's own OpenAI provider with Farmgate as `base_url`."""

from __future__ import annotations

from crewai import LLM, Agent, Crew, Task
from crewai.tools import BaseTool
from pydantic import BaseModel
from tests.journey.gate import KEY


class Place(BaseModel):
    """Where the weather is wanted."""

    city: str


class Weather(BaseTool):  # type: ignore[misc]  # the type checker sees another environment, without CrewAI
    """Remembers what it was asked."""

    name: str = "weather"
    description: str = "The weather in a city."
    args_schema: type[BaseModel] = Place
    asked: list[str] = []  # noqa: RUF012 - a pydantic field

    def _run(self, city: str) -> str:
        self.asked.append(city)
        return "It rains cats and dogs."


def test_an_agent_uses_its_tool_and_comes_to_an_end(base_url: str) -> None:
    weather = Weather()
    agent = Agent(
        role="Forecaster",
        goal="Say what the weather is",
        backstory="You look out of windows.",
        llm=LLM(model="demo", provider="openai", base_url=base_url, api_key=KEY),
        tools=[weather],
        max_iter=4,
    )
    task = Task(description="What is the weather in Paris?", expected_output="One sentence.", agent=agent)
    answer = Crew(agents=[agent], tasks=[task]).kickoff()
    assert weather.asked == ["Paris"]
    assert "It rains cats and dogs." in answer.raw
    assert answer.token_usage.successful_requests == 2
