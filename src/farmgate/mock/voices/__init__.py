"""Each dialect's form of what is said."""

from __future__ import annotations

from collections.abc import Mapping

from farmgate.mock.asks import Endpoint
from farmgate.mock.saying import Voice
from farmgate.mock.voices.anthropic import Messages
from farmgate.mock.voices.ollama import Chat as OllamaChat
from farmgate.mock.voices.ollama import Generate
from farmgate.mock.voices.openai import ChatCompletions
from farmgate.mock.voices.plain import Counted, Embedded, EmbeddedByOllama, Listed, Shown, Unknown
from farmgate.mock.voices.responses import Responses

__all__ = ["VOICES"]

OPENAI = ChatCompletions()
ANTHROPIC = Messages()
OLLAMA = OllamaChat()
VOICES: Mapping[Endpoint, Voice] = {
    Endpoint.CHAT: OPENAI,
    Endpoint.RESPONSES: Responses(),
    Endpoint.EMBEDDINGS: Embedded(OPENAI),
    Endpoint.MODELS: Listed(OPENAI),
    Endpoint.MESSAGES: ANTHROPIC,
    Endpoint.COUNT_TOKENS: Counted(ANTHROPIC),
    Endpoint.CLAUDE_MODELS: Listed(ANTHROPIC),
    Endpoint.OLLAMA_CHAT: OLLAMA,
    Endpoint.GENERATE: Generate(),
    Endpoint.EMBED: EmbeddedByOllama(OLLAMA),
    Endpoint.TAGS: Listed(OLLAMA),
    Endpoint.SHOW: Shown(OLLAMA),
    Endpoint.VERSION: Shown(OLLAMA),
    Endpoint.UNKNOWN: Unknown(OPENAI),
}
