"""What a plan would do is told without anybody being asked, and it is what a request would find."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from decimal import Decimal

import pytest

from farmgate.core.errors import (
    FarmError,
    ModelNotCapable,
    ModelNotFound,
    UpstreamRateLimited,
    UpstreamTimeout,
)
from farmgate.core.event import Finish, Text
from farmgate.core.model import Facts
from farmgate.core.money import Price, Rates
from farmgate.core.reply import Reply
from farmgate.core.request import Kind, Request
from farmgate.core.words import Complete
from farmgate.flow.attempt import Attempt
from farmgate.flow.explain import Explained, Explanation, Question, explain
from farmgate.flow.health import State, Ward
from farmgate.flow.route import ProviderView, View
from farmgate.flow.routes import Balance, Route, RouteTarget, Sticky
from farmgate.testing import FakeTarget, request_of

MODELS = frozenset({"m", "one"})


class FakeCatalog:
    """A view that stays; whoever has it look around is found out."""

    def __init__(self, view: View, prices: Mapping[str, int] | None = None) -> None:
        self._view = view
        self._prices = prices or {}
        self.looks = 0

    def view(self) -> View:
        return self._view

    def published(self, provider: str, model: str) -> Facts:
        dollars = self._prices.get(provider)
        if dollars is None:
            return Facts()
        return Facts(price=Price(rates=Rates(input_usd=Decimal(dollars), output_usd=Decimal(0)), source="tests"))

    async def refresh(self) -> None:
        self.looks += 1


def to(*targets: str, **more: object) -> RouteTarget:
    (target,) = targets
    provider, _, model = target.partition("/")
    return RouteTarget(provider=provider, model=model, **more)  # type: ignore[arg-type] # as they are named


class Stand:
    """A gate's knowledge, with a clock that stands still until it is moved."""

    def __init__(self, *, falls_back: bool = True, region: str | None = None, **routes: Route) -> None:
        view = View(
            default_provider="a",
            left_out=frozenset({"gone"}),
            providers={
                "a": ProviderView(models=MODELS, default_model="m"),
                "b": ProviderView(models=MODELS),
                "c": ProviderView(models=MODELS, kinds=frozenset({"chat", "completion"})),
            },
            routes={name.replace("_star", "-*"): route for name, route in routes.items()},
            falls_back=falls_back,
            region=region,
        )
        self.catalog = FakeCatalog(view, {"a": 5, "b": 2})
        self.ward = Ward()
        self.now = 100.0

    def tells(self, model: str | None = "fast", **more: object) -> Explanation:
        how = {name: more.pop(name) for name in ("calls", "left_out", "doubts") if name in more}
        question = Question(model=model, **more)  # type: ignore[arg-type] # as they are named
        return explain(question, self.catalog, self.ward, now=self.now, **{"calls": 4, **how})  # type: ignore[arg-type] # as they are named

    def busy(self, key: str, in_flight: int) -> None:
        self.ward.of(key).in_flight = in_flight

    def breaks(self, key: str, code: str = "upstream_timeout") -> None:
        for _ in range(5):
            self.ward.of(key).failed(self.now, 0.0, code=code)

    def cool(self, key: str, for_s: float | None, quota: str | None = None) -> None:
        self.ward.of(key, quota).begin(self.now).end(UpstreamRateLimited(retry_after_s=for_s), self.now, 0.0)


def names(told: tuple[Explained, ...]) -> list[str]:
    return [one.candidate.provider for one in told]


def whys(told: tuple[Explained, ...]) -> list[str]:
    return [one.why for one in told]


BOTH = Route(targets=(to("a/m"), to("b/m")))


def test_one_target_is_the_only_one() -> None:
    told = Stand().tells("a/m")
    assert whys(told.order) == ["only target"]
    assert (told.model, told.route, told.balance, told.sticky) == ("a/m", None, Balance.LEAST_IN_FLIGHT, Sticky.OFF)
    assert told.order[0].state is State.CLOSED


def test_no_name_is_the_default() -> None:
    assert Stand().tells(None).model == "default"
    assert names(Stand().tells(None).order) == ["a", "b", "c"]


def test_the_same_model_elsewhere_comes_after_the_first_provider_that_has_it() -> None:
    assert whys(Stand().tells("m").order) == ["the first provider with this model", *["has the same model"] * 2]


def test_the_one_with_the_fewest_in_flight_for_its_weight_is_first() -> None:
    stand = Stand(fast=BOTH)
    stand.busy("a/m", 3)
    told = stand.tells()
    assert names(told.order) == ["b", "a"]
    assert whys(told.order) == ["least in flight for its weight", "more in flight for its weight"]
    assert [one.in_flight for one in told.order] == [0, 3]
    assert [one.cost_usd for one in told.order] == [2, 5]


def test_chance_is_told_as_chance_and_the_answer_is_the_same_each_time() -> None:
    stand = Stand(fast=BOTH)
    assert whys(stand.tells().order) == ["equally busy: chance decides, by weight"] * 2
    assert stand.tells() == stand.tells()


