"""When a target is left out, for how long, and how it comes back."""

from __future__ import annotations

import math

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from farmgate.core.errors import (
    ClientGone,
    ContextLengthExceeded,
    EngineUnavailable,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamRefusedKey,
    UpstreamRejected,
    UpstreamTimeout,
)
from farmgate.flow.health import (
    MOST_OPEN_S,
    Budget,
    Health,
    Quota,
    State,
    Verdict,
    Ward,
    verdict,
)

FAILURE = UpstreamError()


def ask(health: Health, failure: BaseException | None, *, at: float, draw: float = 0.0) -> None:
    health.begin(at).end(failure, at, draw)


def opened(*, at: float = 100.0) -> Health:
    health = Health()
    for _ in range(5):
        ask(health, FAILURE, at=at)
    assert health.state(at) is State.OPEN
    return health


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (None, Verdict.WELL),
        (UpstreamError(), Verdict.FAILED),
        (UpstreamTimeout(), Verdict.FAILED),
        (EngineUnavailable(), Verdict.FAILED),
        (UpstreamRefusedKey(), Verdict.REFUSED_KEY),
        (UpstreamRateLimited(), Verdict.LIMITED),
        (UpstreamRejected("no", status=400, type_="x", code=None), Verdict.NEUTRAL),
        (ContextLengthExceeded(), Verdict.NEUTRAL),
        (ClientGone(), Verdict.NEUTRAL),
        (KeyboardInterrupt(), Verdict.NEUTRAL),
    ],
)
def test_what_an_end_says(failure: BaseException | None, said: Verdict) -> None:
    assert verdict(failure) is said


def test_five_failures_in_a_row_open_it() -> None:
    health = Health()
    for _ in range(4):
        ask(health, FAILURE, at=1.0)
    ask(health, None, at=1.0)
    for _ in range(4):
        ask(health, FAILURE, at=1.0)
    assert health.state(1.0) is State.CLOSED
    ask(health, FAILURE, at=1.0)
    assert health.state(1.0) is State.OPEN
    assert not health.may_be_asked(1.0)


def test_half_of_twenty_calls_open_it() -> None:
    health = Health()
    for call in range(19):
        ask(health, None if call % 2 else FAILURE, at=call * 0.1)
    assert health.state(2.0) is State.CLOSED
    ask(health, FAILURE, at=2.0)
    assert health.state(2.0) is State.OPEN


def test_failures_older_than_the_window_do_not_count() -> None:
    health = Health()
    for call in range(18):
        ask(health, FAILURE if call % 2 else None, at=0.0)
    for _ in range(2):
        ask(health, None, at=31.0)
    ask(health, FAILURE, at=31.0)
    assert health.state(31.0) is State.CLOSED


def test_of_many_at_a_time_those_that_hang_and_are_noticed_together_are_no_row() -> None:
    health = Health()
    hanging = [health.begin(0.0) for _ in range(8)]
    for at in range(1, 40):
        ask(health, None, at=float(at) / 10)
    for trial in hanging:
        trial.end(FAILURE, 4.0, 0.0)
    assert health.state(4.0) is State.CLOSED
    for _ in range(5):
        ask(health, FAILURE, at=4.0)
    assert health.state(4.0) is State.OPEN, "these began after the last one that went well"


def test_a_refused_key_opens_it_at_once() -> None:
    health = Health()
    ask(health, UpstreamRefusedKey(), at=1.0)
    assert health.state(1.0) is State.OPEN
    assert health.last_failure == "upstream_auth_failed"


def test_one_probe_at_a_time_and_two_close_it() -> None:
    health = opened()
    later = health.open_until
    assert health.may_be_asked(later)
    probe = health.begin(later)
    assert not health.may_be_asked(later), "somebody is finding out already"
    probe.end(None, later, 0.0)
    assert health.state(later) is State.HALF_OPEN
    ask(health, None, at=later)
    assert health.state(later) is State.CLOSED


