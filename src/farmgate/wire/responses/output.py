"""The output of a response: parts of an answer in; its items, and the events that tell of them, out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from farmgate.core.event import (
    Annotation,
    Finish,
    FinishReason,
    Logprobs,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolDelta,
    Usage,
)
from farmgate.wire.responses.seal import REDACTED, SIGNED, seal

__all__ = ["Output", "Told"]

Told: TypeAlias = tuple[str, dict[str, object]]
"""One event: its type and its fields, the sequence number left out."""
INCOMPLETE = {FinishReason.LENGTH: "max_output_tokens", FinishReason.CONTENT_FILTER: "content_filter"}


@dataclass(slots=True)
class Speech:
    """A message under way: its finished content, and the part that is being said."""

    index: int
    id: str
    content: list[dict[str, object]] = field(default_factory=list)
    kind: str = ""
    pieces: list[str] = field(default_factory=list)
    logprobs: list[dict[str, object]] = field(default_factory=list)
    annotations: list[Mapping[str, object]] = field(default_factory=list)


@dataclass(slots=True)
class Thought:
    """A thought under way."""

    index: int
    id: str
    pieces: list[str] = field(default_factory=list)
    is_shown: bool = False
    encrypted: str | None = None


@dataclass(slots=True)
class Call:
    """A function call under way; it begins when its name is known."""

    index: int = -1
    id: str = ""
    call_id: str = ""
    name: str = ""
    pieces: list[str] = field(default_factory=list)
    signature: str | None = None


class Output:
    """`seed` makes the ids of the items unique. Calls of functions end together: their pieces may come in turns."""

    __slots__ = ("_calls", "_seed", "_speech", "_thought", "finish", "items", "usage")

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._speech: Speech | None = None
        self._thought: Thought | None = None
        self._calls: dict[int, Call] = {}
        self.items: list[dict[str, object]] = []
        """What there is so far; an item is whole once it has ended."""
        self.finish: Finish | None = None
        self.usage: Usage | None = None

    @property
    def incomplete(self) -> str | None:
        """Why the answer is not the whole one, where it is not."""
        return INCOMPLETE.get(self.finish.reason) if self.finish else None

    @property
    def status(self) -> str:
        return "incomplete" if self.incomplete else "completed"

    def add(self, parts: Sequence[Part]) -> list[Told]:
        """What the parts of one event tell. Answers beside the first are passed over: this dialect has one."""
        told: list[Told] = []
        for at, part in enumerate(parts):
            match part:
                case Usage():
                    self.usage = part
                case Text(choice=0) if part.text:
                    logprobs = logprobs_of(parts, at + 1) if len(parts) > at + 1 else []
                    told += self._say("output_text", part.text, logprobs)
                case Refusal(choice=0) if part.text:
                    told += self._say("refusal", part.text, [])
                case Reasoning(choice=0):
                    told += self._think(part)
                case ToolDelta(choice=0):
                    told += self._call(part)
                case Annotation(choice=0):
                    told += self._annotate(part)
                case Finish(choice=0):
                    self.finish = part
                    told += self.close()
                case _:
                    pass
        return told

    def close(self) -> list[Told]:
        """End all that is under way."""
        told = [*self._end_thought(), *self._end_speech()]
        for call in self._calls.values():
            told += self._end_call(call)
        self._calls.clear()
        return told

    def _begin(self, prefix: str, item: dict[str, object]) -> tuple[int, str]:
        index = len(self.items)
        item_id = f"{prefix}_{self._seed}{index:03x}"
        self.items.append({"type": item["type"], "id": item_id, **item})
        return index, item_id

    def _added(self, index: int) -> Told:
        return "response.output_item.added", {"output_index": index, "item": dict(self.items[index])}

    def _done(self, index: int) -> Told:
        return "response.output_item.done", {"output_index": index, "item": self.items[index]}

    # ------------------------------------------------------------------------------------------ what is said

    def _say(self, kind: str, text: str, logprobs: list[dict[str, object]]) -> list[Told]:
        told: list[Told] = []
        speech = self._speech
        if speech is None:
            speech = self._begin_speech(told)
        if speech.kind != kind:
            told += end_part(speech)
            speech.kind = kind
            told.append(("response.content_part.added", at_part(speech) | {"part": part_of(Speech(0, "", kind=kind))}))
        speech.pieces.append(text)
        if kind == "refusal":
            told.append(("response.refusal.delta", at_part(speech) | {"delta": text}))
        else:
            speech.logprobs += logprobs
            told.append(("response.output_text.delta", at_part(speech) | {"delta": text, "logprobs": logprobs}))
        return told

    def _begin_speech(self, told: list[Told]) -> Speech:
        told += self._end_thought()
        item: dict[str, object] = {"type": "message", "status": "in_progress", "role": "assistant", "content": []}
        self._speech = speech = Speech(*self._begin("msg", item))
        told.append(self._added(speech.index))
        return speech

    def _annotate(self, part: Annotation) -> list[Told]:
        speech = self._speech
        if speech is None or speech.kind != "output_text":
            return []
        annotation = flat(part.data)
        speech.annotations.append(annotation)
        told = {"annotation_index": len(speech.annotations) - 1, "annotation": annotation}
        return [("response.output_text.annotation.added", at_part(speech) | told)]

    def _end_speech(self) -> list[Told]:
        speech, self._speech = self._speech, None
        if speech is None:
            return []
        told = end_part(speech)
        self.items[speech.index] |= {"status": self.status, "content": speech.content}
        return [*told, self._done(speech.index)]

    # ------------------------------------------------------------------------------------------ what is thought

    def _think(self, part: Reasoning) -> list[Told]:
        if part.redacted is not None:
            told = [*self._end_thought(), *self._end_speech()]
            sealed = seal(REDACTED, part.redacted)
            index, _ = self._begin("rs", {"type": "reasoning", "summary": [], "encrypted_content": sealed})
            return [*told, self._added(index), self._done(index)]
        told = []
        thought = self._thought
        if thought is None:
            if not part.text and part.signature is None:
                return []
            told += self._end_speech()
            self._thought = thought = Thought(*self._begin("rs", {"type": "reasoning", "summary": []}))
            told.append(self._added(thought.index))
        told += shown(thought, part.text)
        if part.signature is not None:
            thought.encrypted = seal(SIGNED, part.signature)
            told += self._end_thought()
        return told

    def _end_thought(self) -> list[Told]:
        thought, self._thought = self._thought, None
        if thought is None:
            return []
        told: list[Told] = []
        item = self.items[thought.index]
        if thought.is_shown:
            part: dict[str, object] = {"type": "summary_text", "text": "".join(thought.pieces)}
            item["summary"] = [part]
            told.append(("response.reasoning_summary_text.done", at_summary(thought) | {"text": part["text"]}))
            told.append(("response.reasoning_summary_part.done", at_summary(thought) | {"part": part}))
        if thought.encrypted is not None:
            item["encrypted_content"] = thought.encrypted
        return [*told, self._done(thought.index)]

    # ------------------------------------------------------------------------------------------ what is called

    def _call(self, part: ToolDelta) -> list[Told]:
        call = self._calls.setdefault(part.index, Call())
        call.signature = part.signature or call.signature
        call.call_id = call.call_id or part.id or ""
        if part.arguments:
            call.pieces.append(part.arguments)
        if call.index >= 0:
            return [arguments_delta(call, part.arguments)] if part.arguments else []
        call.name = part.name or ""
        return self._begin_call(call) if call.name else []

    def _begin_call(self, call: Call) -> list[Told]:
        told = [*self._end_thought(), *self._end_speech()]
        call.call_id = call.call_id or f"call_{self._seed}{len(self.items):03x}"
        item: dict[str, object] = {"type": "function_call", "status": "in_progress", "call_id": call.call_id}
        call.index, call.id = self._begin("fc", item | {"name": call.name, "arguments": ""})
        told.append(self._added(call.index))
        return [*told, arguments_delta(call, "".join(call.pieces))] if call.pieces else told

    def _end_call(self, call: Call) -> list[Told]:
        told = [] if call.index >= 0 else self._begin_call(call)
        if not call.pieces and not self.incomplete:
            # Whoever reads arguments expects an object.
            call.pieces.append("{}")
            told.append(arguments_delta(call, "{}"))
        arguments = "".join(call.pieces)
        item = self.items[call.index]
        item |= {"status": self.status, "arguments": arguments}
        if call.signature is not None:
            item["signature"] = call.signature
        told.append(
            (
                "response.function_call_arguments.done",
                {"item_id": call.id, "output_index": call.index, "name": call.name, "arguments": arguments},
            )
        )
        return [*told, self._done(call.index)]


def at_part(speech: Speech) -> dict[str, object]:
    """Where a piece of a message belongs."""
    return {"item_id": speech.id, "output_index": speech.index, "content_index": len(speech.content)}


def at_summary(thought: Thought) -> dict[str, object]:
    return {"item_id": thought.id, "output_index": thought.index, "summary_index": 0}


def part_of(speech: Speech) -> dict[str, object]:
    """The part of a message that is being said, as far as it is."""
    text = "".join(speech.pieces)
    if speech.kind == "refusal":
        return {"type": "refusal", "refusal": text}
    return {"type": "output_text", "text": text, "annotations": speech.annotations, "logprobs": speech.logprobs}


def end_part(speech: Speech) -> list[Told]:
    """The part that was being said is whole."""
    if not speech.kind:
        return []
    part, place = part_of(speech), at_part(speech)
    if speech.kind == "refusal":
        said: Told = "response.refusal.done", place | {"refusal": part["refusal"]}
    else:
        said = "response.output_text.done", place | {"text": part["text"], "logprobs": speech.logprobs}
    speech.content.append(part)
    speech.kind, speech.pieces, speech.logprobs, speech.annotations = "", [], [], []
    return [said, ("response.content_part.done", place | {"part": part})]


def shown(thought: Thought, text: str) -> list[Told]:
    """A piece of a thought."""
    if not text:
        return []
    told: list[Told] = []
    if not thought.is_shown:
        thought.is_shown = True
        empty: dict[str, object] = {"part": {"type": "summary_text", "text": ""}}
        told.append(("response.reasoning_summary_part.added", at_summary(thought) | empty))
    thought.pieces.append(text)
    return [*told, ("response.reasoning_summary_text.delta", at_summary(thought) | {"delta": text})]


def arguments_delta(call: Call, text: str) -> Told:
    place = {"item_id": call.id, "output_index": call.index}
    return "response.function_call_arguments.delta", place | {"delta": text}


def logprobs_of(parts: Sequence[Part], begin: int) -> list[dict[str, object]]:
    """The log probabilities behind a piece of text, each with all the fields its readers expect."""
    tokens: list[Mapping[str, object]] = []
    for part in parts[begin:]:
        if isinstance(part, Text):
            break
        if isinstance(part, Logprobs) and not part.choice:
            tokens += part.tokens
    return [
        {**token, "bytes": token.get("bytes") or [], "top_logprobs": token.get("top_logprobs") or []}
        for token in tokens
    ]


def flat(annotation: Mapping[str, object]) -> Mapping[str, object]:
    """An annotation without the object a chat puts around its fields."""
    kind = str(annotation.get("type", ""))
    inner = annotation.get(kind)
    return {"type": kind, **inner} if isinstance(inner, Mapping) else annotation
