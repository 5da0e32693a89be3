"""What a load came to: outcomes, times to the first token with and without the gate, memory; and what was promised."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.endure.asking import Came, Outcome
from tests.endure.figures import Slope, percentile, slope
from tests.endure.page import Report, machine, table

__all__ = ["Loaded", "Sample", "told", "used_s"]

WARM_UP = 1 / 3
"""Of all the time: memory is looked at from then on."""
MOST_REFUSED = 0.001
MOST_ADDED_S = 0.050
MOST_OTHERS = 0.3
"""Cores that other programs may use meanwhile; with more, callers wait for a core and not for the gate."""
GROWN_MIB = 2.0
"""What memory may be shown to have grown by while it was looked at: a page of the allocator here and there."""


def used_s() -> tuple[float, float]:
    """Seconds of all cores that were used by anybody, and by this process and its children that have ended."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _, _, irq, softirq = map(int, fields[:7])
    own = os.times()
    ours = own.user + own.system + own.children_user + own.children_system
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK"), ours


@dataclass(frozen=True, slots=True)
class Sample:
    """A process at one moment. `own_mib`: its memory without files that are mapped into it, such as the journal;
    `waited_s`: how long it would have run, had a core been free."""

    at: float
    own_mib: float
    resident_mib: float
    busy_s: float
    waited_s: float

    @classmethod
    def of(cls, pid: int) -> Sample:
        status = Path(f"/proc/{pid}/status").read_text()
        ran, waited = (int(told) / 1e9 for told in Path(f"/proc/{pid}/schedstat").read_text().split()[:2])
        own, resident = (kib(status, name) / 1024 for name in ("RssAnon", "VmRSS"))
        return cls(time.monotonic(), own, resident, ran, waited)


def kib(status: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)
    assert found is not None, name
    return int(found[1])


@dataclass
class Loaded:
    """Filled in while it goes on; answers themselves are not kept."""

    seconds: float
    users: int
    seed: int
    think_s: float
    share: float
    began: float = 0.0
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    at_once_s: list[float] = field(default_factory=list)
    """Times to the first token of answers that took one call."""
    all_s: list[float] = field(default_factory=list)
    direct_s: list[float] = field(default_factory=list)
    direct: Counter[Outcome] = field(default_factory=Counter)
    samples: list[Sample] = field(default_factory=list)
    tried_again: int = 0
    hung: int = 0
    restarts: int = 0
    changes: int = 0
    reloaded: int = 0
    is_idle: bool = False
    exit_code: int = 0
    tracebacks: int = 0
    others_cores: float = 0.0
    """What other programs on this machine used meanwhile."""

    def note(self, came: Came) -> None:
        """One answer of the gate."""
        self.outcomes[came.outcome] += 1
        self.tried_again += came.attempts > 1
        self.hung += came.why == "hung"
        if came.outcome is not Outcome.WHOLE:
            is_known = came.outcome in (Outcome.ERROR_FRAME, Outcome.STATUS)
            self.reasons[f"{came.outcome}: {came.why}" if is_known or len(self.reasons) < 30 else "others"] += 1
        if came.first_s is not None and came.began >= self.began + self.ramp_s:
            self.all_s.append(came.first_s)
            if came.attempts == 1:
                self.at_once_s.append(came.first_s)

    def note_direct(self, came: Came) -> None:
        """One answer of a mock."""
        self.direct[came.outcome] += 1
        if came.first_s is not None and came.began >= self.began + self.ramp_s:
            self.direct_s.append(came.first_s)

    @property
    def ramp_s(self) -> float:
        """Within which users come. Times to the first token count from its end."""
        return min(10.0, self.seconds / 6)

    @property
    def settled(self) -> list[Sample]:
        """Samples behind the warm-up."""
        begin = self.began + WARM_UP * self.seconds
        return [one for one in self.samples if one.at >= begin]

    @property
    def own_slope(self) -> Slope:
        """Of the gate's own memory, in MiB an hour."""
        return slope([(one.at / 3600, one.own_mib) for one in self.settled])

    @property
    def added_s(self) -> float:
        return percentile(self.at_once_s, 0.99) - percentile(self.direct_s, 0.99)


