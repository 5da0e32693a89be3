"""What a body asks of a model here. What cannot be done is refused by name; what changes no answer is let pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from farmgate.core.errors import InvalidType, InvalidValue, UnsupportedParameter
from farmgate.core.request import Kind
from farmgate.core.words import (
    Chat,
    Complete,
    Embed,
    FormatKind,
    HostedTool,
    Message,
    Role,
    Sampling,
    TextPart,
    Tool,
    ToolMode,
    parts_of,
)
from farmgate.wire.fields import present
from farmgate.wire.openai.requests import OpenAIBody, decode_request
from farmgate.wire.openai.rules import ListLimits
from farmgate.wire.strictjson import JsonLimits, decode_object

__all__ = ["Shown", "Vectors", "Written", "read_shown", "read_text", "read_vectors", "read_written"]

JSON = JsonLimits()
LISTS = ListLimits()

WITHOUT_EFFECT = frozenset(
    (
        *("metadata", "store", "service_tier", "verbosity", "safety_identifier"),
        *("prompt_cache_key", "prompt_cache_retention", "cache_prompt"),
    )
)
"""Fields that say who asks, what is kept and what it may cost: the answer is the same without them."""

NOT_THE_TEMPLATES = frozenset(
    (
        *("conversation", "tools", "documents", "chat_template", "add_generation_prompt", "continue_final_message"),
        *("tokenize", "padding", "truncation", "max_length", "return_tensors", "return_dict", "tokenizer_kwargs"),
        "return_assistant_tokens_mask",
    )
)
"""Arguments of the library's function beside those of the template: a caller brings no template of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A conversation for a model's template, as templates know it: `role`, `content`, and the tools called in it.

    `tools`: those that may be called; `more`: what else the template is told; `effort`: how much the model is to
    think, in OpenAI's words, None as it likes.
    """

    turns: tuple[Mapping[str, object], ...]
    tools: tuple[Mapping[str, object], ...] = ()
    more: Mapping[str, object] = field(default_factory=dict)
    effort: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A text that is wanted, in answer to a conversation or to go on from `prompt`.

    `most_calls`: with so many calls of tools it is over; None for any number.
    """

    kind: Kind
    model: str | None
    sampling: Sampling
    shown: Shown | None = None
    prompt: str = ""
    most_calls: int | None = None
    stream: bool = False
    show_usage: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors:
    """Embeddings that are wanted. `dimensions`: only so many of each, made as long as 1 again."""

    model: str | None
    texts: tuple[str, ...]
    dimensions: int | None
    as_base64: bool


def read_written(body: bytes, kind: Kind) -> Written:
    """A chat or a completion. Raises BadRequest."""
    read = decode_request(body, kind, json_limits=JSON, list_limits=LISTS)
    words = read.ask()
    if isinstance(words, Chat):
        return chat(read, words)
    assert isinstance(words, Complete)
    if words.suffix:
        raise cannot("suffix", "it writes on from a prompt, not into a gap")
    refuse_rest(words.sampling, words.extra)
    return Written(
        kind=kind,
        model=read.model,
        sampling=words.sampling,
        prompt=words.prompt,
        stream=read.stream,
        show_usage=read.want_usage,
    )


def chat(read: OpenAIBody, words: Chat) -> Written:
    if words.response_format is not None and words.response_format.kind is not FormatKind.TEXT:
        raise cannot("response_format", "it cannot hold a model to a form")
    mode = words.tool_choice.mode if words.tool_choice is not None else ToolMode.AUTO
    if words.tools and mode not in (ToolMode.AUTO, ToolMode.NONE):
        raise cannot("tool_choice", "it cannot make a model call a tool")
    extra = dict(words.extra)
    extra.pop("chat_template_kwargs", None)
    refuse_rest(words.sampling, extra)
    return Written(
        kind=Kind.CHAT,
        model=read.model,
        sampling=words.sampling,
        shown=shown(words),
        most_calls=1 if words.parallel_tools is False else None,
        stream=read.stream,
        show_usage=read.want_usage,
    )


def read_shown(body: bytes) -> Shown:
    """The conversation in a body, whatever else it asks. Raises BadRequest."""
    words = decode_request(body, Kind.CHAT, json_limits=JSON, list_limits=LISTS).ask()
    assert isinstance(words, Chat)
    return shown(words)


