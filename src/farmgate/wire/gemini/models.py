"""The Gemini API's list of models, page by page."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from farmgate.core.errors import UpstreamInvalidResponse
from farmgate.core.model import ModelInfo
from farmgate.wire.gemini.usage import tokens

__all__ = ["Page", "decode_models"]

ASKED_FOR = frozenset({"generateContent", "embedContent"})


class Entry(msgspec.Struct, rename="camel"):
    """One model; its name begins with `models/`."""

    name: str
    display_name: str | None = None
    input_token_limit: int | None = None
    supported_generation_methods: list[str] | None = None


class Listed(msgspec.Struct, rename="camel"):
    """One page."""

    models: list[Entry] | None = None
    next_page_token: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The models of a page that can be asked, and the mark of the next page, if there is one."""

    models: tuple[ModelInfo, ...]
    next: str | None


def decode_models(body: bytes, *, provider: str) -> Page:
    """One page. Raises UpstreamInvalidResponse."""
    try:
        listed = msgspec.json.decode(body, type=Listed)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamInvalidResponse(f"{provider} lists its models in a form we do not know.") from error
    models = tuple(
        ModelInfo(
            name=entry.name.removeprefix("models/"),
            provider=provider,
            description=entry.display_name,
            context_tokens=tokens(entry.input_token_limit) or None,
        )
        for entry in listed.models or ()
        if ASKED_FOR & set(entry.supported_generation_methods or ASKED_FOR)
    )
    return Page(models=models, next=listed.next_page_token or None)
