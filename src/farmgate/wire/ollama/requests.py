"""Ollama's requests, written from our words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from farmgate.core.errors import InvalidValue, UnsupportedParameter
from farmgate.core.request import Kind, Request
from farmgate.core.words import (
    Chat,
    Complete,
    Embed,
    FormatKind,
    Rerank,
    ResponseFormat,
    Sampling,
    Thinking,
    ToolChoice,
    ToolMode,
)
from farmgate.wire.losses import Losses, Outgoing
from farmgate.wire.ollama.asks import STREAMS, OllamaBody
from farmgate.wire.ollama.messages import encode_messages, encode_tool
from farmgate.wire.ollama.options import encode_options
from farmgate.wire.strictjson import encode
from farmgate.wire.thinking import effort_of

__all__ = ["PATHS", "Residence", "encode_preload", "encode_pull", "encode_request", "encode_show", "path_of"]

OWN_PATHS = frozenset({"/api/chat", "/api/generate", "/api/embed"})
LOAD_TIME = frozenset(
    {"num_ctx", "num_batch", "num_gpu", "main_gpu", "use_mmap", "use_mlock", "numa", "num_thread", "draft_num_predict"}
)
"""Options with which Ollama loads a model: another value loads it anew."""
PATHS: Mapping[Kind, str] = {Kind.CHAT: "/api/chat", Kind.COMPLETION: "/api/generate", Kind.EMBEDDING: "/api/embed"}

THINK: Mapping[str, bool | str] = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "max",
    "max": "max",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Residence:
    """How a model sits in Ollama's memory. The same in every request, or each change would load it anew.

    `keep_alive` is a duration (`"10m"`) or seconds; negative means for ever. None leaves Ollama's own setting.
    """

    num_ctx: int | None = None
    keep_alive: str | float | None = None


ANYHOW = Residence()


def encode_request(request: Request, *, provider: str, stream: bool, residence: Residence = ANYHOW) -> Outgoing:
    """The body for `path_of(request)`. Raises a BadRequest for what Ollama cannot be told.

    A body that came in this dialect goes out with the fields it came with, but for those that would load the model anew
    for everybody.
    """
    if isinstance(request.body, OllamaBody) and request.body.path in OWN_PATHS:
        return encode_own(request.body, request.model, stream=stream, residence=residence)
    words = request.body.ask()
    losses = Losses(provider)
    options: dict[str, object] = {}
    match words:
        case Chat():
            told = chat_fields(words, losses) | {"stream": stream}
            options = encode_options(words.sampling, words.extra, losses)
        case Complete():
            told = generate_fields(words, losses) | {"stream": stream}
            options = encode_options(words.sampling, words.extra, losses)
        case Embed():
            told = embed_fields(words)
            losses.leave(words.extra)
            losses.drop_if(words.user, "user")
        case Rerank():
            raise UnsupportedParameter("Ollama does not rank documents.", param="model")
        case _:
            assert_never(words)
    body = encode({"model": request.model} | told | resident(residence, options))
    return Outgoing(body=body, dropped=losses.dropped)


def path_of(request: Request) -> str:
    """Where a request goes."""
    if isinstance(request.body, OllamaBody) and request.body.path in OWN_PATHS:
        return request.body.path
    return PATHS[request.kind]


def encode_own(body: OllamaBody, model: str | None, *, stream: bool, residence: Residence) -> Outgoing:
    """A caller's own fields, the model by the name it has there."""
    told = {name: value for name, value in body.fields.items() if name not in ("name", "keep_alive", "options")}
    options = body.fields.get("options")
    kept = dict(options) if isinstance(options, Mapping) else {}
    dropped = tuple(f"options.{name}" for name in kept if name in LOAD_TIME)
    if body.fields.get("keep_alive") is not None:
        dropped = (*dropped, "keep_alive")
    told |= {"model": model} | ({"stream": stream} if body.path in STREAMS else {})
    kept = {name: value for name, value in kept.items() if name not in LOAD_TIME}
    told |= resident(residence, kept)
    return Outgoing(body=body.raw if told == body.fields else encode(told), dropped=dropped)


