"""Texts that are asked for: from words to a place in the line, and from there to the asker, whole or streamed."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from farmgate.core.answer import fold
from farmgate.core.errors import ClientGone, FarmError, InvalidValue, MissingParameter, ModelNotFound
from farmgate.core.event import Event, Finish, Part
from farmgate.core.ids import new_id
from farmgate.core.request import Kind
from farmgate.engines.engine import Spec
from farmgate.engines.hf.adapters import Adapters
from farmgate.engines.hf.choosing import Habits, chooser
from farmgate.engines.hf.house import House
from farmgate.engines.hf.pieces import Decode
from farmgate.engines.hf.speech import Plain, Speech
from farmgate.engines.hf.tokens import Tokens
from farmgate.engines.hf.words import Written
from farmgate.engines.hf.worker import Steps, Worker
from farmgate.engines.hf.writing import Told, Writing
from farmgate.engines.serving.exchange import Exchange
from farmgate.wire.openai.answers import encode_answer
from farmgate.wire.openai.errors import error_frame
from farmgate.wire.openai.stream import StreamWriter

__all__ = ["TextHouse"]

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class TextHouse(House):
    """Made in the event loop that it answers in. `die` ends the process, when its device is of no more use."""

    def __init__(
        self,
        spec: Spec,
        tokens: Tokens,
        steps: Steps,
        adapters: Adapters,
        *,
        context_tokens: int,
        end_ids: frozenset[int],
        habits: Habits,
        die: Callable[[], None],
    ) -> None:
        super().__init__(spec, tokens, context_tokens=context_tokens)
        self.parallel = steps.most
        self._end_ids = end_ids
        self._habits = habits
        self._adapters = adapters
        self._names: list[str] = []
        self._changing = asyncio.Lock()
        self._loop = asyncio.get_running_loop()
        self._worker = Worker(steps, deliver=self._deliver, is_fatal=is_fatal, die=die)
        self.counts = self._worker.counts
        self._worker.start()

    @property
    def is_well(self) -> bool:
        return self._worker.is_alive

    def models(self) -> tuple[Mapping[str, object], ...]:
        named = (self.model(f"{self.alias}:{name}") | {"parent": self.alias} for name in self._names)
        return (self.model(self.alias), *named)

    async def write(self, wanted: Written, exchange: Exchange) -> None:
        self._adapter(wanted.model)
        ids, decode, speech = await self.off_loop(lambda: self._prompt(wanted))
        mailbox: asyncio.Queue[Told | None] = asyncio.Queue()
        writing = Writing(
            ids,
            most_tokens=min(wanted.sampling.max_tokens or self.context_tokens, self.context_tokens - len(ids)),
            chooser=chooser(wanted.sampling, self._habits),
            decode=decode,
            end_ids=self._end_ids,
            stop=wanted.sampling.stop,
            speech=speech,
            most_calls=wanted.most_calls,
            # Asked again: it may have been taken away meanwhile. Once in the line it stays.
            adapter=self._adapter(wanted.model),
            tell=mailbox.put_nowait,
        )
        leaving = asyncio.ensure_future(exchange.gone())
        leaving.add_done_callback(lambda _: mailbox.put_nowait(None))
        self._worker.submit(writing)
        try:
            await (self._stream if wanted.stream else self._whole)(wanted, mailbox, exchange)
        finally:
            leaving.cancel()
            self._worker.cancel(writing)

    async def add_adapter(self, name: str, folder: Path) -> str:
        if not NAME.fullmatch(name):
            raise InvalidValue("An adapter's name has letters, digits, - and _ only, 64 at most.", param="name")
        async with self._changing:
            if name in self._names:
                raise InvalidValue(f"There is an adapter {name!r} already: delete it first.", param="name")
            await asyncio.wrap_future(self._worker.between_steps(lambda: self._adapters.add(name, folder)))
            self._names.append(name)
        return f"{self.alias}:{name}"

    async def remove_adapter(self, name: str) -> None:
        """Waits for those who use it."""
        async with self._changing:
            if name not in self._names:
                raise ModelNotFound(f"There is no adapter {name!r}.")
            # From here on nobody new can ask for it.
            self._names.remove(name)
            await asyncio.wrap_future(self._worker.between_steps(lambda: self._adapters.remove(name), unused=name))

    def _adapter(self, model: str | None) -> str | None:
        """Which adapter a model's name means. Raises ModelNotFound."""
        if model is None or model == self.alias:
            return None
        name = model.removeprefix(f"{self.alias}:")
        if name != model and name in self._names:
            return name
        names = ", ".join(str(each["id"]) for each in self.models())
        raise ModelNotFound(f"There is no model {model!r} here, but {names}.")

    def _prompt(self, wanted: Written) -> tuple[list[int], Decode, Speech]:
        """Its tokens, and how what comes behind them is read."""
        decode: Decode = self.tokens.decode
        speech: Speech = Plain()
        if wanted.shown is not None:
            text = self.tokens.render(wanted.shown)
            ids = self.tokens.encode(text, special=False)
            decode, speech = self.tokens.reading(text, wanted.shown)
        else:
            ids = self.tokens.encode(wanted.prompt, special=True)
        where = "prompt" if wanted.shown is None else "messages"
        self.check_length(len(ids), where, more=1)
        if not ids:
            raise MissingParameter("There is nothing to go on from: the prompt has no tokens.", param=where)
        return ids, decode, speech

    async def _whole(self, wanted: Written, mailbox: asyncio.Queue[Told | None], exchange: Exchange) -> None:
        parts: list[Part] = []
        while not is_end(parts):
            parts += told_in(await mailbox.get())
        await exchange.answer(
            encode_answer(
                fold([Event(tuple(parts))]),
                id=name_of(wanted),
                kind=wanted.kind,
                model=wanted.model or self.alias,
                created_unix=int(time.time()),
            )
        )

    async def _stream(self, wanted: Written, mailbox: asyncio.Queue[Told | None], exchange: Exchange) -> None:
        writer = StreamWriter(
            id=name_of(wanted),
            kind=wanted.kind,
            model=wanted.model or self.alias,
            created_unix=int(time.time()),
            show_usage=wanted.show_usage,
        )
        parts: list[Part] = []
        while not is_end(parts):
            parts, error = await gathered(mailbox)
            if error is not None and not parts and not exchange.has_begun:
                raise error
            is_last = error is not None or is_end(parts)
            frames = writer.write(Event(tuple(parts)))
            if is_last:
                frames += writer.end() if error is None else error_frame(error)
            await exchange.stream(frames, is_last=is_last)
            if error is not None:
                return

    def _deliver(self, told: Sequence[tuple[Writing, Told]]) -> None:
        self._loop.call_soon_threadsafe(spread, told)


