from __future__ import annotations

from collections.abc import Iterable

from farmgate.core.event import Finish, FinishReason, Part, Text, Usage
from farmgate.engines.hf.choosing import Chooser
from farmgate.engines.hf.writing import Writing

END = 0


def writing(*, most_tokens: int = 100, stop: tuple[str, ...] = ()) -> Writing:
    """Its tokens are bytes, and 0 ends it."""
    return Writing(
        [1, 2, 3],
        most_tokens=most_tokens,
        chooser=Chooser(temperature=0, top_p=1, top_k=0, seed=None),
        decode=lambda ids: bytes(ids).decode("utf-8", "replace"),
        end_ids=frozenset({END}),
        stop=stop,
    )


def written(one: Writing, tokens: Iterable[int]) -> list[Part]:
    return [part for token in tokens if not one.is_over for part in one.take(token)]


def test_an_answer_ends_with_the_token_for_it_which_counts_and_is_not_shown() -> None:
    one = writing()
    assert written(one, b"hi\0") == [
        Text("h"),
        Text("i"),
        Finish(FinishReason.STOP),
        Usage(prompt_tokens=3, completion_tokens=3),
    ]
    assert one.is_over


def test_an_answer_that_is_cut_says_so() -> None:
    assert written(writing(most_tokens=2), b"hi there") == [
        Text("h"),
        Text("i"),
        Finish(FinishReason.LENGTH),
        Usage(prompt_tokens=3, completion_tokens=2),
    ]


def test_a_stop_string_ends_it_and_is_named() -> None:
    *texts, finish, usage = written(writing(stop=("lo w",)), b"hello world")
    assert "".join(part.text for part in texts if isinstance(part, Text)) == "hel"
    assert finish == Finish(FinishReason.STOP, stop="lo w")
    assert usage == Usage(prompt_tokens=3, completion_tokens=7)


def test_what_was_held_back_for_a_stop_string_that_does_not_come_is_given_out_at_the_end() -> None:
    *texts, finish, _ = written(writing(stop=("low",), most_tokens=5), b"hello")
    assert "".join(part.text for part in texts if isinstance(part, Text)) == "hello"
    assert finish == Finish(FinishReason.LENGTH)


def test_half_a_character_at_the_end_is_shown_as_what_it_is() -> None:
    parts = written(writing(most_tokens=2), "a€".encode())
    assert parts[:2] == [Text("a"), Text("\ufffd")]


def test_nothing_is_told_where_nothing_is_sure() -> None:
    assert writing().take(0xE2) == ()
