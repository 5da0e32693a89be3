"""The header `Idempotency-Key`: a request that is sent again under its key is done once.

Source: https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from farmgate.core.errors import BadRequest
from farmgate.core.identity import Principal
from farmgate.flow.repeat import Claim, Kept
from farmgate.wire.multipart import without_boundary

if TYPE_CHECKING:
    from farmgate.surfaces.http.exchange import Exchange

__all__ = ["IDEMPOTENCY_KEY", "Replayed", "claim_once"]

IDEMPOTENCY_KEY = b"idempotency-key"
KEY = re.compile(rb"[\x20-\x7e]{1,256}")


class Replayed(Exception):
    """There is an answer already; whoever runs the exchange gives it again."""

    def __init__(self, kept: Kept) -> None:
        super().__init__()
        self.kept = kept


def claim_once(exchange: Exchange, principal: Principal, raw: bytes) -> None:
    """Claim the answer of a request that has a key, for its exchange to keep. Raises Replayed where there is one, and
    what `Repeats.claim` raises."""
    key = exchange.header(IDEMPOTENCY_KEY) or b""
    if not KEY.fullmatch(key):
        raise BadRequest("Idempotency-Key must be 1 to 256 printable ASCII characters, sent once.")
    # A client that sends a form again puts another boundary between its parts.
    asked = without_boundary(raw, exchange.header(b"content-type") or b"")
    digest = hashlib.sha256(b"\0".join((exchange.path.encode(), exchange.query, asked))).digest()
    found = exchange.desk.repeats.claim(principal.key_name, key.decode("ascii"), digest)
    if isinstance(found, Claim):
        exchange.claim = found
    else:
        raise Replayed(found)
