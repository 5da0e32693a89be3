"""Can this model serve what is asked at all? What it certainly cannot is refused before it is sent, the rest goes on.

There are two reasons: the model is known to lack something the request holds, or the prompt has more tokens than its
context by any way of counting. What is not known is let through: the provider will tell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from farmgate.core.errors import BadRequest, ContextLengthExceeded, FarmError, ModelNotCapable, UnsupportedParameter
from farmgate.core.model import Capability, Facts
from farmgate.core.request import Kind, Request
from farmgate.core.words import (
    Ask,
    AudioPart,
    Chat,
    Complete,
    ContentPart,
    FilePart,
    FormatKind,
    ImagePart,
    TextPart,
    Tool,
    ToolMode,
)
from farmgate.flow.route import Candidate, Catalog

__all__ = ["LARGE_BYTES", "least_tokens", "misfit", "refuse_misfit"]

BYTES_PER_TOKEN = 16
PIECE_LETTERS = 64 * 1024
DOUBT = 2
LARGE_BYTES = 128 * 1024
"""Smaller bodies are too short for any model in the table of published ones, so that it is not looked into for them."""
PROMPTED = frozenset({Kind.CHAT, Kind.COMPLETION})
REPEATED = re.compile(r"(.)\1{3,}", re.DOTALL)
SHORTENS = ("transforms", "plugins", "truncation", "truncate", "truncate_prompt_tokens", "context_management")
"""Fields that ask a provider to shorten a prompt that is too long."""
SIGNS: Mapping[Capability, tuple[bytes, ...]] = {
    Capability.VISION: (b"image",),
    Capability.AUDIO: (b"audio",),
    Capability.FILES: (b"file", b"document"),
    Capability.TOOLS: (b"tools", b"functions"),
    Capability.STRUCTURED: (b"schema", b"format"),
}
"""Words one of which is in every body that needs the capability, in every dialect. A body may write them otherwise
(`im\\u0061ge`); it is let through then."""
NAMES: Mapping[Capability, str] = {
    Capability.VISION: "images",
    Capability.AUDIO: "sound",
    Capability.FILES: "documents",
    Capability.TOOLS: "tools",
    Capability.STRUCTURED: "a schema for its answer",
}
Need: TypeAlias = tuple[Capability, str]
"""A capability, and the field that needs it, in our words."""


def refuse_misfit(request: Request, candidate: Candidate, catalog: Catalog) -> None:
    """Raise what is wrong with asking this model; nothing where it may work. Not worth calling where nobody has said
    what limits the model and the body is not large.
    """
    facts, doubt = candidate.facts, 1
    if facts is None:
        facts, doubt = catalog.published(candidate.provider, candidate.model), DOUBT
    error = misfit(request, facts, candidate, doubt=doubt)
    if error is not None:
        raise error


def misfit(request: Request, facts: Facts, candidate: Candidate, *, doubt: int = 1) -> FarmError | None:
    """Why this model cannot serve a request; None where it may.

    `doubt`: how many times larger the context may be than is known. Published figures lag behind: the one of Claude
    Sonnet 4.5 is 200,000 tokens, and with a header it takes 1,000,000.
    """
    if facts.lacks:
        if str(request.kind) in facts.lacks:
            return ModelNotCapable(f"{candidate.model} gives no {request.kind} answers.", param="model")
        for capability, param in needs(request, facts.lacks):
            told = f"{candidate.model} of {candidate.provider} takes no {NAMES[capability]}: ask a model that does."
            return UnsupportedParameter(told, param=param)
    most = facts.context_tokens
    if most and request.kind in PROMPTED:
        tokens = least_tokens(request, above=most * doubt)
        if tokens > most * doubt:
            told = f"The prompt has at least {tokens} tokens; the context of {candidate.model} is {most}: shorten it."
            return ContextLengthExceeded(told, param="messages" if request.kind is Kind.CHAT else "prompt")
    return None


def needs(request: Request, lacks: frozenset[Capability]) -> Iterator[Need]:
    """What a chat needs of what is lacking. The words are only read where the body can hold any of it."""
    if request.kind is not Kind.CHAT:
        return
    raw = request.body.raw
    if raw and not any(sign in raw for capability in lacks for sign in SIGNS.get(capability, ())):
        return
    chat = words_of(request)
    if isinstance(chat, Chat):
        yield from (need for need in all_needs(chat) if need[0] in lacks)


def words_of(request: Request) -> Ask | None:
    """The words of a request; None where there are none for it, which is the provider's business if it speaks the
    caller's dialect."""
    try:
        return request.body.ask()
    except BadRequest:
        return None


def all_needs(chat: Chat) -> Iterator[Need]:
    """What each part of a conversation needs beyond text, in the order it is written."""
    for at, message in enumerate(chat.messages):
        if not isinstance(message.content, tuple):
            continue
        place = message.place or f"messages[{at}]"
        for number, part in enumerate(message.content):
            capability = need_of(part)
            if capability is not None:
                yield capability, f"{place}.content[{number}]"
    may_call = chat.tool_choice is None or chat.tool_choice.mode is not ToolMode.NONE
    if may_call and any(isinstance(tool, Tool) for tool in chat.tools):
        yield Capability.TOOLS, "tools"
    if chat.response_format is not None and chat.response_format.kind is FormatKind.SCHEMA:
        yield Capability.STRUCTURED, "response_format"


def need_of(part: ContentPart) -> Capability | None:
    match part:
        case ImagePart():
            return Capability.VISION
        case AudioPart():
            return Capability.AUDIO
        case FilePart(text=None):
            return Capability.FILES
        case _:
            return None


def least_tokens(request: Request, *, above: int) -> int:
    """A number of tokens the prompt certainly has; 0 where its size says that it cannot be `above`, and hardly more
    than `above` where it is.

    Nobody here knows the model's tokenizer. Tokenizers differ by factors, but none averages more than 16 bytes a token
    over a text: English takes 4 to 5, dense code 3, Chinese 3 to 6, and the longest words in the vocabularies about 20.
    Only runs of one character (blanks, dashes) make longer tokens, up to 128: a run counts as three letters. Words are
    not counted, because some tokenizers make one token of several. Neither are images, sound, documents, templates and
    tools, all of which only add. `max_tokens` is not added: engines end an answer where the context ends (llama.cpp,
    Ollama), and a provider that would rather refuse says so by itself.
    """
    body = request.body
    enough = (above + 1) * BYTES_PER_TOKEN
    if (body.raw and len(body.raw) < enough) or any(name in body.fields for name in SHORTENS):
        return 0
    size = 0
    for text in texts(words_of(request)):
        size += len(REPEATED.sub(r"\1\1\1", text).encode(errors="replace"))
        if size >= enough:
            break
    return size // BYTES_PER_TOKEN


def texts(words: Ask | None) -> Iterator[str]:
    """The texts of a prompt, in pieces that are quick to count. Not earlier thoughts: some providers drop them."""
    match words:
        case Chat():
            for message in words.messages:
                content = message.content
                if isinstance(content, str):
                    yield from pieces(content)
                for part in content if isinstance(content, tuple) else ():
                    if isinstance(part, TextPart):
                        yield from pieces(part.text)
        case Complete():
            yield from pieces(words.prompt)
        case _:
            return


def pieces(text: str) -> Iterator[str]:
    return (text[at : at + PIECE_LETTERS] for at in range(0, len(text), PIECE_LETTERS))
