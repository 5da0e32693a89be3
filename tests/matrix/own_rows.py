"""Providers without OpenAI on the wire: Ollama, the demo that has no wire at all, and one of somebody's own."""

from __future__ import annotations

from tests.matrix.facts import Call, Fact, Tokens, Told
from tests.matrix.openai_rows import FILTERED, LENGTH, PARALLEL, STRUCTURED, TEXT, THOUGHT, TOOLS, USAGE
from tests.matrix.provider import Provider, Recording
from tests.matrix.walking import Places

__all__ = ["CUSTOM", "DEMO", "OLLAMA"]

NDJSON = "application/x-ndjson"
MESSAGE = r"messages\[\d+\]"
FUNCTION = r"tools\[0\]\.function"
OLLAMA_PLACES: Places = {
    Fact.SYSTEM: r"messages\[0\]\.content",
    Fact.USER: rf"{MESSAGE}\.content",
    Fact.FIRST_ID: rf"{MESSAGE}\.tool_calls\[0\]\.id",
    Fact.FIRST_NAME: rf"{MESSAGE}\.tool_calls\[0\]\.function\.name",
    Fact.FIRST_ARGUMENTS: rf"{MESSAGE}\.tool_calls\[0\]\.function\.arguments",
    Fact.SECOND_ID: rf"{MESSAGE}\.tool_calls\[1\]\.id",
    Fact.SECOND_NAME: rf"{MESSAGE}\.tool_calls\[1\]\.function\.name",
    Fact.SECOND_ARGUMENTS: rf"{MESSAGE}\.tool_calls\[1\]\.function\.arguments",
    Fact.FIRST_ANSWERED: rf"{MESSAGE}\.tool_call_id",
    Fact.FIRST_RESULT: rf"{MESSAGE}\.content",
    Fact.SECOND_ANSWERED: rf"{MESSAGE}\.tool_call_id",
    Fact.SECOND_RESULT: rf"{MESSAGE}\.content",
    Fact.QUESTION: rf"{MESSAGE}\.content",
    Fact.IMAGE: rf"{MESSAGE}\.images\[0\]",
    # Ollama takes base64 alone and looks at the picture for its kind.
    Fact.IMAGE_TYPE: (rf"{MESSAGE}\.images\[0\]", lambda image: str(image).startswith("iVBOR")),
    Fact.TOOL_NAME: rf"{FUNCTION}\.name",
    Fact.TOOL_DESCRIPTION: rf"{FUNCTION}\.description",
    Fact.TOOL_SCHEMA: rf"{FUNCTION}\.parameters",
    Fact.SCHEMA: r"format",
    Fact.EFFORT: r"think",
    Fact.TEMPERATURE: r"options\.temperature",
    Fact.MOST_TOKENS: r"options\.num_predict",
    Fact.STOP: r"options\.stop\[0\]",
    Fact.TOP_P: r"options\.top_p",
    Fact.TOP_K: r"options\.top_k",
    Fact.SEED: r"options\.seed",
    Fact.PRESENCE: r"options\.presence_penalty",
    Fact.FREQUENCY: r"options\.frequency_penalty",
    Fact.UNKNOWN: r"x_harbour",
    Fact.CHOICE: r"tool_choice\.function\.name",
}


def lines(name: str, told: Told) -> Recording:
    """Every chat with Ollama is a stream, whatever the caller wants. Its counts have no details."""
    counted = told.tokens and Tokens(prompt=told.tokens.prompt, completion=told.tokens.completion)
    plain = Told(text=told.text, reasoning=told.reasoning, calls=told.calls, tokens=counted, finish=told.finish)
    return Recording(file=f"ollama/{name}.jsonl", kind=NDJSON, told=plain)


OLLAMA = Provider(
    name="ollama",
    title="Ollama",
    form="`/api/chat`",
    dialect="ollama",
    model="qwen3:0.6b",
    whole_at=b'"done":true',
    places=OLLAMA_PLACES,
    recordings={
        "text": lines("stream", TEXT),
        "stream": lines("stream", TEXT),
        "tools": lines("tools_stream", TOOLS),
        "tools_stream": lines("tools_stream", TOOLS),
        "parallel_tools": lines("parallel_tools_stream", PARALLEL),
        "parallel_tools_stream": lines("parallel_tools_stream", PARALLEL),
        "structured": lines("structured_stream", STRUCTURED),
        "reasoning": lines("reasoning_stream", THOUGHT),
        "reasoning_stream": lines("reasoning_stream", THOUGHT),
        "usage": lines("stream", TEXT),
        "usage_stream": lines("stream", TEXT),
        "length": lines("length_stream", LENGTH),
        "length_stream": lines("length_stream", LENGTH),
        "error_429": Recording(file="ollama/error_429.json", status=429, error="the harbour is full"),
        "error_400": Recording(file="ollama/error_400.json", status=400, error="does not support tools"),
    },
)

TIDES = "This is Farmgate's demo, not a language model. The tool said: High water in Brest at 06:12."
TIDE = Told(text=TIDES, tokens=Tokens(prompt=7, completion=17))
BOTH_TIDES = Told(text=f"{TIDES} High water in Saint-Malo at 08:40.", tokens=Tokens(prompt=7, completion=23))
NOBODY = Told(text="Nobody thinks here.", tokens=Tokens(prompt=7, completion=3))
CHOSEN = Told(
    calls=(Call("tide_at", {"port": "And what is the “range” tomorrow? 🙂"}, "call_1"),),
    tokens=Tokens(prompt=7, completion=8),
    finish="tool_calls",
)
ENTRY = Told(text='{"boats": 1, "note": "calm"}', tokens=Tokens(prompt=7, completion=4))

