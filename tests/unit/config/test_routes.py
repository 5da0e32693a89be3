"""Routes as they are written, and what is wrong with them."""

from __future__ import annotations

import pytest
from tests.unit.config.conftest import Folder

ADDRESS = "provider: openai, url: 'http://127.0.0.1:1'"
PROVIDERS = f"ai:\n  providers: {{a: {{{ADDRESS}}}, b: {{{ADDRESS}}}}}\n"


def routes(text: str) -> str:
    return f"{PROVIDERS}  routes: {text}\n"


@pytest.mark.parametrize("text", ["{fast: a/m}", "{fast: [a/m]}", "{fast: {targets: [a/m]}}"])
def test_one_target_is_written_as_it_is_short(folder: Folder, text: str) -> None:
    (target,) = folder.load(routes(text)).ai.routes["fast"].targets
    assert (target.target, target.weight, target.priority) == ("a/m", 1, 0)


def test_a_route_in_full(folder: Folder) -> None:
    other = "{target: b/n, weight: 0.5, priority: 1, region: eu, quota: q}"
    whole = f"{{targets: [a/m, {other}], balance: latency, sticky: session, fallback: [slow]}}"
    text = f"{{fast: {whole}, slow: a/x/y}}"
    found = folder.load(routes(text)).ai.routes
    assert [target.target for target in found["fast"].targets] == ["a/m", "b/n"]
    assert found["fast"].targets[1].quota == "q"
    assert found["slow"].targets[0].target == "a/x/y"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{fast: c/m}", "which is not in ai.providers"),
        ("{fast: m}", "ai.routes.fast.targets.0.target"),
        ("{fast: {targets: []}}", "ai.routes.fast.targets"),
        ("{fast: 3}", "ai.routes.fast must be a mapping"),
        ("{fast: {targets: [{target: a/m, weight: 0}]}}", "weight"),
        ("{fast: {targets: [a/m], balanced: cost}}", 'unknown key "balanced"'),
        ("{fast: 'a/*'}", "the name has none"),
        ("{'a*b*': 'a/*'}", "more than one `*`"),
        ("{x: {targets: [a/m], fallback: [y]}, y: {targets: [a/m], fallback: [x]}}", "x -> y -> x"),
        ("{x: {targets: [a/m], fallback: [x]}}", "x -> x"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(folder: Folder, text: str, said: str) -> None:
    problems = folder.problems(routes(text))
    assert any(said in problem for problem in problems), problems
    assert all(problem.startswith("farm.config.yaml:") for problem in problems)
