"""The proof of the thinking that led to a call of a tool, in the place Google's own OpenAI API has for it.

Callers are told it there and give it back there; no provider is told, for most refuse a field they do not know.
Source: https://ai.google.dev/gemini-api/docs/thought-signatures
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["decode_proof", "encode_proof"]


def encode_proof(signature: str | None) -> dict[str, object]:
    """The field of a call that holds it; nothing where there is none."""
    return {"extra_content": {"google": {"thought_signature": signature}}} if signature else {}


def decode_proof(call: Mapping[str, object]) -> str | None:
    """The proof in a call; None for anything else that may stand there."""
    extra = call.get("extra_content")
    google = extra.get("google") if isinstance(extra, dict) else None
    signature = google.get("thought_signature") if isinstance(google, dict) else None
    return signature if isinstance(signature, str) and signature else None
