"""What is behind the paths: one model with its tokenizer and its names. What it is not there for it refuses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from farmgate.core.errors import ContextLengthExceeded, ModelNotFound, NotSupported
from farmgate.engines.engine import Spec
from farmgate.engines.hf.tokens import Tokens
from farmgate.engines.hf.words import Shown, Vectors, Written
from farmgate.engines.hf.worker import Counts
from farmgate.engines.serving.exchange import Exchange

__all__ = ["House"]

T = TypeVar("T")


class House:
    """TextHouse and VectorHouse have one each of what follows, and do more."""

    def __init__(self, spec: Spec, tokens: Tokens, *, context_tokens: int) -> None:
        self.alias = spec.model
        self.context_tokens = context_tokens
        self.parallel = spec.parallel
        self.tokens = tokens
        self.counts = Counts()
        self.began_unix = int(time.time())
        # One thread for the tokenizer, which cannot be shared, and which long texts keep busy.
        self._tokenizing = ThreadPoolExecutor(1, thread_name_prefix="tokens")

    @property
    def is_well(self) -> bool:
        return True

    def props(self) -> Mapping[str, object]:
        """As llama.cpp's server tells it, what of that there is."""
        return {
            "model_alias": self.alias,
            "total_slots": self.parallel,
            "default_generation_settings": {"n_ctx": self.context_tokens},
            "chat_template": self.tokens.template,
            "chat_template_caps": {"supports_tools": self.tokens.shows_tools},
        }

    def models(self) -> tuple[Mapping[str, object], ...]:
        return (self.model(self.alias),)

    def model(self, name: str) -> dict[str, object]:
        """One entry of the list of models."""
        return {"id": name, "object": "model", "created": self.began_unix, "owned_by": "farmgate"}

    async def write(self, wanted: Written, exchange: Exchange) -> None:
        raise NotSupported("This process was started for embeddings: it writes no text.", param="model")

    async def embed(self, wanted: Vectors, exchange: Exchange) -> None:
        raise NotSupported("This process was started to write text: it gives no embeddings.", param="model")

    async def render(self, shown: Shown) -> str:
        return await self.off_loop(lambda: self.tokens.render(shown))

    async def tokenize(self, text: str, *, special: bool) -> list[int]:
        return await self.off_loop(lambda: self.tokens.count(text, special=special))

    async def add_adapter(self, name: str, folder: Path) -> str:
        raise NotSupported("This process has no use for adapters.")

    async def remove_adapter(self, name: str) -> None:
        raise ModelNotFound(f"There is no adapter {name!r}.")

    async def off_loop(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._tokenizing, work)

    def check_length(self, tokens: int, where: str, *, more: int) -> None:
        """Raise ContextLengthExceeded unless there is room for so many tokens more."""
        if tokens + more > self.context_tokens:
            room = f" with at least {more} to write" if more else ""
            raise ContextLengthExceeded(
                f"`{where}` has {tokens} tokens, and the context is {self.context_tokens}{room}.", param=where
            )
