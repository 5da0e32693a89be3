"""A class that writes: what it is called with, what it may give, and that it is let go of."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.unit.engines.serving.asgi import KEY, asked, told

from farmgate.core.errors import UnsupportedParameter
from farmgate.core.ports import Purpose
from farmgate.core.request import Kind
from farmgate.engines.engine import Spec
from farmgate.engines.python.code import Code
from farmgate.engines.python.texts import TextDoor, read_wanted
from farmgate.engines.serving.app import App

SPEC = Spec(model="m", version="1", path=Path("m.py"), purpose=Purpose.INFER, context_tokens=1, parallel=1, threads=1)
MESSAGES = [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]
THREAD = ThreadPoolExecutor(1)


class Pieces:
    """Gives two pieces, and notes that it was closed."""

    def __init__(self) -> None:
        self.left = ["one ", "two"]
        self.is_closed = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if not self.left:
            raise StopIteration
        return self.left.pop(0)

    def close(self) -> None:
        self.is_closed = True


class Writes:
    """Gives what it is told to; notes what it was called with."""

    def __init__(self, said: object) -> None:
        self.said = said
        self.seen: list[tuple[object, Mapping[str, object]]] = []

    def chat(self, messages: object, **options: object) -> object:
        self.seen.append((messages, options))
        return self.said


class Streams:
    """Streams, and takes one option."""

    def __init__(self) -> None:
        self.pieces = Pieces()

    def stream(self, prompt_or_messages: object, seed: int = 0) -> Pieces:
        return self.pieces


def code_of(made: object) -> Code:
    return Code(made, model="m", path=Path("m.py"))


async def asking(made: object, path: str = "/v1/chat/completions", **more: object) -> list[dict[str, Any]]:
    body = {"messages": MESSAGES, "prompt": "once", **more}
    app = App(TextDoor(SPEC, code_of(made), thread=THREAD).routes(), key=KEY)
    return await asked(app, path, method="POST", body=(json.dumps(body).encode(),))


async def test_a_conversation_is_handed_on_as_it_was_written() -> None:
    writes = Writes("hello")
    _, answer = told(await asking(writes, temperature=0.5, stop=["x"], user="u", stream=False))
    assert answer["choices"][0]["message"]["content"] == "hello"
    assert writes.seen == [(MESSAGES, {"temperature": 0.5, "stop": ["x"]})]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
async def test_what_gives_pieces_is_closed_behind_the_last(path: str) -> None:
    streams = Streams()
    _, answer = told(await asking(streams, path))
    choice = answer["choices"][0]
    assert (choice.get("text") or choice["message"]["content"]) == "one two"
    THREAD.submit(int).result()
    assert streams.pieces.is_closed


async def test_a_text_that_is_given_whole_is_one_piece_of_a_stream() -> None:
    start, *pieces = await asking(Writes("all of it"), stream=True, stream_options={"include_usage": True})
    assert start["status"] == 200
    frames = b"".join(piece["body"] for piece in pieces).decode()
    assert '"content":"all of it"' in frames
    assert '"usage":{"prompt_tokens"' in frames
    assert frames.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("said", [None, 7, {"content": "x"}, b"bytes", [1], ["a", None]])
async def test_what_is_no_text_is_the_class_s_fault(said: object) -> None:
    status, answer = told(await asking(Writes(said)))
    assert (status, answer["error"]["code"]) == (502, "model_failed")
    assert "where text should be" in answer["error"]["message"]


async def test_half_a_character_is_the_class_s_fault_and_no_mistake_of_the_engine() -> None:
    status, answer = told(await asking(Writes("half \ud800")))
    assert (status, answer["error"]["code"]) == (502, "model_failed")
    assert "half a character" in answer["error"]["message"]


def test_hints_that_are_not_taken_are_announced_and_the_rest_is_refused() -> None:
    code = code_of(Streams())

    def wanted(**more: object) -> tuple[str, ...]:
        body = json.dumps({"messages": MESSAGES, "seed": 1, "temperature": 1, "logit_bias": {}, **more}).encode()
        return read_wanted(body, Kind.CHAT, code, "m").dropped

    assert wanted() == ("temperature",)
    assert wanted(tools=[], n=1, stop=[], response_format={"type": "text"}, tool_choice="none") == ("temperature",)
    for name, value in (("stop", "x"), ("n", 2), ("logprobs", True), ("logit_bias", {"1": 2})):
        with pytest.raises(UnsupportedParameter) as refusal:
            wanted(**{name: value})
        assert refusal.value.param == name