def test_a_probe_whose_caller_left_says_nothing_and_frees_its_place() -> None:
    health = opened()
    later = health.open_until
    ask(health, ClientGone(), at=later)
    assert health.state(later) is State.HALF_OPEN
    assert health.may_be_asked(later)


def test_each_time_it_is_left_out_longer_up_to_a_limit() -> None:
    health = opened(at=0.0)
    times = [health.open_until]
    for _ in range(4):
        at = health.open_until
        ask(health, FAILURE, at=at)
        times.append(health.open_until - at)
    assert times == [5.0, 10.0, 20.0, 20.0, 20.0]


def test_chance_only_makes_it_shorter() -> None:
    health = Health()
    for _ in range(5):
        ask(health, FAILURE, at=0.0, draw=1.0)
    assert health.open_until == pytest.approx(4.0)


def test_a_long_time_without_trouble_is_forgiven() -> None:
    health = opened(at=0.0)
    at = health.open_until
    ask(health, FAILURE, at=at)
    at = health.open_until
    ask(health, None, at=at)
    ask(health, None, at=at)
    for _ in range(5):
        ask(health, FAILURE, at=at + 301)
    assert health.open_until - (at + 301) == 5.0


def test_what_began_before_it_opened_says_nothing_about_it_since() -> None:
    health = Health()
    old = health.begin(0.0)
    for _ in range(5):
        ask(health, FAILURE, at=1.0)
    until = health.open_until
    old.end(None, until, 0.0)
    assert health.state(until) is State.HALF_OPEN
    assert health.may_be_asked(until)
    assert health.in_flight == 0


def test_a_trial_ends_once() -> None:
    health = Health()
    trial = health.begin(0.0)
    trial.end(FAILURE, 0.0, 0.0)
    trial.end(FAILURE, 0.0, 0.0)
    assert health.in_flight == 0
    for _ in range(3):
        ask(health, FAILURE, at=0.0)
    assert health.state(0.0) is State.CLOSED


@pytest.mark.parametrize(
    ("told", "cooled_s"), [(None, 1.0), (0.0, 0.0), (20.0, 20.0), (1e9, 300.0), (-5.0, 0.0), (math.inf, 300.0)]
)
def test_a_rate_limit_cools_everybody_who_shares_it_and_is_no_failure(told: float | None, cooled_s: float) -> None:
    ward = Ward()
    one, other, third = ward.of("a", "shared"), ward.of("b", "shared"), ward.of("c")
    for _ in range(10):
        ask(one, UpstreamRateLimited(retry_after_s=told), at=100.0)
    assert one.state(100.0) is State.CLOSED
    assert one.back_in_s(100.0) == other.back_in_s(100.0) == cooled_s
    assert other.is_cooling(100.0) is (cooled_s > 0)
    assert not third.is_cooling(100.0)


def test_the_latest_word_on_a_limit_counts() -> None:
    quota = Quota()
    quota.cool(0.0, 60.0)
    quota.cool(1.0, 2.0)
    assert quota.cooled_until == 3.0


def test_the_time_to_the_first_token_is_a_moving_average() -> None:
    health = Health()
    for after_s in (1.0, 2.0):
        health.spoke(after_s)
    assert health.first_token_s == pytest.approx(1.3)


def test_retries_are_a_fifth_of_the_calls_and_a_few_besides() -> None:
    budget = Budget()
    made = 0
    for _ in range(1000):
        budget.earn()
        made += budget.take(0.0)
    assert made == pytest.approx(203, abs=1)


def test_a_target_that_is_asked_seldom_may_be_retried_again_after_a_while() -> None:
    budget = Budget()
    assert [budget.take(0.0) for _ in range(4)] == [True, True, True, False]
    assert budget.take(5.0)


