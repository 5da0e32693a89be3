"""Every target that may answer to a name."""

from __future__ import annotations

import pytest

from farmgate.core.errors import ModelNotCapable, ModelNotFound
from farmgate.core.request import Kind
from farmgate.flow.plan import Plan, plan
from farmgate.flow.route import ProviderView, View
from farmgate.flow.routes import Balance, Route, RouteTarget


def view(routes: dict[str, Route] | None = None) -> View:
    return View(
        default_provider="a",
        left_out=frozenset({"gone"}),
        providers={
            "a": ProviderView(models=frozenset({"m", "one"}), default_model="m"),
            "b": ProviderView(models=frozenset({"m", "x/y"}), is_open=True),
            "c": ProviderView(models=frozenset({"m"}), kinds=frozenset({"embedding"})),
        },
        routes=routes or {},
    )


def to(*targets: str, fallback: tuple[str, ...] = ()) -> Route:
    parted = (target.partition("/") for target in targets)
    return Route(targets=tuple(RouteTarget(provider=head, model=rest) for head, _, rest in parted), fallback=fallback)


def names(made: Plan) -> list[tuple[int, str]]:
    return [(one.tier, one.key) for one in made.candidates]


def test_a_plain_name_is_that_model_wherever_it_is_listed() -> None:
    made = plan("m", None, view())
    assert names(made) == [(0, "a/m"), (0, "b/m")]
    assert [one.priority for one in made.candidates] == [0, 1]
    assert names(plan(None, None, view())) == [(0, "a/m"), (0, "b/m")]


@pytest.mark.parametrize(("model", "provider"), [("a/m", None), ("m", "a")])
def test_a_name_that_says_the_provider_means_no_other(model: str, provider: str | None) -> None:
    assert names(plan(model, provider, view())) == [(0, "a/m")]


def test_a_route_comes_before_a_model_of_its_name_unless_the_provider_is_said() -> None:
    routed = view({"m": to("b/x/y", "a/one")})
    assert names(plan("m", None, routed)) == [(0, "b/x/y"), (0, "a/one")]
    assert names(plan("a/m", None, routed)) == [(0, "a/m")]
    assert plan("m", None, routed).is_route


def test_no_name_is_the_route_called_default() -> None:
    assert names(plan(None, None, view({"default": to("b/z")}))) == [(0, "b/z")]


def test_the_most_exact_wildcard_counts_and_what_it_matched_is_put_in() -> None:
    routed = view({"gpt-*": to("b/*"), "gpt-4*": to("b/four*"), "gpt-4": to("a/one"), "*-x": to("b/ends-*")})
    assert names(plan("gpt-5", None, routed)) == [(0, "b/5")]
    assert names(plan("gpt-4o", None, routed)) == [(0, "b/fouro")]
    assert names(plan("gpt-4", None, routed)) == [(0, "a/one")]
    assert names(plan("y-x", None, routed)) == [(0, "b/ends-y")]
    assert names(plan("gpt-", None, routed)) == [(0, "b/gpt-")], "a star stands for at least one letter"


def test_fallbacks_are_other_routes_targets_and_models_each_once() -> None:
    routed = view({"fast": to("a/m", fallback=("slow", "b/m", "one")), "slow": to("b/z", "a/m", fallback=("x",))})
    assert names(plan("fast", None, routed)) == [(0, "a/m"), (1, "b/z"), (2, "b/m"), (3, "a/one")]


def test_what_cannot_be_used_is_skipped_and_told() -> None:
    made = plan("fast", None, view({"fast": to("gone/m", "a/none", "c/m", "a/m", fallback=("nobody-has-it/",))}))
    assert names(made)[0] == (0, "a/m")
    assert [one.name for one in made.skipped] == ["gone/m", "a/none", "c/m"]
    assert "not in use" in made.skipped[0].reason
    assert "gives no chat" in made.skipped[2].reason


def test_a_route_of_which_nothing_is_left_says_why() -> None:
    with pytest.raises(ModelNotFound, match=r"No target of 'fast' can be used: gone is not in use"):
        plan("fast", None, view({"fast": to("gone/m")}))
    with pytest.raises(ModelNotCapable):
        plan("fast", None, view({"fast": to("c/m")}))
    assert names(plan("fast", None, view({"fast": to("c/m")}), Kind.EMBEDDING)) == [(0, "c/m")]


def test_a_plan_is_worked_out_once_and_what_is_remembered_is_bounded() -> None:
    here = view({"b*": Route(targets=(RouteTarget(provider="b", model="*"),), balance=Balance.COST)})
    assert plan("m", None, here) is plan("m", None, here)
    for number in range(5000):
        plan(f"b{number}", None, here)
    assert len(here.remembered) <= 4096
