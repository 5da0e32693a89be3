"""What was used, summed."""

from __future__ import annotations

from farmgate.admin.usage import Line, summarise
from farmgate.core.usage import Call, Outcome


def call(
    *,
    key: str = "k",
    provider: str = "p",
    model: str = "m",
    began: float = 100.0,
    outcome: Outcome = Outcome.OK,
    tokens: int = 0,
) -> Call:
    return Call(
        id="i",
        key_name=key,
        kind="chat",
        provider=provider,
        model=model,
        stream=False,
        began_unix=began,
        outcome=outcome,
        prompt_tokens=tokens,
        completion_tokens=1,
        estimated=tokens == 0,
    )


def test_one_line_for_each_key_and_model_the_largest_first() -> None:
    lines = summarise(
        [call(tokens=1), call(key="other"), call(tokens=2), call(model="n", tokens=50), call(provider="q")]
    )
    assert [(line.key_name, line.provider, line.model, line.calls) for line in lines] == [
        ("k", "p", "n", 1),
        ("k", "p", "m", 2),
        ("other", "p", "m", 1),
        ("k", "q", "m", 1),
    ]


def test_every_end_is_counted_and_all_tokens() -> None:
    (line,) = summarise([call(outcome=outcome, tokens=5) for outcome in Outcome] + [call()])
    assert line == Line(
        key_name="k",
        provider="p",
        model="m",
        calls=6,
        errors=1,
        cancelled=1,
        lost=1,
        prompt_tokens=25,
        completion_tokens=6,
        estimated_calls=1,
        unpriced_calls=6,
    )


def test_calls_from_before_are_left_out() -> None:
    (line,) = summarise([call(began=99.9), call(began=100.0)], since_unix=100.0)
    assert line.calls == 1
    assert summarise([]) == []
