from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest
from tests.unit.engines.hf.fakes import Echo, writing

from farmgate.core.errors import FarmError, InternalError
from farmgate.core.event import Finish, Text
from farmgate.engines.hf.worker import Unreadable, Worker
from farmgate.engines.hf.writing import Told, Writing


class Heard:
    """What was told of each writing."""

    def __init__(self) -> None:
        self.told: list[tuple[Writing, Told]] = []

    def __call__(self, told: Sequence[tuple[Writing, Told]]) -> None:
        self.told += told

    def text(self, one: Writing) -> str:
        parts = [part for who, told in self.told if who is one and not isinstance(told, FarmError) for part in told]
        return "".join(part.text for part in parts if isinstance(part, Text))

    def error(self, one: Writing) -> FarmError | None:
        return next((told for who, told in self.told if who is one and isinstance(told, FarmError)), None)

    def is_done(self, one: Writing) -> bool:
        return any(
            isinstance(part, Finish)
            for who, told in self.told
            if who is one and not isinstance(told, FarmError)
            for part in told
        )


def test_so_many_as_fit_are_written_at_once_and_the_next_takes_a_place_that_becomes_free() -> None:
    steps, heard = Echo(most=2), Heard()
    worker = Worker(steps, deliver=heard)
    short, long, third = writing("a"), writing("long"), writing("third")
    for each in (short, long, third):
        worker.submit(each)
    worker.turn()
    assert (worker.counts.running, worker.counts.waiting) == (2, 1)
    worker.turn()
    assert heard.is_done(short)
    worker.turn()
    assert heard.text(third) == "t"
    for _ in range(10):
        worker.turn()
    assert (heard.text(long), heard.text(third)) == ("long", "third")
    assert steps.sizes == [2, 2, 2, 2, 2, 1, 1, 1]
    counts = worker.counts
    assert (counts.running, counts.waiting, counts.prompt_tokens, counts.tokens) == (0, 0, 10, 13)
    assert (counts.steps, counts.rows) == (8, 13)


def test_who_waits_is_served_in_order() -> None:
    steps, heard = Echo(most=1), Heard()
    worker = Worker(steps, deliver=heard)
    all_of_them = [writing(text) for text in "abc"]
    for each in all_of_them:
        worker.submit(each)
    for _ in range(6):
        worker.turn()
    assert [one for one, _ in heard.told] == [each for one in all_of_them for each in (one, one)]


def test_who_is_gone_has_left_before_the_next_step() -> None:
    steps, heard = Echo(most=1), Heard()
    worker = Worker(steps, deliver=heard)
    gone, waiting, also_gone = writing("gone"), writing("w"), writing("x")
    for each in (gone, also_gone, waiting):
        worker.submit(each)
    worker.turn()
    worker.cancel(gone)
    worker.cancel(also_gone)
    worker.turn()
    assert steps.entered == [waiting]
    assert heard.text(gone) == "g"
    assert heard.text(waiting) == "w"
    assert worker.counts.cancelled == 2
    assert heard.text(also_gone) == ""


def test_who_goes_during_a_step_gets_nothing_of_it() -> None:
    steps, heard = Echo(), Heard()
    worker = Worker(steps, deliver=heard)
    one = writing("one")
    worker.submit(one)
    worker.turn()
    one.cancel()
    steps.step(worker._take)
    assert steps.entered == []
    worker.turn()
    assert heard.text(one) == "o"
    assert (worker.counts.cancelled, worker.counts.running) == (1, 0)


def test_a_step_that_fails_is_told_to_those_in_it_and_the_next_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    steps, heard = Echo(most=2, fails=ValueError("a secret prompt")), Heard()
    deaths: list[bool] = []
    worker = Worker(
        steps, deliver=heard, is_fatal=lambda error: "device" in str(error), die=lambda: deaths.append(True)
    )
    broken, also, later = writing("b"), writing("c"), writing("later")
    for each in (broken, also, later):
        worker.submit(each)
    worker.turn()
    assert isinstance(heard.error(broken), InternalError)
    assert isinstance(heard.error(also), InternalError)
    for _ in range(8):
        worker.turn()
    assert heard.text(later) == "later"
    assert worker.counts.failed == 2
    log = capsys.readouterr().err
    assert "ValueError" in log
    assert "secret" not in log
    assert not deaths


