"""The words of Farmgate's own API, as its callers write and read them: camelCase out, camelCase or snake_case in."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Discriminator, Field, PrivateAttr, RootModel, Tag, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from farmgate.core.errors import FarmError
from farmgate.core.model import Capability, Health, HealthStatus, ModelInfo
from farmgate.core.reply import FinishReason, Usage
from farmgate.wire.farm_models import encode_facts, encode_origin, public
from farmgate.work.jobs import JobState, JobStatus

__all__ = [
    "AskRequest",
    "Asked",
    "ChatRequest",
    "EmbedAnswer",
    "EmbedRequest",
    "ErrorAnswer",
    "ErrorObject",
    "GenerateRequest",
    "HealthAnswer",
    "ImageContent",
    "JobAnswer",
    "LoadAnswer",
    "LoadRequest",
    "MessageRequest",
    "ModelEntry",
    "ModelsAnswer",
    "Piece",
    "ProviderHealth",
    "SampledRequest",
    "TextAnswer",
    "TextContent",
    "Told",
    "UsageAnswer",
]

# ------------------------------------------------------------------------------------------------- what is asked


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


# ----------------------------------------------------------------------------------------------- what is answered


class Told(BaseModel):
    """What we say; nothing is said of what is not known."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, validate_by_name=True, serialize_by_alias=True)

    def json_bytes(self) -> bytes:
        return self.model_dump_json(by_alias=True, exclude_none=True).encode()


class UsageAnswer(Told):
    """Tokens used. `estimated`: the provider gave no figures. `dropped`: what of the request it could not be told."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    estimated: Literal[True] | None = None
    dropped: tuple[str, ...] | None = None

    @classmethod
    def of(cls, usage: Usage | None, dropped: tuple[str, ...] = ()) -> UsageAnswer:
        known = usage or Usage(estimated=True)
        return cls(
            prompt_tokens=known.prompt_tokens,
            completion_tokens=known.completion_tokens,
            total_tokens=known.total_tokens,
            cached_tokens=known.cached_tokens or None,
            reasoning_tokens=known.reasoning_tokens or None,
            estimated=True if known.estimated else None,
            dropped=dropped or None,
        )


class TextAnswer(Told):
    """A whole answer, who gave it, and why it ended."""

    response: str
    model: str
    provider: str
    usage: UsageAnswer
    finish_reason: FinishReason | None = None


class EmbedAnswer(Told):
    """One vector per input, in the order of the inputs."""

    embeddings: tuple[tuple[float, ...], ...]
    model: str
    provider: str
    usage: UsageAnswer


class ErrorObject(BaseModel):
    """What went wrong, and what to do about it."""

    message: str
    type: str
    param: str | None
    code: str | None

    @classmethod
    def of(cls, error: FarmError) -> ErrorObject:
        return cls(message=error.message, type=error.type, param=error.param, code=error.code)


class ErrorAnswer(BaseModel):
    """The shape of every error."""

    error: ErrorObject


class Piece(Told):
    """The data of one event of a stream: a piece of text, or what broke the answer.

    The last piece of a whole answer has an empty text and says why it ended; `[DONE]` follows it.
    """

    content: str | None = None
    finish_reason: FinishReason | None = None
    usage: UsageAnswer | None = None
    error: ErrorObject | None = None


class RatesEntry(Told):
    """US dollars per million tokens; what is not known is not there."""

    input: float | None = None
    cached_input: float | None = None
    cache_write: float | None = None
    output: float | None = None


class StepEntry(RatesEntry):
    """Other rates, for whole calls with a prompt of more tokens than that."""

    prompt_tokens: int


class PriceEntry(RatesEntry):
    """What a model costs, and who says so."""

    above: tuple[StepEntry, ...] | None = None
    currency: Literal["USD"]
    source: str
    as_of: str | None = None


class ModelEntry(Told):
    """One model of one provider. `size`: bytes of its weights. `capabilities`: true and false for what is known.

    `source`, `revision` and `licence` are of models that were pulled from the hub.
    """

    name: str
    provider: str
    size: int | None = None
    description: str | None = None
    loaded: bool | None = None
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    capabilities: dict[Capability, bool] | None = None
    price: PriceEntry | None = None
    source: str | None = None
    revision: str | None = None
    licence: str | None = None

    @classmethod
    def of(cls, model: ModelInfo) -> ModelEntry:
        return cls.model_validate(
            {
                "name": model.name,
                "provider": model.provider,
                "size": model.size_bytes,
                "contextTokens": model.window_tokens,
                "description": model.description,
                "loaded": model.loaded,
                **encode_facts(model),
                **encode_origin(public(model)),
            }
        )


class ModelsAnswer(RootModel[list[ModelEntry]]):
    """Every model there is."""


class LoadAnswer(Told):
    """The job that loads: `GET /api/ai/jobs/{job}` tells how far it is."""

    message: str
    job: str


class ProgressAnswer(Told):
    """How far a job is; `total` is null while unknown. Both count bytes where they count anything."""

    status: str
    completed: int
    total: int | None = None


class JobAnswer(Told):
    """A job as it is now."""

    id: str
    kind: str
    title: str
    status: JobStatus
    progress: ProgressAnswer
    started_at: datetime
    ended_at: datetime | None = None
    error: ErrorObject | None = None

    @classmethod
    def of(cls, state: JobState) -> JobAnswer:
        progress = state.progress
        return cls(
            id=state.id,
            kind=state.kind,
            title=state.title,
            status=state.status,
            progress=ProgressAnswer(status=progress.status, completed=progress.completed, total=progress.total),
            started_at=datetime.fromtimestamp(state.started, UTC),
            ended_at=None if state.ended is None else datetime.fromtimestamp(state.ended, UTC),
            error=ErrorObject.of(state.error) if state.error is not None else None,
        )

    def json_bytes(self) -> bytes:
        """Every field is there, null until it is known: a page that shows a job reads the same fields all along."""
        return self.model_dump_json().encode()


class ProviderHealth(Told):
    """How one provider is now."""

    name: str
    status: HealthStatus
    models: tuple[str, ...]
    detail: str | None = None

    @classmethod
    def of(cls, health: Health) -> ProviderHealth:
        return cls(name=health.name, status=health.status, models=health.models, detail=health.detail)


class HealthAnswer(RootModel[dict[str, ProviderHealth]]):
    """Every provider by its name in the configuration."""
