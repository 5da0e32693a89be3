"""Cohere's requests, written from our words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from farmgate.core.request import Kind, Request
from farmgate.core.words import (
    Chat,
    Embed,
    FormatKind,
    HostedTool,
    Rerank,
    ResponseFormat,
    Sampling,
    Thinking,
    Tool,
    ToolChoice,
    ToolMode,
)
from farmgate.wire.cohere.messages import encode_messages
from farmgate.wire.losses import Losses, Outgoing
from farmgate.wire.strictjson import encode
from farmgate.wire.thinking import budget_of

__all__ = ["INPUT_TYPES", "MOST_TEXTS", "PATHS", "encode_chat", "encode_embed", "encode_rerank"]

PATHS: Mapping[Kind, str] = {Kind.CHAT: "/v2/chat", Kind.EMBEDDING: "/v2/embed", Kind.RERANK: "/v2/rerank"}
INPUT_TYPES = ("search_document", "search_query", "classification", "clustering")
MOST_TEXTS = 96
# Fields of Cohere's own that a caller may set by their names.
OWN_CHAT = ("documents", "citation_options", "safety_mode", "priority")
OWN_EMBED = ("input_type", "truncate", "max_tokens", "priority")
OWN_RERANK = ("max_tokens_per_doc", "priority")


def encode_chat(request: Request, words: Chat, *, provider: str) -> Outgoing:
    """The body for /v2/chat. Raises a BadRequest for what Cohere cannot be told."""
    losses = Losses(provider)
    told: dict[str, object] = {"model": request.model, "stream": request.stream}
    told["messages"] = encode_messages(words.messages, losses)
    told |= encode_sampling(words.sampling, losses)
    told |= encode_tools(words, losses)
    if (form := answer_format(words.response_format, losses)) is not None:
        told["response_format"] = form
    if (thought := encode_thinking(words.thinking, losses)) is not None:
        told["thinking"] = thought
    losses.drop_if(words.user, "user")
    return outgoing(told, words.extra, OWN_CHAT, losses)


def encode_embed(request: Request, words: Embed, *, provider: str, input_type: str) -> tuple[Outgoing, ...]:
    """The bodies for /v2/embed, in the order of the texts: each takes so many.

    A text that is too long is refused, not cut, unless the caller says otherwise.
    """
    losses = Losses(provider)
    losses.drop_if(words.user, "user")
    told: dict[str, object] = {"model": request.model, "input_type": input_type, "truncate": "NONE"}
    told["embedding_types"] = ["float"]
    if words.dimensions is not None:
        told["output_dimension"] = words.dimensions
    texts = words.inputs
    groups = [texts[at : at + MOST_TEXTS] for at in range(0, len(texts), MOST_TEXTS)]
    return tuple(outgoing(told | {"texts": group}, words.extra, OWN_EMBED, losses) for group in groups)


def encode_rerank(request: Request, words: Rerank, *, provider: str) -> Outgoing:
    """The body for /v2/rerank."""
    losses = Losses(provider)
    told: dict[str, object] = {"model": request.model, "query": words.query, "documents": words.documents}
    if words.most is not None:
        told["top_n"] = words.most
    return outgoing(told, words.extra, OWN_RERANK, losses)


def outgoing(told: dict[str, object], extra: Mapping[str, object], own: tuple[str, ...], losses: Losses) -> Outgoing:
    losses.leave(extra, known=own)
    kept = {name: extra[name] for name in own if extra.get(name) is not None}
    return Outgoing(body=encode(told | kept), dropped=losses.dropped)


def encode_sampling(sampling: Sampling, losses: Losses) -> dict[str, object]:
    if sampling.count != 1:
        raise losses.refuse("n", "it gives one answer to a request")
    if sampling.top_logprobs is not None:
        raise losses.refuse("logprobs", "it tells them by the numbers of tokens, not by their texts")
    told = {
        "temperature": sampling.temperature,
        "p": sampling.top_p,
        "k": sampling.top_k,
        "max_tokens": sampling.max_tokens,
        "stop_sequences": list(sampling.stop) or None,
        "seed": sampling.seed,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
    }
    return {name: value for name, value in told.items() if value is not None}


def encode_tools(words: Chat, losses: Losses) -> dict[str, object]:
    """Cohere cannot be told which tool to call: it is offered that one alone, and has to call it."""
    choice = words.tool_choice
    if not words.tools:
        return {}
    told = [encode_tool(tool, f"tools[{at}]", losses) for at, tool in enumerate(words.tools)]
    if words.parallel_tools is False and (choice is None or choice.mode is not ToolMode.NONE):
        raise losses.refuse("parallel_tool_calls", "its models call as many tools at once as they like")
    functions = [tool for tool in words.tools if isinstance(tool, Tool)]
    strict: dict[str, object] = {}
    if all(tool.strict for tool in functions):
        strict["strict_tools"] = True
    elif any(tool.strict for tool in functions):
        losses.drop("tools[].function.strict")
    for tool in functions:
        losses.drop_if(tool.cache, "cache_control")
    if choice is not None and choice.mode is ToolMode.NAMED:
        at = [tool.name for tool in functions].index(named_tool(choice, functions, losses))
        told = [told[at]]
    return {"tools": told} | strict | encode_tool_choice(choice)


def named_tool(choice: ToolChoice, functions: list[Tool], losses: Losses) -> str:
    for tool in functions:
        if tool.name == choice.name:
            return tool.name
    raise losses.refuse("tool_choice", "no tool of that name is offered")


def encode_tool(tool: Tool | HostedTool, where: str, losses: Losses) -> dict[str, object]:
    if isinstance(tool, HostedTool):
        raise losses.refuse(where, f"it has no tool of the kind `{tool.kind[:40]}`")
    function: dict[str, object] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = dict(tool.parameters) or {"type": "object", "properties": {}}
    return {"type": "function", "function": function}


def encode_tool_choice(choice: ToolChoice | None) -> dict[str, object]:
    if choice is None:
        return {}
    match choice.mode:
        case ToolMode.AUTO:
            return {}
        case ToolMode.NONE:
            return {"tool_choice": "NONE"}
        case ToolMode.REQUIRED | ToolMode.NAMED:
            return {"tool_choice": "REQUIRED"}
        case _:
            assert_never(choice.mode)


def answer_format(wanted: ResponseFormat | None, losses: Losses) -> dict[str, object] | None:
    """Cohere's `response_format`; None for plain text."""
    if wanted is None:
        return None
    match wanted.kind:
        case FormatKind.TEXT:
            return None
        case FormatKind.JSON:
            return {"type": "json_object"}
        case FormatKind.SCHEMA:
            losses.drop_if(wanted.description, "response_format.json_schema.description")
            return {"type": "json_object", "json_schema": wanted.schema}
        case _:
            assert_never(wanted.kind)


def encode_thinking(wanted: Thinking | None, losses: Losses) -> dict[str, object] | None:
    """Cohere's `thinking`; None leaves it to the model."""
    if wanted is None:
        return None
    if wanted.is_enabled is False or wanted.effort == "none":
        return {"type": "disabled"}
    losses.drop_if(wanted.is_shown is False, "thinking.display")
    budget = wanted.budget_tokens
    if budget is None and wanted.effort is not None:
        budget = budget_of(wanted.effort)
    if budget is None and wanted.is_enabled is None:
        return None
    return {"type": "enabled"} | ({} if budget is None else {"token_budget": budget})
