"""Google's and Microsoft's clouds."""

from __future__ import annotations

from dataclasses import replace

from tests.matrix.facts import Call, Fact, Tokens, Told
from tests.matrix.openai_rows import FILTERED, LENGTH, OPENAI_PLACES, PARALLEL, STRUCTURED, THOUGHT, USAGE
from tests.matrix.provider import Provider, Recording
from tests.matrix.walking import Places

__all__ = ["AZURE", "GEMINI", "VERTEX"]

PARTS = r"contents\[\d+\]\.parts"
FUNCTION = r"tools\[0\]\.functionDeclarations\[0\]"
GOOGLE_PLACES: Places = {
    Fact.SYSTEM: r"systemInstruction\.parts\[0\]\.text",
    Fact.USER: rf"{PARTS}\[0\]\.text",
    Fact.FIRST_ID: rf"{PARTS}\[0\]\.functionCall\.id",
    Fact.SECOND_ID: rf"{PARTS}\[1\]\.functionCall\.id",
    Fact.FIRST_ANSWERED: rf"{PARTS}\[0\]\.functionResponse\.id",
    Fact.SECOND_ANSWERED: rf"{PARTS}\[1\]\.functionResponse\.id",
    Fact.FIRST_NAME: rf"{PARTS}\[0\]\.functionCall\.name",
    Fact.FIRST_ARGUMENTS: rf"{PARTS}\[0\]\.functionCall\.args",
    Fact.SECOND_NAME: rf"{PARTS}\[1\]\.functionCall\.name",
    Fact.SECOND_ARGUMENTS: rf"{PARTS}\[1\]\.functionCall\.args",
    Fact.FIRST_RESULT: rf"{PARTS}\[0\]\.functionResponse\.response\.\w+",
    Fact.SECOND_RESULT: rf"{PARTS}\[1\]\.functionResponse\.response\.\w+",
    Fact.QUESTION: rf"{PARTS}\[\d\]\.text",
    Fact.IMAGE: rf"{PARTS}\[\d\]\.inlineData\.data",
    Fact.IMAGE_TYPE: rf"{PARTS}\[\d\]\.inlineData\.mimeType",
    Fact.TOOL_NAME: rf"{FUNCTION}\.name",
    Fact.TOOL_DESCRIPTION: rf"{FUNCTION}\.description",
    Fact.TOOL_SCHEMA: rf"{FUNCTION}\.parameters(JsonSchema)?",
    Fact.SCHEMA: r"generationConfig\.response(Json)?Schema",
    Fact.EFFORT: (r"generationConfig\.thinkingConfig\.thinkingBudget", lambda told: told == 16_384),
    Fact.TEMPERATURE: r"generationConfig\.temperature",
    Fact.MOST_TOKENS: r"generationConfig\.maxOutputTokens",
    Fact.STOP: r"generationConfig\.stopSequences\[0\]",
    Fact.TOP_P: r"generationConfig\.topP",
    Fact.TOP_K: r"generationConfig\.topK",
    Fact.SEED: r"generationConfig\.seed",
    Fact.PRESENCE: r"generationConfig\.presencePenalty",
    Fact.FREQUENCY: r"generationConfig\.frequencyPenalty",
    Fact.CHOICE: r"toolConfig\.functionCallingConfig\.allowedFunctionNames\[0\]",
}
GATE = "A gate keeps the herd in and the fox out."
WEATHER = Call("get_weather", {"city": "Zürich", "days": 2}, "k3j9x2aa")
CITIES = (Call("get_weather", {"city": "Bern"}), Call("get_weather", {"city": "Basel"}))
GOOGLE_PARALLEL = Told(
    calls=(*CITIES, Call("get_time", {})), tokens=Tokens(prompt=75, completion=41), finish="tool_calls"
)
GOOGLE_USAGE = replace(USAGE, tokens=Tokens(prompt=1200, completion=70, cached=1024, reasoning=64))