def shown(words: Chat) -> Shown:
    more = words.extra.get("chat_template_kwargs") or {}
    if not isinstance(more, dict):
        raise InvalidType("`chat_template_kwargs` must be an object.", param="chat_template_kwargs")
    if taken := sorted(NOT_THE_TEMPLATES & more.keys()):
        raise UnsupportedParameter(f"`chat_template_kwargs.{taken[0]}` is not for the template.", param=taken[0])
    is_off = words.tool_choice is not None and words.tool_choice.mode is ToolMode.NONE
    return Shown(
        turns=tuple(turn(message, f"messages[{at}]") for at, message in enumerate(words.messages)),
        tools=() if is_off else tuple(tool(each, f"tools[{at}]") for at, each in enumerate(words.tools)),
        more=more,
        effort=words.thinking.effort if words.thinking is not None else None,
    )


def tool(each: Tool | HostedTool, where: str) -> dict[str, object]:
    if not isinstance(each, Tool):
        raise UnsupportedParameter(f"`{where}`: the transformers engine knows functions only.", param=where)
    told = present({"name": each.name, "description": each.description})
    return {"type": "function", "function": told | {"parameters": dict(each.parameters)}}


def read_vectors(body: bytes) -> Vectors:
    """Raises BadRequest."""
    read = decode_request(body, Kind.EMBEDDING, json_limits=JSON, list_limits=LISTS)
    words = read.ask()
    assert isinstance(words, Embed)
    refuse_unknown(words.extra)
    return Vectors(
        model=read.model,
        texts=words.inputs,
        dimensions=words.dimensions,
        as_base64=read.fields.get("encoding_format") == "base64",
    )


def read_text(body: bytes) -> tuple[str, bool]:
    """What `/tokenize` is asked, as llama.cpp is: a text, and whether special tokens stand around it."""
    fields = decode_object(body, JSON)
    text = fields.get("content")
    if not isinstance(text, str):
        raise InvalidType("`content` must be a string.", param="content")
    return text, fields.get("add_special") is True


def turn(message: Message, where: str) -> dict[str, object]:
    """Text parts are joined. Templates know no developer: it is who says what the system should."""
    parts = parts_of(message.content)
    if not all(isinstance(part, TextPart) for part in parts):
        raise UnsupportedParameter(f"`{where}.content`: the transformers engine reads text only.", param=where)
    role = Role.SYSTEM if message.role is Role.DEVELOPER else message.role
    told: dict[str, object] = {
        "role": role.value,
        "content": "\n".join(part.text for part in cast("tuple[TextPart, ...]", parts)),
    }
    if message.tool_uses:
        told["tool_calls"] = [
            {
                "type": "function",
                "id": use.id,
                # Templates write arguments as JSON themselves.
                "function": {"name": use.name, "arguments": decode_object(use.arguments.encode() or b"{}")},
            }
            for use in message.tool_uses
        ]
    if message.tool_call_id is not None:
        told["tool_call_id"] = message.tool_call_id
    if message.name is not None:
        told["name"] = message.name
    return told


def refuse_rest(sampling: Sampling, extra: Mapping[str, object]) -> None:
    """Raise UnsupportedParameter for what would make another answer than this engine can give."""
    if sampling.count != 1:
        raise cannot("n", "it gives one answer to a request")
    if sampling.top_logprobs is not None:
        raise cannot("logprobs", "it tells no probabilities")
    if sampling.presence_penalty:
        raise cannot("presence_penalty", "it draws by temperature, top_p and top_k alone")
    if sampling.frequency_penalty:
        raise cannot("frequency_penalty", "it draws by temperature, top_p and top_k alone")
    if any(not text for text in sampling.stop):
        raise InvalidValue("`stop` holds an empty string.", param="stop")
    rest = {name: value for name, value in extra.items() if value is not False}
    if rest.get("best_of") == 1:
        del rest["best_of"]
    if rest.get("logit_bias") == {}:
        del rest["logit_bias"]
    refuse_unknown(rest)


def refuse_unknown(extra: Mapping[str, object]) -> None:
    for name, value in extra.items():
        if name not in WITHOUT_EFFECT and value is not None:
            raise cannot(name, "it knows no such field")


def cannot(name: str, why: str) -> UnsupportedParameter:
    return UnsupportedParameter(f"The transformers engine cannot do `{name}`: {why}.", param=name)
