from __future__ import annotations

from collections.abc import Sequence

import pytest

from farmgate.engines.hf.pieces import Pieces


def bytes_as_text(ids: Sequence[int]) -> str:
    """A tokenizer whose tokens are bytes, as byte-level BPE has them."""
    return bytes(ids).decode("utf-8", "replace")


WORDS = ["", "▁Hel", "lo", "▁world", "<0xE2>", "<0x82>", "<0xAC>", "!"]


def sentencepiece(ids: Sequence[int]) -> str:
    """A tokenizer that drops the first space, and has a token for each byte of what it does not know."""
    text, at = "", 0
    while at < len(ids):
        run = bytearray()
        while at < len(ids) and WORDS[ids[at]].startswith("<0x"):
            run.append(int(WORDS[ids[at]][3:5], 16))
            at += 1
        try:
            text += run.decode()
        except UnicodeDecodeError:
            text += "\ufffd" * len(run)
        if at < len(ids):
            text += WORDS[ids[at]]
            at += 1
    text = text.replace("▁", " ")
    return text.removeprefix(" ")


@pytest.mark.parametrize("text", ["plain", "naïve café", "€100 → ¥", "日本語のテキスト", "🙂👩‍🌾 ok", "", "a\ufffdb"])
def test_no_piece_holds_half_of_a_character_and_together_they_are_the_text(text: str) -> None:
    pieces = Pieces(bytes_as_text)
    given = [pieces.feed(token) for token in text.encode()]
    if "\ufffd" not in text:
        assert not any("\ufffd" in piece for piece in given)
    assert "".join(given) + pieces.end() == text


def test_a_character_comes_with_its_last_byte() -> None:
    pieces = Pieces(bytes_as_text)
    assert [pieces.feed(token) for token in "a€b".encode()] == ["a", "", "", "€", "b"]


def test_a_text_that_breaks_off_inside_a_character_ends_with_the_sign_for_that() -> None:
    pieces = Pieces(bytes_as_text)
    assert pieces.feed(ord("a")) == "a"
    assert pieces.feed("€".encode()[0]) == ""
    assert pieces.end() == "\ufffd"


def test_bytes_that_are_no_text_are_not_held_back_for_ever() -> None:
    pieces = Pieces(bytes_as_text)
    given = "".join(pieces.feed(0xFF) for _ in range(40))
    assert len(given) == 40
    assert given + pieces.end() == "\ufffd" * 40


def test_the_space_before_a_word_is_kept_though_a_decoder_drops_it_at_the_beginning() -> None:
    pieces = Pieces(sentencepiece)
    assert [pieces.feed(token) for token in (1, 2, 3, 7)] == ["Hel", "lo", " world", "!"]


def test_two_characters_of_single_bytes_in_a_row_are_both_there() -> None:
    pieces = Pieces(sentencepiece)
    euro = (4, 5, 6)
    assert [pieces.feed(token) for token in (1, *euro, *euro, 3)] == ["Hel", "", "", "€", "", "", "€", " world"]


def test_a_long_text_is_not_decoded_again_and_again() -> None:
    longest = 0

    def watched(ids: Sequence[int]) -> str:
        nonlocal longest
        longest = max(longest, len(ids))
        return bytes_as_text(ids)

    pieces = Pieces(watched)
    for token in b"a word " * 200:
        pieces.feed(token)
    assert longest <= 4