def test_weights_are_told_as_shares_among_equals() -> None:
    targets = (to("a/m", weight=3.0), to("b/m"), to("c/m", priority=1))
    told = Stand(fast=Route(targets=targets, balance=Balance.WEIGHTED)).tells()
    assert whys(told.order) == [
        "drawn by weight: first for 75% of requests",
        "drawn by weight: first for 25% of requests",
        "priority 1 comes after 0",
    ]


def test_priorities_and_regions_are_told() -> None:
    targets = (to("a/m", priority=2), to("b/m"), to("c/m", region="eu", priority=2))
    told = Stand(region="eu", fast=Route(targets=targets)).tells()
    assert names(told.order) == ["b", "c", "a"]
    assert whys(told.order) == ["priority 0 comes before 2", "priority 2 comes after 0", "not in region eu"]
    first = Stand(region="eu", fast=Route(targets=targets[::2])).tells().order[0]
    assert (first.candidate.provider, first.why) == ("c", "in region eu")


def test_the_quickest_and_one_never_timed() -> None:
    stand = Stand(fast=Route(targets=(to("a/m"), to("b/m"), to("c/m")), balance=Balance.LATENCY))
    stand.ward.of("a/m").first_token_s, stand.ward.of("b/m").first_token_s = 0.5, 0.25
    assert whys(stand.tells().order) == [
        "never timed, so it is tried first",
        "slower for what is in flight: 250 ms to its first token",
        "slower for what is in flight: 500 ms to its first token",
    ]
    stand.ward.of("c/m").first_token_s = 0.1
    assert whys(stand.tells().order)[0] == "quickest for what is in flight: 100 ms to its first token"
    stand.ward.of("c/m").first_token_s = 0.25
    assert whys(stand.tells().order)[0] == "equally quick: chance decides, by weight; 250 ms to its first token"


def test_the_cheapest_and_one_of_unknown_price() -> None:
    told = Stand(fast=Route(targets=(to("a/m"), to("b/m"), to("c/m")), balance=Balance.COST)).tells()
    assert whys(told.order) == [
        "cheapest: $2 for a million tokens in and out",
        "dearer: $5 for a million tokens in and out",
        "price not known, so it comes last",
    ]
    same = Stand(fast=Route(targets=(to("a/m"), to("a/one")), balance=Balance.COST)).tells()
    assert whys(same.order)[0].startswith("the same price as another; equally busy: the one named first")


def test_a_sticky_name_is_told_for_the_caller_and_for_its_session() -> None:
    stand = Stand(
        fast=Route(targets=(to("a/m"), to("b/m")), sticky=Sticky.CALLER),
        chat=Route(targets=(to("a/m"), to("b/m")), sticky=Sticky.SESSION),
    )
    firsts = {names(stand.tells(caller=f"key-{number}").order)[0] for number in range(20)}
    assert firsts == {"a", "b"}
    assert whys(stand.tells(caller="x").order) == ["this caller stays with it", "next for this caller"]
    sessions = {names(stand.tells("chat", caller="x", session=str(number)).order)[0] for number in range(20)}
    assert sessions == {"a", "b"}
    assert whys(stand.tells("chat").order)[0] == "this session stays with it"


def test_a_fallback_says_of_what_and_stands_behind() -> None:
    route = Route(targets=(to("a/m"),), fallback=("slow", "nothing"))
    told = Stand(fast=route, slow=Route(targets=(to("b/m"), to("c/m")))).tells()
    assert [(one.candidate.tier, one.why) for one in told.order] == [
        (0, "only target"),
        (1, "fallback of fast; equally busy: chance decides, by weight"),
        (1, "fallback of fast; equally busy: chance decides, by weight"),
    ]
    (skipped,) = told.skipped
    assert (skipped.provider, skipped.model, skipped.tier) == (None, "nothing", 2)
    assert "There is no model 'nothing'" in skipped.reason


def test_a_wildcard_is_named_and_filled_in() -> None:
    told = Stand(gpt_star=Route(targets=(to("a/*"),))).tells("gpt-one")
    assert (told.route, told.order[0].candidate.model) == ("gpt-*", "one")


def test_an_open_breaker_is_left_out_with_the_time_that_is_left() -> None:
    stand = Stand(fast=BOTH)
    stand.breaks("a/m")
    stand.now += 0.8
    told = stand.tells()
    assert names(told.order) == ["b"]
    assert whys(told.order) == ["the only target that may be asked now"]
    (rests,) = told.resting
    assert rests.why == "breaker open for 4.2 s more, after upstream_timeout"
    assert (rests.state, rests.last_failure) == (State.OPEN, "upstream_timeout")
    assert rests.back_in_s == pytest.approx(4.2)
    stand.now += 4.2
    half = next(one for one in stand.tells().order if one.candidate.provider == "a")
    assert half.state is State.HALF_OPEN
    assert half.why.endswith("; half open: one request at a time finds out whether it is well")
    stand.ward.of("a/m").begin(stand.now)
    assert whys(stand.tells().resting) == ["half open: another request is finding out whether it is well"]


