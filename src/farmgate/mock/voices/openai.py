"""Chat completions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from farmgate.mock.saying import Frame, Saying, Trouble, encode_usage
from farmgate.wire.strictjson import encode

__all__ = ["FINISH", "ChatCompletions", "encode_trouble", "figures"]

FINISH = {"stop": "stop", "length": "length", "filter": "content_filter"}
CODES: Mapping[int, tuple[str, str | None]] = {
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("invalid_request_error", "unsupported_country_region_territory"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}


def figures(saying: Saying) -> dict[str, int]:
    prompt, said = saying.ask.prompt_tokens, saying.tokens
    return {"prompt_tokens": prompt, "completion_tokens": said, "total_tokens": prompt + said}


def encode_trouble(trouble: Trouble) -> dict[str, object]:
    """The error object, under `error`."""
    server = ("server_error", None)
    kind, code = CODES.get(trouble.status, ("invalid_request_error", None) if trouble.status < 500 else server)
    return {"message": trouble.message, "type": kind, "param": None, "code": trouble.code or code}


class ChatCompletions:
    """OpenAI's oldest living form."""

    stream_type = "text/event-stream"

    def frames(self, saying: Saying) -> Iterator[Frame]:
        yield self._chunk(saying, {"role": "assistant", "content": "", "refusal": None})
        for text in saying.pieces():
            yield self.text_frame(saying, text)
        yield self._chunk(saying, {}, finish=FINISH[saying.finish])
        if saying.ask.want_usage:
            usage = encode_usage(saying.plan.usage, figures(saying))
            if usage != {}:
                frame = self._envelope(saying) | {"choices": [], "usage": usage}
                yield Frame(encode(frame), tells_usage=True)
        yield Frame(b"[DONE]", is_done=True)

    def text_frame(self, saying: Saying, text: str) -> Frame:
        return self._chunk(saying, {"content": text}, is_text=True)

    def _envelope(self, saying: Saying) -> dict[str, object]:
        return {
            "id": f"chatcmpl-{saying.id}",
            "object": "chat.completion.chunk",
            "created": int(saying.now),
            "model": saying.model,
        }

    def _chunk(
        self, saying: Saying, delta: Mapping[str, object], *, finish: str | None = None, is_text: bool = False
    ) -> Frame:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        usage = {"usage": None} if saying.ask.want_usage else {}
        data = encode(self._envelope(saying) | {"choices": [choice]} | usage)
        return Frame(data, is_text=is_text, tells_finish=finish is not None)

    def whole(self, saying: Saying) -> object:
        message: dict[str, object] = {
            "role": "assistant",
            "content": "".join(saying.pieces()),
            "refusal": None,
            "annotations": [],
        }
        finish = None if saying.plan.no_finish else FINISH[saying.finish]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
        return self._whole(saying, [choice])

    def hollow(self, saying: Saying) -> object:
        return self._whole(saying, [])

    def _whole(self, saying: Saying, choices: list[dict[str, object]]) -> object:
        usage = encode_usage(saying.plan.usage, figures(saying))
        told = {} if usage == {} else {"usage": usage}
        return self._envelope(saying) | {"object": "chat.completion", "choices": choices} | told

    def trouble(self, trouble: Trouble, saying: Saying) -> object:
        return {"error": encode_trouble(trouble)}

    def trouble_frame(self, trouble: Trouble, saying: Saying) -> Frame:
        return Frame(encode(self.trouble(trouble, saying)))
