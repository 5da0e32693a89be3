"""A conversation in Google's form: two roles, everything a part, what the system says apart from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import assert_never

import msgspec

from farmgate.core.errors import InvalidMessages
from farmgate.core.words import (
    AudioPart,
    Content,
    ContentPart,
    FilePart,
    ImagePart,
    Message,
    OtherPart,
    Role,
    TextPart,
    ThinkingPart,
    ToolUse,
)
from farmgate.wire.gemini.calls import is_ours
from farmgate.wire.gemini.flavors import Flavor
from farmgate.wire.gemini.media import encode_audio, encode_file, encode_image
from farmgate.wire.losses import Losses

__all__ = ["UNSIGNED", "Conversation", "encode_contents"]

Fields = dict[str, object]

UNSIGNED = "skip_thought_signature_validator"
"""Stands for the proof of a call that lost its own on the way, or was made by another provider's model.
Source: https://ai.google.dev/gemini-api/docs/thought-signatures"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """`system` holds parts too; empty where nobody instructs."""

    contents: list[Fields]
    system: list[Fields]


def encode_contents(
    messages: tuple[Message, ...], losses: Losses, flavor: Flavor, *, needs_signatures: bool
) -> Conversation:
    """A conversation. `needs_signatures`: the model refuses a call of a tool without the proof of its thinking.

    Raises a BadRequest that names the message for what Google has no form for.
    """
    writer = Writer(losses=losses, flavor=flavor, needs_signatures=needs_signatures)
    for at, message in enumerate(messages):
        writer.add(message, message.place or f"messages[{at}]")
    writer.end_answers()
    if not writer.contents:
        raise InvalidMessages("`messages` holds only instructions: add a message of the user's.", param="messages")
    return Conversation(contents=writer.contents, system=writer.system)


@dataclass(slots=True, kw_only=True)
class Answered:
    """A tool's answer, to be sorted by the calls it belongs to, and what else came with it."""

    order: int
    response: Fields
    others: list[Fields]


