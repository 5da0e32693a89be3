"""A list of faults is read into a plan, or refused with what was probably meant."""

from __future__ import annotations

import random
from dataclasses import fields

import pytest

from farmgate.mock import WrongFault, show_faults
from farmgate.mock.arguments import Delay, read_delay, read_span
from farmgate.mock.grammar import plan_of_model, read_plan
from farmgate.mock.plan import FAULTS, Fault, Plan


@pytest.mark.parametrize("model", ["gpt-5", "mock", "", "mockery:latest", "a/b:c", "mock:"])
def test_any_name_without_faults_is_answered_properly(model: str) -> None:
    assert plan_of_model(model) == Plan()


@pytest.mark.parametrize(
    "model",
    [
        "mock:status=503,rst=2",
        "up/mock:status=503,rst=2",
        "mock:rst=2,status=503:latest",
        "mock: status=503 ,rst=2",
        "mock:status=503;rst=2",
    ],
)
def test_a_name_says_its_faults_wherever_it_stands(model: str) -> None:
    assert plan_of_model(model) == Plan(status=503, rst=2)


def test_faults_are_read_from_texts_and_from_objects() -> None:
    entries: list[str | dict[str, object]] = [
        "status=503,close",
        {"retry-after": 2, "hang": True, "rst": None, "header": "x-a: b, c"},
    ]
    assert read_plan(entries) == Plan(status=503, close=True, retry_after="2", hang=True, rst=0, header="x-a: b, c")


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        ("stal=1", 'There is no fault "stal". Did you mean "stall"? farmgate mock --faults lists them.'),
        ("retry_after=1", 'There is no fault "retry_after". Did you mean "retry-after"?'),
        ("xyz", 'There is no fault "xyz". farmgate mock --faults lists them.'),
        ("rst=1,rst=2", '"rst" is said twice.'),
        ("cut", '"cut" needs an argument: cut=N (exactly N bytes of the body'),
        ("status=", '"status" needs an argument: status=S'),
        ("hang=1", '"hang=1" cannot be: it takes no argument.'),
        ("hang=", '"hang=" cannot be: it takes no argument.'),
        ("status=soon", '"status=soon" cannot be: it takes a whole number from 200 to 999.'),
        ("status=99", "a whole number from 200 to 999"),
        ("stall=-1", "a whole number from 0"),
        ("head=fast", "it takes 200ms, uniform:100ms:300ms"),
        ("head=61m", "an hour at most"),
        ("head=uniform:1ms", "it takes 200ms"),
        ("share=150%", "a share such as 0.5 or 50%"),
        ("share=many", "a share such as 0.5 or 50%"),
        ("for=soon", "a time such as 200ms"),
        ("huge=2g", "256m at most"),
        ("bomb=big", "a size in bytes"),
        ("usage=some", "missing or null or negative"),
        ("header=odd", "a header such as x-name:value"),
        ("header=a b:c", "a header such as x-name:value"),
        ("code=a\nb", "printable text"),
        ("rst=1,stall", '"stall" and "rst" both break the answer: choose one.'),
        ("bomb,cut=1", '"bomb" goes with no "cut".'),
        ("length=+1,endless", '"length" goes with no "endless".'),
        ("length=+1,cut-end=1", '"length" goes with no "cut-end".'),
        ("http09,end", '"http09" goes with no "end".'),
        ("frames=10000000,size=1000", '"frames" times "size" is more than'),
    ],
)
def test_what_cannot_be_understood_is_refused_and_told(faults: str, message: str) -> None:
    with pytest.raises(WrongFault) as told:
        plan_of_model(f"mock:{faults}")
    assert message in told.value.message


@pytest.mark.parametrize(("text", "span_s"), [("200ms", 0.2), ("1.5s", 1.5), ("2m", 120.0), ("3", 3.0), (".5", 0.5)])
def test_times_have_units(text: str, span_s: float) -> None:
    assert read_span(text) == span_s


@pytest.mark.parametrize(
    ("text", "delay"),
    [
        ("200ms", Delay("fixed", 0.2)),
        ("uniform:100ms:300ms", Delay("uniform", 0.1, 0.3)),
        ("normal:200ms:50ms", Delay("normal", 0.2, 0.05)),
        ("lognormal:200ms:0.5", Delay("lognormal", 0.2, 0.5)),
        ("exponential:200ms", Delay("exponential", 0.2)),
    ],
)
def test_waits_are_drawn_within_bounds_and_the_same_for_the_same_seed(text: str, delay: Delay) -> None:
    assert read_delay(text) == delay
    one, other = random.Random(7), random.Random(7)
    drawn = [delay.draw(one) for _ in range(500)]
    assert drawn == [delay.draw(other) for _ in range(500)]
    assert all(0 <= span <= 3600 for span in drawn)
    assert 0.15 < sorted(drawn)[250] < 0.25 or delay.kind == "exponential"


def test_a_wait_never_takes_longer_than_an_hour() -> None:
    random_s = random.Random(1)
    assert max(Delay("lognormal", 3600.0, 50.0).draw(random_s) for _ in range(100)) == 3600.0
    assert Delay("exponential", 0.0).draw(random.Random(1)) == 0.0


def test_every_field_of_a_plan_is_a_fault_and_has_a_row_in_the_list() -> None:
    assert len(FAULTS) == len(fields(Plan)) == sum(len(rows) for _, rows in show_faults())
    assert {name.replace("-", "_") for name in FAULTS} ^ {one.name for one in fields(Plan)} == {"for", "during"}
    assert all(text for _, rows in show_faults() for _, text in rows)


@pytest.mark.parametrize("fault", [one for one in FAULTS.values() if one.bare is not None], ids=lambda one: one.name)
def test_what_may_stand_without_an_argument_does(fault: Fault) -> None:
    assert plan_of_model(f"mock:{fault.name}") != Plan()
