"""How to pick tokens and in which form to answer: `generationConfig`, and which tools may be called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from farmgate.core.words import Chat, FormatKind, HostedTool, ResponseFormat, Sampling, Tool, ToolChoice, ToolMode
from farmgate.wire.gemini.thinking import encode_thinking
from farmgate.wire.losses import Losses

__all__ = ["encode_config", "encode_tools"]

Fields = dict[str, object]

MOST_STOPS = 5
LARGEST_SEED = (1 << 31) - 1
MODES: Mapping[ToolMode, str] = {
    ToolMode.AUTO: "AUTO",
    ToolMode.NONE: "NONE",
    ToolMode.REQUIRED: "ANY",
    ToolMode.NAMED: "ANY",
}


def encode_config(words: Chat, model: str, losses: Losses) -> Fields:
    """The `generationConfig`: only what was asked for."""
    told: dict[str, object | None] = {
        **sampling_fields(words.sampling, losses),
        **format_fields(words.response_format),
        "thinkingConfig": encode_thinking(words.thinking, model, losses),
    }
    return {name: value for name, value in told.items() if value is not None}


def sampling_fields(sampling: Sampling, losses: Losses) -> dict[str, object | None]:
    if len(sampling.stop) > MOST_STOPS:
        raise losses.refuse("stop", f"it takes {MOST_STOPS} sequences at most")
    if sampling.seed is not None and not -LARGEST_SEED - 1 <= sampling.seed <= LARGEST_SEED:
        raise losses.refuse("seed", "it takes a number of 32 bits")
    wants_logprobs = sampling.top_logprobs is not None
    return {
        "temperature": sampling.temperature,
        "topP": sampling.top_p,
        "topK": sampling.top_k,
        "maxOutputTokens": sampling.max_tokens,
        "stopSequences": list(sampling.stop) or None,
        "seed": sampling.seed,
        "presencePenalty": sampling.presence_penalty,
        "frequencyPenalty": sampling.frequency_penalty,
        "candidateCount": sampling.count if sampling.count != 1 else None,
        "responseLogprobs": True if wants_logprobs else None,
        "logprobs": sampling.top_logprobs or None,
    }


def format_fields(wanted: ResponseFormat | None) -> Fields:
    """A schema holds whether or not it was called strict: Google's decoding is bound to it."""
    if wanted is None:
        return {}
    match wanted.kind:
        case FormatKind.TEXT:
            return {}
        case FormatKind.JSON:
            return {"responseMimeType": "application/json"}
        case FormatKind.SCHEMA:
            described = {"description": wanted.description} if wanted.description else {}
            return {"responseMimeType": "application/json", "responseJsonSchema": described | dict(wanted.schema)}
        case _:
            assert_never(wanted.kind)


def encode_tools(words: Chat, losses: Losses) -> Fields:
    """`tools` and `toolConfig`; nothing where there are no tools."""
    if not words.tools:
        return {}
    declared = [encode_tool(tool, f"tools[{at}]", losses) for at, tool in enumerate(words.tools)]
    told: Fields = {"tools": [{"functionDeclarations": declared}]}
    choice = words.tool_choice
    if words.parallel_tools is False and (choice is None or choice.mode is not ToolMode.NONE):
        raise losses.refuse("parallel_tool_calls", "its models call as many tools at once as they like")
    if choice is not None:
        told["toolConfig"] = {"functionCallingConfig": calling(choice)}
    return told


def calling(choice: ToolChoice) -> Fields:
    told: Fields = {"mode": MODES[choice.mode]}
    return told | ({"allowedFunctionNames": [choice.name]} if choice.mode is ToolMode.NAMED else {})


def encode_tool(tool: Tool | HostedTool, where: str, losses: Losses) -> Fields:
    if isinstance(tool, HostedTool):
        raise losses.refuse(where, f"it has no tool of the kind `{tool.kind[:40]}`")
    losses.drop_if(tool.strict, "tools[].function.strict")
    losses.drop_if(tool.cache, "cache_control")
    told: Fields = {"name": tool.name}
    if tool.description:
        told["description"] = tool.description
    if tool.parameters:
        told["parametersJsonSchema"] = dict(tool.parameters)
    return told