def told(loaded: Loaded) -> Report:
    """The figures, held against what is promised."""
    report = Report()
    count = loaded.outcomes
    asked = count.total()
    grown = loaded.own_slope
    hours = (loaded.settled[-1].at - loaded.settled[0].at) / 3600
    for outcome in (Outcome.WRONG, Outcome.SILENT, Outcome.BROKEN):
        report.promise(f"{count[outcome]} x {outcome}", is_kept=not count[outcome])
    report.promise(f"{loaded.hung} answers without an end", is_kept=not loaded.hung)
    report.promise(f"{count[Outcome.STATUS]} refused", is_kept=count[Outcome.STATUS] <= MOST_REFUSED * asked)
    added = f"{loaded.added_s * 1000:.1f} ms added to p99 of the first token"
    if loaded.added_s > MOST_ADDED_S and loaded.others_cores > MOST_OTHERS:
        report.unjudged.append(f"{added}, while other programs used {loaded.others_cores:.1f} of the cores")
    else:
        report.promise(added, is_kept=loaded.added_s <= MOST_ADDED_S)
    report.promise(
        f"memory grew by {grown.low * hours:.1f} MiB or more in {hours * 60:.0f} min",
        is_kept=grown.low * hours <= GROWN_MIB,
    )
    report.promise(
        f"{loaded.reloaded} of {loaded.changes} changes were taken", is_kept=loaded.reloaded == loaded.changes
    )
    report.promise("requests are left in flight", is_kept=loaded.is_idle)
    report.promise(f"the gate ended with {loaded.exit_code}", is_kept=loaded.exit_code == 0)
    report.promise(f"{loaded.tracebacks} tracebacks in its log", is_kept=not loaded.tracebacks)
    report.say(machine(), "", preamble(loaded), "", *table(("", ""), rows(loaded, grown)), "", reasons(loaded))
    return report


def preamble(loaded: Loaded) -> str:
    return (
        f"`SEED={loaded.seed}`, {loaded.users:,} users for {loaded.seconds:.0f} s: each answer is 20 ms of silence and "
        "23 frames, 50 ms apart (the second is the first with text); between two, "
        f"{loaded.think_s:g} s of thought on average. {max(1, loaded.users // 10):,} more users ask the mocks "
        f"directly. Users come within {loaded.ramp_s:.0f} s; times count from then on. {loaded.share:.0%} of the calls "
        f"fail, {loaded.restarts} restarts of a mock, {loaded.changes} changes of the configuration."
    )


def rows(loaded: Loaded, grown: Slope) -> list[tuple[str, str]]:
    count = loaded.outcomes
    asked = count.total()
    settled = loaded.settled
    first, last = loaded.samples[0], loaded.samples[-1]
    busy, waited = (
        (late - soon) / (last.at - first.at)
        for late, soon in ((last.busy_s, first.busy_s), (last.waited_s, first.waited_s))
    )
    ends = f"{settled[0].own_mib:.1f}, {settled[-1].own_mib:.1f}"
    return [
        ("Requests (a second)", f"{asked:,} ({asked / loaded.seconds:.0f})"),
        ("Whole and right", f"{count[Outcome.WHOLE]:,} ({count[Outcome.WHOLE] / asked:.2%})"),
        ("Broken, and told by an error frame", f"{count[Outcome.ERROR_FRAME]:,}"),
        ("Refused with a status", f"{count[Outcome.STATUS]:,}"),
        ("**Wrong**", f"**{count[Outcome.WRONG]:,}**"),
        ("**Silently cut short**", f"**{count[Outcome.SILENT]:,}**"),
        ("Connection broken without a word, of them hung", f"{count[Outcome.BROKEN]:,}, {loaded.hung:,}"),
        ("Answered after more than one call", f"{loaded.tried_again:,}"),
        ("First token, ms: p50, p99 directly", two(loaded.direct_s)),
        ("First token, ms: p50, p99 through the gate, one call", two(loaded.at_once_s)),
        ("First token, ms: p50, p99 through the gate, all", two(loaded.all_s)),
        ("**Added to p99, ms**", f"**{loaded.added_s * 1000:.1f}**"),
        ("The gate ran, and waited for a core, of the time", f"{busy:.0%}, {waited:.0%}"),
        ("Other programs used, cores", f"{loaded.others_cores:.2f}"),
        (f"Own memory after {WARM_UP * loaded.seconds:.0f} s and at the end, MiB", ends),
        ("Own memory, each tenth of the time", ", ".join(tenths(loaded.samples))),
        ("Resident with mapped files at the end, MiB", f"{settled[-1].resident_mib:.1f}"),
        ("Slope of its own memory, MiB an hour (95 %)", f"{grown.median:+.1f} ({grown.low:+.1f} to {grown.high:+.1f})"),
    ]


def tenths(samples: list[Sample]) -> list[str]:
    last = len(samples) - 1
    return [f"{samples[last * at // 10].own_mib:.1f}" for at in range(11)]


def two(values: list[float]) -> str:
    return f"{percentile(values, 0.5) * 1000:.1f}, {percentile(values, 0.99) * 1000:.1f}"


def reasons(loaded: Loaded) -> str:
    told = ", ".join(f"{count:,} x {why}" for why, count in loaded.reasons.most_common(8))
    return f"What callers were told of answers that are not whole: {told or 'nothing'}."
