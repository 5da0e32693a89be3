"""The words in which a plan is asked for and told, over HTTP and at the command line."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field

from farmgate.core.identity import Principal
from farmgate.core.request import Kind
from farmgate.flow.explain import Explained, Explanation, Question
from farmgate.flow.health import State
from farmgate.flow.plan import Skipped
from farmgate.flow.routes import Balance, Sticky
from farmgate.surfaces.http.farm_answers import Told
from farmgate.surfaces.http.farm_requests import AskRequest

__all__ = ["RouteAnswer", "RouteRequest", "RouteSkipped", "RouteTarget"]

KindName: TypeAlias = Literal[
    "chat", "completion", "embedding", "rerank", "moderation", "image", "speech", "transcription", "infer"
]
StateName: TypeAlias = Literal["closed", "open", "half-open"]
STATES: dict[State, StateName] = {State.CLOSED: "closed", State.OPEN: "open", State.HALF_OPEN: "half-open"}


class RouteRequest(AskRequest):
    """A request as far as it matters for who is asked."""

    kind: KindName | None = Field(default=None, description="What kind of answer is wanted; `chat` unless said.")
    stream: bool | None = None
    key: str | None = Field(
        default=None, min_length=1, description="Name of the key that would ask, for sticky names; the asker's own."
    )
    session: str | None = Field(
        default=None, description="What the request says as `prompt_cache_key`, `safety_identifier` or `user`."
    )

    def question(self, principal: Principal) -> Question:
        return Question(
            model=self.model,
            provider=self.provider,
            kind=Kind(self.kind or Kind.CHAT),
            caller=self.key or principal.key_name,
            session=self.session or "",
        )


class RouteTarget(Told):
    """One target as it is now. `tier`: 0 for the name's own targets, then its fallbacks in order; the rest as the
    configuration has it. `coolingForS`: how long its rate limit is used up; `backInS`: how long it rests.
    """

    provider: str
    model: str
    tier: int
    weight: float
    priority: int
    region: str | None = None
    quota: str | None = None
    state: StateName
    cooling_for_s: float
    back_in_s: float
    in_flight: int
    first_token_ms: float | None = Field(default=None, description="Moving average.")
    price_per_million: float | None = Field(
        default=None, description="Dollars for a million tokens in and a million out, together."
    )
    last_failure: str | None = Field(default=None, description="Code of the last failure.")
    last_resort: Literal[True] | None = Field(
        default=None, description="It rests, and would be asked all the same because nobody else is left."
    )
    why: str

    @classmethod
    def of(cls, one: Explained) -> RouteTarget:
        candidate, first_s = one.candidate, one.first_token_s
        return cls(
            provider=candidate.provider,
            model=candidate.model,
            tier=candidate.tier,
            weight=candidate.weight,
            priority=candidate.priority,
            region=candidate.region,
            quota=candidate.quota,
            state=STATES[one.state],
            cooling_for_s=round(one.cooling_s, 3),
            back_in_s=round(one.back_in_s, 3),
            in_flight=one.in_flight,
            first_token_ms=None if first_s is None else round(first_s * 1000, 1),
            price_per_million=one.cost_usd,
            last_failure=one.last_failure,
            last_resort=True if one.is_last_resort else None,
            why=one.why,
        )


class RouteSkipped(Told):
    """A target that cannot be asked at all, and why."""

    provider: str | None = None
    model: str
    tier: int
    reason: str

    @classmethod
    def of(cls, one: Skipped) -> RouteSkipped:
        return cls(provider=one.provider, model=one.model, tier=one.tier, reason=one.reason)


class RouteAnswer(Told):
    """What would happen to a request now. `route`: the configured name that leads there; `fallback`: whether the next
    is asked when one fails; `calls`: how many calls one request makes at most, tries again included.
    """

    model: str
    kind: KindName
    route: str | None = None
    balance: Balance
    sticky: Sticky
    fallback: bool
    calls: int
    order: tuple[RouteTarget, ...]
    resting: tuple[RouteTarget, ...]
    skipped: tuple[RouteSkipped, ...]

    @classmethod
    def of(cls, told: Explanation) -> RouteAnswer:
        return cls(
            model=told.model,
            kind=told.kind.value,
            route=told.route,
            balance=told.balance,
            sticky=told.sticky,
            fallback=told.falls_back,
            calls=told.calls,
            order=tuple(map(RouteTarget.of, told.order)),
            resting=tuple(map(RouteTarget.of, told.resting)),
            skipped=tuple(map(RouteSkipped.of, told.skipped)),
        )
