"""One answer: shown while it comes, then what it took."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal

from farmgate.admin.prices import cost_usd
from farmgate.admin.usage import PriceOf
from farmgate.core.event import Event, Finish, Reasoning, Refusal, Text, Usage
from farmgate.core.identity import Principal
from farmgate.core.ids import new_id
from farmgate.core.ports import Clock, Target
from farmgate.core.reply import Reply
from farmgate.core.request import Kind, Request, Typed
from farmgate.core.words import Chat
from farmgate.surfaces.cli.out import Out
from farmgate.surfaces.cli.waiting import shown_waiting
from farmgate.surfaces.cli.words import dollars

__all__ = ["Asker", "Took", "status_line"]

WHO = Principal(key_name="cli")


@dataclass(slots=True, kw_only=True)
class Took:
    """What an answer took, in seconds and tokens. Filled while it comes."""

    model: str
    provider: str
    usage: Usage | None = None
    finish: str | None = None
    first_token_s: float | None = None
    duration_s: float = 0.0
    text: str = ""
    cost_usd: Decimal | None = None
    streams: bool = True

    @property
    def tokens_per_s(self) -> float | None:
        """From the first token to the end: the wait for it is told by itself."""
        if self.usage is None or self.first_token_s is None or not self.streams:
            # An answer that comes whole has no time between its first token and its last.
            return None
        took_s = self.duration_s - self.first_token_s
        return (self.usage.completion_tokens - 1) / took_s if took_s > 0 and self.usage.completion_tokens > 1 else None


def status_line(took: Took) -> str:
    """`starter · 142 tok · 31.2 tok/s · first token 0.41 s`, with what is known."""
    parts = [took.model or took.provider]
    if took.usage is not None:
        parts.append(f"{'~' if took.usage.estimated else ''}{took.usage.completion_tokens} tok")
    if (rate := took.tokens_per_s) is not None:
        parts.append(f"{rate:.1f} tok/s")
    if took.first_token_s is not None:
        parts.append(f"first token {took.first_token_s:.2f} s")
    if took.cost_usd is not None:
        parts.append(f"{'~' if took.usage and took.usage.estimated else ''}{dollars(took.cost_usd)}")
    if took.finish == "length":
        parts.append("cut at the token limit")
    return " · ".join(parts)


def record(took: Took) -> dict[str, object]:
    """The same for programs."""
    usage = took.usage or Usage(estimated=True)
    return {
        "model": took.model,
        "provider": took.provider,
        "finishReason": took.finish,
        "usage": {
            "promptTokens": usage.prompt_tokens,
            "completionTokens": usage.completion_tokens,
            "totalTokens": usage.total_tokens,
            "estimated": usage.estimated,
        },
        "costUsd": None if took.cost_usd is None else float(took.cost_usd),
        "firstTokenS": None if took.first_token_s is None else round(took.first_token_s, 3),
        "durationS": round(took.duration_s, 3),
        "tokensPerS": None if took.tokens_per_s is None else round(took.tokens_per_s, 1),
    }


@dataclass(frozen=True, kw_only=True)
class Asker:
    """Asks one target for one model, and prints what it says."""

    target: Target
    out: Out
    model: str | None
    provider: str | None = None
    stream: bool = True
    price_of: PriceOf = lambda *_: None
    timeout_s: float = 600.0
    clock: Clock = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def ask(self, chat: Chat, *, kept: Callable[[str], None] = lambda text: None) -> Took:
        """`kept` is given every piece of text, also of an answer that is stopped. Raises FarmError."""
        began = self.clock()
        with (
            shown_waiting(self.out, self.model or "default", clock=self.clock, sleep=self.sleep) as spoken,
            await self.target.send(self._request(chat, began)) as reply,
        ):
            took = Took(model=reply.model, provider=reply.provider, streams=self.stream)
            await self._follow(reply, took, began, kept, spoken)
        took.duration_s = self.clock() - began
        if took.usage is not None:
            took.cost_usd = cost_usd(took.usage, self.price_of(took.provider, took.model, time.time()))
        self._close(took)
        return took

    def _request(self, chat: Chat, began: float) -> Request:
        return Request(
            id=new_id(),
            kind=Kind.CHAT,
            body=Typed(chat),
            principal=WHO,
            deadline=asyncio.get_running_loop().time() + self.timeout_s,
            started=began,
            model=self.model,
            provider=self.provider,
            stream=self.stream,
            want_usage=True,
        )

    async def _follow(
        self, reply: Reply, took: Took, began: float, kept: Callable[[str], None], spoken: Callable[[], None]
    ) -> None:
        try:
            async for event in reply:
                if event.bears_content and took.first_token_s is None:
                    took.first_token_s = self.clock() - began
                took.usage = event.usage or took.usage
                if any(isinstance(part, Text | Refusal) for part in event.parts):
                    spoken()
                for text in self._show(event, took):
                    took.text += text
                    kept(text)
        finally:
            # An error or the shell's prompt begins on a line of its own, whatever ended the answer.
            if self.stream and not self.out.json and took.text and not took.text.endswith("\n"):
                self.out.data("")

    def _show(self, event: Event, took: Took) -> list[str]:
        texts = []
        for part in event.parts:
            match part:
                case Text(text=text) | Refusal(text=text):
                    texts.append(text)
                    if self.stream:
                        self._piece("content", text)
                case Reasoning(text=text) if self.stream and self.out.json:
                    self._piece("reasoning", text)
                case Finish(reason=reason):
                    took.finish = reason.value
                case _:
                    pass
        return texts

    def _piece(self, kind: str, text: str) -> None:
        if self.out.json:
            self.out.record({kind: text})
        else:
            self.out.data(text, end="")

    def _close(self, took: Took) -> None:
        if self.out.json:
            whole = {} if self.stream else {"response": took.text}
            self.out.record({**whole, **({"done": True} if self.stream else {}), **record(took)})
            return
        if not self.stream:
            self.out.data(took.text, end="" if took.text.endswith("\n") else "\n")
        self.out.say(self.out.paint(status_line(took), "dim"))
