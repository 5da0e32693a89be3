"""What is fuzzed: each target takes any bytes, and has seeds that are streams as providers send them."""

from __future__ import annotations

import asyncio
import functools
import struct
from binascii import crc32
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from tests.fakes.eventstream import event, exception, stream_error
from tests.fakes.recordings import RECORDINGS, recorded_events, recorded_lines
from tests.fuzz.models import lines_in, sse_events
from tests.fuzz.oracles import prove_answer, prove_reader, prove_splitter

from farmgate.providers.exchange import Reader
from farmgate.wire import eventstream, ndjson, sse
from farmgate.wire.anthropic.stream import StreamReader as AnthropicReader
from farmgate.wire.bedrock.stream import StreamReader as BedrockReader
from farmgate.wire.cohere.stream import StreamReader as CohereReader
from farmgate.wire.gemini.stream import StreamReader as GeminiReader
from farmgate.wire.ollama.stream import StreamReader as OllamaReader
from farmgate.wire.openai.stream import StreamReader as OpenAIReader
from farmgate.wire.responses.stream import StreamReader as ResponsesReader

__all__ = ["FOUND", "TARGETS", "Target"]

FOUND = Path(__file__).parent / "found"
STREAMS = Path(__file__).parents[1] / "wire" / "streams"
OPENAI_SPEAKERS = ("openai", "azure", "llamacpp")


@dataclass(frozen=True)
class Target:
    """`prove` raises for bytes with which something does not hold."""

    prove: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]

    def found(self, name: str) -> list[bytes]:
        """Inputs that broke it once, or nearly."""
        return [file.read_bytes() for file in sorted((FOUND / name).glob("*"))]


def recordings_of(*folders: str) -> list[bytes]:
    files = [file for folder in folders for file in sorted((RECORDINGS / folder).glob("*stream*"))]
    return [file.read_bytes() for file in files if file.suffix in (".sse", ".jsonl")]


# ------------------------------------------------------------------------------------------------ splitters


def prove_sse(data: bytes) -> None:
    prove_splitter(sse.Splitter, sse_events, data, broken=sse.FrameTooLarge)


def prove_ndjson(data: bytes) -> None:
    prove_splitter(ndjson.Splitter, lines_in, data, broken=ndjson.LineTooLarge)


def prove_eventstream(data: bytes) -> None:
    """Nearly all bytes have wrong checksums: tried as they are, and with their checksums made right."""
    for stream in (data, mended(data)):
        prove_splitter(eventstream.Splitter, None, stream, broken=ValueError)


def mended(data: bytes) -> bytes:
    """The same messages, as long as their lengths make sense, with checksums that are right."""
    stream = bytearray(data)
    at = 0
    while len(stream) - at >= 12:
        (total,) = struct.unpack_from(">I", stream, at)
        struct.pack_into(">I", stream, at + 8, crc32(bytes(stream[at : at + 8])))
        end = at + total
        if total < 16 or end > len(stream):
            break
        struct.pack_into(">I", stream, end - 4, crc32(bytes(stream[at : end - 4])))
        at = end
    return bytes(stream)


def aws_streams() -> list[bytes]:
    return [b"".join(recorded_events(f"bedrock/{name}")) for name in bedrock_recordings()]


def bedrock_recordings() -> list[str]:
    return sorted(file.name for file in (RECORDINGS / "bedrock").glob("*_stream.jsonl"))


# -------------------------------------------------------------------------------------------------- readers


def openai(limit: int, *, one_choice: bool) -> Reader:
    return OpenAIReader(provider="p", show_usage=True, frame_bytes=limit, one_choice=one_choice)


def prove_openai(data: bytes) -> None:
    for one_choice in (False, True):
        prove_reader(functools.partial(openai, one_choice=one_choice), "openai", data)


def prove_responses(data: bytes) -> None:
    prove_reader(lambda limit: ResponsesReader(provider="p", frame_bytes=limit), "responses", data)


def prove_anthropic(data: bytes) -> None:
    prove_reader(lambda limit: AnthropicReader(provider="p", frame_bytes=limit), "anthropic", data)


