"""What callers of Farmgate's own API read, in camelCase."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, RootModel
from pydantic.alias_generators import to_camel

from farmgate.core.errors import FarmError
from farmgate.core.event import FinishReason, Usage
from farmgate.core.model import Capability, Health, HealthStatus, ModelInfo
from farmgate.wire.farm_models import encode_facts, encode_origin, public
from farmgate.work.jobs import JobState, JobStatus

__all__ = [
    "EmbedAnswer",
    "ErrorAnswer",
    "ErrorObject",
    "HealthAnswer",
    "JobAnswer",
    "LoadAnswer",
    "ModelEntry",
    "ModelsAnswer",
    "Piece",
    "ProviderHealth",
    "TextAnswer",
    "Told",
    "UsageAnswer",
]


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

    `parent`: the model an adapter is of. `source`, `revision` and `licence` are of models pulled from the hub.
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
    parent: str | None = None
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
