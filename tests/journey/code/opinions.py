"""Models as people write them, for the tests: two versions of one that can everything, and some that go wrong."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from farmgate.core.errors import InvalidValue

GOOD = {"good", "great", "lovely"}


class Opinions:
    """Tells whether texts are kind, and how many it looked at together."""

    version = "first"

    def load(self) -> None:
        self.left = 0
        self.thread = threading.current_thread()

    def predict(self, inputs: list[Any]) -> list[dict[str, object]]:
        for text in inputs:
            if text == "raise":
                raise KeyError(f"the words of whoever sent it: {text}")
            if str(text).startswith("end "):
                # Noted where whoever asks says, so that each who got it is counted.
                with Path(text[4:]).open("a") as file:
                    file.write("x")
                os._exit(3)
            if text == "refuse":
                raise InvalidValue("`text` must not be like that.", param="text")
        return [
            {
                "label": "good" if GOOD & set(str(text).split()) else "bad",
                "version": self.version,
                "together": len(inputs),
                "left": self.left,
                "is_own_thread": threading.current_thread() is self.thread,
            }
            for text in inputs
        ]

    def embed(self, texts: list[str]) -> list[list[float]]:
        return [[float(len(text)), float(len(texts)), 0.5] for text in texts]

    def chat(self, messages: list[dict[str, Any]], *, temperature: float = 1.0) -> str:
        return f"{self.version} {messages[-1]['content']} at {temperature:g}"

    def stream(self, prompt_or_messages: Any) -> Iterator[str]:
        asked = prompt_or_messages if isinstance(prompt_or_messages, str) else prompt_or_messages[-1]["content"]
        if asked == "raise":
            raise KeyError("before anything was said")
        try:
            for word in f"{self.version} {asked}".split():
                yield f"{word} "
            while asked == "for ever":
                yield "and ever "
            if asked == "raise late":
                raise KeyError("after something was said")
        finally:
            # Somewhere else it is no use to whoever must clean up where it began.
            self.left += threading.current_thread() is self.thread


class Second(Opinions):
    """The next version."""

    version = "second"


class Labels:
    """Predicts and nothing else; its results make no tensor when asked for it."""

    def predict(self, inputs: list[Any]) -> list[object]:
        if inputs == ["short"]:
            return []
        return [object() if one == "odd" else len(str(one)) for one in inputs]


class Broken:
    """Cannot load."""

    def load(self) -> None:
        raise FileNotFoundError("/its/own/secret")

    predict = load
