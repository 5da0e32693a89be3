"""Providers that speak OpenAI: the row of that name, and the engines on this machine."""

from __future__ import annotations

from tests.matrix.facts import Call, Fact, Tokens, Told
from tests.matrix.provider import Provider, Recording
from tests.matrix.walking import Places

__all__ = ["LOCAL", "OPENAI", "OPENAI_PLACES"]

MESSAGE = r"messages\[\d+\]"
FUNCTION = r"tools\[0\]\.function"
CONTENT = rf"{MESSAGE}\.content(\[\d+\]\.text)?"
OPENAI_PLACES: Places = {
    Fact.SYSTEM: r"messages\[0\]\.content(\[0\]\.text)?",
    Fact.USER: CONTENT,
    Fact.FIRST_ID: rf"{MESSAGE}\.tool_calls\[0\]\.id",
    Fact.FIRST_NAME: rf"{MESSAGE}\.tool_calls\[0\]\.function\.name",
    Fact.FIRST_ARGUMENTS: rf"{MESSAGE}\.tool_calls\[0\]\.function\.arguments",
    Fact.SECOND_ID: rf"{MESSAGE}\.tool_calls\[1\]\.id",
    Fact.SECOND_NAME: rf"{MESSAGE}\.tool_calls\[1\]\.function\.name",
    Fact.SECOND_ARGUMENTS: rf"{MESSAGE}\.tool_calls\[1\]\.function\.arguments",
    Fact.FIRST_ANSWERED: rf"{MESSAGE}\.tool_call_id",
    Fact.FIRST_RESULT: CONTENT,
    Fact.SECOND_ANSWERED: rf"{MESSAGE}\.tool_call_id",
    Fact.SECOND_RESULT: CONTENT,
    Fact.QUESTION: CONTENT,
    Fact.IMAGE: rf"{MESSAGE}\.content\[\d+\]\.image_url\.url",
    Fact.IMAGE_TYPE: rf"{MESSAGE}\.content\[\d+\]\.image_url\.url",
    Fact.TOOL_NAME: rf"{FUNCTION}\.name",
    Fact.TOOL_DESCRIPTION: rf"{FUNCTION}\.description",
    Fact.TOOL_SCHEMA: rf"{FUNCTION}\.parameters",
    Fact.SCHEMA: r"response_format\.json_schema\.schema",
    Fact.EFFORT: r"reasoning_effort",
    Fact.TEMPERATURE: r"temperature",
    Fact.MOST_TOKENS: r"max_tokens|max_completion_tokens",
    Fact.STOP: r"stop\[0\]",
    Fact.TOP_P: r"top_p",
    Fact.TOP_K: r"top_k",
    Fact.SEED: r"seed",
    Fact.PRESENCE: r"presence_penalty",
    Fact.FREQUENCY: r"frequency_penalty",
    Fact.END_USER: r"user|safety_identifier",
    Fact.CHOICE: r"tool_choice\.function\.name",
    Fact.UNKNOWN: r"x_harbour",
}

BREST = Call("tide_at", {"port": "Brest", "days": 1}, "call_brest")
MALO = Call("tide_at", {"port": "Saint-Malo", "days": 1}, "call_malo")
TEXT = Told(
    text="Twelve boats came in — « ça souffle » 🙂.", tokens=Tokens(prompt=31, completion=14, cached=16), finish="stop"
)
TOOLS = Told(calls=(BREST,), tokens=Tokens(prompt=88, completion=19), finish="tool_calls")
PARALLEL = Told(calls=(BREST, MALO), tokens=Tokens(prompt=88, completion=37), finish="tool_calls")
STRUCTURED = Told(text='{"boats":12,"note":"calm"}', tokens=Tokens(prompt=54, completion=11))
THOUGHT = Told(
    text="Six metres.",
    reasoning="Springs are in two days, so the range grows.",
    tokens=Tokens(prompt=31, completion=80, reasoning=64),
)
USAGE = Told(text="Calm.", tokens=Tokens(prompt=1200, completion=70, cached=1024, reasoning=64))
LENGTH = Told(text="Twelve boats came", tokens=Tokens(prompt=31, completion=3), finish="length")
FILTERED = Told(text="Twelve", tokens=Tokens(prompt=31, completion=1), finish="content_filter")

