"""How many tokens a conversation has, as Google counts them before it answers."""

from __future__ import annotations

import msgspec

from farmgate.core.errors import UpstreamInvalidResponse
from farmgate.core.request import Request
from farmgate.core.words import Chat
from farmgate.wire.gemini.flavors import Flavor
from farmgate.wire.gemini.requests import encode_chat
from farmgate.wire.gemini.usage import PLAUSIBLE_TOKENS
from farmgate.wire.losses import Losses
from farmgate.wire.strictjson import encode

__all__ = ["decode_count", "encode_count"]

COUNTED = ("contents", "systemInstruction", "tools")


class Told(msgspec.Struct, rename="camel"):
    """The answer of countTokens."""

    total_tokens: int


def encode_count(request: Request, *, provider: str, flavor: Flavor, resource: str) -> bytes:
    """The body of countTokens. `resource`: the model's own name, which the Gemini API wants repeated inside."""
    words = request.body.ask()
    assert isinstance(words, Chat)
    fields = encode_chat(words, Losses(provider), model=request.model or "", flavor=flavor)
    counted = {name: value for name, value in fields.items() if name in COUNTED}
    whole = {"generateContentRequest": {"model": resource} | counted}
    return encode(whole if flavor.counts_whole_requests else counted)


def decode_count(body: bytes, *, provider: str) -> int:
    """The tokens. Raises UpstreamInvalidResponse."""
    try:
        told = msgspec.json.decode(body, type=Told).total_tokens
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamInvalidResponse(f"{provider} does not tell how many tokens that are.") from error
    if not 0 <= told < PLAUSIBLE_TOKENS:
        raise UpstreamInvalidResponse(f"{provider} tells a number of tokens that cannot be.")
    return told
