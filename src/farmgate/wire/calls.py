"""Calls of tools: their arguments as objects, and their numbers in a stream that counts its blocks instead."""

from __future__ import annotations

import msgspec

from farmgate.core.errors import InvalidMessages
from farmgate.core.event import ToolDelta
from farmgate.core.words import ToolUse
from farmgate.wire.fields import Fields

__all__ = ["CallNumbers", "arguments_in", "arguments_of"]


def arguments_in(text: str) -> Fields | None:
    """The object that JSON text holds, where it holds one; no text is an empty object."""
    try:
        arguments: object = msgspec.json.decode(text) if text.strip() else {}
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None
    return arguments if isinstance(arguments, dict) else None


def arguments_of(use: ToolUse, where: str) -> Fields:
    """The arguments of a call that was made at `where`. Raises InvalidMessages."""
    arguments = arguments_in(use.arguments)
    if arguments is None:
        place = f"{where}.function.arguments"
        raise InvalidMessages(f"`{place}` must be the text of a JSON object.", param=place)
    return arguments


class CallNumbers:
    """Numbers the calls of one stream by the blocks they stand in. Whoever reads arguments expects an object: a call
    that ends without a piece of them is given an empty one."""

    __slots__ = ("_numbers", "_unsaid")

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self._unsaid: set[int] = set()

    def begin(self, block: int, *, id: str | None, name: str | None, arguments: str = "") -> ToolDelta:
        """A call begins in that block."""
        number = self._numbers.setdefault(block, len(self._numbers))
        if not arguments:
            self._unsaid.add(block)
        return ToolDelta(index=number, id=id, name=name, arguments=arguments)

    def go_on(self, block: int, arguments: str) -> list[ToolDelta]:
        """A piece of arguments; nothing for a block that is no call."""
        number = self._numbers.get(block)
        if number is None or not arguments:
            return []
        self._unsaid.discard(block)
        return [ToolDelta(index=number, arguments=arguments)]

    def end(self, block: int) -> list[ToolDelta]:
        """A block is whole."""
        if block not in self._unsaid:
            return []
        self._unsaid.discard(block)
        return [ToolDelta(index=self._numbers[block], arguments="{}")]

    def __contains__(self, block: int) -> bool:
        return block in self._numbers

    def __len__(self) -> int:
        return len(self._numbers)
