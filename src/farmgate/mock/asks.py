"""What a request asks for: which dialect's endpoint, which model, streamed or whole. Read as loosely as may be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

import msgspec

from farmgate.mock.reading import Request

__all__ = ["Ask", "Endpoint", "read_ask"]

decode = msgspec.json.Decoder().decode


class Endpoint(Enum):
    """What can be asked."""

    CHAT = "chat"
    RESPONSES = "responses"
    EMBEDDINGS = "embeddings"
    MODELS = "models"
    MESSAGES = "messages"
    COUNT_TOKENS = "count_tokens"
    CLAUDE_MODELS = "claude_models"
    OLLAMA_CHAT = "ollama_chat"
    GENERATE = "generate"
    EMBED = "embed"
    TAGS = "tags"
    SHOW = "show"
    VERSION = "version"
    UNKNOWN = "unknown"


PATHS: Mapping[str, Endpoint] = {
    "POST /chat/completions": Endpoint.CHAT,
    "POST /responses": Endpoint.RESPONSES,
    "POST /embeddings": Endpoint.EMBEDDINGS,
    "POST /messages": Endpoint.MESSAGES,
    "POST /messages/count_tokens": Endpoint.COUNT_TOKENS,
    "GET /models": Endpoint.MODELS,
    "POST /api/chat": Endpoint.OLLAMA_CHAT,
    "POST /api/generate": Endpoint.GENERATE,
    "POST /api/embed": Endpoint.EMBED,
    "GET /api/tags": Endpoint.TAGS,
    "POST /api/show": Endpoint.SHOW,
    "GET /api/version": Endpoint.VERSION,
}
OLLAMA = frozenset({Endpoint.OLLAMA_CHAT, Endpoint.GENERATE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request, understood. `texts` is all the text in it; the last is what is echoed."""

    endpoint: Endpoint
    model: str = ""
    stream: bool = False
    want_usage: bool = False
    as_base64: bool = False
    max_tokens: int | None = None
    dimensions: int = 8
    texts: tuple[str, ...] = ()
    is_readable: bool = True

    @property
    def prompt(self) -> str:
        return self.texts[-1] if self.texts else ""

    @property
    def prompt_tokens(self) -> int:
        """One for every four characters, at least one."""
        return max(1, sum(map(len, self.texts)) // 4)


def read_ask(request: Request) -> Ask:
    """Whatever comes is an Ask: one that cannot be read says so."""
    endpoint = endpoint_of(request)
    if request.method != "POST":
        return Ask(endpoint=endpoint)
    try:
        fields = decode(request.body)
    except (msgspec.DecodeError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        return Ask(endpoint=endpoint, is_readable=False)
    options = fields.get("stream_options")
    return Ask(
        endpoint=endpoint,
        model=str(fields.get("model") or ""),
        # Ollama streams unless it is told not to.
        stream=fields.get("stream", endpoint in OLLAMA) is True,
        want_usage=isinstance(options, dict) and options.get("include_usage") is True,
        as_base64=fields.get("encoding_format") == "base64",
        max_tokens=limit_of(fields),
        dimensions=number(fields.get("dimensions"), 1, 65_536) or 8,
        texts=tuple(texts_of(fields)) if endpoint is not Endpoint.UNKNOWN else (),
    )


def endpoint_of(request: Request) -> Endpoint:
    """Any prefix may stand before a path: `/v1`, `/openai/v1`, none."""
    parts = request.path.rstrip("/").split("/")
    for length in (2, 1):
        found = PATHS.get(f"{request.method} /{'/'.join(parts[-length:])}")
        if found is Endpoint.MODELS and "anthropic-version" in request.headers:
            return Endpoint.CLAUDE_MODELS
        if found is not None:
            return found
    return Endpoint.UNKNOWN


def limit_of(fields: Mapping[str, object]) -> int | None:
    """The most tokens that are wanted, in whichever dialect."""
    options = fields.get("options")
    told = options.get("num_predict") if isinstance(options, dict) else None
    names = ("max_completion_tokens", "max_tokens", "max_output_tokens")
    values = (told, *(fields.get(name) for name in names))
    return next((found for value in values if (found := number(value, 1, 1 << 31))), None)


def number(value: object, least: int, most: int) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most else None


def texts_of(fields: Mapping[str, object]) -> Iterator[str]:
    """All the text of a request, in order."""
    for name in ("system", "instructions", "prompt", "input", "messages"):
        yield from strings(fields.get(name))


def strings(value: object, depth: int = 0) -> Iterator[str]:
    """Text itself, text in lists, and what stands under `content`, `text` or `input` in objects."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list) and depth < 6:
        if value and not isinstance(value[0], str | list | dict):
            yield str(value)  # Tokens: one text.
            return
        for one in value:
            yield from strings(one, depth + 1)
    elif isinstance(value, dict) and depth < 6:
        for name in ("content", "text"):
            yield from strings(value.get(name), depth + 1)
