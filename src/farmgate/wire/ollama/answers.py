"""Ollama's answers, written for callers: lines of a stream, whole answers, embeddings, errors."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from farmgate.core.answer import Answer, Choice, add, fold
from farmgate.core.errors import FarmError
from farmgate.core.event import Event, Finish, FinishReason, Logprobs, Reasoning, Refusal, Text, ToolDelta, Usage
from farmgate.core.request import Dialect
from farmgate.core.words import ToolUse
from farmgate.wire.calls import arguments_in
from farmgate.wire.strictjson import encode

__all__ = ["LineWriter", "encode_embedding", "encode_embeddings", "encode_error", "encode_loaded", "encode_whole"]

NS = 1_000_000_000
REASONS = {FinishReason.LENGTH: "length", FinishReason.CONTENT_FILTER: "content_filter"}
"""Ollama's own words are `stop`, also where tools are called, and `length`; it filters nothing, but others do."""


@dataclass(slots=True, kw_only=True)
class LineWriter:
    """Writes one answer for a caller, line by line. A provider's own lines are relayed.

    `began` is on `time.monotonic`, in seconds. A tool call is told whole, as Ollama does: its pieces are gathered.
    """

    model: str
    is_chat: bool
    began: float
    dropped: tuple[str, ...] = ()
    first: float | None = None
    usage: Usage | None = None
    finish: Finish | None = None
    calls: Choice = field(default_factory=Choice)
    is_relayed: bool = False

    def write(self, event: Event) -> bytes:
        """The lines that say an event; the last line waits for the end."""
        if event.dialect is Dialect.OLLAMA and event.raw:
            self.is_relayed = True
            return event.raw
        if self.first is None and event.bears_content:
            self.first = time.monotonic()
        return b"".join(map(self._line, self._pieces(event)))

    def end(self) -> bytes:
        """The tool calls, and the line that says the answer is whole."""
        if self.is_relayed:
            return b""
        calls = [self._line({"tool_calls": encode_calls(self.calls)})] if self.calls.tools else []
        return b"".join((*calls, encode(self._said({}) | self.last()) + b"\n"))

    def last(self) -> dict[str, object]:
        """What the last line adds: why it ended, and what it took."""
        return done(self.finish, self.usage, began=self.began, first=self.first, dropped=self.dropped)

    def _pieces(self, event: Event) -> list[dict[str, object]]:
        pieces: list[dict[str, object]] = []
        for part in event.parts:
            match part:
                case Text() | Refusal() if part.choice == 0:
                    pieces.append({"content": part.text})
                case Reasoning() if part.choice == 0 and part.text:
                    pieces.append({"thinking": part.text})
                case Logprobs() if part.choice == 0:
                    pieces.append({"logprobs": list(part.tokens)})
                case ToolDelta() if part.choice == 0:
                    add(self.calls, part)
                case Finish() if part.choice == 0:
                    self.finish = part
                case Usage():
                    self.usage = part
        return pieces

    def _line(self, piece: dict[str, object]) -> bytes:
        logprobs = {"logprobs": piece.pop("logprobs")} if "logprobs" in piece else {}
        return encode(self._said(piece) | logprobs | {"done": False}) + b"\n"

    def _said(self, piece: Mapping[str, object]) -> dict[str, object]:
        return said(piece, model=self.model, is_chat=self.is_chat)


def said(piece: Mapping[str, object], *, model: str, is_chat: bool) -> dict[str, object]:
    """A line's beginning: chat says `message` where generate says `response`."""
    head: dict[str, object] = {"model": model, "created_at": now()}
    if is_chat:
        return head | {"message": {"role": "assistant", "content": "", **piece}}
    thought = {"thinking": piece["thinking"]} if "thinking" in piece else {}
    return head | {"response": piece.get("content", "")} | thought


def done(
    finish: Finish | None, usage: Usage | None, *, began: float, first: float | None, dropped: tuple[str, ...]
) -> dict[str, object]:
    """Durations are in nanoseconds; what comes before the first piece is counted as reading the prompt."""
    end = time.monotonic()
    first = first or end
    told: dict[str, object] = {
        "done": True,
        "done_reason": REASONS.get(finish.reason, "stop") if finish else "stop",
        "total_duration": round((end - began) * NS),
        "load_duration": 0,
    }
    if usage is not None:
        told |= {"prompt_eval_count": usage.prompt_tokens, "prompt_eval_duration": round((first - began) * NS)}
        told |= {"eval_count": usage.completion_tokens, "eval_duration": round((end - first) * NS)}
    return told | ({"farmgate_dropped": list(dropped)} if dropped else {})


def now() -> str:
    """As Go writes a time."""
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def encode_calls(choice: Choice) -> list[dict[str, object]]:
    """Tool calls with their arguments as objects; arguments that are no object are told under a name of ours."""
    return [
        {"id": use.id, "function": {"index": at, "name": use.name, "arguments": arguments_of(use)}}
        for at, use in sorted(choice.tools.items())
    ]


def arguments_of(use: ToolUse) -> object:
    arguments = arguments_in(use.arguments)
    return {"_arguments": use.arguments} if arguments is None else arguments


def encode_whole(
    events: list[Event], *, model: str, is_chat: bool, began: float, dropped: tuple[str, ...] = ()
) -> bytes:
    """An answer that was not to be streamed. What a provider's own last line says is kept."""
    answer = fold(events)
    choice = answer.choices.get(0) or Choice()
    piece: dict[str, object] = {"content": choice.text + choice.refusal}
    if choice.reasoning:
        piece["thinking"] = choice.reasoning
    if choice.tools:
        piece["tool_calls"] = encode_calls(choice)
    told = said(piece, model=model, is_chat=is_chat)
    if choice.logprobs:
        told["logprobs"] = choice.logprobs
    own = last_line(events)
    if own is not None:
        return encode(own | {name: told[name] for name in told if name not in ("model", "created_at")})
    finish = Finish(choice.finish) if choice.finish else None
    return encode(told | done(finish, answer.usage, began=began, first=None, dropped=dropped))


def last_line(events: list[Event]) -> dict[str, object] | None:
    """The line in which a provider that speaks Ollama says that it is done."""
    raw = b"".join(event.raw for event in events if event.dialect is Dialect.OLLAMA)
    lines = raw.splitlines()
    told = msgspec.json.decode(lines[-1]) if lines else None
    return told if isinstance(told, dict) else None


def encode_embeddings(answer: Answer, *, model: str, began: float, dropped: tuple[str, ...] = ()) -> bytes:
    """The answer of /api/embed."""
    told: dict[str, object] = {
        "model": model,
        "embeddings": [values for _, values in sorted(answer.vectors.items())],
        "total_duration": round((time.monotonic() - began) * NS),
        "load_duration": 0,
    }
    if answer.usage is not None:
        told["prompt_eval_count"] = answer.usage.prompt_tokens
    return encode(told | ({"farmgate_dropped": list(dropped)} if dropped else {}))


def encode_embedding(answer: Answer) -> bytes:
    """The answer of /api/embeddings, which takes one text."""
    return encode({"embedding": answer.vectors.get(0, ())})


def encode_error(error: FarmError) -> bytes:
    """`{"error": "..."}`, as a body or as the last line of a stream."""
    return encode({"error": error.message}) + b"\n"


def encode_loaded(model: str, *, is_chat: bool, reason: str) -> bytes:
    """The answer to an ask with nothing in it: the model is ready (`load`), or may go (`unload`)."""
    return encode(said({}, model=model, is_chat=is_chat) | {"done": True, "done_reason": reason}) + b"\n"
