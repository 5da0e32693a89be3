"""Whatever stands where in a provider's answer, it is an answer every dialect can tell, or the provider's fault; no
count of tokens is believed that cannot be one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from tests.fakes import eventstream
from tests.fakes.recordings import recorded_lines, recording

from farmgate.core.answer import fold
from farmgate.core.errors import FarmError, InternalError, UpstreamError
from farmgate.core.event import Event, Usage
from farmgate.core.request import Kind
from farmgate.providers.exchange import Reader
from farmgate.providers.triton import infos
from farmgate.wire.anthropic import answers as anthropic
from farmgate.wire.anthropic import errors as anthropic_errors
from farmgate.wire.anthropic.models import decode_page
from farmgate.wire.anthropic.stream import StreamReader as AnthropicReader
from farmgate.wire.anthropic.streaming import StreamWriter as AnthropicWriter
from farmgate.wire.bedrock import answers as bedrock
from farmgate.wire.bedrock import errors as bedrock_errors
from farmgate.wire.bedrock.embeddings import Maker, decode_embedding
from farmgate.wire.bedrock.stream import StreamReader as BedrockReader
from farmgate.wire.cohere import answers as cohere
from farmgate.wire.cohere import errors as cohere_errors
from farmgate.wire.cohere.stream import StreamReader as CohereReader
from farmgate.wire.counts import PLAUSIBLE_TOKENS
from farmgate.wire.gemini import answers as gemini
from farmgate.wire.gemini import embeddings as gemini_embeddings
from farmgate.wire.gemini import errors as gemini_errors
from farmgate.wire.gemini.counting import decode_count as decode_gemini_count
from farmgate.wire.gemini.models import decode_models as decode_gemini_models
from farmgate.wire.gemini.stream import StreamReader as GeminiReader
from farmgate.wire.ollama import errors as ollama_errors
from farmgate.wire.ollama.answers import LineWriter, encode_whole
from farmgate.wire.ollama.stream import StreamReader as OllamaReader
from farmgate.wire.openai import answers as openai
from farmgate.wire.openai import errors as openai_errors
from farmgate.wire.openai.models import decode_models as decode_openai_models
from farmgate.wire.openai.stream import StreamReader as OpenAIReader
from farmgate.wire.openai.stream import StreamWriter as OpenAIWriter
from farmgate.wire.responses import answers as responses
from farmgate.wire.responses.answers import Envelope
from farmgate.wire.responses.output import Output
from farmgate.wire.responses.stream import StreamReader as ResponsesReader
from farmgate.wire.responses.stream import StreamWriter as ResponsesWriter
from farmgate.wire.sagemaker import errors as sagemaker_errors
from farmgate.wire.sagemaker.stream import StreamReader as SageMakerReader
from farmgate.wire.strictjson import encode
from farmgate.wire.triton import errors as triton_errors
from farmgate.wire.triton import stream as triton
from farmgate.wire.triton.infer import Tensors, decode_index, decode_infer

UP = "up"
LONGEST_MESSAGE = 2_100
NESTED: Any = "x"
for _ in range(200):
    NESTED = [NESTED]
LIES: list[Any] = [None, [], {}, "x", "", 0, -1, 10**9, 10**18, 10**30, 1.5, -0.0, True, False, "17", [None], ["x"]]
LIES += [[{}], {"": None}, {"type": "x"}, {"error": {"message": "m"}}, NESTED, "x" * 3_000, "🐄", "\ud800", "\u0000"]
GONE = object()


@dataclass(frozen=True)
class Liar:
    """One provider's dialect: how its answers are read, and honest ones to make lies of."""

    folder: str
    reader: Callable[[], Reader]
    streams: tuple[str, ...]
    whole: Callable[[bytes], Event] | None = None
    wholes: tuple[str, ...] = ()


def sagemaker() -> Reader:
    return SageMakerReader(OpenAIReader(provider=UP, show_usage=True), provider=UP)


