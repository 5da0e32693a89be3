"""Ollama's chat and generate: a line each, the last one says `done`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from farmgate.mock.saying import Frame, Saying, Trouble, encode_usage
from farmgate.wire.strictjson import encode

__all__ = ["Chat", "Generate", "stamp"]

FINISH = {"stop": "stop", "length": "length", "filter": "content_filter"}
MS = 1_000_000


def stamp(now: float) -> str:
    """A time as Ollama writes it, always as long."""
    return datetime.fromtimestamp(int(now), UTC).strftime("%Y-%m-%dT%H:%M:%S.000000Z")


class Chat:
    """`/api/chat`."""

    stream_type = "application/x-ndjson"

    def frames(self, saying: Saying) -> Iterator[Frame]:
        for text in saying.pieces():
            yield self.text_frame(saying, text)
        yield Frame(encode(self._last(saying, "")), is_done=True, tells_usage=True)

    def text_frame(self, saying: Saying, text: str) -> Frame:
        return Frame(encode(self._said(saying, text) | {"done": False}), is_text=True)

    def whole(self, saying: Saying) -> object:
        return self._last(saying, "".join(saying.pieces()))

    def hollow(self, saying: Saying) -> object:
        return self._last(saying, "")

    def said(self, text: str) -> dict[str, object]:
        return {"message": {"role": "assistant", "content": text}}

    def _said(self, saying: Saying, text: str) -> dict[str, object]:
        return {"model": saying.model, "created_at": stamp(saying.now)} | self.said(text)

    def _last(self, saying: Saying, text: str) -> dict[str, object]:
        counts = {"prompt_eval_count": saying.ask.prompt_tokens, "eval_count": saying.tokens}
        usage = encode_usage(saying.plan.usage, counts)
        why = {} if saying.plan.no_finish else {"done_reason": FINISH[saying.finish]}
        times = {
            "total_duration": 3 * MS,
            "load_duration": MS,
            "prompt_eval_duration": MS,
            "eval_duration": MS,
        }
        told = dict.fromkeys(counts, None) if usage is None else usage
        return self._said(saying, text) | why | {"done": True} | times | told

    def trouble(self, trouble: Trouble, saying: Saying) -> object:
        return {"error": trouble.message}

    def trouble_frame(self, trouble: Trouble, saying: Saying) -> Frame:
        return Frame(encode(self.trouble(trouble, saying)))


class Generate(Chat):
    """`/api/generate`."""

    def said(self, text: str) -> dict[str, object]:
        return {"response": text}
