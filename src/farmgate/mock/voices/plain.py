"""Answers that are never streamed: embeddings, counts, lists of models. Their errors are their dialect's."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator

from farmgate.mock.asks import Endpoint
from farmgate.mock.saying import Frame, Saying, Trouble, Voice, encode_usage
from farmgate.mock.text import vector_of
from farmgate.mock.voices.ollama import stamp
from farmgate.wire.strictjson import encode

__all__ = ["MODELS", "Counted", "Embedded", "EmbeddedByOllama", "Listed", "Shown", "Unknown"]

MODELS = ("mock", "mock-embed")
VERSION = "0.12.0"


class Plain:
    """Speaks as `dialect` does when something goes wrong, and streams its one object where that is asked."""

    def __init__(self, dialect: Voice) -> None:
        self.dialect = dialect
        self.stream_type = dialect.stream_type

    def whole(self, saying: Saying) -> object:
        raise NotImplementedError

    def hollow(self, saying: Saying) -> object:
        return {"object": "list", "data": []}

    def frames(self, saying: Saying) -> Iterator[Frame]:
        yield Frame(encode(self.whole(saying)))

    def text_frame(self, saying: Saying, text: str) -> Frame:
        return self.dialect.text_frame(saying, text)

    def trouble(self, trouble: Trouble, saying: Saying) -> object:
        return self.dialect.trouble(trouble, saying)

    def trouble_frame(self, trouble: Trouble, saying: Saying) -> Frame:
        return self.dialect.trouble_frame(trouble, saying)


class Embedded(Plain):
    """OpenAI's embeddings."""

    def whole(self, saying: Saying) -> object:
        ask = saying.ask
        vectors = [vector_of(text, ask.dimensions) for text in ask.texts or ("",)]
        data: list[dict[str, object]] = [
            {"object": "embedding", "index": at, "embedding": packed(vector) if ask.as_base64 else vector}
            for at, vector in enumerate(vectors)
        ]
        return self._listed(saying, data)

    def hollow(self, saying: Saying) -> object:
        return self._listed(saying, [])

    def _listed(self, saying: Saying, data: list[dict[str, object]]) -> object:
        tokens = saying.ask.prompt_tokens
        usage = encode_usage(saying.plan.usage, {"prompt_tokens": tokens, "total_tokens": tokens})
        told = {"object": "list", "data": data, "model": saying.model}
        return told if usage == {} else told | {"usage": usage}


def packed(vector: list[float]) -> str:
    """Little-endian 32-bit floats in base64."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


class EmbeddedByOllama(Plain):
    """`/api/embed`."""

    def whole(self, saying: Saying) -> object:
        return self._embedded(saying, [vector_of(text, saying.ask.dimensions) for text in saying.ask.texts or ("",)])

    def hollow(self, saying: Saying) -> object:
        return self._embedded(saying, [])

    def _embedded(self, saying: Saying, vectors: list[list[float]]) -> object:
        usage = encode_usage(saying.plan.usage, {"prompt_eval_count": saying.ask.prompt_tokens})
        counts = {"prompt_eval_count": None} if usage is None else usage
        return {"model": saying.model, "embeddings": vectors, "total_duration": 1, "load_duration": 1} | counts


class Counted(Plain):
    """The tokens of a request to Messages."""

    def whole(self, saying: Saying) -> object:
        return {"input_tokens": saying.ask.prompt_tokens}


class Listed(Plain):
    """The models there are, in each dialect's form."""

    def whole(self, saying: Saying) -> object:
        now = saying.now
        match saying.ask.endpoint:
            case Endpoint.TAGS:
                return {"models": [tag(name, now) for name in MODELS]}
            case Endpoint.CLAUDE_MODELS:
                listed = [
                    {"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z"}
                    for name in MODELS
                ]
                return {"data": listed, "has_more": False, "first_id": MODELS[0], "last_id": MODELS[-1]}
            case _:
                models = [
                    {"id": name, "object": "model", "created": 1_767_225_600, "owned_by": "mock"} for name in MODELS
                ]
                return {"object": "list", "data": models}


def tag(name: str, now: float) -> dict[str, object]:
    """A model as Ollama lists it."""
    details = {"format": "gguf", "family": "mock", "families": ["mock"], "parameter_size": "1B"}
    return {
        "name": f"{name}:latest",
        "model": f"{name}:latest",
        "modified_at": stamp(now),
        "size": 1_000,
        "digest": "0" * 64,
        "details": details | {"parent_model": "", "quantization_level": "Q4_0"},
    }


class Shown(Plain):
    """What Ollama tells of a model, and of itself."""

    def whole(self, saying: Saying) -> object:
        if saying.ask.endpoint is Endpoint.VERSION:
            return {"version": VERSION}
        shown = tag("mock", saying.now)
        return {
            "details": shown["details"],
            "model_info": {"general.architecture": "mock", "mock.context_length": 8192},
            "capabilities": ["embedding"] if "embed" in saying.model else ["completion"],
            "modified_at": shown["modified_at"],
        }


class Unknown(Plain):
    """A path that is nobody's is answered by `composing` with a 404; only lies get as far as this."""

    def whole(self, saying: Saying) -> object:
        return {}
