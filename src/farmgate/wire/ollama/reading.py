"""The words in Ollama's requests."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from farmgate.core.errors import InvalidMessages, InvalidType, InvalidValue
from farmgate.core.words import (
    Chat,
    Complete,
    ContentPart,
    Embed,
    FormatKind,
    ImagePart,
    Message,
    ResponseFormat,
    Role,
    Sampling,
    TextPart,
    Thinking,
    ThinkingPart,
    ToolUse,
)
from farmgate.wire.addresses import InvalidImage
from farmgate.wire.fields import objects, whole_number
from farmgate.wire.openai.reading import decode_tool
from farmgate.wire.strictjson import encode, kind_of

__all__ = ["decode_chat", "decode_embed", "decode_generate", "decode_raw_generate"]

MAGIC = {"iVBOR": "image/png", "/9j/": "image/jpeg", "R0lG": "image/gif", "UklG": "image/webp"}
"""How the base64 of each kind of picture begins: Ollama's API does not tell the kind."""
SAMPLED = frozenset({"temperature", "top_p", "top_k", "num_predict", "stop", "seed"})
SAMPLED |= {"presence_penalty", "frequency_penalty"}
AS_OPENAI = frozenset({"min_p", "typical_p", "repeat_penalty", "repeat_last_n"})
"""Options that engines which speak OpenAI know under the same names."""
WORDS = frozenset({"model", "stream", "messages", "tools", "format", "think", "options", "logprobs", "top_logprobs"})
GENERATE_WORDS = WORDS | {"prompt", "system", "images", "suffix", "raw"}
EMBED_WORDS = frozenset({"model", "input", "prompt", "dimensions", "options"})


def decode_chat(fields: Mapping[str, object]) -> Chat:
    """A checked body of /api/chat."""
    calls = Calls()
    messages = objects(fields.get("messages") or [])
    return Chat(
        messages=tuple(decode_message(message, f"messages[{at}]", calls) for at, message in enumerate(messages)),
        sampling=decode_sampling(fields),
        tools=tuple(decode_tool(tool, f"tools[{at}]") for at, tool in enumerate(objects(fields.get("tools") or []))),
        response_format=decode_format(fields.get("format")),
        thinking=decode_think(fields.get("think")),
        extra=extra_of(fields, WORDS),
    )


def decode_generate(fields: Mapping[str, object]) -> Chat:
    """A checked body of /api/generate: Ollama puts the prompt into the model's template, as one turn of a chat."""
    system = fields.get("system")
    images = tuple(decode_images(fields.get("images"), "images"))
    prompt = str(fields.get("prompt") or "")
    user = Message(role=Role.USER, content=(TextPart(text=prompt), *images) if images else prompt, place="prompt")
    before = (Message(role=Role.SYSTEM, content=str(system), place="system"),) if system else ()
    return Chat(
        messages=(*before, user),
        sampling=decode_sampling(fields),
        response_format=decode_format(fields.get("format")),
        thinking=decode_think(fields.get("think")),
        extra=extra_of(fields, GENERATE_WORDS),
    )


def decode_raw_generate(fields: Mapping[str, object]) -> Complete:
    """A checked body of /api/generate that asks for no template, or for what stands between a prompt and a suffix."""
    unsaid = GENERATE_WORDS - {"system", "images", "format", "think"}
    return Complete(
        prompt=str(fields.get("prompt") or ""),
        suffix=cast("str | None", fields.get("suffix")) or None,
        sampling=decode_sampling(fields),
        extra=extra_of(fields, unsaid),
    )


def decode_embed(fields: Mapping[str, object]) -> Embed:
    """A checked body of /api/embed or of the older /api/embeddings."""
    told = fields.get("input", fields.get("prompt"))
    inputs = [told] if isinstance(told, str) else cast("list[str]", told)
    return Embed(
        inputs=tuple(inputs),
        dimensions=whole_number(fields.get("dimensions")) or None,
        extra=extra_of(fields, EMBED_WORDS),
    )


def extra_of(fields: Mapping[str, object], words: frozenset[str]) -> dict[str, object]:
    """What there is no word for. Options keep their place in their name, but those that engines share."""
    options = cast("Mapping[str, object]", fields.get("options") or {})
    told = {name: value for name, value in fields.items() if name not in words}
    named = {name if name in AS_OPENAI else f"options.{name}": value for name, value in options.items()}
    return told | {name: value for name, value in named.items() if name.removeprefix("options.") not in SAMPLED}


