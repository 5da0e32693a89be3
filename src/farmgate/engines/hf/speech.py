"""What a model's text means: an answer, thinking, and calls of tools, where its makers say how they are told apart.

They say it in a response template, which transformers reads (`ResponseParser`); a model without one only answers.
Source: https://huggingface.co/docs/transformers/main/en/chat_response_parsing
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, cast

from farmgate.core.event import Part, Reasoning, Text, ToolDelta
from farmgate.core.ids import new_id
from farmgate.wire.strictjson import encode

__all__ = ["Plain", "Speech", "Understood"]

CONTENT, CALLS = "content", "tool_calls"
THINKING = frozenset({"thinking", "reasoning", "reasoning_content"})


class Speech(Protocol):
    """For one answer: text in, in any pieces, and parts out."""

    @property
    def calls(self) -> int:
        """How many tools have been called."""

    def begin(self) -> tuple[Part, ...]:
        """What the prompt has already begun to say for the model."""

    def feed(self, text: str) -> tuple[Part, ...]: ...

    def end(self) -> tuple[Part, ...]: ...


class Plain:
    """All of it is the answer."""

    __slots__ = ()

    calls = 0

    def begin(self) -> tuple[Part, ...]:
        return ()

    def feed(self, text: str) -> tuple[Part, ...]:
        return (Text(text),) if text else ()

    def end(self) -> tuple[Part, ...]:
        return ()


class Understood:
    """What a ResponseParser says of it. Text that it cannot read is text: a call that is none is shown as it is."""

    __slots__ = ("_body", "_parser", "calls")

    def __init__(self, parser: Any) -> None:
        self._parser = parser
        self._body: list[str] | None = None
        """What has come of a region that is only understood as a whole."""
        self.calls = 0

    def begin(self) -> tuple[Part, ...]:
        return self._parts(self._parser.initial_events)

    def feed(self, text: str) -> tuple[Part, ...]:
        if not text:
            return ()
        if self._parser is None:
            return (Text(text),)
        try:
            return self._parts(self._parser.feed(text))
        except Exception:  # noqa: BLE001 - what a model writes need not be what its makers meant it to write
            return (*self._give_up(), Text(text))

    def end(self) -> tuple[Part, ...]:
        if self._parser is None:
            return ()
        try:
            _, events = self._parser.finalize()
            return self._parts(events)
        except Exception:  # noqa: BLE001 - as where a call is cut off in its middle
            return self._give_up()

    def _give_up(self) -> tuple[Part, ...]:
        """From here on all is text, what has come of the region that cannot be read first."""
        self._parser = None
        body, self._body = "".join(self._body or ()), None
        return (Text(body),) if body else ()

    def _parts(self, events: Iterable[Mapping[str, Any]]) -> tuple[Part, ...]:
        return tuple(part for event in events for part in self._part(event))

    def _part(self, event: Mapping[str, Any]) -> tuple[Part, ...]:
        field, kind = event["field"], event["type"]
        if kind == "region_open":
            self._body = None if field == CONTENT or field in THINKING else []
        elif kind == "region_close":
            self._body = None
            if field == CALLS:
                return self._called(event["value"])
        elif field == CONTENT:
            return (Text(event["text"]),)
        elif field in THINKING:
            return (Reasoning(event["text"]),)
        elif self._body is not None:
            self._body.append(event["text"])
        return ()

    def _called(self, value: object) -> tuple[Part, ...]:
        """A region is one call or a list of them."""
        parts: list[Part] = []
        for call in value if isinstance(value, list) else [value]:
            function = cast("Mapping[str, Any]", call)["function"]
            arguments = function.get("arguments") or {}
            text = arguments if isinstance(arguments, str) else encode(arguments).decode()
            parts.append(ToolDelta(index=self.calls, id=f"call_{new_id()}", name=str(function["name"]), arguments=text))
            self.calls += 1
        return tuple(parts)
