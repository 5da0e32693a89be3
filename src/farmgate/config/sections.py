"""What every section of the configuration is made of: names in two spellings, and kinds of values with their checks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    SecretStr,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue

from farmgate.core.errors import InvalidValue
from farmgate.core.locator import is_remote, parse_locator

__all__ = [
    "MIB",
    "Ability",
    "Adapters",
    "ApiSecret",
    "Headers",
    "Label",
    "Millis",
    "ModelSource",
    "Name",
    "Pause",
    "Queued",
    "Seconds",
    "Section",
    "Span",
    "Tokens",
    "Url",
    "Usd",
    "Weight",
    "Whole",
    "adapter_named",
]

MIB = 1024 * 1024
HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9a-fA-F:.]+(%[A-Za-z0-9._-]+)?")
ADAPTER_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def not_a_bool(value: object) -> object:
    """`port: true` is a mistake, not port 1."""
    if isinstance(value, bool):
        raise ValueError("must be a number")  # the validator's protocol
    return value


def whole_as_text(value: object) -> object:
    """`version: 2` is meant as it is written."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def hours_of_the_week(text: str) -> str:
    if not re.fullmatch(
        r"(?i)((mon|tue|wed|thu|fri|sat|sun)(-(mon|tue|wed|thu|fri|sat|sun))?\s+)?"
        r"([01]?\d|2[0-3]):[0-5]\d\s*-\s*(([01]?\d|2[0-3]):[0-5]\d|24:00)",
        text.strip(),
    ):
        raise ValueError("must be hours such as 08:00-18:00 or Mon-Fri 08:00-18:00")
    return text


def web_address(text: str) -> str:
    """An address without anything that could be a credential, without a slash at the end."""
    if not text.isascii() or any(c.isspace() or not c.isprintable() for c in text) or "\\" in text:
        raise ValueError("must be an address of plain letters, without spaces or backslashes")
    if not text.lower().startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("must be an address such as http://localhost:11434: the host or port is not valid") from None
    if not host or not HOST.fullmatch(host):
        raise ValueError("must name a host, such as http://localhost:11434")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user name or password: use apiKey or headers")
    if "?" in text or "#" in text:
        raise ValueError("must not hold a query or fragment: use apiKey or headers for credentials")
    return text.rstrip("/")


def header_safe(secret: SecretStr) -> SecretStr:
    """A key travels in a header: anything but visible ASCII would break it or be added to it."""
    text = secret.get_secret_value()
    if not text.isascii() or any(c.isspace() or not c.isprintable() for c in text):
        raise ValueError("must be visible ASCII characters only, without spaces or line ends")
    return secret


def header_fields(headers: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in headers.items():
        if not HEADER_NAME.fullmatch(name):
            raise ValueError("must have header names of letters, digits and dashes")
        if not value.isascii() or not value.isprintable():
            raise ValueError("must have values of plain characters on one line")
    return headers


def model_source(text: str) -> str:
    """What says where it is pulled from must be able to be."""
    if is_remote(text):
        try:
            parse_locator(text)
        except InvalidValue as error:
            raise ValueError(f"must name a source that can be pulled: {error.message.rstrip('.')}") from error
    return text


def adapter_named(path: str) -> str:
    """What an adapter is called that was written without a name: as its folder, or as its file without the ending."""
    return Path(path).name.removesuffix(".gguf").replace(".", "-")


def adapters_by_name(adapters: Mapping[str, str]) -> Mapping[str, str]:
    for name, path in adapters.items():
        if not ADAPTER_NAME.fullmatch(name):
            raise ValueError(
                f"must have names of letters, digits, - and _, 64 at most, and {name[:100]!r} is none: "
                "write `adapters: {name: path}`"
            )
        if name == "latest":
            raise ValueError("must have other names than `latest`, which in Ollama's words is no name at all")
        if is_remote(path):
            raise ValueError("must be folders or files on this machine: adapters are not pulled")
    return adapters


Whole = Annotated[int, BeforeValidator(not_a_bool)]
Seconds = Annotated[float, BeforeValidator(not_a_bool), Field(gt=0, le=86_400, allow_inf_nan=False)]
Pause = Annotated[float, BeforeValidator(not_a_bool), Field(ge=0, le=86_400, allow_inf_nan=False)]
Millis = Annotated[float, BeforeValidator(not_a_bool), Field(ge=0, le=10_000, allow_inf_nan=False)]
Url = Annotated[str, AfterValidator(web_address)]
ApiSecret = Annotated[SecretStr, AfterValidator(header_safe)]
Headers = Annotated[Mapping[str, str], AfterValidator(header_fields)]
Name = Annotated[str, Field(min_length=1, max_length=256)]
ModelSource = Annotated[Name, AfterValidator(model_source)]
AdapterPath = {"type": "string", "minLength": 1, "maxLength": 256}
Adapters = Annotated[
    Mapping[str, Name],
    Field(max_length=64),
    AfterValidator(adapters_by_name),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "object", "additionalProperties": AdapterPath, "maxProperties": 64},
                {"type": "array", "items": AdapterPath, "maxItems": 64},
            ]
        }
    ),
]
Queued = Annotated[int, BeforeValidator(not_a_bool), Field(ge=0, le=1_000_000)]
Span = Annotated[str, Field(min_length=1, max_length=40), AfterValidator(hours_of_the_week)]
Label = Annotated[str, BeforeValidator(whole_as_text), Field(min_length=1, max_length=100, pattern=r"^[!-~]+$")]
Tokens = Annotated[int, BeforeValidator(not_a_bool), Field(ge=1, le=1 << 40)]
Weight = Annotated[float, BeforeValidator(not_a_bool), Field(gt=0, le=1000, allow_inf_nan=False)]
Usd = Annotated[float, BeforeValidator(not_a_bool), Field(ge=0, le=1_000_000, allow_inf_nan=False)]
Ability = Literal["tools", "vision", "audio", "files", "structured", "reasoning"]


class Section(BaseModel):
    """What every section has in common."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        hide_input_in_errors=True,
    )
    shorthand: ClassVar[str | None] = None
    """The setting that a plain value, or a list, stands for in place of the whole section."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler(core_schema)
        if cls.shorthand is None:
            return schema
        own = handler.resolve_ref_schema(schema)["properties"][to_camel(cls.shorthand)]
        forms = [{"type": "string"}, *([own] if own.get("type") == "array" else [])]
        return {"anyOf": [schema, *forms]}