def spread(told: Sequence[tuple[Writing, Told]]) -> None:
    for writing, parts in told:
        writing.tell(parts)


async def gathered(mailbox: asyncio.Queue[Told | None]) -> tuple[list[Part], FarmError | None]:
    """What is there, at least one piece of it, and what broke the answer after it. Raises ClientGone."""
    parts: list[Part] = []
    try:
        parts += told_in(await mailbox.get())
        while not mailbox.empty() and not is_end(parts):
            # More came while the last piece was sent.
            parts += told_in(mailbox.get_nowait())
    except ClientGone:
        raise
    except FarmError as error:
        return parts, error
    return parts, None


def told_in(told: Told | None) -> tuple[Part, ...]:
    """Raises what broke the answer; ClientGone where nobody waits for it."""
    if told is None:
        raise ClientGone
    if isinstance(told, FarmError):
        raise told
    return told


def is_end(parts: Sequence[Part]) -> bool:
    """Finish and Usage come together, and last."""
    return len(parts) > 1 and isinstance(parts[-2], Finish)


def name_of(wanted: Written) -> str:
    return f"{'chatcmpl' if wanted.kind is Kind.CHAT else 'cmpl'}-{new_id()}"


def is_fatal(error: Exception) -> bool:
    """After a fault on a GPU every call to it fails, whatever it is for. Memory that ran out is no such fault."""
    return "CUDA error" in str(error)
