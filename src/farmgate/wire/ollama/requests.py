"""Ollama's requests, written from our words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from farmgate.core.errors import InvalidValue, UnsupportedParameter
from farmgate.core.request import Chat, Complete, Embed, Kind, Request
from farmgate.wire.ollama.messages import encode_messages, encode_tool
from farmgate.wire.ollama.options import encode_options, refuse_unsayable
from farmgate.wire.strictjson import encode

__all__ = ["PATHS", "Residence", "encode_preload", "encode_pull", "encode_request", "encode_show"]

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


def encode_request(request: Request, *, stream: bool, residence: Residence = ANYHOW) -> bytes:
    """The body for `PATHS[request.kind]`. Raises a BadRequest for what Ollama cannot be told."""
    words = request.body.ask()
    refuse_unsayable(words.extra)
    match words:
        case Chat():
            told = chat_fields(words) | {"stream": stream}
            options = encode_options(words.sampling, words.extra)
        case Complete():
            told = generate_fields(words) | {"stream": stream}
            options = encode_options(words.sampling, words.extra)
        case Embed():
            told = embed_fields(words)
            options = {}
        case _:
            assert_never(words)
    return encode({"model": request.model} | told | resident(residence, options))


def resident(residence: Residence, options: Mapping[str, object]) -> dict[str, object]:
    """Options with the pinned context, and how long to stay in memory."""
    told: dict[str, object] = {}
    pinned = dict(options) | ({} if residence.num_ctx is None else {"num_ctx": residence.num_ctx})
    if pinned:
        told["options"] = pinned
    if residence.keep_alive is not None:
        told["keep_alive"] = residence.keep_alive
    return told


def chat_fields(words: Chat) -> dict[str, object]:
    told: dict[str, object] = {"messages": encode_messages(words.messages)}
    if words.tools and offers_tools(words.tool_choice):
        told["tools"] = [encode_tool(tool) for tool in words.tools]
    if (form := answer_format(words.response_format)) is not None:
        told["format"] = form
    if words.reasoning_effort is not None:
        told["think"] = think(words.reasoning_effort)
    return told


def generate_fields(words: Complete) -> dict[str, object]:
    """The model's template is applied, as Ollama does for completions itself; `raw` would make a chat model ramble."""
    if not words.prompt:
        raise InvalidValue("`prompt` is empty: Ollama would only load the model.", param="prompt")
    told: dict[str, object] = {"prompt": words.prompt}
    return told | ({"suffix": words.suffix} if words.suffix else {})


def embed_fields(words: Embed) -> dict[str, object]:
    """`truncate` is off: by default Ollama embeds the beginning of a text that is too long, and does not say so."""
    told: dict[str, object] = {"input": list(words.inputs), "truncate": False}
    return told | ({} if words.dimensions is None else {"dimensions": words.dimensions})


def offers_tools(choice: object) -> bool:
    """Whether tools are shown to the model: it may call them or not, and cannot be made to."""
    if choice in (None, "auto"):
        return True
    if choice == "none":
        return False
    raise UnsupportedParameter("Ollama cannot make a model call a tool: use `auto` or `none`.", param="tool_choice")


def answer_format(wanted: Mapping[str, object] | None) -> object:
    """OpenAI's `response_format` as Ollama's `format`; None for plain text."""
    if wanted is None or wanted.get("type") == "text":
        return None
    if wanted.get("type") == "json_object":
        return "json"
    if wanted.get("type") == "json_schema":
        named = wanted.get("json_schema")
        schema = named.get("schema") if isinstance(named, Mapping) else None
        if isinstance(schema, Mapping):
            return schema
        place = "response_format.json_schema.schema"
        raise InvalidValue(f"`{place}` must be a JSON schema.", param=place)
    raise UnsupportedParameter(
        "`response_format.type` must be `text`, `json_object` or `json_schema`.", param="response_format"
    )


def think(effort: str) -> bool | str:
    """OpenAI's `reasoning_effort` as Ollama's `think`."""
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
