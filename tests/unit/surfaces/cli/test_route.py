"""`farmgate route`: a line per target, a table with reasons, and an error when nobody would be asked."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from tests.unit.surfaces.cli.fakes import FakeHouse, Shell

from farmgate.core.errors import UpstreamRateLimited
from farmgate.core.model import Facts
from farmgate.core.money import Price, Rates
from farmgate.core.request import Kind
from farmgate.flow.explain import Explanation, Question, explain
from farmgate.flow.health import Ward
from farmgate.flow.route import ProviderView, View
from farmgate.flow.routes import Route, RouteTarget
from farmgate.surfaces.cli import route as command
from farmgate.surfaces.http.route_models import RouteAnswer

NOW = 100.0
TWO = (
    RouteTarget(provider="demo", model="demo", weight=3),
    RouteTarget(provider="slow", model="demo"),
    RouteTarget(provider="openai", model="gpt"),
)


class Catalog:
    """Two providers, a route with a fallback and one that has no key, and a wildcard."""

    def view(self) -> View:
        models = frozenset({"demo"})
        return View(
            providers={name: ProviderView(models=models) for name in ("demo", "slow", "spare")},
            default_provider="demo",
            left_out=frozenset({"openai"}),
            routes={
                "fast": Route(targets=TWO, fallback=("spare/demo",)),
                "de*": Route(targets=(RouteTarget(provider="slow", model="de*"),)),
            },
        )

    def published(self, provider: str, model: str) -> Facts:
        rates = Rates(input_usd=Decimal(1), output_usd=Decimal("10.25"))
        return Facts(price=Price(rates=rates, source="tests")) if provider == "spare" else Facts()

    async def refresh(self) -> None:
        raise AssertionError("somebody was asked")


class Seen:
    """What a gate has seen."""

    def __init__(self) -> None:
        self.ward = Ward()

    def explain(self, question: Question) -> Explanation:
        left_out = {"openai": "OPENAI_API_KEY is not set"}
        return explain(question, Catalog(), self.ward, now=NOW, calls=4, left_out=left_out)

    def cool(self, *keys: str) -> None:
        for key in keys:
            self.ward.of(key).begin(NOW).end(UpstreamRateLimited(retry_after_s=12), NOW, 0.0)


@pytest.fixture
def seen(house: FakeHouse) -> Seen:
    seen = Seen()
    house.gate.explains = seen.explain
    return seen


@pytest.fixture
def live(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> Seen:
    """The same, told by a gate that runs."""

    class Running:
        def route(self, asked: dict[str, str]) -> RouteAnswer:
            question = Question(model=asked["model"], provider=asked.get("provider"), kind=Kind(asked["kind"]))
            told = RouteAnswer.of(seen.explain(question)).json_bytes()
            return RouteAnswer.model_validate_json(told)

    monkeypatch.setattr(command, "find", lambda config: Running())
    return seen


@pytest.mark.usefixtures("live")
def test_the_order_is_a_line_each(shell: Shell) -> None:
    ran = shell("route", "fast")
    assert (ran.code, ran.out, ran.err) == (0, "demo/demo\nslow/demo\nspare/demo\n", "")


def test_the_reasons_are_a_table(shell: Shell, live: Seen) -> None:
    live.ward.of("demo/demo").first_token_s = 0.1234
    live.ward.of("demo/demo").in_flight = 5
    for _ in range(5):
        live.ward.of("slow/demo").failed(NOW, 0.0, code="timeout")
    ran = shell("route", "fast", "--explain")
    assert (ran.code, ran.err) == (0, "fast, chat: balance leastInFlight, at most 4 calls\n")
    assert ran.out.splitlines() == [
        "#  TARGET      STATE    IN FLIGHT  FIRST TOKEN  PER MILLION  WHY",
        "1  demo/demo   well     5          123 ms       -            the only target that may be asked now",
        "2  spare/demo  well     0          -            $11.25       fallback of fast",
        "-  slow/demo   open     0          -            -            breaker open for 5.0 s more, after timeout",
        "-  openai/gpt  skipped  -          -            -            OPENAI_API_KEY is not set",
    ]


def test_without_a_gate_nothing_is_said_of_health(shell: Shell, seen: Seen, house: FakeHouse) -> None:
    ran = shell("route", "demo", "--explain")
    assert ran.code == 0
    note, headline = ran.err.splitlines()
    assert note.startswith("note: no Farmgate is running at http://127.0.0.1:")
    assert note.endswith("nothing is known of anybody's health")
    assert headline == "demo (route de*), chat: balance leastInFlight, at most 4 calls"
    assert ran.out.splitlines() == ["#  TARGET     WHY", "1  slow/demo  only target"]
    assert len(house.opened) == 1


def test_what_would_be_asked_is_told_to_whoever_answers(shell: Shell, seen: Seen, house: FakeHouse) -> None:
    assert shell("route", "demo", "--provider", "demo", "--kind", "completion", "--key", "joe").code == 0
    assert house.gate.questions == [Question(model="demo", provider="demo", kind=Kind.COMPLETION, caller="joe")]


def test_when_nobody_would_be_asked_it_is_an_error_after_the_table(shell: Shell, live: Seen) -> None:
    live.cool("demo/demo", "slow/demo", "spare/demo")
    ran = shell("route", "fast", "--explain")
    assert ran.code == 7
    assert ran.out.splitlines()[1].split()[:3] == ["-", "demo/demo", "limited"]
    assert ran.err.splitlines()[-1] == (
        "error: nobody would be asked for fast now, the first in 12 s: demo/demo, slow/demo, spare/demo rest"
    )
    plain = shell("route", "fast")
    assert (plain.code, plain.out) == (7, "")
    told = shell("route", "fast", "--json")
    assert told.code == 7
    assert [one["coolingForS"] for one in json.loads(told.out)["resting"]] == [12.0, 12.0, 12.0]
    assert json.loads(told.err)["error"]["code"] == "rate_limit_exceeded"


def test_the_last_resort_is_one_that_would_be_asked(shell: Shell, live: Seen) -> None:
    for _ in range(5):
        live.ward.of("slow/demo").failed(NOW, 0.0, code="upstream_timeout")
    ran = shell("route", "demo")
    assert (ran.code, ran.out) == (0, "slow/demo\n")


@pytest.mark.usefixtures("live")
def test_what_leads_nowhere_is_one_line(shell: Shell) -> None:
    ran = shell("route", "nothing", "--explain")
    assert (ran.code, ran.out) == (5, "")
    assert ran.err.startswith("error: There is no model 'nothing'.")
    assert shell("route", "demo", "--provider", "nobody").code == 5
    wrong = shell("route", "demo", "--kind", "poem")
    assert wrong.code == 2
    assert "chat, completion" in wrong.err
