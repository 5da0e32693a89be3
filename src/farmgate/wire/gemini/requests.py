"""Google's requests, written from our words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

from farmgate.core.request import Request
from farmgate.core.words import Chat
from farmgate.wire.gemini.config import encode_config, encode_tools
from farmgate.wire.gemini.contents import encode_contents
from farmgate.wire.gemini.flavors import Flavor, needs_proofs
from farmgate.wire.losses import Losses, Outgoing
from farmgate.wire.strictjson import encode

__all__ = ["chat_path", "encode_chat", "encode_request", "quoted"]

LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
LABEL = re.compile(r"[a-z0-9_-]{0,63}")
MOST_LABELS = 64
NOTHING: Mapping[str, object] = {}


def quoted(model: str) -> str:
    """A model's name as one segment of a path, whatever is in it."""
    return quote(model, safe="")


def chat_path(model_path: str, *, stream: bool) -> str:
    """Where a chat is asked for; `model_path` is the model's resource, quoted."""
    return f"{model_path}:streamGenerateContent?alt=sse" if stream else f"{model_path}:generateContent"


def encode_request(
    request: Request, *, provider: str, flavor: Flavor, fixed: Mapping[str, object] = NOTHING
) -> Outgoing:
    """The body of a chat. `fixed`: fields the operator set (`safetySettings`)."""
    words = request.body.ask()
    assert isinstance(words, Chat)
    losses = Losses(provider)
    body = encode_chat(words, losses, model=request.model or "", flavor=flavor)
    return Outgoing(body=encode(body | dict(fixed)), dropped=losses.dropped)


def encode_chat(words: Chat, losses: Losses, *, model: str, flavor: Flavor) -> dict[str, object]:
    """The fields of a chat. Raises a BadRequest that names the field Google cannot be told."""
    labels = labels_of(words.extra.get("metadata")) if flavor.has_labels else None
    losses.leave(words.extra, known=() if labels is None else ("metadata",))
    losses.drop_if(words.user, "user")
    conversation = encode_contents(words.messages, losses, flavor, needs_signatures=needs_proofs(model))
    told: dict[str, object] = {"contents": conversation.contents}
    if conversation.system:
        told["systemInstruction"] = {"parts": conversation.system}
    told |= encode_tools(words, losses)
    if config := encode_config(words, model, losses):
        told["generationConfig"] = config
    return told | ({"labels": labels} if labels else {})


def labels_of(metadata: object) -> dict[str, str] | None:
    """OpenAI's `metadata` as labels; None where it holds what no label may."""
    if not isinstance(metadata, dict) or len(metadata) > MOST_LABELS:
        return None
    for key, value in metadata.items():
        if not LABEL_KEY.fullmatch(str(key)) or not isinstance(value, str) or not LABEL.fullmatch(value):
            return None
    return metadata