def decode_sampling(fields: Mapping[str, object]) -> Sampling:
    options = cast("Mapping[str, object]", fields.get("options") or {})
    stop = options.get("stop")
    most = whole_number(options.get("num_predict"))
    return Sampling(
        temperature=cast("float | None", options.get("temperature")),
        top_p=cast("float | None", options.get("top_p")),
        top_k=whole_number(options.get("top_k")),
        # -1 is without end and -2 until the context is full: both are what happens when nothing is said.
        max_tokens=most if most is not None and most > 0 else None,
        stop=(stop,) if isinstance(stop, str) else tuple(cast("list[str]", stop or ())),
        seed=whole_number(options.get("seed")),
        presence_penalty=cast("float | None", options.get("presence_penalty")),
        frequency_penalty=cast("float | None", options.get("frequency_penalty")),
        top_logprobs=(whole_number(fields.get("top_logprobs")) or 0) if fields.get("logprobs") is True else None,
    )


def decode_format(wanted: object) -> ResponseFormat | None:
    if wanted in (None, ""):
        return None
    if wanted == "json":
        return ResponseFormat(kind=FormatKind.JSON)
    if isinstance(wanted, dict):
        return ResponseFormat(kind=FormatKind.SCHEMA, schema=wanted)
    raise InvalidValue("`format` must be `json` or a JSON schema.", param="format")


def decode_think(wanted: object) -> Thinking | None:
    if wanted is None:
        return None
    if isinstance(wanted, bool):
        return Thinking(is_enabled=wanted)
    if wanted in ("low", "medium", "high", "max"):
        return Thinking(is_enabled=True, effort=str(wanted))
    raise InvalidValue("`think` must be true, false, `low`, `medium`, `high` or `max`.", param="think")


@dataclass(slots=True)
class Calls:
    """The tool calls made so far. Older clients tell no ids: answers are matched by name, then in order."""

    count: int = 0
    open: list[tuple[str, str]] = field(default_factory=list)

    def made(self, id: object, name: str) -> str:
        told = id if isinstance(id, str) and id else f"call_{self.count}"
        self.count += 1
        self.open.append((told, name))
        return told

    def answered(self, id: object, name: object) -> str | None:
        """Which call an answer belongs to."""
        known = [call for call in self.open if call[0] == id] or [call for call in self.open if call[1] == name]
        call = next(iter(known or self.open), None)
        if call is None:
            return None
        self.open.remove(call)
        return call[0]


def decode_message(message: dict[str, object], where: str, calls: Calls) -> Message:
    role = Role(str(message["role"]))
    text = message.get("content") or ""
    if not isinstance(text, str):
        raise InvalidMessages(f"`{where}.content` must be a string, not {kind_of(text)}.", param=f"{where}.content")
    parts: list[ContentPart] = []
    thought = message.get("thinking")
    if isinstance(thought, str) and thought:
        parts.append(ThinkingPart(text=thought))
    images = decode_images(message.get("images"), f"{where}.images")
    if parts or images:
        parts += [*([TextPart(text=text)] if text else []), *images]
    uses = decode_uses(message.get("tool_calls"), where, calls)
    answered = None
    name = message.get("tool_name") or message.get("name")
    if role is Role.TOOL:
        answered = calls.answered(message.get("tool_call_id"), name)
        if answered is None:
            raise InvalidMessages(f"`{where}` answers no tool call before it.", param=where)
    content = tuple(parts) if parts else (text if text or not uses else None)
    return Message(role=role, content=content, tool_uses=uses, tool_call_id=answered)


def decode_uses(told: object, where: str, calls: Calls) -> tuple[ToolUse, ...]:
    if told is None:
        return ()
    place = f"{where}.tool_calls"
    if not isinstance(told, list):
        raise InvalidType(f"`{place}` must be a list, not {kind_of(told)}.", param=place)
    uses: list[ToolUse] = []
    for at, call in enumerate(told):
        function = call.get("function") if isinstance(call, dict) else None
        name = function.get("name") if isinstance(function, dict) else None
        if not isinstance(call, dict) or not isinstance(function, dict) or not isinstance(name, str):
            raise InvalidMessages(f"`{place}[{at}].function.name` is missing.", param=f"{place}[{at}]")
        arguments = function.get("arguments")
        written = arguments if isinstance(arguments, str) else encode({} if arguments is None else arguments).decode()
        uses.append(ToolUse(id=calls.made(call.get("id"), name), name=name, arguments=written))
    return tuple(uses)


def decode_images(told: object, where: str) -> list[ImagePart]:
    """Base64 texts. Raises InvalidImage."""
    if told is None:
        return []
    if not isinstance(told, list):
        raise InvalidType(f"`{where}` must be a list, not {kind_of(told)}.", param=where)
    return [decode_image(image, f"{where}[{at}]") for at, image in enumerate(told)]


def decode_image(told: object, where: str) -> ImagePart:
    if not isinstance(told, str) or not told:
        raise InvalidImage(f"`{where}` must be the base64 of an image.", param=where)
    data = told.partition(",")[2] if told.startswith("data:") else told
    try:
        base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidImage(f"`{where}` must be the base64 of an image.", param=where) from error
    kind = next((kind for magic, kind in MAGIC.items() if data.startswith(magic)), "image/png")
    return ImagePart(url=f"data:{kind};base64,{data}")