def resident(residence: Residence, options: Mapping[str, object]) -> dict[str, object]:
    """Options with the pinned context, and how long to stay in memory."""
    told: dict[str, object] = {}
    pinned = dict(options) | ({} if residence.num_ctx is None else {"num_ctx": residence.num_ctx})
    if pinned:
        told["options"] = pinned
    if residence.keep_alive is not None:
        told["keep_alive"] = residence.keep_alive
    return told


def chat_fields(words: Chat, losses: Losses) -> dict[str, object]:
    told: dict[str, object] = {"messages": encode_messages(words.messages, losses)}
    if words.tools and offers_tools(words.tool_choice):
        told["tools"] = [encode_tool(tool, f"tools[{at}]", losses) for at, tool in enumerate(words.tools)]
        if words.parallel_tools is False:
            raise losses.refuse("parallel_tool_calls", "its models call as many tools at once as they like")
    if (form := answer_format(words.response_format)) is not None:
        told["format"] = form
    if words.thinking is not None and (thought := think(words.thinking)) is not None:
        told["think"] = thought
    losses.drop_if(words.user, "user")
    return told | logprobs(words.sampling)


def logprobs(sampling: Sampling) -> dict[str, object]:
    if sampling.top_logprobs is None:
        return {}
    return {"logprobs": True} | ({"top_logprobs": sampling.top_logprobs} if sampling.top_logprobs else {})


def generate_fields(words: Complete, losses: Losses) -> dict[str, object]:
    """The model's template is applied, as Ollama does for completions itself; `raw` would make a chat model ramble."""
    if not words.prompt:
        raise InvalidValue("`prompt` is empty: Ollama would only load the model.", param="prompt")
    told: dict[str, object] = {"prompt": words.prompt}
    losses.drop_if(words.user, "user")
    return told | ({"suffix": words.suffix} if words.suffix else {}) | logprobs(words.sampling)


def embed_fields(words: Embed) -> dict[str, object]:
    """`truncate` is off: by default Ollama embeds the beginning of a text that is too long, and does not say so."""
    told: dict[str, object] = {"input": list(words.inputs), "truncate": False}
    return told | ({} if words.dimensions is None else {"dimensions": words.dimensions})


def offers_tools(choice: ToolChoice | None) -> bool:
    """Whether tools are shown to the model: it may call them or not, and cannot be made to."""
    if choice is None or choice.mode is ToolMode.AUTO:
        return True
    if choice.mode is ToolMode.NONE:
        return False
    raise UnsupportedParameter(
        "`tool_choice`: Ollama cannot make a model call a tool: use `auto` or `none`.", param="tool_choice"
    )


def answer_format(wanted: ResponseFormat | None) -> object:
    """Ollama's `format`; None for plain text."""
    if wanted is None:
        return None
    match wanted.kind:
        case FormatKind.TEXT:
            return None
        case FormatKind.JSON:
            return "json"
        case FormatKind.SCHEMA:
            return wanted.schema
        case _:
            assert_never(wanted.kind)


def think(thinking: Thinking) -> bool | str | None:
    """Ollama's `think`; None leaves it to the model."""
    if thinking.is_enabled is False:
        return False
    effort = thinking.effort
    if effort is None:
        return None if thinking.budget_tokens is None else THINK[effort_of(thinking.budget_tokens)]
    if effort not in THINK:
        raise InvalidValue(f"`reasoning_effort` must be one of {', '.join(THINK)}.", param="reasoning_effort")
    return THINK[effort]


def encode_pull(model: str) -> bytes:
    """The body for /api/pull, which tells its progress line by line."""
    return encode({"model": model, "stream": True})


def encode_show(model: str) -> bytes:
    """The body for /api/show."""
    return encode({"model": model})


def encode_preload(model: str, *, kind: Kind, residence: Residence = ANYHOW) -> bytes:
    """The body for `PATHS[kind]` that only loads the model: a request with nothing in it."""
    empty: dict[str, object] = {"input": []} if kind is Kind.EMBEDDING else {"stream": False}
    return encode({"model": model} | empty | resident(residence, {}))
