"""Conversations as one text, for models behind an API that knows only text.

A text that holds a template's own signs is refused: it could speak as somebody else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from farmgate.core.errors import InvalidMessages
from farmgate.core.words import Content, FilePart, Message, Role, TextPart, ThinkingPart
from farmgate.wire.losses import Losses

__all__ = ["TEMPLATES", "Template", "render"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """How turns are written. `turn` has `{role}` and `{text}`; `opening` starts the answer; `stops` end it.

    `signs` may not stand in what anybody says. `system` None: such a text is put in front of the first user's.
    The first sign of a sequence is left to the tokenizer, which adds it by itself.
    """

    turn: str
    opening: str
    stops: tuple[str, ...]
    signs: tuple[str, ...]
    roles: Mapping[Role, str]
    system: str | None = None


PLAIN = {Role.USER: "user", Role.ASSISTANT: "assistant"}

TEMPLATES: Mapping[str, Template] = {
    "chatml": Template(
        turn="<|im_start|>{role}\n{text}<|im_end|>\n",
        opening="<|im_start|>assistant\n",
        stops=("<|im_end|>",),
        signs=("<|im_start|>", "<|im_end|>", "<|endoftext|>"),
        roles=PLAIN,
        system="system",
    ),
    "llama3": Template(
        turn="<|start_header_id|>{role}<|end_header_id|>\n\n{text}<|eot_id|>",
        opening="<|start_header_id|>assistant<|end_header_id|>\n\n",
        stops=("<|eot_id|>",),
        signs=("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|begin_of_text|>", "<|end_of_text|>"),
        roles=PLAIN,
        system="system",
    ),
    "gemma": Template(
        turn="<start_of_turn>{role}\n{text}<end_of_turn>\n",
        opening="<start_of_turn>model\n",
        stops=("<end_of_turn>",),
        signs=("<start_of_turn>", "<end_of_turn>", "<bos>", "<eos>"),
        roles={Role.USER: "user", Role.ASSISTANT: "model"},
    ),
}


def render(messages: Sequence[Message], template: Template, losses: Losses) -> str:
    """The text to continue. Raises a BadRequest that names the message for what is not text."""
    turns: list[str] = []
    held: list[str] = []
    for at, message in enumerate(messages):
        where = message.place or f"messages[{at}]"
        losses.drop_if(message.name, "messages[].name")
        if message.role is Role.TOOL or message.tool_uses:
            raise losses.refuse(where, "its template has no tools")
        text = text_of(message.content, where, losses)
        if any(sign in text for sign in template.signs):
            raise InvalidMessages(
                f"`{where}.content` holds signs of the model's own template: leave them out.", param=where
            )
        if message.role in (Role.SYSTEM, Role.DEVELOPER):
            if template.system is None:
                held.append(text)
            else:
                turns.append(template.turn.format(role=template.system, text=text))
            continue
        if message.role is Role.USER and held:
            text = "\n\n".join([*held, text])
            held.clear()
        turns.append(template.turn.format(role=template.roles[message.role], text=text))
    if held:
        turns.append(template.turn.format(role=template.roles[Role.USER], text="\n\n".join(held)))
    return "".join(turns) + template.opening


def text_of(content: Content, where: str, losses: Losses) -> str:
    """All text of a message; parts become lines."""
    if content is None or isinstance(content, str):
        return content or ""
    texts: list[str] = []
    for at, part in enumerate(content):
        match part:
            case TextPart():
                losses.drop_if(part.cache, "cache_control")
                texts.append(part.text)
            case FilePart() if part.text is not None:
                texts.append(part.text)
            case ThinkingPart():
                losses.drop("thinking")
            case _:
                raise losses.refuse(f"{where}.content[{at}]", "its template is of text")
    return "\n".join(texts)