@dataclass(slots=True, kw_only=True)
class Writer:
    """Writes one conversation, message by message."""

    losses: Losses
    flavor: Flavor
    needs_signatures: bool
    contents: list[Fields] = field(default_factory=list)
    system: list[Fields] = field(default_factory=list)
    answers: list[Answered] = field(default_factory=list)
    calls: dict[str, tuple[int, str]] = field(default_factory=dict)
    """The place and name of each call so far, by its id."""

    def add(self, message: Message, where: str) -> None:
        if message.role is Role.TOOL:
            self.answers.append(self._answered(message, where))
            return
        self.end_answers()
        self.losses.drop_if(message.name, f"{where}.name")
        match message.role:
            case Role.SYSTEM | Role.DEVELOPER:
                self._instruct(message, where)
            case Role.USER:
                parts = self._parts(message.content, where)
                self.contents.append({"role": "user", "parts": parts or [{"text": ""}]})
            case Role.ASSISTANT:
                if parts := self._said(message, where):
                    self.contents.append({"role": "model", "parts": parts})
            case _:
                assert_never(message.role)

    def end_answers(self) -> None:
        """The answers to one turn's calls are one turn, in the order of the calls; other parts follow them."""
        if self.answers:
            self.answers.sort(key=lambda answered: answered.order)
            parts = [answered.response for answered in self.answers]
            parts += [part for answered in self.answers for part in answered.others]
            self.contents.append({"role": "user", "parts": parts})
            self.answers = []

    def _instruct(self, message: Message, where: str) -> None:
        for at, part in enumerate(spread(message.content)):
            if not isinstance(part, TextPart):
                raise self.losses.refuse(f"{where}.content[{at}]", "its instructions are text")
            self.losses.drop_if(part.cache, "cache_control")
            self.system.append({"text": part.text})
        if self.contents:
            # Said in the middle, it stands in front now.
            self.losses.drop(f"{where}.role")

    def _said(self, message: Message, where: str) -> list[Fields]:
        """What the model said: thoughts, text, calls. A proof goes back on the part it was given for."""
        thoughts, rest = apart(message.content)
        self.losses.drop_if([one for one in thoughts if one.redacted is not None], "thinking")
        told: list[Fields] = [{"text": one.text, "thought": True} for one in thoughts if one.text]
        said = [part for part in self._parts(rest, where) if part != {"text": ""}]
        calls = [self._call(use, at, where) for at, use in enumerate(message.tool_uses)]
        proofs = [use.signature for use in message.tool_uses]
        # The proof of a call is told twice by those who can: with the call, and with the thoughts.
        others = [one.signature for one in thoughts if one.signature and one.signature not in proofs]
        if others and calls and not proofs[0]:
            calls[0]["thoughtSignature"] = others.pop()
        if others and said:
            said[-1]["thoughtSignature"] = others.pop()
        elif others and not calls:
            said = [{"text": "", "thoughtSignature": others.pop()}]
        self.losses.drop_if(others, "thinking.signature")
        if calls and self.needs_signatures and not any("thoughtSignature" in call for call in calls):
            calls[0]["thoughtSignature"] = UNSIGNED
        return [*told, *said, *calls]

    def _call(self, use: ToolUse, at: int, where: str) -> Fields:
        self.calls[use.id] = (at, use.name)
        function: Fields = {"name": use.name, "args": arguments_of(use, f"{where}.tool_calls[{at}]")}
        if self.flavor.has_call_ids and not is_ours(use.id):
            function["id"] = use.id
        return {"functionCall": function} | ({"thoughtSignature": use.signature} if use.signature else {})

    def _answered(self, message: Message, where: str) -> Answered:
        order, name = self.calls.get(message.tool_call_id or "", (len(self.answers), message.name or ""))
        if not name:
            place = f"{where}.tool_call_id"
            raise InvalidMessages(f"`{place}` names no call an assistant made before it.", param=place)
        others = [] if message.content is None else self._parts(message.content, where)
        texts = [str(part["text"]) for part in others if "text" in part]
        key = "error" if message.is_error else "output"
        function: Fields = {"name": name, "response": {key: result_of("\n".join(texts))}}
        if self.flavor.has_call_ids and message.tool_call_id and not is_ours(message.tool_call_id):
            function["id"] = message.tool_call_id
        others = [part for part in others if "text" not in part]
        return Answered(order=order, response={"functionResponse": function}, others=others)

    def _parts(self, content: Content, where: str) -> list[Fields]:
        told = (self._part(part, f"{where}.content[{at}]") for at, part in enumerate(spread(content)))
        return [part for part in told if part is not None]

    def _part(self, part: ContentPart, where: str) -> Fields | None:
        match part:
            case TextPart():
                self.losses.drop_if(part.cache, "cache_control")
                return {"text": part.text}
            case ImagePart():
                self.losses.drop_if(part.cache, "cache_control")
                return encode_image(part, where, self.losses)
            case AudioPart():
                return encode_audio(part, where, self.losses)
            case FilePart():
                self.losses.drop_if(part.cache, "cache_control")
                return encode_file(part, where, self.losses, self.flavor)
            case ThinkingPart():
                self.losses.drop("thinking")
                return None
            case OtherPart():
                raise self.losses.refuse(where, f"it has no content of the kind `{part.kind[:40]}`")
            case _:
                assert_never(part)


def spread(content: Content) -> tuple[ContentPart, ...]:
    """The parts of a content that may be one text."""
    if content is None:
        return ()
    return (TextPart(text=content),) if isinstance(content, str) else content


def apart(content: Content) -> tuple[list[ThinkingPart], Content]:
    """The thoughts in a content, and the rest of it."""
    if content is None or isinstance(content, str):
        return [], content
    thoughts = [part for part in content if isinstance(part, ThinkingPart)]
    return thoughts, tuple(part for part in content if not isinstance(part, ThinkingPart))


def arguments_of(use: ToolUse, where: str) -> Mapping[str, object]:
    """A call's arguments as the object Google wants."""
    try:
        arguments: object = msgspec.json.decode(use.arguments) if use.arguments.strip() else {}
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        place = f"{where}.function.arguments"
        raise InvalidMessages(f"`{place}` must be the text of a JSON object.", param=place)
    return arguments


def result_of(text: str) -> object:
    """A tool's result: an object or a list where its text is one, else the text as it is."""
    if not text.lstrip().startswith(("{", "[")):
        return text
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return text
