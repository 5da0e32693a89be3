from __future__ import annotations

import random

import pytest

from farmgate.engines.hf.stops import Stops


def said(pieces: list[str], texts: list[str]) -> tuple[str, str | None]:
    """All that comes out, and what stopped it."""
    stops = Stops(texts)
    out = "".join(stops.feed(piece) for piece in pieces)
    return out + stops.end(), stops.hit


def test_without_stop_strings_text_passes_as_it_comes() -> None:
    stops = Stops([""])
    assert stops.feed("a") == "a"
    assert stops.feed("") == ""
    assert (stops.end(), stops.hit) == ("", None)


@pytest.mark.parametrize(
    ("text", "texts", "out", "hit"),
    [
        ("one two three", ["two"], "one ", "two"),
        ("one two three", ["four"], "one two three", None),
        ("aaab", ["aab"], "a", "aab"),
        ("one two", ["two", "ne"], "o", "ne"),
        ("abcd", ["bcd", "bc"], "a", "bc"),
        ("abcd", ["abcd", "b"], "a", "b"),
        ("abcd", ["bc", "abc"], "", "abc"),
        ("stop", ["stop"], "", "stop"),
        ("\n\nUser: hi", ["\n\nUser:"], "", "\n\nUser:"),
        ("ends with us", ["use"], "ends with us", None),
        ("", ["x"], "", None),
    ],
)
def test_the_text_ends_before_the_stop_string_that_is_complete_first_however_it_is_cut(
    text: str, texts: list[str], out: str, hit: str | None
) -> None:
    assert said([text], texts) == (out, hit)
    assert said(list(text), texts) == (out, hit)
    for at in range(len(text)):
        assert said([text[:at], text[at:]], texts) == (out, hit)


def test_what_may_become_a_stop_string_is_held_back_and_nothing_else() -> None:
    stops = Stops(["</end>"])
    assert stops.feed("a <") == "a "
    assert stops.feed("/e") == ""
    assert stops.feed("x") == "</ex"
    assert stops.feed("y</end") == "y"
    assert stops.end() == "</end"


def test_nothing_comes_after_a_hit() -> None:
    stops = Stops(["x"])
    assert stops.feed("axb") == "a"
    assert stops.feed("more") == ""
    assert stops.end() == ""


def test_any_cut_of_any_text_gives_the_same_answer() -> None:
    dice = random.Random(1)
    for _ in range(2000):
        text = "".join(dice.choice("ab<") for _ in range(dice.randrange(12)))
        stops = ["".join(dice.choice("ab<") for _ in range(dice.randrange(1, 5))) for _ in range(2)]
        pieces, left = [], text
        while left:
            size = dice.randrange(1, 4)
            pieces.append(left[:size])
            left = left[size:]
        whole = said([text], stops)
        assert said(pieces, stops) == whole
        assert not any(stop in whole[0] for stop in stops)
        assert (whole[1] is None) == (whole[0] == text)