def prove_ollama(data: bytes) -> None:
    prove_reader(lambda limit: OllamaReader(provider="p", model="m", frame_bytes=limit), "ollama", data)


def prove_gemini(data: bytes) -> None:
    prove_reader(lambda limit: GeminiReader(provider="p", frame_bytes=limit), "gemini", data)


def prove_cohere(data: bytes) -> None:
    prove_reader(lambda limit: CohereReader(provider="p", frame_bytes=limit), "cohere", data)


def prove_bedrock(data: bytes) -> None:
    """Lines of `KIND NAME PAYLOAD` become messages of an event stream: its checksums let no change of bytes through."""
    messages = b"".join(map(aws_message, data.split(b"\n")))
    prove_reader(lambda limit: BedrockReader(provider="p", frame_bytes=limit), "bedrock", messages)


def aws_message(line: bytes) -> bytes:
    kind, _, rest = line.partition(b" ")
    name, _, payload = rest.partition(b" ")
    told = name[:60].decode("latin-1")
    match kind:
        case b"exception":
            return exception(told, payload)
        case b"error":
            return stream_error(told, payload[:999].decode("latin-1"))
        case b"raw":
            return payload
        case b"":
            return b""
    return event(told, payload)


def bedrock_lines() -> list[bytes]:
    """The recordings in the form `prove_bedrock` reads."""
    return [b"\n".join(map(bedrock_line, recorded_lines(f"bedrock/{name}"))) for name in bedrock_recordings()]


def bedrock_line(told: Mapping[str, object]) -> bytes:
    kind = next(kind for kind in ("event", "exception", "error") if kind in told)
    payload = json_of(told.get("payload", {}))
    return f"{kind} {told[kind]} ".encode() + payload


def json_of(value: object) -> bytes:
    return msgspec.json.encode(value)


# -------------------------------------------------------------------------------------------------- HTTP/1.1


class Still(asyncio.SelectorEventLoop):
    """Never runs, and keeps nothing that should: a connection only takes futures and the time from it."""

    def call_soon(self, *_: Any, **__: Any) -> Any:  # type: ignore[override]  # gives no handle: there is nothing to cancel
        return None


@functools.cache
def loop() -> asyncio.AbstractEventLoop:
    return Still()


def prove_http1(data: bytes) -> None:
    prove_answer(loop(), data)


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
ANSWERS = [
    HEAD + b"content-length: 5\r\n\r\nhello",
    HEAD + b"content-length: 9\r\n\r\nhello",
    HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n3;a=b\r\nyou\r\n0\r\nx-sum: 1\r\n\r\n",
    HEAD + b"transfer-encoding: gzip, chunked\r\n\r\n5\r\nhel",
    HEAD + b"connection: close\r\n\r\nhello",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + HEAD + b"content-length: 0\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\nconnection: keep-alive\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n",
    b"HTTP/1.0 503 Service Unavailable\r\nretry-after: 3\r\n\r\nno",
    b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    HEAD + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    HEAD + b"content-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n",
]

TARGETS: Mapping[str, Target] = {
    "sse": Target(
        prove_sse, lambda: [*recordings_of("openai", "anthropic", "gemini"), b"\xef\xbb\xbfdata: a\r\r: b\n\n"]
    ),
    "ndjson": Target(
        prove_ndjson, lambda: [*recordings_of("ollama"), *map(Path.read_bytes, sorted(STREAMS.iterdir()))]
    ),
    "eventstream": Target(prove_eventstream, aws_streams),
    "openai": Target(prove_openai, lambda: recordings_of(*OPENAI_SPEAKERS)),
    "responses": Target(prove_responses, lambda: recordings_of("responses")),
    "anthropic": Target(prove_anthropic, lambda: recordings_of("anthropic")),
    "ollama": Target(prove_ollama, lambda: recordings_of("ollama")),
    "gemini": Target(prove_gemini, lambda: recordings_of("gemini", "vertex")),
    "bedrock": Target(prove_bedrock, bedrock_lines),
    "cohere": Target(prove_cohere, lambda: recordings_of("cohere")),
    "http1": Target(prove_http1, lambda: ANSWERS),
}
