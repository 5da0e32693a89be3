"""Anthropic's streams, written for a caller: blocks one after the other, each begun, continued and ended."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from farmgate.core.errors import UpstreamInvalidResponse
from farmgate.core.event import Annotation, Event, Finish, Part, Reasoning, Refusal, Text, ToolDelta, Usage
from farmgate.wire.anthropic.stream import Frames, event_frame
from farmgate.wire.anthropic.usage import encode_usage
from farmgate.wire.anthropic.words import stop_reason
from farmgate.wire.strictjson import encode

__all__ = ["StreamWriter", "citation_of", "tool_id"]

PING = event_frame("ping", b'{"type":"ping"}')
STOP = event_frame("message_stop", b'{"type":"message_stop"}')
TEXT, THINKING = "text", "thinking"
decode_json = msgspec.json.Decoder().decode


def tool_id(told: str | None, message_id: str, number: int) -> str:
    """A call's own id, or one that is its alone."""
    return told or f"toolu_{message_id.removeprefix('msg_')}_{number}"


def citation_of(annotation: Annotation) -> dict[str, object]:
    """A page of the web that a text rests on, without the proof only Anthropic gives."""
    told = annotation.data.get("url_citation")
    page = told if isinstance(told, dict) else {}
    return {
        "type": "web_search_result_location",
        "url": page.get("url") or "",
        "title": page.get("title"),
        "cited_text": "",
        "encrypted_index": "",
    }


@dataclass(slots=True)
class Call:
    """A call of a tool on its way. `waiting`: arguments for which its block is not open yet."""

    id: str
    name: str
    said: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    state: str = "waiting"


