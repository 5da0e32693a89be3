"""Was it asked before? Whole answers are kept under the key their caller gave the request, and given again.

A call of a model costs money each time: a caller who does not know whether its request arrived can send it again under
the same key, and it is done once.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from farmgate.core.errors import AnswerNotKept, IdempotencyInFlight, IdempotencyKeyReused
from farmgate.core.ports import Clock

__all__ = ["Claim", "Kept", "Repeats"]

Id: TypeAlias = tuple[str, str]
"""Name of the caller's key, and the key it gave its request."""

ENTRY_BYTES = 512
"""About what an entry takes beside its answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An answer as it was sent. `body` is None for one that is not kept: a stream, or one too large."""

    digest: bytes
    until: float
    body: bytes | None = None
    headers: Sequence[tuple[bytes, bytes]] = ()
    content_type: bytes = b""

    @property
    def size(self) -> int:
        return ENTRY_BYTES + len(self.body or b"")


class Claim:
    """The right to answer a request, until it is answered or given back."""

    __slots__ = ("_digest", "_id", "_repeats")

    def __init__(self, repeats: Repeats, of: Id, digest: bytes) -> None:
        self._repeats: Repeats | None = repeats
        self._id = of
        self._digest = digest

    def keep(self, body: bytes | None, headers: Sequence[tuple[bytes, bytes]] = (), content_type: bytes = b"") -> None:
        """The request was answered so; None: by something that is not kept."""
        repeats, self._repeats = self._repeats, None
        if repeats is not None:
            repeats.keep(self._id, self._digest, body, headers, content_type)

    def release(self) -> None:
        """The request was not answered: it may be sent again. Nothing happens if it was."""
        repeats, self._repeats = self._repeats, None
        if repeats is not None:
            repeats.forget(self._id)


class Repeats:
    """What was asked under which key. Keeps at most `keep_bytes`, oldest out first, each answer for `keep_s`."""

    def __init__(
        self,
        *,
        clock: Clock = time.monotonic,
        keep_s: float = 86_400.0,
        keep_bytes: int = 64 << 20,
        answer_bytes: int = 1 << 20,
    ) -> None:
        """`answer_bytes`: a larger answer is not kept, only that there was one."""
        self._clock = clock
        self._keep_s = keep_s
        self._keep_bytes = keep_bytes
        self._answer_bytes = answer_bytes
        self._open: dict[Id, bytes] = {}
        self._kept: OrderedDict[Id, Kept] = OrderedDict()
        self.size = 0

    def claim(self, owner: str, key: str, digest: bytes) -> Claim | Kept:
        """The right to answer, or the answer there is. `digest`: of all that was asked.

        Raises IdempotencyInFlight, IdempotencyKeyReused, and AnswerNotKept for an answer that is gone.
        """
        self._tidy()
        wanted = (owner, key)
        known = self._kept.get(wanted)
        asked = known.digest if known is not None else self._open.get(wanted)
        if asked is None:
            self._open[wanted] = digest
            return Claim(self, wanted, digest)
        if asked != digest:
            raise IdempotencyKeyReused
        if known is None:
            raise IdempotencyInFlight(retry_after_s=1.0)
        if known.body is None:
            raise AnswerNotKept
        return known

    def keep(
        self, of: Id, digest: bytes, body: bytes | None, headers: Sequence[tuple[bytes, bytes]], content_type: bytes
    ) -> None:
        """A claim was answered."""
        del self._open[of]
        if body is not None and len(body) > self._answer_bytes:
            body, headers = None, ()
        kept = Kept(
            digest=digest, until=self._clock() + self._keep_s, body=body, headers=headers, content_type=content_type
        )
        self._kept[of] = kept
        self.size += kept.size
        self._tidy()

    def forget(self, of: Id) -> None:
        """A claim was given back."""
        del self._open[of]

    def _tidy(self) -> None:
        """Let go of what is too old or too much; all are kept equally long, so that the oldest are first."""
        now = self._clock()
        while self._kept:
            kept = next(iter(self._kept.values()))
            if now < kept.until and self.size <= self._keep_bytes:
                return
            self._kept.popitem(last=False)
            self.size -= kept.size
