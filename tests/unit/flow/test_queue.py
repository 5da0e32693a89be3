"""Each model has a line of its own: bounded, fair, people before batches, and no place is ever lost."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from copy import copy

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from farmgate.core.errors import Overloaded, UpstreamError
from farmgate.core.event import Finish, Text
from farmgate.core.identity import Principal
from farmgate.core.reply import Reply
from farmgate.core.request import Request
from farmgate.core.words import Complete, Embed
from farmgate.flow.queue import ModelQueues, Queue
from farmgate.flow.slots import Room, Slots
from farmgate.telemetry import Telemetry
from farmgate.testing import FakeTarget, request_of


def ask_of(model: str = "m", caller: str = "a", *, is_batch: bool = False, embeds: bool = False) -> Request:
    words = Embed(inputs=("hello",)) if embeds else Complete(prompt="hello")
    request = copy(request_of(words, who=Principal(key_name=caller)))
    request.model, request.is_batch = model, is_batch
    return request


class Bench:
    """A queue with so much room at each of the models m and n, before a target that answers."""

    def __init__(self, *, parallel: int = 1, waiting: int = 8, patience_s: float = 60.0) -> None:
        self.room = Room(in_flight=parallel, waiting=waiting, patience_s=patience_s)
        self.queues = ModelQueues()
        self.target = FakeTarget(Text("a"), Finish())
        self.telemetry = Telemetry()
        self.queue = Queue(self.target, self.queues, room_of=self.room_of, telemetry=self.telemetry)

    def room_of(self, model: str) -> Room | None:
        return self.room if model in ("m", "n") else None

    def send(self, request: Request) -> asyncio.Task[Reply]:
        return asyncio.create_task(self.queue.send(request))


async def settle() -> None:
    """Let everything happen that can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_each_model_has_its_own_places_and_embeddings_have_theirs() -> None:
    bench = Bench()
    held = [await bench.queue.send(ask_of("m")), await bench.queue.send(ask_of("n"))]
    held.append(await bench.queue.send(ask_of("m", embeds=True)))
    waiting = bench.send(ask_of("m"))
    await settle()
    assert not waiting.done()
    assert bench.queues.waiting() == {"m": 1, "n": 0, "m (embed)": 0}
    held[1].close()
    await settle()
    assert not waiting.done(), "another model's place is none of its own"
    held[0].close()
    (await waiting).close()
    held[2].close()
    assert all(slots.in_flight == 0 for slots in bench.queues._slots.values())


async def test_a_model_nobody_knows_is_refused_further_on_and_leaves_nothing_behind() -> None:
    bench = Bench()
    for name in itertools.islice(map(str, itertools.count()), 50):
        (await bench.queue.send(ask_of(name))).close()
    assert bench.queues.waiting() == {}


async def test_people_go_before_batches_and_batches_go_first_where_all_wait() -> None:
    bench = Bench(waiting=2)
    first = await bench.queue.send(ask_of())
    batch = bench.send(ask_of(caller="b", is_batch=True))
    await settle()
    person = bench.send(ask_of(caller="a"))
    await settle()
    other = bench.send(ask_of(caller="c"))
    await settle()
    with pytest.raises(Overloaded, match="All 1 places at m are taken"):
        await batch
    batch = bench.send(ask_of(caller="b", is_batch=True))
    with pytest.raises(Overloaded) as caught:
        await batch
    assert 1.0 <= (caught.value.retry_after_s or 0.0) <= 5.0
    first.close()
    (await person).close()
    (await other).close()


async def test_a_batch_has_its_turn_when_nobody_else_waits() -> None:
    bench = Bench()
    first = await bench.queue.send(ask_of())
    batch = bench.send(ask_of(is_batch=True))
    await settle()
    person = bench.send(ask_of())
    await settle()
    first.close()
    await settle()
    assert (person.done(), batch.done()) == (True, False)
    person.result().close()
    (await batch).close()


async def test_callers_take_turns_at_a_model() -> None:
    bench = Bench()
    reply = await bench.queue.send(ask_of())
    greedy = [bench.send(ask_of(caller="greedy")) for _ in range(3)]
    await settle()
    modest = bench.send(ask_of(caller="modest"))
    await settle()
    for _ in range(2):
        reply.close()
        await settle()
        reply = next(one.result() for one in (*greedy, modest) if one.done() and not one.result().is_closed)
    assert modest.done(), "one who asks once waits for one of the other's, not for all"
    reply.close()
    for one in greedy[1:]:
        (await one).close()


async def test_who_waits_too_long_is_told_to_come_back() -> None:
    bench = Bench(patience_s=0.0)
    held = await bench.queue.send(ask_of())
    with pytest.raises(Overloaded):
        await bench.queue.send(ask_of())
    held.close()
    (await bench.queue.send(ask_of())).close()


async def test_a_request_that_fails_gives_its_place_back() -> None:
    bench = Bench()
    bench.target._refuses = UpstreamError("no")
    for _ in range(3):
        with pytest.raises(UpstreamError):
            await bench.queue.send(ask_of())
    assert bench.queues._slots["m"].in_flight == 0