def test_a_used_up_limit_rests_all_that_share_it_also_one_never_asked() -> None:
    targets = (to("a/m", quota="eu"), to("b/m", quota="eu"), to("c/m"))
    stand = Stand(fast=Route(targets=targets))
    stand.cool("a/m", 30.0, "eu")
    told = stand.tells()
    assert names(told.order) == ["c"]
    assert whys(told.resting) == ["rate limit eu used up for 30.0 s more"] * 2
    assert [one.cooling_s for one in told.resting] == [30.0, 30.0]


def test_the_last_one_left_is_asked_all_the_same_unless_it_said_when() -> None:
    stand = Stand(fast=BOTH)
    stand.breaks("a/m")
    stand.cool("b/m", 2.0)
    told = stand.tells()
    assert told.order == ()
    assert [(one.candidate.provider, one.is_last_resort) for one in told.resting] == [("b", False), ("a", True)]
    assert told.resting[1].why.endswith("; asked all the same, because nobody else is left")
    stand.cool("a/m", 9.0)
    assert not any(one.is_last_resort for one in stand.tells().resting)


def test_where_nothing_falls_back_only_the_first_is_asked() -> None:
    told = Stand(falls_back=False, fast=Route(targets=(to("a/m"),), fallback=("b/m",))).tells()
    assert whys(told.order) == ["only target", "not asked while ai.features.fallback is off"]
    assert not told.falls_back


def test_one_request_does_not_reach_everybody() -> None:
    assert whys(Stand().tells("m", calls=1).order) == [
        "the first provider with this model",
        *["has the same model; beyond the 1 call of one request"] * 2,
    ]


def test_what_is_wrong_with_a_provider_is_told_exactly() -> None:
    stand = Stand(fast=Route(targets=(to("a/m"), to("gone/x"))))
    told = stand.tells(left_out={"gone": "KEY is not set"}, doubts={"a": "it has no key: set A_KEY"})
    assert whys(told.order) == ["the only target that may be asked now; it has no key: set A_KEY"]
    assert [(one.name, one.reason) for one in told.skipped] == [("gone/x", "KEY is not set")]


@pytest.mark.parametrize(
    ("question", "error", "says"),
    [
        (Question(model="mm"), ModelNotFound, "Did you mean 'm'?"),
        (Question(model="c/m", kind=Kind.RERANK), ModelNotCapable, "gives no rerank"),
        (Question(model="m", provider="x"), FarmError, "There is no provider 'x'"),
    ],
)
def test_a_name_that_leads_nowhere_fails_as_a_request_would_and_nobody_is_looked_at(
    question: Question, error: type[FarmError], says: str
) -> None:
    stand = Stand()
    with pytest.raises(error, match=says.replace("?", r"\?")):
        explain(question, stand.catalog, stand.ward, now=0.0, calls=4)
    assert stand.catalog.looks == 0


def test_asking_leaves_no_trace() -> None:
    stand = Stand(fast=Route(targets=(to("a/m", quota="q"), to("b/m"))))
    stand.tells()
    assert stand.ward.known() == {}


# ----------------------------------------------------------------------------------- what is told is what happens


def hurt(stand: Stand, chance: random.Random) -> None:
    """Some of the targets are busy, broken or limited."""
    for key in ("a/m", "b/m", "c/m"):
        stand.busy(key, chance.randrange(4))
        what = chance.choice(["well", "well", "broken", "limited", "told"])
        if what == "broken":
            stand.breaks(key)
        elif what != "well":
            stand.cool(key, 5.0 if what == "told" else None)


@pytest.mark.parametrize("seed", range(40))
async def test_a_request_asks_who_was_told_in_the_order_that_was_told(seed: int) -> None:
    chance = random.Random(seed)
    balance = chance.choice([Balance.LEAST_IN_FLIGHT, Balance.COST])
    targets = (to("a/m", weight=1.5), to("b/m", weight=1.7, priority=chance.randrange(2)))
    stand = Stand(fast=Route(targets=targets, balance=balance, fallback=("c/m",)))
    hurt(stand, chance)
    asked: list[str] = []
    fakes = {name: Recording(name, asked) for name in "abc"}
    attempt = Attempt(fakes, stand.catalog, ward=stand.ward, clock=lambda: stand.now, draw=lambda: 0.5, sleep=no_wait)
    told = stand.tells(kind=Kind.COMPLETION)
    expected = names(told.order) or [one.candidate.provider for one in told.resting if one.is_last_resort]
    with pytest.raises(FarmError):
        await attempt.send(request_of(Complete(prompt="hi"), model="fast", provider=None))
    assert list(dict.fromkeys(asked)) == expected


async def no_wait(_: float) -> None:
    await asyncio.sleep(0)


class Recording(FakeTarget):
    """Fails, and says that it was asked."""

    def __init__(self, name: str, asked: list[str]) -> None:
        super().__init__(Text("a"), Finish(), refuses=UpstreamTimeout("broken"))
        self._name = name
        self._asked = asked

    async def send(self, request: Request) -> Reply:
        self._asked.append(self._name)
        return await super().send(request)
