"""What is said in every cell of the matrix, whatever the dialect: one set of words, numbers and schemas."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = [
    "CALLS",
    "FACTS",
    "NAMES",
    "PROBES",
    "VALUES",
    "Call",
    "Fact",
    "Feature",
    "Heard",
    "Probe",
    "Tokens",
    "Told",
]


class Feature(StrEnum):
    """The rows of the matrix."""

    TEXT = "text"
    STREAM = "stream"
    SAMPLING = "sampling"
    TOOLS = "tools"
    STREAMED_TOOLS = "streamed tools"
    PARALLEL_TOOLS = "parallel tools"
    CHOICE = "chosen tool"
    IMAGE = "image"
    STRUCTURED = "structured output"
    REASONING = "reasoning"
    USAGE = "usage"
    STOP = "stop reason"
    ERROR = "error"
    TRUNCATED = "truncated stream"
    UNKNOWN = "unknown field"


class Fact(StrEnum):
    """What a request says, each findable in the body a provider was sent."""

    SYSTEM = "system text"
    USER = "first user text"
    FIRST_ID = "id of the first call"
    FIRST_NAME = "name of the first call"
    FIRST_ARGUMENTS = "arguments of the first call"
    SECOND_ID = "id of the second call"
    SECOND_NAME = "name of the second call"
    SECOND_ARGUMENTS = "arguments of the second call"
    FIRST_ANSWERED = "id the first result answers"
    FIRST_RESULT = "first result"
    SECOND_ANSWERED = "id the second result answers"
    SECOND_RESULT = "second result"
    QUESTION = "question"
    IMAGE = "image"
    IMAGE_TYPE = "kind of image"
    TOOL_NAME = "tool's name"
    TOOL_DESCRIPTION = "tool's description"
    TOOL_SCHEMA = "tool's parameters"
    SCHEMA = "answer's schema"
    EFFORT = "how much to think"
    TEMPERATURE = "temperature"
    MOST_TOKENS = "most tokens"
    STOP = "stop sequence"
    TOP_P = "top_p"
    TOP_K = "top_k"
    SEED = "seed"
    PRESENCE = "presence penalty"
    FREQUENCY = "frequency penalty"
    END_USER = "end user"
    CHOICE = "tool that must be called"
    UNKNOWN = "field nobody knows"


PORT = {"type": "string", "description": "The name of a harbour, such as Saint-Malo."}
VALUES: Mapping[Fact, object] = {
    Fact.SYSTEM: "You keep the log of a harbour.",
    Fact.USER: "When is high water in Brest? Ça presse.",
    Fact.FIRST_ID: "call_tide_1",
    Fact.FIRST_NAME: "tide_at",
    Fact.FIRST_ARGUMENTS: {"port": "Brest", "days": 2},
    Fact.SECOND_ID: "call_tide_2",
    Fact.SECOND_NAME: "tide_at",
    Fact.SECOND_ARGUMENTS: {"port": "Saint-Malo", "days": 1},
    Fact.FIRST_ANSWERED: "call_tide_1",
    Fact.FIRST_RESULT: "High water in Brest at 06:12.",
    Fact.SECOND_ANSWERED: "call_tide_2",
    Fact.SECOND_RESULT: "High water in Saint-Malo at 08:40.",
    Fact.QUESTION: "And what is the “range” tomorrow? 🙂",
    Fact.IMAGE: base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(range(48))).decode(),
    Fact.IMAGE_TYPE: "image/png",
    Fact.TOOL_NAME: "tide_at",
    Fact.TOOL_DESCRIPTION: "Times of high and low water.",
    Fact.TOOL_SCHEMA: {
        "type": "object",
        "properties": {"port": PORT, "days": {"type": "integer"}},
        "required": ["port"],
    },
    Fact.SCHEMA: {
        "type": "object",
        "properties": {"boats": {"type": "integer"}, "note": {"type": "string", "enum": ["calm", "rough"]}},
        "required": ["boats", "note"],
        "additionalProperties": False,
    },
    Fact.EFFORT: "high",
    Fact.TEMPERATURE: 0.5,
    Fact.MOST_TOKENS: 640,
    Fact.STOP: "END OF LOG",
    Fact.TOP_P: 0.875,
    Fact.TOP_K: 40,
    Fact.SEED: 20_260_301,
    Fact.PRESENCE: 0.25,
    Fact.FREQUENCY: 0.75,
    Fact.END_USER: "harbour-master-7",
    Fact.CHOICE: "tide_at",
    Fact.UNKNOWN: "Brest-1",
}
CALLS = (
    (Fact.FIRST_ID, Fact.FIRST_NAME, Fact.FIRST_ARGUMENTS, Fact.FIRST_ANSWERED, Fact.FIRST_RESULT),
    (Fact.SECOND_ID, Fact.SECOND_NAME, Fact.SECOND_ARGUMENTS, Fact.SECOND_ANSWERED, Fact.SECOND_RESULT),
)

SAMPLING = frozenset({Fact.TOP_P, Fact.TOP_K, Fact.SEED, Fact.PRESENCE, Fact.FREQUENCY, Fact.END_USER})
PLAIN = frozenset({Fact.SYSTEM, Fact.QUESTION})
TOOL = frozenset({Fact.TOOL_NAME, Fact.TOOL_DESCRIPTION, Fact.TOOL_SCHEMA})
ONE_CALL = PLAIN | TOOL | {Fact.USER} | frozenset(CALLS[0])
FACTS: Mapping[Feature, frozenset[Fact]] = {
    Feature.TEXT: PLAIN | {Fact.TEMPERATURE, Fact.MOST_TOKENS},
    Feature.STREAM: PLAIN | {Fact.TEMPERATURE, Fact.MOST_TOKENS},
    Feature.SAMPLING: PLAIN | SAMPLING,
    Feature.TOOLS: ONE_CALL,
    Feature.STREAMED_TOOLS: ONE_CALL,
    Feature.PARALLEL_TOOLS: ONE_CALL | frozenset(CALLS[1]),
    Feature.CHOICE: PLAIN | TOOL | {Fact.CHOICE},
    Feature.IMAGE: PLAIN | {Fact.IMAGE, Fact.IMAGE_TYPE},
    Feature.STRUCTURED: PLAIN | {Fact.SCHEMA},
    Feature.REASONING: PLAIN | {Fact.EFFORT},
    Feature.USAGE: PLAIN,
    Feature.STOP: PLAIN | {Fact.STOP},
    Feature.ERROR: PLAIN,
    Feature.TRUNCATED: PLAIN,
    Feature.UNKNOWN: PLAIN | {Fact.UNKNOWN},
}
"""What each feature's request says."""

