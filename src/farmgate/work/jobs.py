"""Long tasks (pulling, loading) run here, owned by the gate, watched by those who asked; no client keeps one alive."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeAlias

from farmgate.core.errors import FarmError, InternalError, JobNotFound, Overloaded, ShuttingDown
from farmgate.core.identity import Principal
from farmgate.core.ids import new_id
from farmgate.core.ports import Progress, Report
from farmgate.telemetry import log

__all__ = ["Job", "JobState", "JobStatus", "Jobs", "Run"]

Run: TypeAlias = Callable[[Report], Awaitable[None]]


class JobStatus(StrEnum):
    """How far a job is. QUEUED: it has not begun; DONE and FAILED are the ends."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    """A job at one moment. Times are of the clock the Jobs were given; `error` says why a failed job failed."""

    id: str
    kind: str
    title: str
    status: JobStatus
    progress: Progress
    started: float
    ended: float | None = None
    error: FarmError | None = None

    @property
    def is_over(self) -> bool:
        return self.ended is not None


class Job:
    """One long task. Only its Jobs change it."""

    def __init__(self, state: JobState) -> None:
        self._state = state
        self._changed = asyncio.Event()
        self._askers: set[Principal] = set()

    @property
    def id(self) -> str:
        return self._state.id

    def snapshot(self) -> JobState:
        """How it is now."""
        return self._state

    def is_shown_to(self, principal: Principal) -> bool:
        """Whether this caller began it or joined it."""
        return principal in self._askers

    async def watch(self) -> AsyncIterator[JobState]:
        """The state now, then after every change; the last is the end.

        Whoever reads slowly misses what was in between: nothing is kept for a watcher.
        """
        seen: JobState | None = None
        while seen is None or not seen.is_over:
            if self._state is seen:
                await self._changed.wait()
            seen = self._state
            yield seen

    def join(self, principal: Principal) -> None:
        """For its Jobs. Whoever asks for what runs already may see how far it is."""
        self._askers.add(principal)

    def change(self, state: JobState) -> None:
        """For its Jobs. What comes after the end changes nothing."""
        if self._state.is_over:
            return
        self._state = state
        # A pulse: it wakes those who wait now, and nobody can miss it, for there is no await between look and wait.
        self._changed.set()
        self._changed.clear()


class Jobs:
    """Every job that runs, and the last ones that ended."""

    def __init__(self, clock: Callable[[], float], keep: int = 200, *, most_open: int = 64) -> None:
        """`clock`: Unix time in seconds. `keep`: ended jobs remembered. `most_open`: jobs that may run at a time."""
        self._clock = clock
        self._keep = keep
        self._most_open = most_open
        self._jobs: dict[str, Job] = {}
        self._open: dict[tuple[str, str], Job] = {}
        self._ended: deque[str] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False

    def start(self, kind: str, title: str, run: Run, *, principal: Principal) -> Job:
        """Begin a job, or join the one of this kind and title that runs. Raises Overloaded or ShuttingDown.

        `run` begins at the next turn of the event loop.
        """
        running = self._open.get((kind, title))
        if running is not None:
            running.join(principal)
            return running
        if self._is_closed:
            raise ShuttingDown
        if len(self._open) >= self._most_open:
            raise Overloaded(f"{self._most_open} jobs are running: wait until one has ended.", retry_after_s=5)
        state = JobState(
            id=new_id(),
            kind=kind,
            title=title,
            status=JobStatus.QUEUED,
            progress=Progress(status="queued"),
            started=self._clock(),
        )
        job = self._jobs[state.id] = self._open[kind, title] = Job(state)
        job.join(principal)
        task = asyncio.get_running_loop().create_task(self._run(job, run), name=f"job {kind}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return job

    def get(self, id: str, principal: Principal) -> Job:
        """A job by its id, for one who asked for it. Raises JobNotFound: another's is as unknown as none."""
        job = self._jobs.get(id)
        if job is None or not job.is_shown_to(principal):
            raise JobNotFound(
                f"There is no job {id[:64]!r}. Old jobs are forgotten, and all of them when the gate stops."
            )
        return job

    async def close(self) -> None:
        """Cancel what runs. Returns when all of it has ended."""
        self._is_closed = True
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        # A task cancelled before its first step never got to say that it ended.
        for job in tuple(self._open.values()):
            self._end(job, ShuttingDown())

    async def _run(self, job: Job, run: Run) -> None:
        def report(progress: Progress) -> None:
            job.change(replace(job.snapshot(), progress=progress))

        begun = Progress(status="running")
        job.change(replace(job.snapshot(), status=JobStatus.RUNNING, progress=begun))
        error: FarmError | None = ShuttingDown()
        try:
            await run(report)
            error = None
        except FarmError as failure:
            error = failure
        except Exception as failure:  # noqa: BLE001 - whatever a task raises, its watchers must hear of the end
            log.traceback(failure)
            error = InternalError(f"Farmgate made a mistake. Find job {job.id} in the log.")
        finally:
            self._end(job, error)

    def _end(self, job: Job, error: FarmError | None) -> None:
        state = job.snapshot()
        if error is None:
            job.change(replace(state, status=JobStatus.DONE, ended=self._clock()))
        else:
            log.warning("job_failed", job=state.id, kind=state.kind, reason=error.code)
            job.change(replace(state, status=JobStatus.FAILED, ended=self._clock(), error=bare(error)))
        del self._open[state.kind, state.title]
        self._ended.append(state.id)
        while len(self._ended) > self._keep:
            del self._jobs[self._ended.popleft()]


def bare(error: FarmError) -> FarmError:
    """The error without the frames it went through, which would be kept for as long as the job."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)
