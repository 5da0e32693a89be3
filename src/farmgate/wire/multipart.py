"""Forms with files: what their text fields say, and where, so that the form can be sent on as it came.

Source: https://www.rfc-editor.org/rfc/rfc7578
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from farmgate.core.errors import BadRequest, DuplicateKey, InvalidUnicode

__all__ = ["Form", "InvalidMultipart", "decode_form", "replace_field", "without_boundary"]

MOST_PARTS = 64
NAME_BYTES = 256
VALUE_BYTES = 1 << 20


class InvalidMultipart(BadRequest):
    """The body is not a valid form: send `Content-Type: multipart/form-data` with its boundary."""

    code = "invalid_multipart"


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A form. `fields`: its texts by name, of a repeated name (`name[]`) the last; `places`: where each stands in the
    body; `files`: the names of its files.
    """

    fields: Mapping[str, str]
    places: Mapping[str, slice]
    files: tuple[str, ...]


@dataclass(slots=True)
class Parts:
    """Gathers what the parser finds. Data comes in pieces of one body, so places are kept and nothing is copied."""

    fields: dict[str, str] = field(default_factory=dict)
    places: dict[str, slice] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    count: int = 0
    header: bytes = b""
    value: bytes = b""
    disposition: bytes = b""
    begin: int | None = None
    end: int = 0
    is_over: bool = False
    body: bytes = b""

    def on_part_begin(self) -> None:
        self.count += 1
        if self.count > MOST_PARTS:
            raise InvalidMultipart(f"The form has more than {MOST_PARTS} parts.")
        self.disposition = b""
        self.begin = None

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self.header += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self.value += data[start:end]

    def on_header_end(self) -> None:
        if self.header.lower() == b"content-disposition":
            self.disposition = self.value
        self.header = self.value = b""

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self.begin is None:
            self.begin = start
        self.end = end

    def on_part_end(self) -> None:
        kind, options = parse_options_header(self.disposition)
        name, file = options.get(b"name", b""), options.get(b"filename")
        if kind != b"form-data" or not name or len(name) > NAME_BYTES:
            raise InvalidMultipart("A part of the form has no name, or one that is too long.")
        place = slice(self.begin or 0, self.end if self.begin is not None else 0)
        if file is None:
            self._keep(text(name), place)
        elif len(file) > NAME_BYTES or b"/" in file or b"\\" in file or b"\0" in file:
            raise InvalidMultipart("A file's name in the form is too long or holds a path.")
        else:
            self.files.append(text(name))

    def _keep(self, name: str, place: slice) -> None:
        if place.stop - place.start > VALUE_BYTES:
            raise InvalidMultipart(f"`{name[:64]}` is longer than {VALUE_BYTES} bytes.")
        if name in self.fields and not name.endswith("[]"):
            raise DuplicateKey(f"The form names {name[:64]!r} twice.", param=name[:64])
        self.fields[name] = text(self.body[place])
        self.places[name] = place

    def on_end(self) -> None:
        self.is_over = True


def decode_form(body: bytes, content_type: bytes) -> Form:
    """The form in a body. Raises a BadRequest that says what is wrong with it."""
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not 0 < len(boundary) <= 70:
        raise InvalidMultipart
    parts = Parts(body=body)
    parser = MultipartParser(
        boundary,
        {
            "on_part_begin": parts.on_part_begin,
            "on_header_field": parts.on_header_field,
            "on_header_value": parts.on_header_value,
            "on_header_end": parts.on_header_end,
            "on_part_data": parts.on_part_data,
            "on_part_end": parts.on_part_end,
            "on_end": parts.on_end,
        },
    )
    try:
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise InvalidMultipart("The form breaks off or is not one: its parts do not match its boundary.") from error
    if not parts.is_over:
        raise InvalidMultipart("The form breaks off before its last boundary.")
    return Form(fields=parts.fields, places=parts.places, files=tuple(parts.files))


def replace_field(body: bytes, form: Form, name: str, value: str) -> bytes:
    """The same form with another text for one of its fields."""
    place = form.places[name]
    return body[: place.start] + value.encode() + body[place.stop :]


def without_boundary(body: bytes, content_type: bytes) -> bytes:
    """What tells one form from another, whatever stands between its parts; a body that is no form is itself."""
    if b"multipart/" not in content_type:
        return body
    boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
    return body.replace(b"--" + boundary, b"--") if boundary else body


def text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidUnicode("The form holds text that is not UTF-8.") from error
