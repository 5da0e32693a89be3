"""OpenAI's chats and completions before a class that writes: whole, or piece by piece as it gives them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, cast

from farmgate.core.answer import fold
from farmgate.core.errors import ClientGone, FarmError, ModelNotCapable, UnsupportedParameter
from farmgate.core.event import Event, Finish, Part, Text, Usage
from farmgate.core.ids import new_id
from farmgate.core.request import Kind
from farmgate.core.words import Complete
from farmgate.engines.engine import Spec
from farmgate.engines.python.code import Code
from farmgate.engines.python.items import is_unicode
from farmgate.engines.python.model import BYTES_PER_TOKEN
from farmgate.engines.serving.app import Routes
from farmgate.engines.serving.exchange import Exchange, first
from farmgate.engines.serving.vectors import JSON, LISTS
from farmgate.wire.losses import Losses
from farmgate.wire.openai.answers import encode_answer
from farmgate.wire.openai.errors import error_frame
from farmgate.wire.openai.requests import OpenAIBody, decode_request
from farmgate.wire.openai.stream import StreamWriter

__all__ = ["TextDoor", "Wanted", "read_wanted"]

NOT_OPTIONS = frozenset(
    (
        *("model", "messages", "prompt", "stream", "stream_options", "user", "metadata", "store"),
        *("service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"),
    )
)
"""What is asked, of whom and by whom: everything else says how to answer."""
IDLE: Mapping[str, tuple[object, ...]] = {
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "stop": ([], ""),
    "n": (1,),
    "logprobs": (False,),
    "suffix": ("",),
}
"""Options that change the answer, and so are refused where the class does not take them; with what asks for nothing."""
END = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A text that is wanted: the method that writes it, and what it is called with."""

    kind: Kind
    method: str
    argument: object
    options: Mapping[str, object] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    model: str | None = None
    stream: bool = False
    show_usage: bool = False
    asked_bytes: int = 0


def read_wanted(body: bytes, kind: Kind, code: Code, model: str) -> Wanted:
    """Raises BadRequest, and ModelNotCapable."""
    read = decode_request(body, kind, json_limits=JSON, list_limits=LISTS)
    method = method_for(kind, read.stream, code, model)
    told = {name: value for name, value in read.fields.items() if name not in NOT_OPTIONS and value is not None}
    options = code.options(method, told)
    losses = Losses(model)
    for name in told.keys() - options.keys() & IDLE.keys():
        if told[name] not in IDLE[name]:
            raise UnsupportedParameter(f"{model} cannot be told `{name}`: leave it out.", param=name)
    losses.leave({name: told[name] for name in sorted(told.keys() - options.keys() - IDLE.keys())})
    return Wanted(
        kind=kind,
        method=method,
        argument=argument_of(read, kind),
        options=options,
        dropped=losses.dropped,
        model=read.model,
        stream=read.stream,
        show_usage=read.want_usage,
        asked_bytes=len(body),
    )


def argument_of(read: OpenAIBody, kind: Kind) -> object:
    """The conversation as OpenAI writes it, or the prompt."""
    if kind is Kind.CHAT:
        return read.fields["messages"]
    words = read.ask()
    assert isinstance(words, Complete)
    return words.prompt


def method_for(kind: Kind, stream: bool, code: Code, model: str) -> str:
    """Who writes it: `chat` knows conversations alone. What is to come in pieces is best written in pieces."""
    able = ("stream",) if kind is Kind.COMPLETION else ("stream", "chat") if stream else ("chat", "stream")
    method = next((name for name in able if name in code.can), None)
    if method is None:
        raise ModelNotCapable(f"{model} gives no {kind} answers: {code.told}.", param="model")
    return method