@dataclass(slots=True, kw_only=True)
class StreamWriter:
    """Writes one stream for a caller: parts in, events out.

    Blocks never interleave: what is said of another call before the open one is complete waits for it.
    """

    id: str
    model: str
    dropped: tuple[str, ...] = ()
    has_begun: bool = False
    is_relayed: bool = False
    blocks: int = 0
    open: str | int | None = None
    """What the open block is: text, thinking, or the number of a call."""
    calls: dict[int, Call] = field(default_factory=dict)
    finish: Finish = field(default_factory=Finish)
    has_refused: bool = False
    pieces: int = 0
    usage: Usage | None = None

    def write(self, event: Event) -> bytes:
        """The events' bytes: their own where they came in this dialect. A whole answer's body is cut into its words."""
        if type(event) is Frames:
            self.is_relayed = True
            return event.raw
        out: list[bytes] = []
        if not self.has_begun:
            self._begin(out)
        for part in event.parts:
            if isinstance(part, Text) and part.choice == 0 and self.open == TEXT:  # Most are.
                out.append(self._text(part.text))
                self.pieces += 1
            else:
                self._write(part, out)
        if event.usage is not None:
            self.usage = event.usage
        return b"".join(out)

    def end(self) -> bytes:
        """What follows a whole answer."""
        if self.is_relayed:
            return b""
        out: list[bytes] = []
        if not self.has_begun:
            self._begin(out)
        self._close(out)
        self._flush(out)
        reason, sequence = stop_reason(self.finish, has_tools=bool(self.calls), has_refused=self.has_refused)
        usage = self.usage or Usage(completion_tokens=self.pieces, estimated=True)
        told = {
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": sequence},
            "usage": encode_usage(usage, dropped=self.dropped),
        }
        out += [event_frame("message_delta", encode(told)), STOP]
        return b"".join(out)

    def _begin(self, out: list[bytes]) -> None:
        """Nobody else tells what was asked for before the end: the last event corrects these counts."""
        self.has_begun = True
        message: dict[str, object] = {
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 0, "output_tokens": 0},
        }
        out.append(event_frame("message_start", encode({"type": "message_start", "message": message})))

    def _write(self, part: Part, out: list[bytes]) -> None:
        if isinstance(part, Finish):
            self.finish = part if part.choice == 0 else self.finish
        if getattr(part, "choice", 0):
            return
        match part:
            case Text() | Refusal():
                self.has_refused = self.has_refused or isinstance(part, Refusal)
                if part.text:
                    self._turn_to(TEXT, {"type": "text", "text": ""}, out)
                    out.append(self._text(part.text))
                    self.pieces += 1
            case Reasoning():
                self._think(part, out)
            case ToolDelta():
                self._call(part, out)
                self.pieces += 1
            case Annotation():
                self._turn_to(TEXT, {"type": "text", "text": ""}, out)
                out.append(self._delta({"type": "citations_delta", "citation": citation_of(part)}))
            case _:
                pass  # Usage is told at the end; the rest cannot be asked for in this dialect.

    def _think(self, part: Reasoning, out: list[bytes]) -> None:
        if part.text or part.signature:
            self._turn_to(THINKING, {"type": "thinking", "thinking": "", "signature": ""}, out)
        if part.text:
            out.append(self._delta({"type": "thinking_delta", "thinking": part.text}))
            self.pieces += 1
        if part.signature:
            out.append(self._delta({"type": "signature_delta", "signature": part.signature}))
            self._close(out)
        if part.redacted is not None:
            self._turn_to(None, {"type": "redacted_thinking", "data": part.redacted}, out)
            self._close(out)

    def _call(self, part: ToolDelta, out: list[bytes]) -> None:
        call = self.calls.get(part.index)
        if call is None:
            own = tool_id(part.id, self.id, part.index)
            call = self.calls[part.index] = Call(id=own, name=part.name or "")
        if part.arguments:
            call.waiting.append(part.arguments)
        if call.state == "over" and part.arguments:
            raise UpstreamInvalidResponse("The provider goes on with a tool call after the next thing it said.")
        if self.open == part.index:
            self._say(call, out)
        elif call.state == "waiting" and self._may_turn():
            self._open_call(part.index, call, out)

    def _may_turn(self) -> bool:
        """Whether the open block is complete: text and thoughts always, a call where its arguments are JSON."""
        if not isinstance(self.open, int):
            return True
        try:
            decode_json("".join(self.calls[self.open].said))
        except msgspec.DecodeError:
            return False
        return True

    def _open_call(self, number: int, call: Call, out: list[bytes]) -> None:
        self._turn_to(number, {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}, out)
        call.state = "open"
        self._say(call, out)

    def _say(self, call: Call, out: list[bytes]) -> None:
        if call.waiting:
            out.append(self._delta({"type": "input_json_delta", "partial_json": "".join(call.waiting)}))
            call.said += call.waiting
            call.waiting.clear()

    def _flush(self, out: list[bytes]) -> None:
        """Write the calls that still wait, one after the other."""
        for number, call in self.calls.items():
            if call.state == "waiting":
                self._open_call(number, call, out)
        self._close(out)

    def _turn_to(self, kind: str | int | None, block: dict[str, object], out: list[bytes]) -> None:
        """Make a block of that kind the open one; None is never open already."""
        if kind is not None and self.open == kind:
            return
        self._close(out)
        if isinstance(kind, str):
            self._flush(out)
        told = {"type": "content_block_start", "index": self.blocks, "content_block": block}
        out.append(event_frame("content_block_start", encode(told)))
        if self.blocks == 0:
            out.append(PING)
        self.open = "" if kind is None else kind

    def _close(self, out: list[bytes]) -> None:
        if self.open is None:
            return
        if isinstance(self.open, int):
            self.calls[self.open].state = "over"
        told = {"type": "content_block_stop", "index": self.blocks}
        out.append(event_frame("content_block_stop", encode(told)))
        self.blocks += 1
        self.open = None

    def _delta(self, delta: dict[str, object]) -> bytes:
        told = {"type": "content_block_delta", "index": self.blocks, "delta": delta}
        return event_frame("content_block_delta", encode(told))

    def _text(self, text: str) -> bytes:
        return (
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,'
            b'"delta":{"type":"text_delta","text":%b}}\n\n' % (self.blocks, encode(text))
        )
