"""What callers of Farmgate's own API write: strictly read, in camelCase or in snake_case."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Discriminator, Field, PrivateAttr, Tag, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

__all__ = [
    "AskRequest",
    "Asked",
    "ChatRequest",
    "EmbedRequest",
    "GenerateRequest",
    "ImageContent",
    "LoadRequest",
    "MessageRequest",
    "SampledRequest",
    "TextContent",
]


class Asked(BaseModel):
    """Strict: nothing unknown, nothing coerced, and no field named twice in two spellings."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        allow_inf_nan=False,
    )

    _written: frozenset[str] = PrivateAttr(default=frozenset())

    def remember(self, written: Iterable[str]) -> None:
        """Keep how the caller spelled its fields: both spellings are known here."""
        self._written = frozenset(written)

    def own_name(self, param: str) -> str:
        """The caller's own name for a field of our words."""
        camel = to_camel(param)
        return camel if camel in self._written else param

    @model_validator(mode="before")
    @classmethod
    def known_names(cls, fields: Any) -> Any:
        """Refuse what pydantic would take for granted, in words that help."""
        if not isinstance(fields, Mapping):
            return fields
        names = {name: field.alias or name for name, field in cls.model_fields.items()}
        for name in fields:
            if name in names and names[name] != name and names[name] in fields:
                hint = f"is `{names[name]}` too: send one of them."
                raise PydanticCustomError("both_names", "{hint}", {"key": name, "hint": hint})
            if name not in names and name not in names.values():
                near = difflib.get_close_matches(str(name)[:64], {*names, *names.values()}, n=1)
                hint = f"did you mean `{near[0]}`?" if near else f"there is {', '.join(names.values())}."
                raise PydanticCustomError("unknown_parameter", "{hint}", {"key": name, "hint": hint})
        return fields


class TextContent(Asked):
    """A piece of text in a message."""

    type: Literal["text"]
    text: str


class ImageUrl(Asked):
    """Where an image is: a `data:` URL or a public address."""

    url: str


class ImageContent(Asked):
    """An image in a message, for models that can see."""

    type: Literal["image_url"]
    image_url: ImageUrl


# Tags in angle brackets are steps of pydantic's own in the place of an error; they are not shown.
TAGS = {"text": "<text>", "image_url": "<image>"}


def part_tag(part: Any) -> str | None:
    """Which kind of content part it says it is."""
    kind = part.get("type") if isinstance(part, Mapping) else None
    return TAGS.get(kind) if isinstance(kind, str) else None


def content_tag(content: Any) -> str | None:
    """Whether a content is text or a list of parts."""
    match content:
        case str():
            return "<string>"
        case list():
            return "<parts>"
        case _:
            return None


def kind(tag: Callable[[Any], str | None], error: str) -> Discriminator:
    """Chooses by the value alone, so that a wrong one gives one finding, of type `error`."""
    return Discriminator(tag, custom_error_type=error, custom_error_message=error)


ContentPart: TypeAlias = Annotated[
    Annotated[TextContent, Tag("<text>")] | Annotated[ImageContent, Tag("<image>")], kind(part_tag, "part_kind")
]
Content: TypeAlias = Annotated[
    Annotated[str, Tag("<string>")] | Annotated[list[ContentPart], Field(min_length=1, fail_fast=True), Tag("<parts>")],
    kind(content_tag, "content_kind"),
]


class MessageRequest(Asked):
    """One turn of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Content
    name: str | None = None


class AskRequest(Asked):
    """What every ask may say: who answers."""

    model: str | None = Field(
        default=None, description="`name`, `provider/name`, or nothing for the environment's default."
    )
    provider: str | None = Field(default=None, description="A provider's name in the configuration.")


class SampledRequest(AskRequest):
    """How tokens are picked. What is not said is the provider's default."""

    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1, le=1 << 40)
    stop: list[str] | None = Field(default=None, max_length=16, fail_fast=True)
    seed: int | None = Field(default=None, ge=-(1 << 63), le=(1 << 63) - 1)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    stream: bool | None = Field(default=None, description="true answers as the `/stream` address does.")


class ChatRequest(SampledRequest):
    """A conversation to continue."""

    messages: list[MessageRequest] = Field(min_length=1, fail_fast=True)


class GenerateRequest(SampledRequest):
    """A text to continue."""

    prompt: str = Field(min_length=1)


def input_tag(told: Any) -> str | None:
    """Whether one text is to be embedded or several."""
    return "<texts>" if isinstance(told, list) else content_tag(told)


Sentence: TypeAlias = Annotated[str, Field(min_length=1)]


class EmbedRequest(AskRequest):
    """Texts to turn into vectors."""

    input: Annotated[
        Annotated[Sentence, Tag("<string>")]
        | Annotated[list[Sentence], Field(min_length=1, fail_fast=True), Tag("<texts>")],
        kind(input_tag, "input_kind"),
    ]
    dimensions: int | None = Field(default=None, ge=1, le=1 << 20)


class LoadRequest(Asked):
    """Whose model to load."""

    provider: str | None = None
