"""OpenAI's other endpoints: moderations, images, speech, transcriptions, ranking. Their answers are relayed."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from farmgate.core.errors import MissingParameter, UnsupportedParameter, UpstreamInvalidResponse
from farmgate.core.event import Event, Usage
from farmgate.core.request import Dialect, Kind
from farmgate.core.words import Ask
from farmgate.wire.counts import tokens
from farmgate.wire.multipart import Form, decode_form
from farmgate.wire.openai.errors import decode_told_error
from farmgate.wire.upstream import proved

__all__ = [
    "ANSWER_TYPES",
    "MEDIA",
    "Opaque",
    "OpaqueReader",
    "TranscriptionBody",
    "decode_transcription",
    "read_json",
]

MEDIA = frozenset({Kind.RERANK, Kind.MODERATION, Kind.IMAGE, Kind.SPEECH, Kind.TRANSCRIPTION})
SOUND = ("audio/", "application/octet-stream")
EVENTS = "text/event-stream"
ANSWER_TYPES: Mapping[Kind, tuple[str, ...]] = {
    Kind.SPEECH: SOUND,
    Kind.TRANSCRIPTION: ("application/json", "text/plain", "text/vtt", "text/srt", "application/x-subrip"),
}
"""What a whole answer may be; JSON where nothing is said here."""


class Opaque(Event):
    """Bytes of an answer nobody looks into."""

    __slots__ = ()

    def __init__(self, raw: bytes, *, usage: Usage | None = None) -> None:
        super().__init__(raw=raw, dialect=Dialect.OPENAI, bears_content=True, usage=usage)


class ToldUsage(msgspec.Struct):
    """Tokens, as images and transcriptions tell them and as rankings do."""

    input_tokens: int = 0
    output_tokens: int = 0
    prompt_tokens: int = 0
    total_tokens: int = 0


class Told(msgspec.Struct):
    """What must be known of a JSON answer to relay it."""

    usage: msgspec.Raw = msgspec.Raw(b"")
    error: msgspec.Raw = msgspec.Raw(b"")


decode_told = msgspec.json.Decoder(Told).decode


def read_json(body: bytes, *, provider: str) -> Opaque:
    """A JSON answer. Raises UpstreamInvalidResponse for what is none, or the error in it."""
    told = proved(body, decode_told, provider, "answered with something that is not an answer")
    if bytes(told.error) not in (b"", b"null"):
        raise decode_told_error(body, provider=provider)
    return Opaque(body, usage=usage_of(bytes(told.usage)))


def usage_of(raw: bytes) -> Usage | None:
    """The tokens a provider reports; None where it reports nothing usable."""
    try:
        told = msgspec.json.decode(raw, type=ToldUsage)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    prompt = tokens(told.input_tokens or told.prompt_tokens or max(0, told.total_tokens - told.output_tokens))
    completion = tokens(told.output_tokens)
    return None if prompt is None or completion is None else Usage(prompt_tokens=prompt, completion_tokens=completion)


class OpaqueReader:
    """Reads an answer that nobody looks into, as it arrives. It is whole when HTTP says so."""

    is_done = False

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._has_begun = False

    def feed(self, data: bytes) -> Event | None:
        self._has_begun = True
        return Opaque(data)

    def end(self) -> Event | None:
        """Raises UpstreamInvalidResponse for an answer without a byte."""
        if not self._has_begun:
            raise UpstreamInvalidResponse(f"{self._provider} answered without an answer in it.")
        return None


class TranscriptionBody:
    """A caller's sound to be written down, as a form."""

    dialect = Dialect.OPENAI
    want_usage = False

    def __init__(self, raw: bytes, form: Form, content_type: bytes) -> None:
        self.raw = raw
        self.form = form
        self.content_type = content_type
        self.fields: Mapping[str, object] = form.fields
        self.model = form.fields.get("model") or None
        self.stream = form.fields.get("stream") == "true"

    def ask(self) -> Ask:
        """Raises UnsupportedParameter: sound has no words of ours."""
        raise UnsupportedParameter("This provider does not take sound to be written down.", param="model")

    def own_name(self, param: str) -> str:
        return param


def decode_transcription(body: bytes, content_type: bytes) -> TranscriptionBody:
    """A caller's form. Raises a BadRequest that says what is wrong with it."""
    form = decode_form(body, content_type)
    if "file" not in form.files:
        raise MissingParameter("`file` is required.", param="file")
    return TranscriptionBody(body, form, content_type)