def test_a_prompt_that_cannot_be_read_fails_alone() -> None:
    steps, heard = Echo(most=2), Heard()
    worker = Worker(steps, deliver=heard)
    good, bad = writing("good"), writing("bad")
    worker.submit(good)
    worker.submit(bad)
    worker.turn()
    steps.leave(bad)
    steps.fails = Unreadable(bad)
    steps.fails.__cause__ = MemoryError()
    for _ in range(6):
        worker.turn()
    error = heard.error(bad)
    assert error is not None
    assert error.message == "The engine failed while it wrote: MemoryError."
    assert heard.text(good) == "good"
    assert (worker.counts.failed, worker.counts.running) == (1, 0)


def test_a_fault_of_the_device_ends_the_process_once_all_are_told() -> None:
    steps, heard = Echo(fails=RuntimeError("device lost")), Heard()
    told_before: list[int] = []
    worker = Worker(
        steps,
        deliver=heard,
        is_fatal=lambda error: "device" in str(error),
        die=lambda: told_before.append(len(heard.told)),
    )
    worker.submit(writing("a"))
    worker.turn()
    assert told_before == [1]


def test_who_needs_another_adapter_waits_for_those_before_and_holds_up_those_behind() -> None:
    steps, heard = Echo(most=4), Heard()
    worker = Worker(steps, deliver=heard)
    plain, lawyer, plain_again = writing("aaa"), writing("b", adapter="law"), writing("c")
    for each in (plain, lawyer, plain_again):
        worker.submit(each)
    for _ in range(4):
        worker.turn()
        assert steps.used == []
    worker.turn()
    assert steps.entered == [lawyer]
    for _ in range(4):
        worker.turn()
    assert heard.text(plain_again) == "c"
    assert steps.used == ["law", None]
    assert max(steps.sizes) == 1


def test_what_is_called_between_steps_gives_its_result_and_leaves_the_adapter_as_it_was() -> None:
    steps = Echo()
    worker = Worker(steps, deliver=Heard())
    worker.submit(writing("ab", adapter="law"))
    worker.turn()
    result = worker.between_steps(lambda: 5)
    assert not result.done()
    worker.turn()
    assert result.result(timeout=0) == 5
    assert steps.used == ["law", "law"]
    failing = worker.between_steps(lambda: 1 // 0)
    worker.turn()
    with pytest.raises(ZeroDivisionError):
        failing.result(timeout=0)
    assert steps.used == ["law", "law", "law"]


def test_where_the_adapter_cannot_be_used_again_it_is_told_and_nobody_else_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps = Echo()
    worker = Worker(steps, deliver=Heard())
    adding, after = worker.between_steps(lambda: 5), worker.between_steps(lambda: 6)

    def use(_: str | None) -> None:
        monkeypatch.undo()
        raise MemoryError

    monkeypatch.setattr(steps, "use", use)
    worker.turn()
    assert isinstance(adding.exception(timeout=0), MemoryError)
    assert after.result(timeout=0) == 6


def test_an_adapter_is_taken_away_only_when_nobody_uses_or_waits_for_it() -> None:
    steps = Echo(most=1)
    worker = Worker(steps, deliver=Heard())
    for _ in range(2):
        worker.submit(writing("a", adapter="law"))
    worker.turn()
    gone = worker.between_steps(lambda: steps.used.append("removed"), unused="law")
    for _ in range(3):
        worker.turn()
        assert not gone.done()
    worker.turn()
    assert gone.done()
    assert steps.used == ["law", None, "removed", None]


def test_the_thread_sleeps_until_there_is_something_to_do() -> None:
    finished = threading.Event()

    def deliver(told: Sequence[tuple[Writing, Told]]) -> None:
        for one, parts in told:
            one.tell(parts)

    worker = Worker(Echo(), deliver=deliver)
    worker.start()
    assert worker.is_alive
    worker.submit(writing("a", lambda told: finished.set() if len(tuple(told)) > 1 else None))  # type: ignore[arg-type]
    assert finished.wait(timeout=20)
    assert worker.between_steps(lambda: 1).result(timeout=20) == 1