LIARS = {
    "openai": Liar(
        "openai",
        lambda: OpenAIReader(provider=UP, show_usage=True),
        ("tools_stream.sse", "usage_stream.sse"),
        partial(openai.decode_whole, kind=Kind.CHAT, provider=UP),
        ("tools.json", "usage.json"),
    ),
    "azure": Liar(
        "azure",
        lambda: OpenAIReader(provider=UP, show_usage=True, one_choice=True),
        ("filtered_stream.sse",),
        partial(openai.decode_whole, kind=Kind.CHAT, provider=UP),
        ("filtered.json",),
    ),
    "responses": Liar(
        "responses",
        lambda: ResponsesReader(provider=UP),
        ("tools_stream.sse", "stream.sse"),
        partial(responses.decode_whole, provider=UP),
        ("tools.json", "reasoning.json", "web_search.json"),
    ),
    "anthropic": Liar(
        "anthropic",
        lambda: AnthropicReader(provider=UP, model="m"),
        ("tools_stream.sse", "reasoning_stream.sse", "cached_stream.sse"),
        partial(anthropic.decode_whole, provider=UP, model="m"),
        ("tools.json", "reasoning.json", "cached.json", "cited.json"),
    ),
    "gemini": Liar(
        "gemini",
        lambda: GeminiReader(provider=UP, model="m"),
        ("tools_stream.sse", "usage_stream.sse"),
        partial(gemini.decode_whole, provider=UP, model="m"),
        ("tools.json", "usage.json", "logprobs.json"),
    ),
    "vertex": Liar("vertex", lambda: GeminiReader(provider=UP, model="m"), ("filtered_stream.sse", "tools_stream.sse")),
    "bedrock": Liar(
        "bedrock",
        lambda: BedrockReader(provider=UP, model="m"),
        ("tools_stream.jsonl", "usage_stream.jsonl", "reasoning_stream.jsonl"),
        partial(bedrock.decode_whole, provider=UP),
        ("tools.json", "usage.json", "reasoning.json"),
    ),
    "sagemaker": Liar("sagemaker", sagemaker, ("tools_stream.jsonl", "usage_stream.jsonl")),
    "cohere": Liar(
        "cohere",
        lambda: CohereReader(provider=UP),
        ("tools_stream.sse", "citations_stream.sse"),
        partial(cohere.decode_chat, provider=UP),
        ("tools.json", "reasoning.json"),
    ),
    "triton": Liar(
        "triton",
        lambda: triton.StreamReader(provider=UP, model="m"),
        ("stream.sse", "stream_trtllm.sse"),
        partial(triton.decode_whole, provider=UP, model="m"),
        ("text.json", "text_trtllm.json"),
    ),
    "ollama": Liar(
        "ollama", lambda: OllamaReader(provider=UP, model="m"), ("tools_stream.jsonl", "reasoning_stream.jsonl")
    ),
}

# ------------------------------------------------------------------------------------------------- making lies


