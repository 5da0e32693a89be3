"""OpenAI's Responses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from farmgate.mock.saying import Frame, Saying, Trouble, encode_usage
from farmgate.mock.voices.openai import encode_trouble
from farmgate.wire.strictjson import encode

__all__ = ["Responses"]

REASONS = {"length": "max_output_tokens", "filter": "content_filter"}


@dataclass(slots=True)
class Numbered:
    """Events, counted as they are made."""

    saying: Saying
    number: int = 0
    said: list[str] = field(default_factory=list)

    def event(self, kind: str, /, **fields: object) -> Frame:
        data = encode({"type": kind, "sequence_number": self.number} | fields)
        self.number += 1
        is_last = kind in ("response.completed", "response.incomplete")
        return Frame(
            data,
            event=kind,
            is_text=kind == "response.output_text.delta",
            tells_finish=is_last,
            tells_usage=is_last,
            is_done=is_last,
        )


class Responses:
    """The form with the most events."""

    stream_type = "text/event-stream"

    def frames(self, saying: Saying) -> Iterator[Frame]:
        events = Numbered(saying)
        begun = response(saying, [], status="in_progress")
        yield events.event("response.created", response=begun)
        yield events.event("response.in_progress", response=begun)
        where = {"item_id": f"msg_{saying.id}", "output_index": 0, "content_index": 0}
        yield events.event("response.output_item.added", output_index=0, item=item(saying, None))
        yield events.event("response.content_part.added", **where, part=part(""))
        texts = []
        for text in saying.pieces():
            texts.append(text)
            yield events.event("response.output_text.delta", **where, delta=text, logprobs=[])
        text = "".join(texts)
        yield events.event("response.output_text.done", **where, text=text, logprobs=[])
        yield events.event("response.content_part.done", **where, part=part(text))
        yield events.event("response.output_item.done", output_index=0, item=item(saying, text))
        last = "response.completed" if saying.finish == "stop" else "response.incomplete"
        yield events.event(last, response=ended(saying, [item(saying, text)]))

    def text_frame(self, saying: Saying, text: str) -> Frame:
        where = {"item_id": f"msg_{saying.id}", "output_index": 0, "content_index": 0}
        return Numbered(saying).event("response.output_text.delta", **where, delta=text, logprobs=[])

    def whole(self, saying: Saying) -> object:
        return ended(saying, [item(saying, "".join(saying.pieces()))])

    def hollow(self, saying: Saying) -> object:
        return ended(saying, [])

    def trouble(self, trouble: Trouble, saying: Saying) -> object:
        return {"error": encode_trouble(trouble)}

    def trouble_frame(self, trouble: Trouble, saying: Saying) -> Frame:
        error = encode_trouble(trouble)
        code = error["code"] or error["type"]
        fields = {"type": "error", "code": code, "message": trouble.message, "param": None, "sequence_number": 0}
        return Frame(encode(fields), event="error")


def part(text: str) -> dict[str, object]:
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


def item(saying: Saying, text: str | None) -> dict[str, object]:
    """A message: one that begins, where there is no text."""
    return {
        "id": f"msg_{saying.id}",
        "type": "message",
        "status": "in_progress" if text is None else "completed",
        "content": [] if text is None else [part(text)],
        "role": "assistant",
    }


def ended(saying: Saying, output: list[dict[str, object]]) -> dict[str, object]:
    """A response that is over, one way or the other."""
    prompt, said = saying.ask.prompt_tokens, saying.tokens
    usage = encode_usage(
        saying.plan.usage, {"input_tokens": prompt, "output_tokens": said, "total_tokens": prompt + said}
    )
    if usage and saying.plan.usage in (None, "twice"):
        usage |= {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    reason = REASONS.get(saying.finish)
    status = "in_progress" if saying.plan.no_finish else "incomplete" if reason else "completed"
    told = response(saying, output, status=status, reason=reason) | {"usage": usage}
    return {name: value for name, value in told.items() if (name, value) != ("usage", {})}


def response(
    saying: Saying, output: list[dict[str, object]], *, status: str, reason: str | None = None
) -> dict[str, object]:
    """The object that nearly every event carries."""
    details: Mapping[str, str] | None = {"reason": reason} if reason else None
    return {
        "id": f"resp_{saying.id}",
        "object": "response",
        "created_at": int(saying.now),
        "status": status,
        "error": None,
        "incomplete_details": details,
        "instructions": None,
        "max_output_tokens": saying.ask.max_tokens,
        "model": saying.model,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
        "metadata": {},
    }
