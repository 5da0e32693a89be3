"""Messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from farmgate.mock.saying import Frame, Saying, Trouble, encode_usage
from farmgate.wire.strictjson import encode

__all__ = ["Messages"]

FINISH = {"stop": "end_turn", "length": "max_tokens", "filter": "refusal"}
TYPES: Mapping[int, str] = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class Messages:
    """Anthropic's form."""

    stream_type = "text/event-stream"

    def frames(self, saying: Saying) -> Iterator[Frame]:
        message = self._message(saying, [], finish=None, said=1)
        yield event({"type": "message_start", "message": message})
        block = {"type": "text", "text": ""}
        yield event({"type": "content_block_start", "index": 0, "content_block": block})
        yield event({"type": "ping"})
        for text in saying.pieces():
            yield self.text_frame(saying, text)
        yield event({"type": "content_block_stop", "index": 0})
        usage = encode_usage(saying.plan.usage, {"output_tokens": saying.tokens})
        delta: dict[str, object] = {
            "type": "message_delta",
            "delta": {"stop_reason": FINISH[saying.finish], "stop_sequence": None},
        }
        data = encode(delta if usage == {} else delta | {"usage": usage})
        yield Frame(data, event="message_delta", tells_finish=True, tells_usage=True)
        yield Frame(encode({"type": "message_stop"}), event="message_stop", is_done=True)

    def text_frame(self, saying: Saying, text: str) -> Frame:
        delta = {"type": "text_delta", "text": text}
        data = encode({"type": "content_block_delta", "index": 0, "delta": delta})
        return Frame(data, event="content_block_delta", is_text=True)

    def whole(self, saying: Saying) -> object:
        block = {"type": "text", "text": "".join(saying.pieces())}
        finish = None if saying.plan.no_finish else FINISH[saying.finish]
        return self._message(saying, [block], finish=finish, said=saying.tokens)

    def hollow(self, saying: Saying) -> object:
        return self._message(saying, [], finish=FINISH[saying.finish], said=0)

    def _message(
        self, saying: Saying, content: list[dict[str, str]], *, finish: str | None, said: int
    ) -> dict[str, object]:
        figures = {
            "input_tokens": saying.ask.prompt_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": said,
        }
        usage = encode_usage(saying.plan.usage, figures)
        message: dict[str, object] = {
            "id": f"msg_{saying.id}",
            "type": "message",
            "role": "assistant",
            "model": saying.model,
            "content": content,
            "stop_reason": finish,
            "stop_sequence": None,
        }
        return message if usage == {} else message | {"usage": usage}

    def trouble(self, trouble: Trouble, saying: Saying) -> object:
        kind = TYPES.get(trouble.status, "invalid_request_error" if trouble.status < 500 else "api_error")
        error = {"type": trouble.code or kind, "message": trouble.message}
        return {"type": "error", "error": error, "request_id": f"req_{saying.id}"}

    def trouble_frame(self, trouble: Trouble, saying: Saying) -> Frame:
        return Frame(encode(self.trouble(trouble, saying)), event="error")


def event(fields: Mapping[str, object]) -> Frame:
    """An event is named as its type."""
    return Frame(encode(fields), event=str(fields["type"]))