def paths(told: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in a JSON value: the value itself first."""
    yield here
    if isinstance(told, dict):
        for key, value in told.items():
            yield from paths(value, (*here, key))
    if isinstance(told, list) and told:
        yield from paths(told[0], (*here, 0))


def put(told: Any, path: tuple[Any, ...], lie: Any) -> Any:
    """The same value with a lie in one place."""
    if not path:
        return lie
    copy = dict(told) if isinstance(told, dict) else list(told)
    if len(path) == 1 and lie is GONE:
        del copy[path[0]]
    else:
        copy[path[0]] = put(told[path[0]], path[1:], lie)
    return copy


def lies_of(told: Any) -> Iterator[Any]:
    for path in paths(told):
        for lie in LIES:
            yield put(told, path, lie)
        if path:
            yield put(told, path, GONE)


def frames(folder: str, name: str) -> tuple[list[Any], Callable[[Any], bytes]]:
    """The messages of a stream, and how one is written."""
    if folder == "sagemaker":
        parts = "".join(line["payload"] for line in recorded_lines(f"{folder}/{name}"))
        return [frame_of(frame) for frame in parts.strip().split("\n\n")], enveloped
    if name.endswith(".jsonl"):
        lines = recorded_lines(f"{folder}/{name}")
        return lines, (lambda line: json.dumps(line).encode() + b"\n") if folder == "ollama" else written
    frames = recording(f"{folder}/{name}").decode().strip().split("\n\n")
    return [frame_of(frame) for frame in frames], sse


def frame_of(frame: str) -> tuple[str, Any]:
    head, _, data = frame.rpartition("data:")
    data = data.strip()
    return head, data if data == "[DONE]" else json.loads(data)


def sse(frame: tuple[str, Any]) -> bytes:
    head, data = frame
    return f"{head}data: {data if data == '[DONE]' else json.dumps(data)}\n\n".encode()


def written(line: dict[str, Any]) -> bytes:
    return eventstream.event(line["event"], json.dumps(line["payload"]).encode(), kind="application/json")


def enveloped(frame: tuple[str, Any]) -> bytes:
    return eventstream.event("PayloadPart", sse(frame), kind="application/octet-stream")


def inside(frame: Any) -> tuple[Any, Callable[[Any], Any]]:
    """What a frame says, and the frame with something else in it."""
    if isinstance(frame, tuple):
        return frame[1], lambda told: (frame[0], told)
    if "event" in frame:
        return frame["payload"], lambda told: frame | {"payload": told}
    return frame, lambda told: told


def streams_of(folder: str, name: str) -> Iterator[bytes]:
    """A stream with a lie in one of its frames, with one twice, and with one left out."""
    honest, write = frames(folder, name)
    bytes_of = [write(frame) for frame in honest]
    seen: set[str] = set()
    for at, frame in enumerate(honest):
        told, with_lie = inside(frame)
        yield b"".join([*bytes_of[: at + 1], *bytes_of[at:]])
        yield b"".join([*bytes_of[:at], *bytes_of[at + 1 :]])
        # Frames of one shape are lied about once.
        shape = repr(sorted(map(str, paths(told)))) + str(told.get("type") if isinstance(told, dict) else "")
        if shape in seen:
            continue
        seen.add(shape)
        for lie in lies_of(told):
            yield b"".join([*bytes_of[:at], write(with_lie(lie)), *bytes_of[at + 1 :]])


# ------------------------------------------------------------------------------------------------- what comes of them


def plausible(usage: Usage | None) -> bool:
    if usage is None:
        return True
    counts = (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens, usage.cache_write_tokens)
    # Figures may be sums of a few that each could be one.
    return all(type(count) is int and 0 <= count < 4 * PLAUSIBLE_TOKENS for count in (*counts, usage.reasoning_tokens))


def envelope() -> Envelope:
    return Envelope(id="resp_r", created_unix=1, model="m", fields={}, is_kept=False, dropped=())


def told_in_each_dialect(events: list[Event]) -> None:
    """Write the answer as every surface would, as it came and whole."""
    writers = (
        OpenAIWriter(id="i", kind=Kind.CHAT, model="m", created_unix=1, show_usage=True, dropped=()),
        AnthropicWriter(id="i", model="m", dropped=()),
        LineWriter(model="m", is_chat=True, began=0.0),
        ResponsesWriter(envelope(), Output("r"), now_unix=lambda: 2.0, finished=lambda *_: None),
    )
    for writer in writers:
        for event in events:
            writer.write(event)
        writer.end()
    answer = fold(events)
    encode(openai.encode_answer(answer, id="i", kind=Kind.CHAT, model="m", created_unix=1, dropped=()))
    encode(anthropic.encode_message(events, id="i", model="m", dropped=()))
    encode_whole(events, model="m", is_chat=True, began=0.0)
    output = Output("r")
    for event in events:
        output.add(event.parts)
    output.close()
    encode(envelope().told(output.status, output.items, usage=output.usage, incomplete=None, completed_unix=None))
    assert plausible(answer.usage), answer.usage


def is_answer(read: Callable[[bytes], list[Event]], data: bytes) -> bool:
    """Whether it was an answer. Anything but the provider's fault is raised."""
    try:
        told_in_each_dialect(read(data))
    except FarmError as error:
        if isinstance(error, InternalError) or error.status < 500 or len(error.message) > LONGEST_MESSAGE:
            raise
        return False
    return True


def streamed(make: Callable[[], Reader], data: bytes) -> list[Event]:
    reader = make()
    events = [reader.feed(data), reader.end()]
    return [event for event in events if event is not None]


@pytest.mark.parametrize("name", LIARS)
def test_a_lie_in_a_stream_is_an_answer_or_the_providers_fault(name: str) -> None:
    liar = LIARS[name]
    read = partial(streamed, liar.reader)
    for recorded in liar.streams:
        honest, write = frames(liar.folder, recorded)
        assert is_answer(read, b"".join(map(write, honest)))
        for data in streams_of(liar.folder, recorded):
            is_answer(read, data)


@pytest.mark.parametrize("name", [name for name, liar in LIARS.items() if liar.whole])
def test_a_lie_in_a_whole_answer_is_an_answer_or_the_providers_fault(name: str) -> None:
    decode = LIARS[name].whole
    assert decode is not None

    def read(body: bytes) -> list[Event]:
        return [decode(body)]

    for recorded in LIARS[name].wholes:
        honest = recording(f"{LIARS[name].folder}/{recorded}")
        assert is_answer(read, honest)
        for told in lies_of(json.loads(honest)):
            is_answer(read, json.dumps(told).encode())


Decode = Callable[[bytes], object]
OTHERS: dict[str, Decode] = {
    "openai/text.json": partial(openai.decode_whole, kind=Kind.EMBEDDING, provider=UP),
    "azure/embeddings.json": lambda body: fold([openai.decode_whole(body, kind=Kind.EMBEDDING, provider=UP)]),
    "azure/models.json": partial(decode_openai_models, provider=UP, day="2026-01-01"),
    "cohere/embed.json": partial(cohere.decode_embeddings, texts=2, provider=UP),
    "cohere/rerank.json": partial(cohere.decode_ranking, documents=3, provider=UP),
    "cohere/models.json": partial(cohere.decode_models, provider=UP),
    "gemini/embeddings.json": partial(gemini_embeddings.decode_batch, inputs=2, provider=UP),
    "gemini/count_tokens.json": partial(decode_gemini_count, provider=UP),
    "gemini/models.json": partial(decode_gemini_models, provider=UP),
    "vertex/embedding.json": partial(gemini_embeddings.decode_one, provider=UP),
    "vertex/predictions.json": partial(gemini_embeddings.decode_predictions, inputs=2, provider=UP),
    "vertex/claude_count.json": partial(anthropic.decode_count, provider=UP),
    "anthropic/models_1.json": lambda body: [one.info(UP) for one in decode_page(body, provider=UP).data],
    "bedrock/titan.json": partial(decode_embedding, maker=Maker.TITAN, provider=UP),
    "bedrock/cohere_embed.json": partial(decode_embedding, maker=Maker.COHERE, provider=UP),
    "triton/infer.json": partial(decode_infer, tensors=Tensors(), texts=2, provider=UP),
    "triton/index.json": lambda body: infos(decode_index(body, provider=UP), UP),
    "llamacpp/props.json": partial(decode_openai_models, provider=UP),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_lie_in_any_other_answer_is_believed_or_the_providers_fault(name: str) -> None:
    for told in lies_of(json.loads(recording(name))):
        # What is raised but the provider's fault is a mistake of ours.
        with suppress(UpstreamError):
            OTHERS[name](json.dumps(told).encode())


ERRORS: dict[str, Callable[..., FarmError]] = {
    "openai/error_400.json": openai_errors.decode_error,
    "anthropic/error_400.json": anthropic_errors.decode_error,
    "vertex/error_429.json": gemini_errors.decode_error,
    "bedrock/error_400.json": bedrock_errors.decode_error,
    "sagemaker/error_424.json": sagemaker_errors.decode_error,
    "cohere/error_400.json": cohere_errors.decode_error,
    "triton/error_400.json": triton_errors.decode_error,
    "ollama/error_400.json": ollama_errors.decode_error,
}


@pytest.mark.parametrize("name", ERRORS)
def test_a_lie_in_an_error_is_an_error_in_our_words(name: str) -> None:
    for told in lies_of(json.loads(recording(name))):
        for status in (400, 404, 429, 500):
            error = ERRORS[name](status, json.dumps(told).encode(), provider=UP)
            assert (isinstance(error, InternalError), len(error.message) <= LONGEST_MESSAGE) == (False, True)
            assert max(len(told or "") for told in (error.code, error.type, error.param)) <= 128
            assert error.retry_after_s is None or 0 <= error.retry_after_s < 1e6
