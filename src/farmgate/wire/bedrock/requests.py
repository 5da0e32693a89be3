"""Converse's requests, written from our words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import assert_never

from farmgate.core.errors import InvalidMessages, InvalidType
from farmgate.core.request import Request
from farmgate.core.words import (
    Chat,
    FormatKind,
    HostedTool,
    ResponseFormat,
    Sampling,
    Tool,
    ToolChoice,
    ToolMode,
)
from farmgate.wire.bedrock.families import Family, family_of
from farmgate.wire.bedrock.messages import cache_point, encode_messages
from farmgate.wire.bedrock.thinking import Thinks, encode_thinking
from farmgate.wire.losses import Losses, Outgoing
from farmgate.wire.strictjson import encode

__all__ = ["Habits", "encode_chat"]

# Fields of Converse a caller may set by their own name. `guardrailConfig` is the operator's: a caller could lift it.
OWN_FIELDS = ("performanceConfig", "requestMetadata", "serviceTier")
MODEL_FIELDS = "additionalModelRequestFields"
TIERS = frozenset({"default", "flex", "priority"})
TOP_K: Mapping[Family, str] = {Family.ANTHROPIC: "top_k", Family.MISTRAL: "top_k", Family.COHERE: "k"}
STOP_SEQUENCE = "/stop_sequence"
MOST_METADATA = 16
LONGEST_METADATA = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """What the operator decided for every request: a guardrail, and how Claude is told to think."""

    guardrail: Mapping[str, object] | None = None
    thinks: Thinks = Thinks.BUDGET


@dataclass(slots=True)
class Body:
    """A request on its way: Converse's own fields, and those that are the model's."""

    fields: dict[str, object] = field(default_factory=dict)
    model: dict[str, object] = field(default_factory=dict)
    output: dict[str, object] = field(default_factory=dict)


def encode_chat(request: Request, words: Chat, *, provider: str, habits: Habits) -> Outgoing:
    """The body for `/converse` and `/converse-stream`. Raises a BadRequest for what Converse cannot be told."""
    losses = Losses(provider)
    family = family_of(request.model or "")
    conversation = encode_messages(words.messages, losses)
    body = Body(fields={"messages": conversation.messages})
    if conversation.system:
        body.fields["system"] = conversation.system
    encode_sampling(words.sampling, family, body, losses)
    tools = encode_tools(words, losses, has_history=conversation.has_tools)
    if tools is not None:
        body.fields["toolConfig"] = tools
    if (form := answer_format(words.response_format, losses)) is not None:
        body.output["textFormat"] = form
    if words.thinking is not None:
        thought = encode_thinking(
            words.thinking, family, habits.thinks, max_tokens=words.sampling.max_tokens, losses=losses
        )
        body.model |= thought.model
        body.output |= thought.output
    losses.drop_if(words.user, "user")
    encode_extra(words.extra, body, losses)
    if habits.guardrail is not None:
        body.fields["guardrailConfig"] = habits.guardrail
    told = body.fields | ({MODEL_FIELDS: body.model} if body.model else {})
    return Outgoing(body=encode(told | ({"outputConfig": body.output} if body.output else {})), dropped=losses.dropped)


def encode_sampling(sampling: Sampling, family: Family, body: Body, losses: Losses) -> None:
    if sampling.count != 1:
        raise losses.refuse("n", "it gives one answer to a request")
    if sampling.top_logprobs is not None:
        raise losses.refuse("logprobs")
    for name in ("presence_penalty", "frequency_penalty"):
        if getattr(sampling, name):
            raise losses.refuse(name)
    if sampling.temperature is not None and sampling.temperature > 1:
        raise losses.refuse("temperature", "it goes from 0 to 1 there")
    losses.drop_if(None if sampling.seed is None else "seed", "seed")
    told = {
        "maxTokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "topP": sampling.top_p,
        "stopSequences": [text for text in sampling.stop if text] or None,
    }
    inference = {name: value for name, value in told.items() if value is not None}
    if inference:
        body.fields["inferenceConfig"] = inference
    if sampling.stop and family is Family.ANTHROPIC:
        body.fields["additionalModelResponseFieldPaths"] = [STOP_SEQUENCE]
    if sampling.top_k is not None:
        body.model |= encode_top_k(sampling.top_k, family, losses)


def encode_top_k(top_k: int, family: Family, losses: Losses) -> dict[str, object]:
    if family is Family.NOVA:
        return {"inferenceConfig": {"topK": top_k}}
    if family not in TOP_K:
        raise losses.refuse("top_k", f"this model's own name for it goes into `{MODEL_FIELDS}`")
    return {TOP_K[family]: top_k}


def encode_tools(words: Chat, losses: Losses, *, has_history: bool) -> dict[str, object] | None:
    """Converse has no word for calling none: tools are left out then, which it allows only before any was used."""
    choice = words.tool_choice
    is_off = choice is not None and choice.mode is ToolMode.NONE
    if is_off and has_history and words.tools:
        raise losses.refuse("tool_choice", "in a conversation that used tools, `none` cannot be said")
    if has_history and not words.tools:
        raise InvalidMessages("Bedrock wants the tools a conversation has used: send `tools`.", param="tools")
    if is_off or not words.tools:
        return None
    if words.parallel_tools is False:
        raise losses.refuse("parallel_tool_calls", "its models call as many tools at once as they like")
    blocks: list[object] = []
    for at, tool in enumerate(words.tools):
        blocks += encode_tool(tool, f"tools[{at}]", losses)
    told: dict[str, object] = {"tools": blocks}
    return told if choice is None else told | {"toolChoice": encode_tool_choice(choice)}


def encode_tool(tool: Tool | HostedTool, where: str, losses: Losses) -> list[object]:
    if isinstance(tool, HostedTool):
        raise losses.refuse(where, f"it has no tool of the kind `{tool.kind[:40]}`")
    schema = dict(tool.parameters) or {"type": "object", "properties": {}}
    spec: dict[str, object] = {"name": tool.name, "inputSchema": {"json": schema}}
    if tool.description:
        spec["description"] = tool.description
    if tool.strict:
        spec["strict"] = True
    return [{"toolSpec": spec}, *cache_point(tool.cache, losses)]


def encode_tool_choice(choice: ToolChoice) -> dict[str, object]:
    match choice.mode:
        case ToolMode.AUTO | ToolMode.NONE:
            return {"auto": {}}
        case ToolMode.REQUIRED:
            return {"any": {}}
        case ToolMode.NAMED:
            return {"tool": {"name": choice.name}}
        case _:
            assert_never(choice.mode)


def answer_format(wanted: ResponseFormat | None, losses: Losses) -> dict[str, object] | None:
    """Converse's `textFormat`, whose schema is JSON as text; None for plain text."""
    if wanted is None or wanted.kind is FormatKind.TEXT:
        return None
    if wanted.kind is FormatKind.JSON:
        raise losses.refuse("response_format", "it wants a schema: use `json_schema`")
    named: dict[str, object] = {"schema": encode(wanted.schema).decode(), "name": wanted.name}
    if wanted.description:
        named["description"] = wanted.description
    return {"type": "json_schema", "structure": {"jsonSchema": named}}


