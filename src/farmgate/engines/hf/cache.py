"""Keys and values of rows of different lengths, in one tensor for each layer, that rows join and leave between steps.

Every row ends at the same column, so that a step writes one column of all rows at once; a shorter row begins further
right, and what is left of its beginning is masked. That is a left-padded batch, as `generate` makes one, but without
its copying: transformers' own cache is copied whole for each token. Room is made a quarter at a time.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer

__all__ = ["RowCache"]

ROOM = 64
"""Columns. Room is made in multiples of it."""


class Shape:
    """What all layers have in common: `lengths` of the rows, in their order, and where their last column ends."""

    __slots__ = ("columns", "end", "lengths", "slots")

    def __init__(self) -> None:
        self.lengths: list[int] = []
        self.end = 0
        self.slots = 0
        self.columns = 0

    @property
    def rows(self) -> int:
        return len(self.lengths)

    @property
    def width(self) -> int:
        return max(self.lengths, default=0)


class RowLayer(DynamicLayer):  # type: ignore[misc] # transformers is not there where types are checked
    """One layer: keys and values of (slots, heads, columns, size). What is masked is zero, so that nothing times it is
    not a number."""

    keys: Any
    values: Any

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.is_initialized = True

    def update(self, key_states: Any, value_states: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
        """A model's forward brings one column of all rows, and gets all columns."""
        shape = self.shape
        rows, start, end = shape.rows, shape.end - shape.width, shape.end
        self.keys[:rows, :, end : end + 1] = key_states
        self.values[:rows, :, end : end + 1] = value_states
        return self.keys[:rows, :, start : end + 1], self.values[:rows, :, start : end + 1]

    def get_seq_length(self, *_: Any) -> int:
        return self.shape.width

    def get_mask_sizes(self, query: Any, *_: Any) -> tuple[int, int]:
        """Length and offset. Older versions give the positions, newer ones their number."""
        return self.shape.width + (query if isinstance(query, int) else int(query.shape[0])), 0

    def arrange(self, slots: int, columns: int, end: int) -> None:
        shape = self.shape
        self.keys = moved(self.keys, shape, slots, columns, end)
        self.values = moved(self.values, shape, slots, columns, end)

    def put(self, layer: Any) -> None:
        """A row of its own joins as the last."""
        at, end, length = self.shape.rows, self.shape.end, layer.keys.shape[2]
        for kept, come in ((self.keys, layer.keys), (self.values, layer.values)):
            kept[at, :, : end - length].zero_()
            kept[at, :, end - length : end] = come[0]

    def replace(self, at: int, last: int) -> None:
        end = self.shape.end
        for kept in (self.keys, self.values):
            kept[at, :, :end] = kept[last, :, :end]


class RowCache:
    """`cache` is for a model's forward; `advance` follows it. Rows are known by their place: the last moves to one that
    becomes free."""

    def __init__(self) -> None:
        self._shape = Shape()
        self.cache: Any = None

    @property
    def lengths(self) -> list[int]:
        """Tokens of each row."""
        return self._shape.lengths

    @property
    def width(self) -> int:
        return self._shape.width

    def join(self, alone: Any) -> None:
        """A row that was alone until now; `alone` is the cache that its prompt was read into."""
        shape = self._shape
        length = int(alone.layers[0].keys.shape[2])
        if self.cache is None:
            self._begin(alone)
        if not shape.lengths:
            shape.end = 0
        width = max(shape.width, length)
        if shape.rows == shape.slots or shape.end < width:
            self._arrange(max(shape.slots, grown(shape.rows + 1)), width)
        for layer, come in zip(self.cache.layers, alone.layers, strict=True):
            layer.put(come)
        shape.lengths.append(length)

    def leave(self, at: int) -> None:
        """The last row has this place from now on."""
        shape = self._shape
        last = shape.rows - 1
        if at != last:
            for layer in self.cache.layers:
                layer.replace(at, last)
            shape.lengths[at] = shape.lengths[last]
        shape.lengths.pop()

    def clear(self) -> None:
        """Gives its memory back."""
        self._shape = Shape()
        self.cache = None

    def prepare(self) -> None:
        """Make room for one more column. Before each step."""
        shape = self._shape
        if shape.end >= shape.columns:
            self._arrange(shape.slots, shape.width)

    def advance(self) -> None:
        """After each step."""
        self._shape.end += 1
        self._shape.lengths = [length + 1 for length in self._shape.lengths]

    def mask(self, device: str) -> Any:
        """(rows, width + 1): 1 where a row has a token, the one of the next step included."""
        width = self._shape.width
        begins = torch.tensor([width - length for length in self._shape.lengths], device=device)
        return (torch.arange(width + 1, device=device)[None, :] >= begins[:, None]).long()

    def _begin(self, alone: Any) -> None:
        layers = []
        for each in alone.layers:
            layer = RowLayer(self._shape)
            layer.dtype, layer.device = each.keys.dtype, each.keys.device
            layer.keys, layer.values = each.keys[:0, :, :0], each.values[:0, :, :0]
            layers.append(layer)
        self.cache = Cache(layers=layers)

    def _arrange(self, slots: int, width: int) -> None:
        """All rows again, as far left as `width` allows. In tensors of their own: one layer's old ones at a time."""
        shape = self._shape
        columns = -(-(width + width // 4 + 1) // ROOM) * ROOM
        for layer in self.cache.layers:
            layer.arrange(slots, columns, width)
        shape.slots, shape.columns, shape.end = slots, columns, width


def grown(rows: int) -> int:
    """The next power of two."""
    return 1 << (rows - 1).bit_length()


def moved(old: Any, shape: Shape, slots: int, columns: int, end: int) -> Any:
    new = old.new_zeros((slots, old.shape[1], columns, old.shape[3]))
    rows, width = shape.rows, shape.width
    new[:rows, :, end - width : end] = old[:rows, :, shape.end - width : shape.end]
    return new
