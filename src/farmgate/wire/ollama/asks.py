"""What callers who speak Ollama's API ask for: their bodies, checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import cast

from farmgate.core.errors import InvalidMessages, InvalidType, MissingParameter, TooManyItems
from farmgate.core.request import Dialect, Kind
from farmgate.core.words import Ask
from farmgate.wire.ollama.reading import decode_chat, decode_embed, decode_generate, decode_raw_generate
from farmgate.wire.openai import rules
from farmgate.wire.openai.rules import ListLimits, Rule
from farmgate.wire.strictjson import BOM, JsonLimits, decode_object

__all__ = ["STREAMS", "OllamaBody", "decode_ask"]

OWN_NAMES = {
    "max_tokens": "options.num_predict",
    "response_format": "format",
    "reasoning_effort": "think",
    **{
        name: f"options.{name}"
        for name in ("temperature", "top_p", "top_k", "stop", "seed", "presence_penalty", "frequency_penalty")
    },
}
PART = re.compile(r"(?P<turn>prompt|messages\[\d+\])\.content\[(?P<at>\d+)\]")
ROLES = frozenset({"system", "user", "assistant", "tool", "developer"})


class OllamaBody:
    """A caller's body. `path` is where it was sent: one path here may stand for two kinds of asks."""

    __slots__ = ("_words", "fields", "kind", "model", "path", "raw", "stream")

    dialect = Dialect.OLLAMA
    want_usage = True

    def __init__(self, raw: bytes, fields: dict[str, object], path: str) -> None:
        self.raw = raw
        self.fields = fields
        self.path = path
        self.model = cast("str | None", fields.get("model") or fields.get("name"))
        self.kind = kind_of_ask(fields, path)
        # Ollama streams unless it is told not to.
        self.stream = path in STREAMS and fields.get("stream") is not False
        self._words: Ask | None = None

    @property
    def is_empty(self) -> bool:
        """Nothing is asked: Ollama only loads the model, or lets go of it with `keep_alive: 0`."""
        return not self.fields.get("messages") and not self.fields.get("prompt") and self.path in STREAMS

    def ask(self) -> Ask:
        """The typed words. Raises a BadRequest that names the field."""
        if self._words is None:
            decode = decode_raw_generate if self.kind is Kind.COMPLETION else DECODERS[self.path]
            self._words = decode(self.fields)
        return self._words

    def own_name(self, param: str) -> str:
        part = PART.fullmatch(param)
        return OWN_NAMES.get(param, param) if part is None else self._own_part(part["turn"], int(part["at"]))

    def _own_part(self, turn: str, at: int) -> str:
        """Where a part of our words stands here: thoughts, a text and images are fields of a message of their own."""
        if turn == "prompt":
            return "prompt" if at == 0 else f"images[{at - 1}]"
        messages = cast("list[Mapping[str, object]]", self.fields["messages"])
        message = messages[int(turn.removeprefix("messages[").removesuffix("]"))]
        before = [name for name in ("thinking", "content") if message.get(name)]
        return f"{turn}.{before[at]}" if at < len(before) else f"{turn}.images[{at - len(before)}]"


STREAMS = frozenset({"/api/chat", "/api/generate"})
DECODERS: dict[str, Callable[[Mapping[str, object]], Ask]] = {
    "/api/chat": decode_chat,
    "/api/generate": decode_generate,
    "/api/embed": decode_embed,
    "/api/embeddings": decode_embed,
}


def kind_of_ask(fields: Mapping[str, object], path: str) -> Kind:
    """/api/generate is a chat of one turn, unless it asks for no template or for what goes before a suffix."""
    if path in ("/api/embed", "/api/embeddings"):
        return Kind.EMBEDDING
    is_raw = path == "/api/generate" and (fields.get("raw") is True or bool(fields.get("suffix")))
    return Kind.COMPLETION if is_raw else Kind.CHAT


def decode_ask(body: bytes, path: str, *, json_limits: JsonLimits, list_limits: ListLimits) -> OllamaBody:
    """A caller's body. Raises a BadRequest that names the field."""
    fields = decode_object(body, json_limits)
    rules.check(fields, RULES[path], list_limits)
    options = fields.get("options")
    if isinstance(options, dict):
        check_options(options, list_limits)
    needed = {"/api/embed": "input", "/api/embeddings": "prompt"}.get(path)
    if needed is not None and fields.get(needed) is None:
        raise MissingParameter(f"`{needed}` is required.", param=needed)
    return OllamaBody(body.removeprefix(BOM), fields, path)


def check_options(options: Mapping[str, object], limits: ListLimits) -> None:
    for name, value in options.items():
        rule = OPTIONS.get(name)
        if rule is not None and value is not None:
            rule(value, f"options.{name}", limits)


def messages(value: object, name: str, limits: ListLimits) -> None:
    if type(value) is not list:
        raise InvalidType(f"`{name}` must be a list.", param=name)
    if len(value) > limits.messages:
        raise TooManyItems(f"`{name}` holds more than {limits.messages} messages.", param=name)
    images = 0
    for at, message in enumerate(value):
        where = f"{name}[{at}]"
        if type(message) is not dict:
            raise InvalidType(f"`{where}` must be an object.", param=where)
        role = message.get("role")
        if type(role) is not str or role not in ROLES:
            raise InvalidMessages(f"`{where}.role` must be one of {', '.join(sorted(ROLES))}.", param=f"{where}.role")
        told = message.get("images")
        images += len(told) if type(told) is list else 0
    if images > limits.images:
        raise TooManyItems(f"`{name}` holds more than {limits.images} images.", param=name)


def inputs(value: object, name: str, limits: ListLimits) -> None:
    rules.EMBEDDING["input"](value, name, limits)
    if type(value) is list and any(type(item) is not str for item in value):
        raise InvalidType(f"`{name}` must be a string or a list of strings.", param=name)


USUAL: dict[str, Rule] = {
    "model": rules.text,
    "name": rules.text,
    "stream": rules.boolean,
    "options": rules.mapping,
    "logprobs": rules.boolean,
    "top_logprobs": rules.integer(0, 20),
}
EMBED: dict[str, Rule] = {"model": rules.text, "options": rules.mapping, "dimensions": rules.integer(0, 1 << 20)}
RULES: dict[str, dict[str, Rule]] = {
    "/api/chat": USUAL | {"messages": messages, "tools": rules.CHAT["tools"]},
    "/api/generate": USUAL | {"prompt": rules.text, "suffix": rules.text, "system": rules.text, "raw": rules.boolean},
    "/api/embed": EMBED | {"input": inputs},
    "/api/embeddings": EMBED | {"prompt": rules.text},
}
OPTIONS: dict[str, Rule] = {
    "temperature": rules.number(0, 2),
    "top_p": rules.number(0, 1),
    "top_k": rules.integer(-1),
    "num_predict": rules.integer(-2),
    "stop": rules.SAMPLING["stop"],
    "seed": rules.integer(-(1 << 63), (1 << 63) - 1),
    "presence_penalty": rules.number(-2, 2),
    "frequency_penalty": rules.number(-2, 2),
}
