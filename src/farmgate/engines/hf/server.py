"""What the engine answers, path by path, in the words of OpenAI and of llama.cpp's server."""

from __future__ import annotations

from pathlib import Path

from farmgate.core.errors import InternalError, InvalidType
from farmgate.core.request import Kind
from farmgate.engines.hf.house import House
from farmgate.engines.hf.words import read_shown, read_text, read_vectors, read_written
from farmgate.engines.hf.worker import Counts
from farmgate.engines.serving.app import App, Routes
from farmgate.engines.serving.exchange import Exchange
from farmgate.wire.strictjson import decode_object

__all__ = ["app_of"]

MOST_BODY_BYTES = 64 << 20
PUBLIC = frozenset({"/health", "/v1/health"})
"""What says nothing of the model, and is asked by who has no key."""


def app_of(house: House, *, key: str) -> App:
    """In the event loop. `key`: what every request but for its health must bring."""
    return App(Paths(house).routes(), key=key, public=PUBLIC, most_body_bytes=MOST_BODY_BYTES)


class Paths:
    """What each path asks of the house."""

    def __init__(self, house: House) -> None:
        self._house = house

    def routes(self) -> Routes:
        return {
            "/health": {"GET": self._health},
            "/v1/health": {"GET": self._health},
            "/metrics": {"GET": self._metrics},
            "/props": {"GET": self._props},
            "/v1/models": {"GET": self._models},
            "/v1/chat/completions": {"POST": self._chat},
            "/v1/completions": {"POST": self._completion},
            "/v1/embeddings": {"POST": self._embeddings},
            "/apply-template": {"POST": self._apply_template},
            "/tokenize": {"POST": self._tokenize},
            "/adapters": {"POST": self._add_adapter},
            "/adapters/": {"DELETE": self._remove_adapter},
        }

    async def _health(self, exchange: Exchange) -> None:
        if not self._house.is_well:
            raise InternalError("The thread that owns the model has ended.")
        await exchange.answer({"status": "ok"})

    async def _metrics(self, exchange: Exchange) -> None:
        await exchange.whole(metrics(self._house.counts), kind=b"text/plain; version=0.0.4")

    async def _props(self, exchange: Exchange) -> None:
        await exchange.answer(self._house.props())

    async def _models(self, exchange: Exchange) -> None:
        await exchange.answer({"object": "list", "data": self._house.models()})

    async def _chat(self, exchange: Exchange) -> None:
        await self._house.write(read_written(await exchange.body(), Kind.CHAT), exchange)

    async def _completion(self, exchange: Exchange) -> None:
        await self._house.write(read_written(await exchange.body(), Kind.COMPLETION), exchange)

    async def _embeddings(self, exchange: Exchange) -> None:
        await self._house.embed(read_vectors(await exchange.body()), exchange)

    async def _apply_template(self, exchange: Exchange) -> None:
        await exchange.answer({"prompt": await self._house.render(read_shown(await exchange.body()))})

    async def _tokenize(self, exchange: Exchange) -> None:
        text, special = read_text(await exchange.body())
        await exchange.answer({"tokens": await self._house.tokenize(text, special=special)})

    async def _add_adapter(self, exchange: Exchange) -> None:
        fields = decode_object(await exchange.body())
        path, name = fields.get("path"), fields.get("name")
        if not isinstance(path, str):
            raise InvalidType("`path` must be the folder of an adapter.", param="path")
        if not isinstance(name, str):
            raise InvalidType("`name` must be a string.", param="name")
        await exchange.answer({"id": await self._house.add_adapter(name, Path(path))})

    async def _remove_adapter(self, exchange: Exchange) -> None:
        await self._house.remove_adapter(exchange.path.removeprefix("/adapters/"))
        await exchange.answer({"deleted": True})


TOLD = (
    ("running", "gauge", "Answers that are being written."),
    ("waiting", "gauge", "Requests that wait for their turn."),
    ("prompt_tokens", "counter", "Tokens of prompts that were read."),
    ("tokens", "counter", "Tokens that were written."),
    ("steps", "counter", "Steps of the model."),
    ("rows", "counter", "Answers in each step, added up: divided by the steps, the mean size of a batch."),
    ("cancelled", "counter", "Requests whose asker went away."),
    ("failed", "counter", "Requests that a failed step broke."),
)


def metrics(counts: Counts) -> bytes:
    """In Prometheus' text format."""
    lines: list[str] = []
    for name, kind, what in TOLD:
        full = f"farmgate_engine_{name}" + ("_total" if kind == "counter" else "")
        lines += [f"# HELP {full} {what}", f"# TYPE {full} {kind}", f"{full} {getattr(counts, name)}"]
    return ("\n".join(lines) + "\n").encode()