GEMINI = Provider(
    name="gemini",
    title="Gemini",
    form="`v1beta`, `generateContent` and `streamGenerateContent`",
    dialect="gemini",
    model="gemini-2.5-flash",
    entry={"apiKey": "AIza-canary-0123456789"},
    suffix="/v1beta",
    whole_at=b'"finishReason"',
    places=GOOGLE_PLACES,
    recordings={
        "text": Recording(file="gemini/text.json", told=Told(text=GATE, tokens=Tokens(prompt=9, completion=12))),
        "stream": Recording(
            file="gemini/stream.sse",
            told=Told(text="A gate keeps the herd in, and the 🦊 out.", tokens=Tokens(prompt=9, completion=12)),
        ),
        "tools": Recording(
            file="gemini/tools.json",
            told=Told(calls=(WEATHER,), tokens=Tokens(prompt=61, completion=110, reasoning=92), finish="tool_calls"),
        ),
        "tools_stream": Recording(
            file="gemini/tools_stream.sse",
            told=Told(
                text="Let me look.",
                calls=(WEATHER,),
                tokens=Tokens(prompt=61, completion=110, reasoning=92),
                finish="tool_calls",
            ),
        ),
        "parallel_tools": Recording(file="gemini/parallel_tools.json", told=GOOGLE_PARALLEL),
        "parallel_tools_stream": Recording(file="gemini/parallel_tools_stream.sse", told=GOOGLE_PARALLEL),
        "structured": Recording(
            file="gemini/structured.json",
            told=Told(text='{"animal": "fox", "legs": 4}', tokens=Tokens(prompt=22, completion=11, cached=16)),
        ),
        "reasoning": Recording(
            file="gemini/reasoning.json",
            told=Told(
                text="Five in all.",
                reasoning="**Counting**\n\nTwo gates, three fences.",
                tokens=Tokens(prompt=14, completion=123, reasoning=118),
            ),
        ),
        "reasoning_stream": Recording(
            file="gemini/reasoning_stream.sse",
            told=Told(
                text="Five in all.",
                reasoning="**Counting**\n\nTwo gates, three fences.",
                tokens=Tokens(prompt=14, completion=123, reasoning=118),
            ),
        ),
        "usage": Recording(file="gemini/usage.json", told=GOOGLE_USAGE),
        "usage_stream": Recording(file="gemini/usage_stream.sse", told=GOOGLE_USAGE),
        "length": Recording(file="gemini/length.json", told=LENGTH),
        "length_stream": Recording(file="gemini/length_stream.sse", told=LENGTH),
        "filtered": Recording(file="gemini/filtered.json", told=FILTERED),
        "filtered_stream": Recording(
            file="gemini/safety_stream.sse",
            told=Told(text="To begin with,", tokens=Tokens(prompt=11, completion=3), finish="content_filter"),
        ),
        "error_429": Recording(file="gemini/error_429.json", status=429, error="You exceeded your current quota"),
        "error_400": Recording(file="gemini/error_400.json", status=400, error="generation_config.candidate_count"),
    },
)

VERTEX_GATE = Told(text="A gate keeps the herd in.", tokens=Tokens(prompt=7, completion=8))
VERTEX_THOUGHT = replace(THOUGHT, tokens=Tokens(prompt=31, completion=80, reasoning=64))
BREST = replace(PARALLEL.calls[0], id=None)
MALO = replace(PARALLEL.calls[1], id=None)

