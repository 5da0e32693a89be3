"""A model made of nothing: it writes its prompt again, one byte a step, and ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from farmgate.engines.hf.choosing import Chooser
from farmgate.engines.hf.worker import Take
from farmgate.engines.hf.writing import Told, Writing

END = 0


def decode(ids: Sequence[int]) -> str:
    return bytes(ids).decode("utf-8", "replace")


def writing(text: str, tell: Callable[[Told], None] = lambda _: None, *, adapter: str | None = None) -> Writing:
    return Writing(
        list(text.encode()),
        most_tokens=100,
        chooser=Chooser(temperature=0, top_p=1, top_k=0, seed=None),
        decode=decode,
        end_ids=frozenset({END}),
        adapter=adapter,
        tell=tell,
    )


class Echo:
    """Steps that write prompts again. `sizes`: how many were in each step; `used`: each adapter that was set."""

    def __init__(self, most: int = 2, *, fails: Exception | None = None) -> None:
        self.most = most
        self.fails = fails
        self.entered: list[Writing] = []
        self.sizes: list[int] = []
        self.used: list[str | None] = []

    def enter(self, writing: Writing) -> None:
        self.entered.append(writing)

    def leave(self, writing: Writing) -> None:
        if writing in self.entered:
            self.entered.remove(writing)

    def clear(self) -> None:
        self.entered.clear()

    def use(self, adapter: str | None) -> None:
        self.used.append(adapter)

    def step(self, take: Take) -> None:
        self.sizes.append(len(self.entered))
        if self.fails is not None:
            failure, self.fails = self.fails, None
            raise failure
        for each in tuple(self.entered):
            token = each.ids[each.tokens] if each.tokens < len(each.ids) else END
            if not take(each, token):
                self.entered.remove(each)
