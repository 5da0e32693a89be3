"""What the demo has no use for: it is announced, as every provider announces what it could not be told."""

from __future__ import annotations

from farmgate.core.words import (
    AudioPart,
    Chat,
    Complete,
    ContentPart,
    Embed,
    FilePart,
    HostedTool,
    ImagePart,
    OtherPart,
    Sampling,
    TextPart,
    ThinkingPart,
)
from farmgate.wire.losses import Losses

__all__ = ["account"]

UNUSED = ("temperature", "top_p", "top_k", "seed", "presence_penalty", "frequency_penalty")


def account(words: Chat | Complete | Embed, losses: Losses) -> None:
    """Announce what changes nothing in an answer that is always the same."""
    losses.drop_if(words.user, "user")
    if isinstance(words, Embed):
        return
    account_sampling(words.sampling, losses)
    if isinstance(words, Chat):
        account_chat(words, losses)


def account_sampling(sampling: Sampling, losses: Losses) -> None:
    for name in UNUSED:
        if getattr(sampling, name) is not None:
            losses.drop(name)
    if sampling.top_logprobs is not None:
        losses.drop("logprobs")


def account_chat(words: Chat, losses: Losses) -> None:
    for tool in words.tools:
        if not isinstance(tool, HostedTool):
            losses.drop_if(tool.cache, "cache_control")
    if words.thinking is not None and words.thinking.is_enabled is not False:
        losses.drop("reasoning_effort")
    for at, message in enumerate(words.messages):
        if not isinstance(message.content, str):
            for number, part in enumerate(message.content or ()):
                account_part(part, f"{message.place or f'messages[{at}]'}.content[{number}]", losses)


def account_part(part: ContentPart, where: str, losses: Losses) -> None:
    match part:
        case TextPart():
            losses.drop_if(part.cache, "cache_control")
        case ThinkingPart():
            losses.drop("thinking")
        case ImagePart() | AudioPart() | FilePart() | OtherPart():
            losses.drop(where)
