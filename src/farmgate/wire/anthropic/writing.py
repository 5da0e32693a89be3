"""Words as the fields of a Messages request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from farmgate.core.errors import InvalidValue
from farmgate.core.request import Dialect
from farmgate.core.words import (
    Chat,
    FormatKind,
    HostedTool,
    Message,
    ResponseFormat,
    Role,
    Sampling,
    Thinking,
    ThinkingPart,
    Tool,
    ToolChoice,
    ToolMode,
)
from farmgate.wire.anthropic.generations import takes_budgets, takes_effort, takes_sampling
from farmgate.wire.anthropic.writing_turns import encode_cache, encode_turns
from farmgate.wire.losses import Losses
from farmgate.wire.thinking import budget_of, effort_of

__all__ = ["DEFAULT_MAX_TOKENS", "encode_chat"]

Fields = dict[str, object]
DEFAULT_MAX_TOKENS = 4096
"""For callers who set no limit: Anthropic wants one, and every model takes this."""
LEAST_BUDGET = 1_024
OWN = frozenset(
    ("cache_control", "container", "context_management", "inference_geo", "mcp_servers", "service_tier", "speed")
)
"""Anthropic's fields that there is no word for; those typed by hand are kept."""
CHOICES = {ToolMode.AUTO: "auto", ToolMode.REQUIRED: "any", ToolMode.NAMED: "tool", ToolMode.NONE: "none"}
EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}


def encode_chat(
    words: Chat, losses: Losses, *, model: str, dialect: Dialect = Dialect.TYPED, max_tokens: int = DEFAULT_MAX_TOKENS
) -> Fields:
    """The fields of a body, the model left out. `dialect`: whose form `words.extra` and untyped parts have;
    `max_tokens`: the limit for a caller who set none.

    Raises a BadRequest for what Anthropic cannot be told.
    """
    is_own = dialect in (Dialect.ANTHROPIC, Dialect.TYPED)
    extra = {name: value for name, value in words.extra.items() if is_own and name in OWN}
    losses.leave(words.extra, known=extra)
    system, turns = encode_turns(words.messages, losses, is_own=is_own)
    told: Fields = {"max_tokens": words.sampling.max_tokens or max_tokens, "messages": turns}
    if system is not None:
        told["system"] = system
    told |= encode_sampling(words.sampling, losses, model=model)
    told |= encode_tools(words, losses, is_own=is_own)
    if words.user is not None:
        told["metadata"] = {"user_id": words.user}
    config = encode_format(words.response_format, losses)
    if words.thinking is not None:
        effort, thinking, most = encode_thinking(words, words.thinking, losses, model=model, max_tokens=max_tokens)
        config |= effort
        told |= thinking | most
    if config:
        told["output_config"] = config
    return told | extra


def encode_sampling(sampling: Sampling, losses: Losses, *, model: str) -> Fields:
    if sampling.count != 1:
        raise losses.refuse("n", "it gives one answer to a request")
    if sampling.top_logprobs is not None:
        raise losses.refuse("logprobs", "it tells none")
    for name, value in (
        ("presence_penalty", sampling.presence_penalty),
        ("frequency_penalty", sampling.frequency_penalty),
    ):
        if value:
            raise losses.refuse(name)
    if sampling.temperature is not None and sampling.temperature > 1:
        raise losses.refuse("temperature", "it takes 0 to 1")
    losses.drop_if(sampling.seed is not None, "seed")
    told: Fields = {}
    for name, chance in (("temperature", sampling.temperature), ("top_p", sampling.top_p)):
        # 1 asks for nothing: the later models refuse it all the same.
        if chance is not None and (chance != 1 or takes_sampling(model)):
            told[name] = chance
    if sampling.top_k is not None and sampling.top_k > 0:
        told["top_k"] = sampling.top_k
    if sampling.stop:
        told["stop_sequences"] = list(sampling.stop)
    return told


def encode_tools(words: Chat, losses: Losses, *, is_own: bool) -> Fields:
    told: Fields = {}
    if words.tools:
        told["tools"] = [
            encode_tool(tool, f"tools[{at}]", losses, is_own=is_own) for at, tool in enumerate(words.tools)
        ]
    choice = words.tool_choice
    if choice is None and words.tools and words.parallel_tools is not None:
        choice = ToolChoice(mode=ToolMode.AUTO)
    if choice is None or (not words.tools and choice.mode in (ToolMode.AUTO, ToolMode.NONE)):
        return told
    chosen: Fields = {"type": CHOICES[choice.mode]}
    if choice.mode is ToolMode.NAMED:
        chosen["name"] = choice.name
    if words.parallel_tools is not None and choice.mode is not ToolMode.NONE:
        chosen["disable_parallel_tool_use"] = not words.parallel_tools
    return told | {"tool_choice": chosen}


