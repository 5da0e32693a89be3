"""Embeddings that are asked for: from texts to vectors, and from there to the asker."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from farmgate.core.answer import Answer
from farmgate.core.errors import InvalidValue, ModelNotFound
from farmgate.core.event import Usage
from farmgate.engines.engine import Spec
from farmgate.engines.hf.house import House
from farmgate.engines.hf.tokens import Tokens
from farmgate.engines.hf.words import Vectors
from farmgate.engines.serving.exchange import Exchange, first
from farmgate.wire.openai.answers import encode_embeddings

if TYPE_CHECKING:
    from farmgate.engines.hf.embedding import Embedder

__all__ = ["VectorHouse", "cut"]


class VectorHouse(House):
    """One model's vectors."""

    def __init__(self, spec: Spec, tokens: Tokens, embedder: Embedder, *, context_tokens: int) -> None:
        super().__init__(spec, tokens, context_tokens=context_tokens)
        self._embedder = embedder
        self.counts = embedder.counts
        embedder.start()

    @property
    def is_well(self) -> bool:
        return self._embedder.is_alive

    async def embed(self, wanted: Vectors, exchange: Exchange) -> None:
        if wanted.model not in (None, self.alias):
            raise ModelNotFound(f"There is no model {wanted.model!r} here, but {self.alias}.")
        texts = await self.off_loop(lambda: self._ids(wanted.texts))
        vectors = await first(asyncio.wrap_future(self._embedder.submit(texts)), exchange)
        if wanted.dimensions is not None:
            vectors = [cut(vector, wanted.dimensions) for vector in vectors]
        answer = Answer(
            vectors={at: tuple(vector) for at, vector in enumerate(vectors)},
            usage=Usage(prompt_tokens=sum(map(len, texts))),
        )
        await exchange.answer(encode_embeddings(answer, model=self.alias, as_base64=wanted.as_base64))

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        every = [self.tokens.encode(text, special=True) for text in texts]
        for at, ids in enumerate(every):
            self.check_length(len(ids), f"input[{at}]", more=0)
            if not ids:
                raise InvalidValue(f"`input[{at}]` has no tokens.", param=f"input[{at}]")
        return every


def cut(vector: Sequence[float], wanted: int) -> list[float]:
    """The first numbers of a vector, made as long as 1 again. Raises InvalidValue where it has fewer."""
    if wanted > len(vector):
        raise InvalidValue(f"`dimensions` must be at most {len(vector)}: the model has no more.", param="dimensions")
    values = vector[:wanted]
    length = math.hypot(*values) or 1.0
    return [value / length for value in values]