DEMO = Provider(
    name="demo",
    title="demo",
    form="words, in this process",
    dialect="words",
    model="demo",
    entry={"options": {"text": "Nobody thinks here."}},
    has_wire=False,
    note="The demo answers by itself, by rules: it has no upstream that could err or break off.",
    recordings={
        "text": Recording(file="", told=NOBODY),
        "stream": Recording(file="", told=NOBODY),
        "tools": Recording(file="", told=TIDE),
        "tools_stream": Recording(file="", told=TIDE),
        "parallel_tools": Recording(file="", told=BOTH_TIDES),
        "parallel_tools_stream": Recording(file="", told=BOTH_TIDES),
        "chosen": Recording(file="", told=CHOSEN),
        "structured": Recording(file="", told=ENTRY),
        "reasoning": Recording(file="", told=NOBODY),
        "reasoning_stream": Recording(file="", told=NOBODY),
        "usage": Recording(file="", told=NOBODY),
        "usage_stream": Recording(file="", told=NOBODY),
        "length": Recording(file="", told=NOBODY),
        "length_stream": Recording(file="", told=NOBODY),
    },
)

WORDS_PLACES: Places = {
    Fact.SYSTEM: r"messages\[0\]\.content(\[0\]\.text)?",
    Fact.USER: rf"{MESSAGE}\.content(\[\d+\]\.text)?",
    Fact.FIRST_ID: rf"{MESSAGE}\.tool_uses\[0\]\.id",
    Fact.FIRST_NAME: rf"{MESSAGE}\.tool_uses\[0\]\.name",
    Fact.FIRST_ARGUMENTS: rf"{MESSAGE}\.tool_uses\[0\]\.arguments",
    Fact.SECOND_ID: rf"{MESSAGE}\.tool_uses\[1\]\.id",
    Fact.SECOND_NAME: rf"{MESSAGE}\.tool_uses\[1\]\.name",
    Fact.SECOND_ARGUMENTS: rf"{MESSAGE}\.tool_uses\[1\]\.arguments",
    Fact.FIRST_ANSWERED: rf"{MESSAGE}\.tool_call_id",
    Fact.FIRST_RESULT: rf"{MESSAGE}\.content(\[\d+\]\.text)?",
    Fact.SECOND_ANSWERED: rf"{MESSAGE}\.tool_call_id",
    Fact.SECOND_RESULT: rf"{MESSAGE}\.content(\[\d+\]\.text)?",
    Fact.QUESTION: rf"{MESSAGE}\.content(\[\d+\]\.text)?",
    Fact.IMAGE: rf"{MESSAGE}\.content\[\d+\]\.url",
    Fact.IMAGE_TYPE: rf"{MESSAGE}\.content\[\d+\]\.url",
    Fact.TOOL_NAME: r"tools\[0\]\.name",
    Fact.TOOL_DESCRIPTION: r"tools\[0\]\.description",
    Fact.TOOL_SCHEMA: r"tools\[0\]\.parameters",
    Fact.SCHEMA: r"response_format\.schema",
    Fact.EFFORT: (r"thinking\.(effort|budget_tokens)", lambda told: told == "high" or told == 16_384),
    Fact.TEMPERATURE: r"sampling\.temperature",
    Fact.MOST_TOKENS: r"sampling\.max_tokens",
    Fact.STOP: r"sampling\.stop\[0\]",
    Fact.TOP_P: r"sampling\.top_p",
    Fact.TOP_K: r"sampling\.top_k",
    Fact.SEED: r"sampling\.seed",
    Fact.PRESENCE: r"sampling\.presence_penalty",
    Fact.FREQUENCY: r"sampling\.frequency_penalty",
    Fact.END_USER: r"user",
    Fact.CHOICE: r"tool_choice\.name",
}

CUSTOM = Provider(
    name="custom",
    title="your own",
    form="words, in this process",
    dialect="words",
    model="polly",
    entry={"provider": "tests.matrix.custom:Custom"},
    has_wire=False,
    places=WORDS_PLACES,
    recordings={
        "text": Recording(file="", told=TEXT),
        "stream": Recording(file="", told=TEXT),
        "tools": Recording(file="", told=TOOLS),
        "tools_stream": Recording(file="", told=TOOLS),
        "parallel_tools": Recording(file="", told=PARALLEL),
        "parallel_tools_stream": Recording(file="", told=PARALLEL),
        "structured": Recording(file="", told=STRUCTURED),
        "reasoning": Recording(file="", told=THOUGHT),
        "reasoning_stream": Recording(file="", told=THOUGHT),
        "usage": Recording(file="", told=USAGE),
        "usage_stream": Recording(file="", told=USAGE),
        "length": Recording(file="", told=LENGTH),
        "length_stream": Recording(file="", told=LENGTH),
        "filtered": Recording(file="", told=FILTERED),
        "filtered_stream": Recording(file="", told=FILTERED),
        "error_429": Recording(file="", status=429, error="the parrot is tired"),
        "error_400": Recording(file="", status=400, error="the parrot does not know that word"),
    },
)