VERTEX = Provider(
    name="vertex",
    title="Vertex AI",
    form="`v1`, `generateContent` and `streamGenerateContent` of a Gemini",
    dialect="gemini",
    model="gemini-2.5-pro",
    entry={"apiKey": "ya29-canary-0123456789", "options": {"project": "farm-project", "location": "europe-west1"}},
    whole_at=b'"finishReason"',
    places=GOOGLE_PLACES,
    implied=frozenset({Fact.FIRST_ID, Fact.FIRST_ANSWERED, Fact.SECOND_ID, Fact.SECOND_ANSWERED}),
    note="Vertex AI has no ids of calls: results stand in the order of the calls they answer.",
    recordings={
        "text": Recording(file="vertex/text.json", told=VERTEX_GATE),
        "stream": Recording(file="vertex/stream.sse", told=VERTEX_GATE),
        "tools": Recording(
            file="vertex/tools.json",
            told=Told(calls=CITIES, tokens=Tokens(prompt=40, completion=53, reasoning=33), finish="tool_calls"),
        ),
        "tools_stream": Recording(
            file="vertex/tools_stream.sse",
            told=Told(calls=(BREST,), tokens=Tokens(prompt=88, completion=19), finish="tool_calls"),
        ),
        "parallel_tools": Recording(
            file="vertex/tools.json",
            told=Told(calls=CITIES, tokens=Tokens(prompt=40, completion=53, reasoning=33), finish="tool_calls"),
        ),
        "parallel_tools_stream": Recording(
            file="vertex/parallel_tools_stream.sse",
            told=Told(calls=(BREST, MALO), tokens=Tokens(prompt=88, completion=37), finish="tool_calls"),
        ),
        "structured": Recording(file="vertex/structured.json", told=STRUCTURED),
        "reasoning": Recording(file="vertex/reasoning.json", told=VERTEX_THOUGHT),
        "reasoning_stream": Recording(file="vertex/reasoning_stream.sse", told=VERTEX_THOUGHT),
        "usage": Recording(file="vertex/usage.json", told=GOOGLE_USAGE),
        "usage_stream": Recording(file="vertex/usage_stream.sse", told=GOOGLE_USAGE),
        "length": Recording(file="vertex/length.json", told=LENGTH),
        "length_stream": Recording(file="vertex/length_stream.sse", told=LENGTH),
        "filtered": Recording(file="vertex/filtered.json", told=FILTERED),
        "filtered_stream": Recording(file="vertex/filtered_stream.sse", told=FILTERED),
        "error_429": Recording(file="vertex/error_429.json", status=429, error="Resource exhausted"),
        "error_400": Recording(file="vertex/error_400.json", status=400, error="does not exist in this harbour"),
    },
)

AZURE_TOKENS = Tokens(prompt=12, completion=9, cached=4)
AZURE_GATE = Told(text="A gate keeps the herd in.", tokens=AZURE_TOKENS)
AZURE_TOOLS = Told(
    calls=(Call("get_weather", {"city": "Bern"}, "call_5tKz9"),), tokens=AZURE_TOKENS, finish="tool_calls"
)

AZURE = Provider(
    name="azure",
    title="Azure",
    form="Chat Completions, the v1 API",
    dialect="openai",
    model="gpt-4.1",
    entry={"apiKey": "azure-canary-0123456789"},
    whole_at=b'"finish_reason":"',
    places=OPENAI_PLACES,
    recordings={
        "text": Recording(file="azure/text.json", told=AZURE_GATE),
        "stream": Recording(file="azure/stream.sse", told=AZURE_GATE),
        "tools": Recording(file="azure/tools.json", told=AZURE_TOOLS),
        "tools_stream": Recording(file="azure/tools_stream.sse", told=AZURE_TOOLS),
        "parallel_tools": Recording(file="azure/parallel_tools.json", told=PARALLEL),
        "parallel_tools_stream": Recording(file="azure/parallel_tools_stream.sse", told=PARALLEL),
        "structured": Recording(file="azure/structured.json", told=STRUCTURED),
        "reasoning": Recording(file="azure/reasoning.json", told=THOUGHT),
        "reasoning_stream": Recording(file="azure/reasoning_stream.sse", told=THOUGHT),
        "usage": Recording(file="azure/usage.json", told=USAGE),
        "usage_stream": Recording(file="azure/usage_stream.sse", told=USAGE),
        "length": Recording(file="azure/length.json", told=LENGTH),
        "length_stream": Recording(file="azure/length_stream.sse", told=LENGTH),
        "filtered": Recording(file="azure/filtered.json", told=FILTERED),
        "filtered_stream": Recording(file="azure/filtered_stream.sse", told=FILTERED),
        "error_429": Recording(file="azure/error_429.json", status=429, error="exceeded token rate limit"),
        "error_400": Recording(file="azure/error_400.json", status=400, error="does not exist in this harbour"),
    },
)
