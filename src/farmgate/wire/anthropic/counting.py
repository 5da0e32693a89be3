"""How many tokens a conversation may be where nobody counts them: an estimate, and told as one."""

from __future__ import annotations

from farmgate.core.words import (
    AudioPart,
    Chat,
    ContentPart,
    FilePart,
    ImagePart,
    Message,
    OtherPart,
    TextPart,
    ThinkingPart,
    Tool,
)
from farmgate.wire.strictjson import encode

__all__ = ["estimate"]

BYTES_PER_TOKEN = 4
TURN_TOKENS = 4
"""What a template puts around a turn."""
IMAGE_TOKENS = 1_600
"""A large image of Anthropic's; smaller ones and other models take less."""
BASE64_BYTES_PER_TOKEN = 40
"""Documents: about 2,000 tokens for a page of 60 kB."""


def estimate(words: Chat) -> int:
    """Tokens, for planning only. Texts are counted by their size in UTF-8, as the journal counts them."""
    turns = sum(TURN_TOKENS + turn(message) for message in words.messages)
    tools = sum(size(tool) for tool in words.tools) // BYTES_PER_TOKEN
    return max(turns + tools, 1)


def size(tool: object) -> int:
    if isinstance(tool, Tool):
        return len(encode([tool.name, tool.description, dict(tool.parameters)]))
    return len(encode(dict(getattr(tool, "data", {}))))


def turn(message: Message) -> int:
    content = message.content
    parts = (TextPart(text=content or ""),) if content is None or isinstance(content, str) else content
    calls = sum(len(use.name.encode()) + len(use.arguments.encode()) for use in message.tool_uses)
    return sum(map(part_tokens, parts)) + calls // BYTES_PER_TOKEN


def part_tokens(part: ContentPart) -> int:
    match part:
        case TextPart() | ThinkingPart():
            return -(-len(part.text.encode()) // BYTES_PER_TOKEN)
        case ImagePart():
            return IMAGE_TOKENS
        case FilePart():
            text = part.text
            return (
                len(part.data or "") // BASE64_BYTES_PER_TOKEN
                if text is None
                else len(text.encode()) // BYTES_PER_TOKEN
            )
        case AudioPart():
            return len(part.data) // BASE64_BYTES_PER_TOKEN
        case OtherPart():
            return len(encode(dict(part.data))) // BYTES_PER_TOKEN
