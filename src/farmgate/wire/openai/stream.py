"""OpenAI's streams: frames read from a provider, frames written for a caller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from farmgate.core.errors import FarmError, UpstreamInvalidResponse
from farmgate.core.event import (
    Annotation,
    Event,
    Finish,
    Logprobs,
    Part,
    Ranked,
    Reasoning,
    Refusal,
    Said,
    Text,
    ToolDelta,
    Usage,
    Vector,
)
from farmgate.core.request import Dialect, Kind
from farmgate.wire.openai.errors import decode_told_error, is_flat_error
from farmgate.wire.openai.proofs import encode_proof
from farmgate.wire.openai.usage import decode_usage, encode_usage
from farmgate.wire.openai.words import chunk_parts
from farmgate.wire.sse import DONE, FrameTooLarge, Splitter, frame
from farmgate.wire.strictjson import encode
from farmgate.wire.upstream import prove_end, proved

__all__ = ["Frames", "StreamReader", "StreamWriter", "encode_logprobs"]

# Before Python 3.12 a member looked up on its class costs as much as three function calls.
OPENAI = Dialect.OPENAI
EMPTY = (b"", b"null", b'""', b"[]")
NONE = msgspec.Raw(b"")
NO_CHUNK = "sent a frame that is not a chunk of an answer"


class HeadDelta(msgspec.Struct):
    """The fields of a delta that bear content."""

    content: msgspec.Raw = NONE
    tool_calls: msgspec.Raw = NONE
    reasoning_content: msgspec.Raw = NONE
    reasoning: msgspec.Raw = NONE
    refusal: msgspec.Raw = NONE
    function_call: msgspec.Raw = NONE


class HeadChoice(msgspec.Struct):
    """What must be known of a choice to relay it."""

    index: int = 0
    finish_reason: str | None = None
    delta: HeadDelta | None = None
    text: msgspec.Raw = NONE


class Head(msgspec.Struct):
    """What must be known of a frame to relay it; decoding this also proves that the frame is JSON."""

    choices: list[HeadChoice] | None = None
    usage: msgspec.Raw = NONE
    error: msgspec.Raw = NONE


decode_head = msgspec.json.Decoder(Head).decode
decode_raw = msgspec.json.Decoder(msgspec.Raw).decode


def bears_content(choice: HeadChoice) -> bool:
    """Whether a choice says something, rather than only who speaks or that it ended."""
    delta = choice.delta
    if delta is None:
        return bytes(choice.text) not in EMPTY
    # Most frames are text: asked first.
    return bytes(delta.content) not in EMPTY or any(
        bytes(value) not in EMPTY
        for value in (
            delta.tool_calls,
            delta.reasoning_content,
            delta.reasoning,
            delta.refusal,
            delta.function_call,
        )
    )


class Frames(Event):
    """Whole frames as they came from an OpenAI-compatible provider; the words are decoded on demand."""

    __slots__ = ("payloads",)

    def __init__(self, raw: bytes, payloads: list[bytes], *, bears_content: bool, usage: Usage | None) -> None:
        self.raw = raw
        self.dialect = OPENAI
        self.bears_content = bears_content
        self.usage = usage
        self.payloads = payloads

    @property
    def parts(self) -> tuple[Part, ...]:
        if len(self.payloads) == 1:  # Nearly always.
            return tuple(chunk_parts(self.payloads[0]))
        return tuple(part for payload in self.payloads for part in chunk_parts(payload))


class StreamReader:
    """Reads one stream of a provider: bytes in, events out, and whether the answer came to its end.

    Complete means: every choice that began has a finish_reason. `[DONE]` alone does not make an answer whole, and
    its absence does not make it partial.
    """

    __slots__ = (
        "_finished",
        "_has_said",
        "_one_choice",
        "_provider",
        "_seen",
        "_show_usage",
        "_splitter",
        "failure",
        "is_done",
    )

    def __init__(
        self, *, provider: str, show_usage: bool, frame_bytes: int = 8 << 20, one_choice: bool = False
    ) -> None:
        """`show_usage`: relay the frame that only reports usage; it is read either way.

        `one_choice`: one answer was asked for, so a frame that ends nothing need not be looked into to relay it.
        """
        self._one_choice = one_choice
        self._splitter = Splitter(frame_bytes, joint=b" ")
        self._provider = provider
        self._show_usage = show_usage
        self._seen: set[int] = set()
        self._finished: set[int] = set()
        self._has_said = False
        self.is_done = False
        self.failure: FarmError | None = None
        """What broke the stream behind frames that are still to be relayed; `end` raises it."""

    def feed(self, data: bytes) -> Event | None:
        """What `data` completes, in one event; None if nothing. Raises FarmError for an error frame or nonsense."""
        if self.is_done:
            return None
        try:
            payloads = self._splitter.feed(data)
        except FrameTooLarge as error:
            return self._before(error)
        if not payloads:
            return None
        if self._one_choice and self._has_said and len(payloads) == 1 and self._is_middle(payloads[0]):
            return Frames(frame(payloads[0]), payloads, bears_content=True, usage=None)
        return self._look_into(payloads)

    def _before(self, broken: FrameTooLarge) -> Event | None:
        """What came before a frame that is too large."""
        event = self._look_into(broken.found)
        if not self.is_done:
            failure = UpstreamInvalidResponse(f"{self._provider} sent a frame larger than the limit.")
            if event is None:
                raise failure from broken
            self.failure, self.is_done = failure, True
        return event

    def _is_middle(self, payload: bytes) -> bool:
        """Whether a frame says that the only answer goes on: by far the most of them do.

        The signs cannot stand in a text: there its quotes would be escaped. Looked for with `find`, because `in` raises
        and drops an exception inside whenever what it looks for is bytes.
        """
        find = payload.find
        if (
            find(b'"finish_reason":null') < 0
            # Tool calls have an index too, but neither of these. The second is how Azure writes it.
            or (find(b'"index":0,"delta":{') < 0 and find(b'"index":0,"logprobs":') < 0)
            or find(b'"content":""') >= 0
            or find(b'"error":') >= 0
            or (find(b'"usage":') >= 0 and find(b'"usage":null') < 0)
        ):
            return False
        proved(payload, decode_raw, self._provider, NO_CHUNK)  # No other is ever relayed.
        return True

    def _look_into(self, payloads: Sequence[bytes]) -> Event | None:
        kept: list[bytes] = []
        content = False
        usage: Usage | None = None
        for payload in payloads:
            if self.is_done:
                break
            if payload == b"[DONE]":
                self.is_done = True
                break
            try:
                head = self._look(payload)
            except FarmError as error:
                if not kept and usage is None:
                    raise
                self.failure, self.is_done = error, True
                break
            told = bytes(head.usage)
            if told not in EMPTY:
                usage = decode_usage(told) or usage
            if head.choices:
                for choice in head.choices:
                    self._note(choice)
                    content = content or bears_content(choice)
                kept.append(payload)
            elif told in EMPTY or self._show_usage:
                kept.append(payload)
        if not kept and usage is None:
            return None
        self._has_said = self._has_said or content
        return Frames(b"".join(map(frame, kept)), kept, bears_content=content, usage=usage)

    def end(self) -> Event | None:
        """The stream ended. Raises what broke it, or UpstreamStreamTruncated unless the answer is whole."""
        is_whole = bool(self._seen) and not self._seen - self._finished
        prove_end(self, is_whole=is_whole, provider=self._provider)
        return None

    def _look(self, payload: bytes) -> Head:
        head = proved(payload, decode_head, self._provider, NO_CHUNK)
        if head.error is not NONE and bytes(head.error) not in EMPTY:
            raise decode_told_error(payload, provider=self._provider)
        if head.choices is None and head.usage is NONE and is_flat_error(payload):
            raise decode_told_error(payload, provider=self._provider)
        return head

    def _note(self, choice: HeadChoice) -> None:
        self._seen.add(choice.index)
        if choice.finish_reason:
            self._finished.add(choice.index)


@dataclass(slots=True, kw_only=True)
class StreamWriter:
    """Writes one stream for a caller: parts in, frames out."""

    id: str
    kind: Kind
    model: str
    created_unix: int
    show_usage: bool = False
    dropped: tuple[str, ...] = ()
    began: frozenset[int] = frozenset()

    def write(self, event: Event) -> bytes:
        """The frames of an event: its own where it came in this dialect; the first of each choice names the assistant.

        Bytes of a stream only: an event that holds a whole answer's body is cut into its words.
        """
        if type(event) is Frames:
            return event.raw
        return b"".join(frame(encode(chunk)) for part in event.parts for chunk in self._chunks(part))

    def end(self) -> bytes:
        """What follows a whole answer."""
        return DONE

    def _chunks(self, part: Part) -> list[dict[str, object]]:
        if isinstance(part, Usage):
            told = encode_usage(part, dropped=self.dropped)
            return [self._chunk([]) | {"usage": told}] if self.show_usage else []
        if isinstance(part, Vector | Ranked) or (isinstance(part, Reasoning) and not part.text):
            # A proof of thoughts has no place here; that of a call travels with the call.
            return []
        if self.kind is Kind.COMPLETION:
            return [self._chunk([completion_choice(part)])]
        delta = chat_delta(part)
        if part.choice not in self.began:
            self.began |= {part.choice}
            delta = {"role": "assistant", "content": ""} | delta
        reason = part.reason if isinstance(part, Finish) else None
        logprobs = encode_logprobs(part.tokens) if isinstance(part, Logprobs) else None
        return [self._chunk([{"index": part.choice, "delta": delta, "logprobs": logprobs, "finish_reason": reason}])]

    def _chunk(self, choices: list[dict[str, object]]) -> dict[str, object]:
        name = "text_completion" if self.kind is Kind.COMPLETION else "chat.completion.chunk"
        return {
            "id": self.id,
            "object": name,
            "created": self.created_unix,
            "model": self.model,
            "choices": choices,
        }


def encode_logprobs(tokens: tuple[Mapping[str, object], ...] | list[Mapping[str, object]]) -> dict[str, object]:
    """The log probabilities of a piece of an answer, or of a whole one."""
    return {"content": list(tokens), "refusal": None}


def completion_choice(part: Said) -> dict[str, object]:
    """One choice of a text completion's chunk."""
    text = part.text if isinstance(part, Text | Refusal) else ""
    reason = part.reason if isinstance(part, Finish) else None
    return {"index": part.choice, "text": text, "logprobs": None, "finish_reason": reason}


def chat_delta(part: Said) -> dict[str, object]:
    """What a part adds to a chat answer."""
    match part:
        case Text():
            return {"content": part.text}
        case Reasoning():
            return {"reasoning_content": part.text}
        case Refusal():
            return {"refusal": part.text}
        case ToolDelta():
            call: dict[str, object] = {"index": part.index}
            function: dict[str, object] = {"arguments": part.arguments}
            if part.id is not None:
                call |= {"id": part.id, "type": "function"}
            if part.name is not None:
                function = {"name": part.name} | function
            return {"tool_calls": [call | {"function": function} | encode_proof(part.signature)]}
        case Annotation():
            return {"annotations": [part.data]}
        case Finish() | Logprobs():
            return {}
