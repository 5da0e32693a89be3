"""Callers of a model that was taught its answers: each knows what it must be told, by whichever version."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from tests.cuts.hearing import Heard, hear
from tests.endure.asking import hear_whole
from tools.guide_model.words import VERSIONS, Entry, everything, held_out

__all__ = ["QUESTIONS", "Came", "Outcome", "ask", "body_of", "leave_early"]

PATIENCE_S = 60.0
NOTHING: Mapping[str, object] = MappingProxyType({})
CONTENT = b'"content":"'


class Outcome(StrEnum):
    """What a caller was left with. `told`: an error, by status or by a frame; the last three must never be."""

    WHOLE = "whole"
    TOLD = "told"
    CUT = "cut"
    WRONG = "wrong"
    HUNG = "hung"


@dataclass(frozen=True)
class Question:
    """What is asked, and the answer of each version."""

    text: str
    answers: tuple[str, ...]


def questions() -> tuple[Question, ...]:
    """Short and long ones, the longest first."""
    asked: list[tuple[Entry, ...]] = [tuple(everything(version) for version in VERSIONS)]
    asked += zip(*(held_out(version) for version in VERSIONS), strict=True)
    return tuple(Question(one[0].question, tuple(entry.answer for entry in one)) for one in asked)


QUESTIONS = questions()


@dataclass(slots=True)
class Came:
    """What came of one request. `version`: whose words they were, from 1. `first_s` and `took_s` count from `began`."""

    outcome: Outcome
    began: float
    why: str = ""
    status: int = 0
    version: int | None = None
    tokens: int = 0
    first_s: float | None = None
    took_s: float = 0.0
    text: str = field(default="", repr=False)


def body_of(
    question: str, *, model: str = "guide", stream: bool = True, more: Mapping[str, object] = NOTHING
) -> dict[str, object]:
    """A request at temperature 0."""
    asked: dict[str, object] = {"model": model, "messages": [{"role": "user", "content": question}], "temperature": 0}
    if stream:
        asked |= {"stream": True, "stream_options": {"include_usage": True}}
    return {**asked, **more}


async def ask(
    port: int,
    question: Question,
    *,
    key: str = "",
    patience_s: float = PATIENCE_S,
    headers: str = "",
    model: str = "guide",
    stream: bool = True,
    more: Mapping[str, object] = NOTHING,
) -> Came:
    """Ask, read to the end, and judge to the letter. Never raises for what the other side does."""
    came = Came(Outcome.HUNG, time.monotonic())
    data = bytearray()
    try:
        async with asyncio.timeout(patience_s):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(head_and(body_of(question.text, model=model, stream=stream, more=more), key, headers))
                while piece := await reader.read(65536):
                    data += piece
                    if came.first_s is None and CONTENT in data:
                        came.first_s = time.monotonic() - came.began
            finally:
                writer.close()
    except TimeoutError:
        came.why = "hung"
    except OSError as error:
        came.outcome, came.why = Outcome.CUT, type(error).__name__
    else:
        judge(came, question, bytes(data), stream=stream)
    came.took_s = time.monotonic() - came.began
    return came


def judge(came: Came, question: Question, data: bytes, *, stream: bool) -> None:
    """Whole and in one version's words, told to be broken, or neither."""
    try:
        heard = hear("openai", data) if stream else hear_whole(data)
    except (AssertionError, ValueError, KeyError, TypeError, IndexError) as error:
        came.outcome, came.why = Outcome.WRONG, f"{type(error).__name__} {error}: {data[-200:]!r}"
        return
    came.status, came.text = heard.status, heard.text
    come_of(came, question, heard)
    if came.outcome is Outcome.WHOLE:
        came.tokens = tokens_in(data)


def come_of(came: Came, question: Question, heard: Heard) -> None:
    said = heard.text.strip()
    began_so = [number for number, answer in enumerate(question.answers, 1) if answer.startswith(said)]
    if heard.status and heard.error is not None:
        is_right = not said or bool(began_so)
        came.outcome, came.why = (Outcome.TOLD if is_right else Outcome.WRONG), heard.error
    elif heard.status == 200 and heard.is_ended and heard.is_closed:
        whole = [number for number, answer in enumerate(question.answers, 1) if answer == said]
        came.outcome, came.version = (Outcome.WHOLE, whole[0]) if whole else (Outcome.WRONG, None)
        came.why = "" if whole else f"said {said[:200]!r}"
    else:
        came.outcome, came.why = Outcome.CUT, f"status {heard.status}, ended behind {said[-40:]!r}"


def tokens_in(data: bytes) -> int:
    """The tokens of an answer, by its own count; 0 where it does not say."""
    _, found, rest = data.rpartition(b'"completion_tokens":')
    return int(rest.lstrip().split(b",")[0].split(b"}")[0]) if found else 0


async def leave_early(port: int, question: Question, *, key: str = "", more: Mapping[str, object] = NOTHING) -> bool:
    """Ask, and hang up at the first word. Whether there was one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    data = b""
    try:
        writer.write(head_and(body_of(question.text, more=more), key, ""))
        while CONTENT not in data and (piece := await reader.read(65536)):
            data += piece
    finally:
        writer.transport.abort()
    return CONTENT in data


def head_and(body: object, key: str, headers: str) -> bytes:
    content = json.dumps(body).encode()
    authorization = f"authorization: Bearer {key}\r\n" if key else ""
    return (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{authorization}{headers}"
        f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    ).encode() + content