async def test_the_time_in_line_is_none_of_the_gates_own_and_is_measured() -> None:
    bench = Bench()
    held = await bench.queue.send(ask_of())
    request = ask_of()
    waiting = bench.send(request)
    await settle()
    held.close()
    (await waiting).close()
    sent = bench.target.requests[-1]
    assert sent.started > request.started
    assert (sent.id, sent.model, sent.body) == (request.id, request.model, request.body)
    text = bench.telemetry.render().decode()
    assert 'farmgate_model_wait_seconds_count{model="m"} 2.0' in text


async def test_the_batch_a_request_joins_is_measured() -> None:
    bench = Bench()
    bench.room = Room(in_flight=2, waiting=8, patience_s=60.0)
    held = [await bench.queue.send(ask_of()) for _ in range(2)]
    for one in held:
        one.close()
    text = bench.telemetry.render().decode()
    assert 'farmgate_model_batch_size_bucket{le="1.0",model="m"} 1.0' in text
    assert 'farmgate_model_batch_size_count{model="m"} 2.0' in text
    assert 'farmgate_model_batch_size_sum{model="m"} 3.0' in text


async def test_more_places_are_given_to_who_waits_and_fewer_take_none_away() -> None:
    bench = Bench()
    held = [await bench.queue.send(ask_of())]
    waiting = [bench.send(ask_of()) for _ in range(3)]
    await settle()
    bench.room = Room(in_flight=3, waiting=8, patience_s=60.0)
    waiting.append(bench.send(ask_of()))
    await settle()
    assert [one.done() for one in waiting] == [True, True, False, False]
    held += [one.result() for one in waiting[:2]]
    bench.room = Room(in_flight=1, waiting=8, patience_s=60.0)
    waiting.append(bench.send(ask_of()))
    await settle()
    for reply in held[:2]:
        reply.close()
    await settle()
    assert not waiting[2].done(), "two of three had to go before one place was free"
    held[2].close()
    for one in waiting[2:]:
        (await one).close()
    assert bench.queues._slots["m"].in_flight == 0


class Placing(RuleBasedStateMachine):
    """Slots against a list of who is in and who waits."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.slots = Slots(Room(in_flight=2, waiting=4, patience_s=1000.0), full="{in_flight}")
        self.inside = 0
        self.tasks: list[tuple[bool, asyncio.Task[None]]] = []

    def teardown(self) -> None:
        for _, task in self.tasks:
            task.cancel()
        self.turn()
        self.loop.close()

    def turn(self) -> None:
        self.loop.run_until_complete(settle())
        for entry in list(self.tasks):
            task = entry[1]
            if task.done():
                self.tasks.remove(entry)
                if not task.cancelled() and task.exception() is None:
                    self.inside += 1

    @rule(caller=st.sampled_from("abc"), is_batch=st.booleans())
    def come(self, caller: str, is_batch: bool) -> None:
        had = Counter(kind for kind, _ in self.tasks)
        self.tasks.append((is_batch, self.loop.create_task(self.slots.take(caller, is_batch=is_batch))))
        self.turn()
        if had[False] + had[True] == 4 and not is_batch and had[True]:
            assert Counter(kind for kind, _ in self.tasks)[False] == had[False] + 1, "a batch went in its place"

    @rule()
    def go(self) -> None:
        if self.inside:
            people = [task for is_batch, task in self.tasks if not is_batch]
            is_free = self.inside <= self.slots.room.in_flight
            self.inside -= 1
            self.slots.give()
            self.turn()
            assert not people or not is_free or any(task.done() for task in people)

    @rule(at=st.integers(0, 10))
    def give_up(self, at: int) -> None:
        if self.tasks:
            self.tasks[at % len(self.tasks)][1].cancel()
            self.turn()

    @rule(places=st.integers(1, 3))
    def resize(self, places: int) -> None:
        self.slots.resize(Room(in_flight=places, waiting=4, patience_s=1000.0))
        self.turn()

    @invariant()
    def counts_agree(self) -> None:
        assert self.slots.in_flight == self.inside
        assert self.slots.waiting == len(self.tasks)
        assert len(self.tasks) <= 4
        assert not self.tasks or self.inside >= self.slots.room.in_flight, "nobody waits beside a free place"


TestPlacing = Placing.TestCase


async def test_names_that_share_a_line_are_bounded_together() -> None:
    bench = Bench()
    bench.room_of = lambda model: Room(line=model.partition(":")[0], in_flight=1)  # type: ignore[method-assign]
    bench.queue = Queue(bench.target, bench.queues, room_of=bench.room_of, telemetry=bench.telemetry)
    held = await bench.queue.send(ask_of("m"))
    waiting = bench.send(ask_of("m:formal"))
    await settle()
    assert not waiting.done()
    assert bench.queues.waiting() == {"m": 1}
    held.close()
    (await waiting).close()