class TextDoor:
    """What is asked for under /v1/chat/completions and /v1/completions. Its steps take turns in `thread`, so that
    several are written at the same time and no two of them at once."""

    def __init__(self, spec: Spec, code: Code, *, thread: Executor) -> None:
        self._spec = spec
        self._code = code
        self._thread = thread
        self._loop = asyncio.get_running_loop()

    def routes(self) -> Routes:
        return {"/v1/chat/completions": {"POST": self._chat}, "/v1/completions": {"POST": self._complete}}

    async def _chat(self, exchange: Exchange) -> None:
        await self._write(exchange, Kind.CHAT)

    async def _complete(self, exchange: Exchange) -> None:
        await self._write(exchange, Kind.COMPLETION)

    async def _write(self, exchange: Exchange, kind: Kind) -> None:
        wanted = read_wanted(await exchange.body(), kind, self._code, self._spec.model)
        writing = Writing(wanted, self._code)
        try:
            await (self._stream if wanted.stream else self._whole)(wanted, writing, exchange)
        finally:
            # Behind the step that may be under way: a generator is told that nobody listens at its next `yield`.
            self._loop.run_in_executor(self._thread, writing.close)

    async def _whole(self, wanted: Wanted, writing: Writing, exchange: Exchange) -> None:
        pieces = await first(self._all(writing), exchange)
        parts: tuple[Part, ...] = (*map(Text, pieces), Finish(), usage_of(wanted, pieces))
        answer = encode_answer(
            fold([Event(parts)]),
            id=name_of(wanted),
            kind=wanted.kind,
            model=wanted.model or self._spec.model,
            created_unix=int(time.time()),
            dropped=wanted.dropped,
        )
        await exchange.answer(answer)

    async def _all(self, writing: Writing) -> list[str]:
        pieces = []
        while (piece := await self._loop.run_in_executor(self._thread, writing.step)) is not None:
            pieces.append(piece)
        return pieces

    async def _stream(self, wanted: Wanted, writing: Writing, exchange: Exchange) -> None:
        writer = StreamWriter(
            id=name_of(wanted),
            kind=wanted.kind,
            model=wanted.model or self._spec.model,
            created_unix=int(time.time()),
            show_usage=wanted.show_usage,
            dropped=wanted.dropped,
        )
        said: list[str] = []
        leaving = asyncio.ensure_future(exchange.gone())
        try:
            while True:
                try:
                    piece = await self._unless(leaving, writing)
                except ClientGone:
                    raise
                except FarmError as error:
                    if not exchange.has_begun:
                        raise
                    await exchange.stream(error_frame(error), is_last=True)
                    return
                if piece is None:
                    break
                said.append(piece)
                await exchange.stream(writer.write(Event((Text(piece),))))
            last: tuple[Part, ...] = (Finish(), usage_of(wanted, said))
            await exchange.stream(writer.write(Event(last)) + writer.end(), is_last=True)
        finally:
            leaving.cancel()

    async def _unless(self, leaving: asyncio.Future[None], writing: Writing) -> str | None:
        """The next piece. Raises ClientGone where nobody waits for it any more."""
        step: asyncio.Future[str | None] = self._loop.run_in_executor(self._thread, writing.step)
        either: set[asyncio.Future[Any]] = {step, leaving}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not step.done():
            step.cancel()
            raise ClientGone
        return step.result()


class Writing:
    """One text while the class writes it. Belongs to the thread that the class is called in."""

    def __init__(self, wanted: Wanted, code: Code) -> None:
        self._wanted = wanted
        self._code = code
        self._pieces: Iterator[object] | None = None

    def step(self) -> str | None:
        """The next piece; None after the last. Raises ModelFailed, and a BadRequest of the class."""
        wanted = self._wanted
        if self._pieces is None:
            self._pieces = self._begun(self._code.call(wanted.method, wanted.argument, **wanted.options))
        pieces = self._pieces
        piece = self._code.guard(wanted.method, lambda: next(pieces, END))
        if piece is END:
            return None
        if not isinstance(piece, str):
            raise self._code.failed(f"{wanted.method} gave {type(piece).__name__}, where text should be")
        if not is_unicode(piece):
            raise self._code.failed(f"{wanted.method} gave a text with half a character in it, which is no Unicode")
        return piece

    def _begun(self, said: object) -> Iterator[object]:
        if isinstance(said, str):
            return iter((said,))
        if not hasattr(said, "__iter__") or isinstance(said, Mapping | bytes):
            raise self._code.failed(f"{self._wanted.method} gave {type(said).__name__}, where text should be")
        return iter(cast("Iterator[object]", said))

    def close(self) -> None:
        """Let the class clean up. What it raises then is for the log."""
        end = getattr(self._pieces, "close", None)
        if callable(end):
            try:
                self._code.guard(self._wanted.method, end)
            except FarmError:
                return


def usage_of(wanted: Wanted, pieces: list[str]) -> Usage:
    """Code tells no tokens: they are told from bytes."""
    size = sum(len(piece.encode()) for piece in pieces)
    return Usage(
        prompt_tokens=wanted.asked_bytes // BYTES_PER_TOKEN,
        completion_tokens=-(-size // BYTES_PER_TOKEN),
        estimated=True,
    )


def name_of(wanted: Wanted) -> str:
    return f"{'chatcmpl' if wanted.kind is Kind.CHAT else 'cmpl'}-{new_id()}"