def encode_extra(extra: Mapping[str, object], body: Body, losses: Losses) -> None:
    """Converse's own fields by their own names, and OpenAI's that mean the same."""
    if extra.get("guardrailConfig") is not None:
        raise losses.refuse("guardrailConfig", "a guardrail is set in its options")
    losses.leave(extra, known=(*OWN_FIELDS, MODEL_FIELDS, "metadata", "service_tier"))
    for name in (*OWN_FIELDS, MODEL_FIELDS):
        value = extra.get(name)
        if value is None:
            continue
        if not isinstance(value, Mapping):
            raise InvalidType(f"`{name}` must be an object.", param=name)
        if name == MODEL_FIELDS:
            body.model |= value
        else:
            body.fields[name] = value
    encode_metadata(extra.get("metadata"), body, losses)
    tier = extra.get("service_tier")
    if tier in TIERS and "serviceTier" not in body.fields:
        body.fields["serviceTier"] = {"type": tier}
    else:
        losses.drop_if(None if tier == "auto" else tier, "service_tier")


def encode_metadata(metadata: object, body: Body, losses: Losses) -> None:
    """Marks for the operator's own log of invocations."""
    if not metadata or "requestMetadata" in body.fields:
        return
    fits = isinstance(metadata, Mapping) and len(metadata) <= MOST_METADATA
    if fits and isinstance(metadata, Mapping) and all(map(is_mark, metadata, metadata.values())):
        body.fields["requestMetadata"] = metadata
    else:
        losses.drop("metadata")


def is_mark(name: object, value: object) -> bool:
    """What Bedrock takes as a mark: short and in plain signs."""
    return isinstance(value, str) and all(
        len(text) <= LONGEST_METADATA
        and text.isascii()
        and all(sign.isalnum() or sign in " :_@$#=/+,.-" for sign in text)
        for text in (str(name), value)
    )
