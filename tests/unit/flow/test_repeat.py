"""What was asked under a key is answered once, and given again while it is kept."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from farmgate.core.errors import AnswerNotKept, IdempotencyInFlight, IdempotencyKeyReused
from farmgate.flow.repeat import ENTRY_BYTES, Claim, Kept, Repeats
from farmgate.testing import FakeClock

DAY_S = 86_400.0


def claimed(repeats: Repeats, key: str = "k", digest: bytes = b"d", owner: str = "me") -> Claim:
    claim = repeats.claim(owner, key, digest)
    assert isinstance(claim, Claim)
    return claim


def test_the_same_request_gets_the_same_answer() -> None:
    repeats = Repeats(clock=FakeClock())
    claimed(repeats).keep(b"hello", [(b"x-a", b"1")], b"application/json")
    kept = repeats.claim("me", "k", b"d")
    assert isinstance(kept, Kept)
    assert (kept.body, kept.headers, kept.content_type) == (b"hello", [(b"x-a", b"1")], b"application/json")


def test_while_it_is_being_answered_it_is_told_to_come_back() -> None:
    repeats = Repeats()
    claimed(repeats)
    with pytest.raises(IdempotencyInFlight) as caught:
        repeats.claim("me", "k", b"d")
    assert (caught.value.status, caught.value.retry_after_s) == (409, 1.0)


@pytest.mark.parametrize("answered", [False, True])
def test_another_request_under_the_key_is_refused(answered: bool) -> None:
    repeats = Repeats()
    claim = claimed(repeats)
    if answered:
        claim.keep(b"hello")
    with pytest.raises(IdempotencyKeyReused) as caught:
        repeats.claim("me", "k", b"other")
    assert caught.value.status == 422


def test_the_keys_of_different_callers_have_nothing_to_do_with_each_other() -> None:
    repeats = Repeats()
    claimed(repeats, owner="me").keep(b"secret")
    claimed(repeats, owner="you", digest=b"d")


def test_what_was_not_answered_may_be_asked_again() -> None:
    repeats = Repeats()
    claim = claimed(repeats)
    claim.release()
    claim.release()
    claimed(repeats, digest=b"other").keep(b"hello")


@pytest.mark.parametrize("body", [None, b"x" * 101], ids=["a stream", "too large"])
def test_an_answer_that_is_not_kept_is_not_asked_for_again(body: bytes | None) -> None:
    repeats = Repeats(answer_bytes=100)
    claimed(repeats).keep(body)
    with pytest.raises(AnswerNotKept) as caught:
        repeats.claim("me", "k", b"d")
    assert (caught.value.status, caught.value.should_retry) == (409, False)
    assert "\n" not in caught.value.message


def test_after_a_day_the_key_is_free() -> None:
    clock = FakeClock()
    repeats = Repeats(clock=clock)
    claimed(repeats).keep(b"hello")
    clock.advance(DAY_S - 1)
    assert isinstance(repeats.claim("me", "k", b"d"), Kept)
    clock.advance(1)
    claimed(repeats, digest=b"other").release()
    assert repeats.size == 0


def test_when_there_is_no_room_the_oldest_is_let_go() -> None:
    repeats = Repeats(keep_bytes=3 * (ENTRY_BYTES + 10), clock=FakeClock())
    for key in "abcd":
        claimed(repeats, key=key).keep(b"0123456789")
    claimed(repeats, key="a").release()
    for key in "bcd":
        assert isinstance(repeats.claim("me", key, b"d"), Kept)


class Repeating(RuleBasedStateMachine):
    """Against a dictionary that never forgets, within a day and with room for all."""

    def __init__(self) -> None:
        super().__init__()
        self.repeats = Repeats(clock=FakeClock())
        self.open: dict[str, tuple[bytes, Claim]] = {}
        self.answered: dict[str, tuple[bytes, bytes | None]] = {}

    @rule(key=st.sampled_from("ab"), digest=st.sampled_from([b"1", b"2"]))
    def ask(self, key: str, digest: bytes) -> None:
        known = self.open.get(key) or self.answered.get(key)
        if known is not None and known[0] != digest:
            with pytest.raises(IdempotencyKeyReused):
                self.repeats.claim("me", key, digest)
        elif key in self.open:
            with pytest.raises(IdempotencyInFlight):
                self.repeats.claim("me", key, digest)
        elif key in self.answered:
            body = self.answered[key][1]
            if body is None:
                with pytest.raises(AnswerNotKept):
                    self.repeats.claim("me", key, digest)
            else:
                kept = self.repeats.claim("me", key, digest)
                assert isinstance(kept, Kept)
                assert kept.body == body
        else:
            self.open[key] = (digest, claimed(self.repeats, key, digest))

    @rule(key=st.sampled_from("ab"), body=st.sampled_from([b"x", b"", None]))
    def answer(self, key: str, body: bytes | None) -> None:
        if key in self.open:
            digest, claim = self.open.pop(key)
            claim.keep(body)
            claim.release()
            self.answered[key] = (digest, body)

    @rule(key=st.sampled_from("ab"))
    def fail(self, key: str) -> None:
        if key in self.open:
            self.open.pop(key)[1].release()

    @invariant()
    def sizes_agree(self) -> None:
        assert self.repeats.size == sum(ENTRY_BYTES + len(body or b"") for _, body in self.answered.values())


TestRepeating = Repeating.TestCase
