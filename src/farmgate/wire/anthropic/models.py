"""Anthropic's list of models: read from a provider page by page, written for a caller."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from farmgate.core.errors import UpstreamInvalidResponse
from farmgate.core.model import ModelInfo

__all__ = ["Page", "decode_page", "encode_model", "encode_models"]

MOST_TOKENS = 1 << 40


class Listed(msgspec.Struct):
    """One model as a provider lists it."""

    id: str
    display_name: str | None = None
    created_at: str | None = None
    max_input_tokens: object = None

    def info(self, provider: str) -> ModelInfo:
        """The same in our words."""
        context = self.max_input_tokens
        return ModelInfo(
            name=self.id,
            provider=provider,
            description=self.display_name,
            context_tokens=context if type(context) is int and 0 < context < MOST_TOKENS else None,
            created_unix=unix_of(self.created_at),
        )


class Page(msgspec.Struct):
    """Some of the models, and whether there are more behind `last_id`."""

    data: list[Listed]
    has_more: bool = False
    last_id: str | None = None


def unix_of(told: str | None) -> int:
    """Seconds; 0 if unknown."""
    try:
        return max(int(datetime.fromisoformat(told or "").timestamp()), 0)
    except (ValueError, OverflowError):
        return 0


def decode_page(body: bytes, *, provider: str) -> Page:
    try:
        return msgspec.json.decode(body, type=Page)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamInvalidResponse(f"{provider} lists its models in a form we do not know.") from error


def encode_model(model: ModelInfo, *, id: str) -> dict[str, object]:
    """One model. Anthropic's clients expect a date: where none is known it is the epoch."""
    told: dict[str, object] = {
        "type": "model",
        "id": id,
        "display_name": id,
        "created_at": datetime.fromtimestamp(model.created_unix, UTC).isoformat().replace("+00:00", "Z"),
        "lifecycle": "active",
    }
    if model.context_tokens is not None:
        told["max_input_tokens"] = model.context_tokens
    return told


def encode_models(models: Iterable[tuple[str, ModelInfo]]) -> dict[str, object]:
    """All models on one page, each under the id it is called by."""
    data = [encode_model(model, id=name) for name, model in models]
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {"data": data, "has_more": False, "first_id": first, "last_id": last}