def test_made_up_names_do_not_fill_the_ward() -> None:
    ward = Ward(most=8)
    sick = ward.of("sick")
    for _ in range(5):
        ask(sick, FAILURE, at=0.0)
    for number in range(100):
        ward.of(f"made-up-{number}")
    assert len(ward.known()) <= 9
    assert ward.of("sick") is sick


class Breaker(RuleBasedStateMachine):
    """Any order of calls, ends and time."""

    def __init__(self) -> None:
        super().__init__()
        self.health = Health()
        self.now = 1000.0
        self.trials: list[object] = []
        self.well_since: float | None = None

    @rule()
    def begin(self) -> None:
        self.trials.append(self.health.begin(self.now))

    @precondition(lambda self: self.trials)
    @rule(
        which=st.integers(0, 1000),
        failure=st.sampled_from([None, None, FAILURE, UpstreamRefusedKey(), ClientGone(), UpstreamRateLimited()]),
        draw=st.floats(0, 1),
    )
    def end(self, which: int, failure: BaseException | None, draw: float) -> None:
        trial = self.trials.pop(which % len(self.trials))
        trial.end(failure, self.now, draw)  # type: ignore[attr-defined] # a Trial

    @rule(s=st.floats(0, 40))
    def wait(self, s: float) -> None:
        self.now += s

    @invariant()
    def counts_are_exact(self) -> None:
        assert self.health.in_flight == len(self.trials)

    @invariant()
    def it_is_never_left_out_for_longer_than_the_limit(self) -> None:
        assert self.health.open_until <= self.now + MOST_OPEN_S

    @invariant()
    def at_most_one_probe_runs(self) -> None:
        current = [trial for trial in self.trials if trial.is_probe and trial.epoch == self.health.epoch]  # type: ignore[attr-defined] # a Trial
        assert len(current) == self.health.is_probed

    @invariant()
    def an_open_one_is_not_asked(self) -> None:
        if self.health.state(self.now) is State.OPEN:
            assert not self.health.may_be_asked(self.now)

    def teardown(self) -> None:
        """Whatever happened: a target that is well from now on is back after its time and two probes."""
        for trial in self.trials:
            trial.end(None, self.now, 0.0)  # type: ignore[attr-defined] # a Trial
        self.now += MOST_OPEN_S
        for _ in range(2):
            assert self.health.may_be_asked(self.now)
            ask(self.health, None, at=self.now)
        assert self.health.state(self.now) is State.CLOSED


TestBreaker = Breaker.TestCase
TestBreaker.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


class Retrying(RuleBasedStateMachine):
    """Any order of calls, wishes to try again, and time."""

    def __init__(self) -> None:
        super().__init__()
        self.budget = Budget()
        self.now = self.began = 1000.0
        self.calls = self.retries = 0

    @rule(number=st.integers(1, 50))
    def call(self, number: int) -> None:
        self.calls += number
        for _ in range(number):
            self.budget.earn()

    @rule(wishes=st.integers(1, 30))
    def retry(self, wishes: int) -> None:
        for _ in range(wishes):
            has_some = self.budget.tokens >= 1.0
            may = self.budget.take(self.now)
            assert may or not has_some
            self.retries += may

    @rule(s=st.floats(0, 60))
    def wait(self, s: float) -> None:
        self.now += s

    @invariant()
    def retries_are_a_share_of_calls_and_a_few_besides(self) -> None:
        besides = Budget.LEAST + (self.now - self.began) * Budget.LEAST_PER_S
        assert self.retries <= Budget.SHARE * self.calls + besides + 1e-6

    @invariant()
    def what_is_saved_has_a_limit(self) -> None:
        assert 0.0 <= self.budget.tokens <= Budget.MOST + Budget.SHARE

    def teardown(self) -> None:
        """Whatever happened: after a while a few may be tried again."""
        self.budget.take(self.now)
        self.now += Budget.LEAST / Budget.LEAST_PER_S
        assert self.budget.take(self.now)


TestRetrying = Retrying.TestCase
