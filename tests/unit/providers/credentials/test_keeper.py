"""A token is fetched once for many, renewed before it ends, and served until its end whatever goes wrong."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

import pytest

from farmgate.core.errors import FarmError, ShuttingDown, UpstreamRefusedKey, UpstreamTimeout, UpstreamUnreachable
from farmgate.providers.credentials import keeper
from farmgate.providers.credentials.keeper import Held, Keeper, renew_in_s, retry_in_s
from farmgate.testing import FakeClock


class Alarm:
    """One thing that comes later."""

    def __init__(self, due_s: float, ring: Callable[[], object]) -> None:
        self.due_s = due_s
        self.ring = ring
        self.is_over = False

    def cancel(self) -> None:
        self.is_over = True


class Issuer:
    """Gives out token 1, 2, 3, ..., each for an hour; fails while it has `failures`; waits while it is `shut`."""

    def __init__(self) -> None:
        self.clock = FakeClock(1_000_000.0)
        self.alarms: list[Alarm] = []
        self.calls = 0
        self.failures: list[Exception] = []
        self.lifetime_s = 3600.0
        self.renew_s = math.inf
        self.open = asyncio.Event()
        self.open.set()
        self.keeper = Keeper(
            self.fetch,
            name="cloud",
            explain=lambda error: UpstreamUnreachable(f"no token: {type(error).__name__}"),
            clock=self.clock,
            later=self.later,
        )

    async def fetch(self) -> Held[str]:
        self.calls += 1
        number = self.calls
        await self.open.wait()
        if self.failures:
            raise self.failures.pop(0)
        now = self.clock()
        return Held(value=f"token {number}", expires_unix=now + self.lifetime_s, renew_unix=now + self.renew_s)

    def later(self, seconds: float, ring: Callable[[], object]) -> Alarm:
        self.alarms.append(Alarm(self.clock() + seconds, ring))
        return self.alarms[-1]

    @property
    def next_s(self) -> float | None:
        """Seconds until something rings."""
        due = [alarm.due_s - self.clock() for alarm in self.alarms if not alarm.is_over]
        return min(due) if due else None

    async def after(self, seconds: float) -> None:
        """Let so much time go by: what is due rings, and what it began ends."""
        self.clock.advance(seconds)
        for alarm in self.alarms:
            if not alarm.is_over and alarm.due_s <= self.clock():
                alarm.is_over = True
                alarm.ring()
        for _ in range(5):
            await asyncio.sleep(0)


async def test_nothing_is_fetched_before_somebody_asks() -> None:
    issuer = Issuer()
    assert issuer.calls == 0
    await issuer.keeper.close()


async def test_the_first_request_waits_and_later_ones_do_not() -> None:
    issuer = Issuer()
    assert await issuer.keeper.get() == "token 1"
    # Driven by hand: had it to wait, it would not end by itself.
    second = issuer.keeper.get()
    with pytest.raises(StopIteration) as got:
        second.send(None)
    assert got.value.value == "token 1"
    assert issuer.calls == 1
    await issuer.keeper.close()


async def test_many_who_wait_cost_one_fetch() -> None:
    issuer = Issuer()
    issuer.open.clear()
    waiting = [asyncio.create_task(issuer.keeper.get()) for _ in range(200)]
    await asyncio.sleep(0)
    issuer.open.set()
    assert set(await asyncio.gather(*waiting)) == {"token 1"}
    assert issuer.calls == 1
    await issuer.keeper.close()


async def test_one_who_leaves_does_not_take_the_token_from_the_others() -> None:
    issuer = Issuer()
    issuer.open.clear()
    one, other = asyncio.create_task(issuer.keeper.get()), asyncio.create_task(issuer.keeper.get())
    await asyncio.sleep(0)
    one.cancel()
    await asyncio.wait({one})
    issuer.open.set()
    assert await other == "token 1"
    assert issuer.calls == 1
    await issuer.keeper.close()


async def test_a_token_is_renewed_before_its_end_without_anybody_asking() -> None:
    issuer = Issuer()
    await issuer.keeper.get()
    assert issuer.next_s == 3600 - 240
    await issuer.after(3600 - 240)
    assert issuer.calls == 2
    assert await issuer.keeper.get() == "token 2"
    assert issuer.calls == 2
    await issuer.keeper.close()


async def test_while_a_token_is_renewed_the_old_one_serves() -> None:
    issuer = Issuer()
    await issuer.keeper.get()
    issuer.open.clear()
    await issuer.after(3400)
    assert issuer.calls == 2
    assert await issuer.keeper.get() == "token 1"
    issuer.open.set()
    await issuer.after(0)
    assert await issuer.keeper.get() == "token 2"
    await issuer.keeper.close()


async def test_when_it_cannot_be_renewed_the_old_one_serves_to_its_end(caplog: pytest.LogCaptureFixture) -> None:
    issuer = Issuer()
    await issuer.keeper.get()
    issuer.failures = [RuntimeError("CANARY in the words of a library")] * 100
    tries = []
    await issuer.after(3600 - 240)
    while issuer.next_s is not None and issuer.clock() < 1_003_600 - keeper.SKEW_S:
        tries.append(issuer.next_s)
        assert await issuer.keeper.get() == "token 1"
        await issuer.after(issuer.next_s)
    assert tries == [5, 10, 20, 40, 60, 60, 60]
    assert caplog.text.count("credential_not_renewed") == len(tries), "the last one failed when it was over"
    assert "provider=cloud" in caplog.text
    with pytest.raises(UpstreamUnreachable, match="no token: RuntimeError"):
        await issuer.keeper.get()
    await issuer.keeper.close()


async def test_keys_without_an_end_serve_on_when_they_cannot_be_read_again(caplog: pytest.LogCaptureFixture) -> None:
    issuer = Issuer()
    issuer.lifetime_s, issuer.renew_s = math.inf, 300
    await issuer.keeper.get()
    issuer.failures = [RuntimeError()]
    await issuer.after(300)
    assert "good_for_s=unlimited" in caplog.text
    assert await issuer.keeper.get() == "token 1"
    await issuer.after(5)
    assert await issuer.keeper.get() == "token 3"
    await issuer.keeper.close()


async def test_it_is_told_when_renewing_works_again(caplog: pytest.LogCaptureFixture) -> None:
    issuer = Issuer()
    await issuer.keeper.get()
    issuer.failures = [RuntimeError()]
    await issuer.after(3600 - 240)
    await issuer.after(5)
    assert "credential_renewed provider=cloud failures=1" in caplog.text
    assert await issuer.keeper.get() == "token 3"
    assert issuer.next_s == 3600 - 240
    await issuer.keeper.close()


async def test_without_a_token_the_error_says_why_and_soon_it_is_tried_again() -> None:
    issuer = Issuer()
    issuer.failures = [RuntimeError(), RuntimeError()]
    for _ in range(3):
        with pytest.raises(UpstreamUnreachable, match="no token"):
            await issuer.keeper.get()
    assert issuer.calls == 1, "a failure answers for those who ask right after"
    assert issuer.next_s is None, "nobody asks, nothing is tried"
    await issuer.after(keeper.COOL_S)
    with pytest.raises(UpstreamUnreachable, match="no token"):
        await issuer.keeper.get()
    await issuer.after(keeper.COOL_S)
    assert await issuer.keeper.get() == "token 3"
    await issuer.keeper.close()


async def test_each_who_waits_gets_an_error_of_its_own() -> None:
    issuer = Issuer()
    issuer.failures = [RuntimeError()]
    first, second = await asyncio.gather(issuer.keeper.get(), issuer.keeper.get(), return_exceptions=True)
    assert isinstance(first, FarmError)
    assert isinstance(second, FarmError)
    assert first is not second
    assert first.__cause__ is first.__context__ is None, "what a library raised may hold a token"
    await issuer.keeper.close()


async def test_a_token_that_ended_while_the_machine_slept_is_not_served() -> None:
    issuer = Issuer()
    await issuer.keeper.get()
    issuer.clock.advance(7200)  # and no alarm rang
    assert await issuer.keeper.get() == "token 2"
    await issuer.keeper.close()


async def test_a_token_that_is_over_when_it_comes_is_none() -> None:
    issuer = Issuer()
    issuer.lifetime_s = 5
    with pytest.raises(UpstreamRefusedKey, match="clock"):
        await issuer.keeper.get()
    await issuer.keeper.close()


async def test_a_request_whose_time_is_over_does_not_wait_on() -> None:
    issuer = Issuer()
    issuer.open.clear()
    with pytest.raises(UpstreamTimeout, match="cloud was not asked"):
        await issuer.keeper.get(asyncio.get_running_loop().time())
    issuer.open.set()
    assert await issuer.keeper.get() == "token 1"
    assert issuer.calls == 1, "the fetch went on"
    await issuer.keeper.close()


async def test_closing_ends_what_is_under_way_and_nothing_comes_later() -> None:
    issuer = Issuer()
    await issuer.keeper.get()
    issuer.open.clear()
    issuer.clock.advance(3600)
    waiting = asyncio.create_task(issuer.keeper.get())
    await asyncio.sleep(0)
    await issuer.keeper.close()
    await issuer.keeper.close()
    with pytest.raises(ShuttingDown):
        await waiting
    with pytest.raises(ShuttingDown):
        await issuer.keeper.get()
    assert issuer.next_s is None
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize(
    ("lifetime_s", "renew_s", "expected_s"),
    [
        (3600, math.inf, 3360),
        (86_400, 43_200, 43_200),  # Azure would have it renewed at half its life
        (600, math.inf, 450),
        (8, math.inf, keeper.SOONEST_S),
        (3600, -5, keeper.SOONEST_S),
        (math.inf, 300, 300),
        (math.inf, math.inf, math.inf),
    ],
)
def test_when_a_token_is_renewed(lifetime_s: float, renew_s: float, expected_s: float) -> None:
    held = Held(value="", expires_unix=1000 + lifetime_s, renew_unix=1000 + renew_s)
    assert renew_in_s(held, 1000) == expected_s


def test_tries_come_further_apart_and_never_stop() -> None:
    assert [retry_in_s(failures) for failures in (1, 2, 3, 4, 5, 6, 1000)] == [5, 10, 20, 40, 60, 60, 60]


def test_a_token_is_in_no_repr() -> None:
    assert "CANARY" not in repr(Held(value="CANARY"))