NAMES: Mapping[str, frozenset[Fact]] = {
    "temperature": frozenset({Fact.TEMPERATURE}),
    "max_tokens": frozenset({Fact.MOST_TOKENS}),
    "stop": frozenset({Fact.STOP}),
    "top_p": frozenset({Fact.TOP_P}),
    "top_k": frozenset({Fact.TOP_K}),
    "seed": frozenset({Fact.SEED}),
    "presence_penalty": frozenset({Fact.PRESENCE}),
    "frequency_penalty": frozenset({Fact.FREQUENCY}),
    "user": frozenset({Fact.END_USER}),
    "tool_choice": frozenset({Fact.CHOICE}),
    "x_harbour": frozenset({Fact.UNKNOWN}),
    "reasoning_effort": frozenset({Fact.EFFORT}),
    "response_format": frozenset({Fact.SCHEMA}),
    "tools": TOOL,
    "messages.content": frozenset({Fact.IMAGE, Fact.IMAGE_TYPE}),
}
"""The name under which the loss of a fact is announced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One request of a cell: `recording` is what the provider answers it with."""

    recording: str
    stream: bool = False


PROBES: Mapping[Feature, tuple[Probe, ...]] = {
    Feature.TEXT: (Probe(recording="text"),),
    Feature.STREAM: (Probe(recording="stream", stream=True),),
    Feature.SAMPLING: (Probe(recording="text"),),
    Feature.TOOLS: (Probe(recording="tools"),),
    Feature.STREAMED_TOOLS: (Probe(recording="tools_stream", stream=True),),
    Feature.PARALLEL_TOOLS: (
        Probe(recording="parallel_tools"),
        Probe(recording="parallel_tools_stream", stream=True),
    ),
    Feature.CHOICE: (Probe(recording="chosen"),),
    Feature.IMAGE: (Probe(recording="text"),),
    Feature.STRUCTURED: (Probe(recording="structured"),),
    Feature.REASONING: (Probe(recording="reasoning"), Probe(recording="reasoning_stream", stream=True)),
    Feature.USAGE: (Probe(recording="usage"), Probe(recording="usage_stream", stream=True)),
    Feature.STOP: (
        Probe(recording="length"),
        Probe(recording="length_stream", stream=True),
        Probe(recording="filtered"),
        Probe(recording="filtered_stream", stream=True),
    ),
    Feature.ERROR: (
        Probe(recording="error_429"),
        Probe(recording="error_429", stream=True),
        Probe(recording="error_400"),
    ),
    Feature.TRUNCATED: (Probe(recording="stream", stream=True), Probe(recording="tools_stream", stream=True)),
    Feature.UNKNOWN: (Probe(recording="text"),),
}


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call in an answer. `id` None: the provider gives none."""

    name: str
    arguments: Mapping[str, object]
    id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Tokens used, in our words: the prompt's include the cached, the completion's include the reasoning."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    reasoning: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a recording says. `tokens` None: the provider gives no figures."""

    text: str = ""
    reasoning: str = ""
    calls: tuple[Call, ...] = ()
    tokens: Tokens | None = None
    finish: str = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What a caller made of an answer. `param`: the field an error names; `dropped`: what is told beside the usage."""

    text: str = ""
    reasoning: str = ""
    calls: tuple[Call, ...] = ()
    tokens: Tokens | None = None
    finish: str | None = None
    error: str | None = None
    param: str | None = None
    dropped: tuple[str, ...] = field(default=())
    is_complete: bool = False
