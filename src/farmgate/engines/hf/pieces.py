"""Tokens as text, one at a time, and never half of a character.

A character may be spread over several tokens, and a decoder may treat the first token of a text as it treats no other
(SentencePiece drops its space). So the tokens of the last pieces are decoded together with the new one, and what is
new in their text is given out. What is unfinished decodes to U+FFFD, and with it whole characters before it where a
vocabulary has a token for each byte: all of them at the end are held back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

__all__ = ["Decode", "Pieces"]

Decode: TypeAlias = Callable[[Sequence[int]], str]
"""Tokens as text, without special tokens, and without tidying up spaces."""
UNFINISHED = "\ufffd"
MOST_HELD = 8
"""Tokens. A character has four bytes at most: what is unfinished for so long is no text, and never will be."""


class Pieces:
    """For one answer."""

    __slots__ = ("_decode", "_given", "_ids", "_settled")

    def __init__(self, decode: Decode) -> None:
        self._decode = decode
        self._ids: list[int] = []
        self._settled = 0
        """How many of `_ids` had been given out, whole, before the tokens after them came."""
        self._given = 0
        """How many characters of the text of `_ids` have been given out."""

    def feed(self, token: int) -> str:
        """What the text gains."""
        self._ids.append(token)
        text = self._decode(self._ids)
        is_text = len(self._ids) - self._settled < MOST_HELD
        sure = len(text.rstrip(UNFINISHED)) if is_text else len(text)
        piece = text[self._given : sure]
        self._given = max(self._given, sure)
        if piece and sure == len(text):
            self._move_on()
        return piece

    def end(self) -> str:
        """The rest: of a text that broke off inside a character, its U+FFFD."""
        return self._decode(self._ids)[self._given :]

    def _move_on(self) -> None:
        """Keep only the tokens that came since the last time: they are what the next is decoded beside."""
        kept = self._ids[self._settled :]
        self._ids = kept
        self._settled = len(kept)
        self._given = len(self._decode(kept))
