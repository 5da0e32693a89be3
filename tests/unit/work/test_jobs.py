"""Long tasks: one for many askers, watched by any number, ended for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count

import pytest

from farmgate.core.errors import JobNotFound, ModelNotFound, Overloaded, ShuttingDown
from farmgate.core.identity import ANONYMOUS, Principal
from farmgate.core.ports import Progress, Report
from farmgate.work.jobs import Job, Jobs, JobState, JobStatus

ME = Principal(key_name="me")
OTHER = Principal(key_name="other")


def jobs(*, keep: int = 200, most_open: int = 64) -> Jobs:
    ticks = count(1000)
    return Jobs(lambda: float(next(ticks)), keep, most_open=most_open)


class Task:
    """A task that goes on when it is told to."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.runs = 0
        self.was_cancelled = False

    async def __call__(self, report: Report) -> None:
        self.runs += 1
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise


async def at_once(report: Report) -> None:
    report(Progress(status="loading", completed=1, total=2))


def failing(error: Exception) -> Callable[[Report], Awaitable[None]]:
    async def run(report: Report) -> None:
        raise error

    return run


async def watched(job: Job) -> list[JobState]:
    return [state async for state in job.watch()]


async def turns(number: int = 5) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_a_job_goes_from_queued_over_running_to_done() -> None:
    job = jobs().start("load", "llama", at_once, principal=ME)
    assert job.snapshot().status is JobStatus.QUEUED
    last = (await watched(job))[-1]
    assert last.status is JobStatus.DONE
    assert last.progress == Progress(status="loading", completed=1, total=2)
    assert last.ended is not None
    assert last.ended > last.started


async def test_a_job_that_raises_fails_with_the_code_and_the_words_of_the_error() -> None:
    job = jobs().start("load", "llama", failing(ModelNotFound("There is no llama.")), principal=ME)
    last = (await watched(job))[-1]
    assert last.status is JobStatus.FAILED
    assert last.error is not None
    assert (last.error.code, last.error.message) == ("model_not_found", "There is no llama.")
    assert last.error.__traceback__ is None


async def test_a_mistake_of_our_own_fails_the_job_without_telling_its_words() -> None:
    job = jobs().start("load", "llama", failing(ValueError("secret")), principal=ME)
    error = (await watched(job))[-1].error
    assert error is not None
    assert error.code == "internal_error"
    assert "secret" not in error.message


async def test_many_askers_share_one_job_while_it_runs() -> None:
    house, task = jobs(), Task()
    first, second = house.start("load", "llama", task, principal=ME), house.start("load", "llama", task, principal=ME)
    assert first is second
    assert house.start("pull", "llama", Task(), principal=ME) is not first
    await turns()
    assert task.runs == 1
    task.go.set()
    await watched(first)
    assert house.start("load", "llama", at_once, principal=ME) is not first
    await house.close()


async def test_every_watcher_hears_the_present_state_first_and_the_end_last() -> None:
    house, task = jobs(), Task()
    job = house.start("load", "llama", task, principal=ME)
    watchers = [asyncio.create_task(watched(job)) for _ in range(3)]
    await turns()
    task.go.set()
    told = await asyncio.gather(*watchers)
    assert [[state.status for state in states] for states in told] == [["running", "done"]] * 3
    assert [state.status for state in await watched(job)] == ["done"]


async def test_a_slow_watcher_misses_what_was_in_between_and_hears_the_end() -> None:
    reports: list[Report] = []
    task = Task()

    async def run(report: Report) -> None:
        reports.append(report)
        await task(report)

    job = jobs().start("pull", "llama", run, principal=ME)
    states = job.watch()
    assert (await anext(states)).status is JobStatus.QUEUED
    await turns()
    for done in range(1000):
        reports[0](Progress(status="pulling", completed=done))
    assert (await anext(states)).progress.completed == 999
    task.go.set()
    await turns()
    assert [state.status async for state in states] == ["done"]


async def test_a_report_after_the_end_changes_nothing() -> None:
    reports: list[Report] = []

    async def run(report: Report) -> None:
        reports.append(report)

    job = jobs().start("load", "llama", run, principal=ME)
    end = (await watched(job))[-1]
    reports[0](Progress(status="late"))
    assert job.snapshot() is end


async def test_a_watcher_that_leaves_does_not_stop_the_job() -> None:
    house, task = jobs(), Task()
    job = house.start("load", "llama", task, principal=ME)
    watcher = asyncio.create_task(watched(job))
    await turns()
    watcher.cancel()
    await asyncio.wait([watcher])
    task.go.set()
    assert (await watched(job))[-1].status is JobStatus.DONE


async def test_closing_cancels_what_runs_and_tells_its_watchers() -> None:
    house, task = jobs(), Task()
    running = house.start("load", "llama", task, principal=ME)
    await turns()
    not_begun = house.start("load", "phi", Task(), principal=ME)
    watcher = asyncio.create_task(watched(running))
    await house.close()
    assert task.was_cancelled
    assert [state.error and state.error.code for state in (await watcher)[-1:]] == ["server_shutting_down"]
    assert not_begun.snapshot().status is JobStatus.FAILED
    with pytest.raises(ShuttingDown):
        house.start("load", "llama", at_once, principal=ME)


async def test_old_jobs_are_forgotten_and_running_ones_are_not() -> None:
    house, task = jobs(keep=2), Task()
    running = house.start("load", "running", task, principal=ME)
    ended = [house.start("load", str(number), at_once, principal=ME) for number in range(4)]
    for job in ended:
        await watched(job)
    kept = {job.id for job in ended[2:]}
    assert house.get(running.id, ME) is running
    assert {house.get(known, ME).id for known in kept} == kept
    with pytest.raises(JobNotFound):
        house.get(ended[0].id, ME)
    await house.close()


async def test_no_more_jobs_run_at_a_time_than_allowed() -> None:
    house = jobs(most_open=1)
    house.start("load", "llama", Task(), principal=ME)
    with pytest.raises(Overloaded):
        house.start("load", "phi", at_once, principal=ME)
    await house.close()


async def test_an_unknown_id_is_not_found() -> None:
    with pytest.raises(JobNotFound) as refused:
        jobs().get("x" * 10_000, ME)
    assert len(refused.value.message) < 200


async def test_a_job_is_shown_to_those_who_asked_for_it_and_to_nobody_else() -> None:
    house, task = jobs(), Task()
    job = house.start("load", "llama", task, principal=ME)
    for stranger in (OTHER, ANONYMOUS):
        with pytest.raises(JobNotFound):
            house.get(job.id, stranger)
    assert house.start("load", "llama", task, principal=OTHER) is job
    task.go.set()
    await watched(job)
    assert house.get(job.id, ME) is house.get(job.id, OTHER) is job
    with pytest.raises(JobNotFound):
        house.get(job.id, ANONYMOUS)