def encode_tool(tool: Tool | HostedTool, where: str, losses: Losses, *, is_own: bool) -> Mapping[str, object]:
    if isinstance(tool, HostedTool):
        if is_own:
            return tool.data
        raise losses.refuse(where, f"it has no tool of the kind `{tool.kind[:40]}`")
    told: Fields = {"name": tool.name, "input_schema": {"type": "object"} | dict(tool.parameters)}
    if tool.description is not None:
        told["description"] = tool.description
    if tool.strict is not None:
        told["strict"] = tool.strict
    return told | encode_cache(tool.cache)


def encode_format(wanted: ResponseFormat | None, losses: Losses) -> Fields:
    """The part of `output_config` that says which form an answer has. The schema's name is a label and says nothing."""
    if wanted is None:
        return {}
    match wanted.kind:
        case FormatKind.TEXT:
            return {}
        case FormatKind.JSON:
            raise losses.refuse("response_format", "it needs a schema: use `json_schema`")
        case FormatKind.SCHEMA:
            losses.drop_if(wanted.description, "response_format.json_schema.description")
            return {"format": {"type": "json_schema", "schema": dict(wanted.schema)}}
        case _:
            assert_never(wanted.kind)


def encode_thinking(
    words: Chat, wanted: Thinking, losses: Losses, *, model: str, max_tokens: int
) -> tuple[Fields, Fields, Fields]:
    """What `output_config`, the body, and again the body say of it: the effort, `thinking`, and a limit with room for
    both the thoughts and the answer, where the caller set none."""
    effort = wanted.effort
    if effort is not None and effort != "none" and effort not in EFFORTS:
        place = "reasoning_effort"
        raise InvalidValue(f"`{place}` must be one of none, {', '.join(EFFORTS)}.", param=place)
    if wanted.is_enabled is False or effort == "none":
        return {}, {"thinking": {"type": "disabled"}}, {}
    shown: Fields = {}
    if wanted.is_shown is not None:
        shown = {"display": "summarized" if wanted.is_shown else "omitted"}
    by_budget = not takes_effort(model) or (wanted.budget_tokens is not None and takes_budgets(model))
    if by_budget:
        budget, most = budget_for(words, wanted, losses, max_tokens=max_tokens)
        thinking: Fields = {"type": "enabled", "budget_tokens": budget} | shown
        return {}, {"thinking": thinking} if budget else {}, most
    if effort is None and wanted.budget_tokens is not None:
        effort = effort_of(wanted.budget_tokens)
    said: Fields = {} if effort is None else {"effort": EFFORTS.get(effort, "low")}
    is_asked = wanted.is_enabled or wanted.budget_tokens is not None or shown
    return said, {"thinking": {"type": "adaptive"} | shown} if is_asked else {}, {}


def budget_for(words: Chat, wanted: Thinking, losses: Losses, *, max_tokens: int) -> tuple[int, Fields]:
    """How many tokens may be thought; 0 where none can be: the limit is too low, or the thoughts that led to the last
    calls of tools are not there, which Anthropic wants back."""
    if wanted.budget_tokens is None and wanted.effort is None:
        budget = budget_of("medium")
    else:
        budget = wanted.budget_tokens if wanted.budget_tokens is not None else budget_of(wanted.effort or "")
    budget = max(budget, LEAST_BUDGET)
    most = words.sampling.max_tokens
    if (most is not None and most <= LEAST_BUDGET) or lacks_thoughts(words.messages):
        losses.drop("reasoning_effort")
        return 0, {}
    if most is None:
        return budget, {"max_tokens": budget + max_tokens}
    return min(budget, most - 1), {}


def lacks_thoughts(messages: tuple[Message, ...]) -> bool:
    """Whether tools were called, and answered, without the thoughts that led there."""
    for message in reversed(messages):
        if message.role is Role.ASSISTANT:
            content = message.content if isinstance(message.content, tuple) else ()
            proved = any(isinstance(part, ThinkingPart) and (part.signature or part.redacted) for part in content)
            return bool(message.tool_uses) and not proved
        if message.role is not Role.TOOL:
            return False
    return False
