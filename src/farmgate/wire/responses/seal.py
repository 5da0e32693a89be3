"""The proofs providers give of a model's thinking, carried in a reasoning item's `encrypted_content`.

They are opaque already; sealing only marks them as ours, so that what another provider encrypted is never given to one
that cannot read it.
"""

from __future__ import annotations

__all__ = ["REDACTED", "SIGNED", "open_seal", "seal"]

MARK = "farmgate.1."
SIGNED = "s"
"""The proof of a thought whose text is shown."""
REDACTED = "r"
"""A thought only its provider can read."""


def seal(kind: str, proof: str) -> str:
    """A proof as `encrypted_content`."""
    return f"{MARK}{kind}.{proof}"


def open_seal(encrypted: str | None) -> tuple[str, str] | None:
    """Kind and proof; None for what is not ours."""
    if encrypted is None or not encrypted.startswith(MARK):
        return None
    kind, dot, proof = encrypted[len(MARK) :].partition(".")
    return (kind, proof) if dot and kind in (SIGNED, REDACTED) and proof else None