OPENAI = Provider(
    name="openai",
    title="OpenAI",
    form="Chat Completions under `/v1`; the rows of other services likewise, each with its own ways",
    dialect="openai",
    model="gpt-5-mini",
    entry={"apiKey": "sk-canary-0123456789", "options": {"responses": True}},
    suffix="/v1",
    whole_at=b'"finish_reason":"',
    places=OPENAI_PLACES,
    recordings={
        "text": Recording(file="openai/text.json", told=TEXT),
        "stream": Recording(file="openai/stream.sse", told=TEXT),
        "tools": Recording(file="openai/tools.json", told=TOOLS),
        "tools_stream": Recording(file="openai/tools_stream.sse", told=TOOLS),
        "parallel_tools": Recording(file="openai/parallel_tools.json", told=PARALLEL),
        "parallel_tools_stream": Recording(file="openai/parallel_tools_stream.sse", told=PARALLEL),
        "structured": Recording(file="openai/structured.json", told=STRUCTURED),
        "reasoning": Recording(file="openai/reasoning.json", told=THOUGHT),
        "reasoning_stream": Recording(file="openai/reasoning_stream.sse", told=THOUGHT),
        "usage": Recording(file="openai/usage.json", told=USAGE),
        "usage_stream": Recording(file="openai/usage_stream.sse", told=USAGE),
        "length": Recording(file="openai/length.json", told=LENGTH),
        "length_stream": Recording(file="openai/length_stream.sse", told=LENGTH),
        "filtered": Recording(file="openai/filtered.json", told=FILTERED),
        "filtered_stream": Recording(file="openai/filtered_stream.sse", told=FILTERED),
        "error_429": Recording(file="openai/error_429.json", status=429, error="Rate limit reached"),
        "error_400": Recording(file="openai/error_400.json", status=400, error="does not exist in this harbour"),
    },
)

HARBOUR = (
    "The Harbour of Eldaroth is a legendary and mystical place in the realm of Eldaroth, a mystical and ancient land "
    "of the Eldarothians."
)
LLAMA_BREST = Call("tide_at", {"port": "Brest", "days": 1}, "hV8zFwqbpV2pS5fT")
LLAMA_MALO = Call("tide_at", {"port": "Saint-Malo", "days": 1}, "oR4mZ1uYb7sE9wQx")
LLAMA_LENGTH = Told(text="The Harbour of", tokens=Tokens(prompt=40, completion=3, cached=39), finish="length")
LLAMA_TOOLS = Told(calls=(LLAMA_BREST,), tokens=Tokens(prompt=88, completion=19), finish="tool_calls")
LLAMA_PARALLEL = Told(calls=(LLAMA_BREST, LLAMA_MALO), tokens=Tokens(prompt=88, completion=37), finish="tool_calls")
LLAMA_THOUGHT = Told(
    text=THOUGHT.text, reasoning=THOUGHT.reasoning, tokens=Tokens(prompt=31, completion=80), finish="stop"
)

LOCAL = Provider(
    name="local",
    title="local",
    form="Chat Completions of llama.cpp's server",
    dialect="openai",
    model="starter",
    looked_up={"/props": "llamacpp/props.json"},
    whole_at=b'"finish_reason":"',
    places=OPENAI_PLACES,
    recordings={
        "text": Recording(file="llamacpp/text.json", told=Told(text=HARBOUR, tokens=Tokens(prompt=40, completion=33))),
        "stream": Recording(
            file="llamacpp/stream.sse", told=Told(text=HARBOUR, tokens=Tokens(prompt=40, completion=33, cached=24))
        ),
        "tools": Recording(file="llamacpp/tools.json", told=LLAMA_TOOLS),
        "tools_stream": Recording(file="llamacpp/tools_stream.sse", told=LLAMA_TOOLS),
        "parallel_tools": Recording(file="llamacpp/parallel_tools.json", told=LLAMA_PARALLEL),
        "parallel_tools_stream": Recording(file="llamacpp/parallel_tools_stream.sse", told=LLAMA_PARALLEL),
        "structured": Recording(
            file="llamacpp/structured.json",
            told=Told(
                text='{\n  "boats": 12,\n  "note": "calm"\n}', tokens=Tokens(prompt=43, completion=30, cached=24)
            ),
        ),
        "reasoning": Recording(file="llamacpp/reasoning.json", told=LLAMA_THOUGHT),
        "reasoning_stream": Recording(file="llamacpp/reasoning_stream.sse", told=LLAMA_THOUGHT),
        "usage": Recording(file="llamacpp/length.json", told=LLAMA_LENGTH),
        "usage_stream": Recording(file="llamacpp/length_stream.sse", told=LLAMA_LENGTH),
        "length": Recording(file="llamacpp/length.json", told=LLAMA_LENGTH),
        "length_stream": Recording(file="llamacpp/length_stream.sse", told=LLAMA_LENGTH),
        "error_429": Recording(file="llamacpp/error_429.json", status=429, error="the harbour is full"),
        "error_400": Recording(
            file="llamacpp/error_400.json", status=400, error="exceeds the available context size (2048 tokens)"
        ),
    },
)
