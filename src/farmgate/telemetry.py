"""Every metric and log-field name, once."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import math
import os
import queue
import sys
import threading
import time
import traceback
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import CollectorRegistry

from farmgate.core.model import DeviceState, ModelState
from farmgate.core.usage import Call, Outcome

__all__ = ["CONTENT_TYPE", "Sink", "Telemetry", "configure_logging", "log", "log_like_a_command"]

CONTENT_TYPE = CONTENT_TYPE_LATEST
PACE_S = 10.0
MAX_SERIES = 500
"""Pairs of provider and model with series of their own; a caller cannot make more by inventing names."""
MAX_CODES = 200
LINES_WAITING = 10_000
"""Lines of the log that may wait for whoever reads it."""
LAST_LINES_S = 1.0

OVERHEAD_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
LATENCY_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)


class Log:
    """Events with fields. Values are names, numbers and reasons: never prompts, keys or answers."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def info(self, event: str, **fields: object) -> None:
        self._say(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        self._say(logging.WARNING, event, fields)

    def error(self, event: str, **fields: object) -> None:
        self._say(logging.ERROR, event, fields)

    def traceback(self, error: BaseException) -> None:
        """Where a mistake of our own was made. Exception texts may hold a caller's words, so only places are told."""
        places = traceback.extract_tb(error.__traceback__)
        self._logger.error("at %s", " < ".join(f"{Path(p.filename).name}:{p.lineno}" for p in reversed(places)))

    def _say(self, level: int, event: str, fields: Mapping[str, object]) -> None:
        if self._logger.isEnabledFor(level):
            told = " ".join(f"{name}={printable(str(value))}" for name, value in fields.items())
            self._logger.log(level, "%s %s", event, told, extra={"event": event, "fields": dict(fields)})


def printable(value: str) -> str:
    """A value that cannot begin a line of its own."""
    return value if value.isprintable() else repr(value)


log = Log("farmgate")


class JsonLines(logging.Formatter):
    """One JSON object per event."""

    def format(self, record: logging.LogRecord) -> str:
        told = {"time": self.formatTime(record), "level": record.levelname.lower()}
        fields: dict[str, object] = getattr(record, "fields", {})
        event = getattr(record, "event", None) or record.getMessage()
        return json.dumps(told | {"event": event} | fields, default=str)


class Sink(logging.Handler):
    """Lines for stderr, written by a thread: where nobody reads them they are lost and counted, and nobody waits."""

    def __init__(self) -> None:
        super().__init__()
        self.lost = 0
        self._lines: queue.Queue[str] = queue.Queue(LINES_WAITING)
        # A daemon: one that cannot write keeps no process from ending.
        threading.Thread(target=self._write, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.put_nowait(self.format(record) + "\n")
        except queue.Full:
            self.lost += 1
        except Exception:  # noqa: BLE001 - logging's own rule: a record that cannot be told breaks nothing
            self.handleError(record)

    def _write(self) -> None:
        while True:
            line = self._lines.get()
            with contextlib.suppress(OSError, ValueError):
                write_line(line)
            self._lines.task_done()

    def flush(self) -> None:
        """Wait until all is written, but not for long. Called by logging when the process ends."""
        with self._lines.all_tasks_done:
            self._lines.all_tasks_done.wait_for(lambda: not self._lines.unfinished_tasks, LAST_LINES_S)


def write_line(line: str) -> None:
    """To stderr, past its buffer: a thread that hangs in that would hold its lock when the process ends."""
    try:
        descriptor = sys.stderr.fileno()
    except (OSError, ValueError):
        sys.stderr.write(line)
        return
    data = line.encode(errors="backslashreplace")
    while data:
        data = data[os.write(descriptor, data) :]


def configure_logging(*, level: str, as_json: bool) -> None:
    """Send events of that level and above to stderr. Called by whoever serves, again when that is to change."""
    root = logging.getLogger()
    handler = next((one for one in root.handlers if isinstance(one, Sink)), None) or Sink()
    handler.setFormatter(JsonLines() if as_json else logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("farmgate").setLevel(level.upper())


def log_like_a_command() -> None:
    """For commands that say themselves how they ended: only what is lost otherwise, and no dates."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("note: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    logging.getLogger("farmgate").setLevel(logging.ERROR)


class Distribution:
    """A histogram that costs a tenth of a microsecond to add to; read at scrape time."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts by upper bound, as Prometheus wants them."""
        names = [*(str(bound) for bound in self.bounds), "+Inf"]
        return list(zip(names, itertools.accumulate(map(float, self.counts)), strict=True))


class Pace:
    """How many there are a second, lately: what was `PACE_S` ago counts a third of what is now."""

    __slots__ = ("_at", "_rate")

    def __init__(self) -> None:
        self._at = 0.0
        self._rate = 0.0

    def note(self, now: float, count: float) -> None:
        self._rate = self.at(now) + count / PACE_S
        self._at = now

    def at(self, now: float) -> float:
        return self._rate * math.exp((self._at - now) / PACE_S)


class Series:
    """What is counted of one provider's model."""

    __slots__ = ("duration", "first_token", "outcomes", "pace", "tokens")

    def __init__(self) -> None:
        self.outcomes: dict[str, int] = dict.fromkeys((Outcome.OK, Outcome.ERROR, Outcome.CANCELLED), 0)
        self.tokens = {"prompt": 0, "completion": 0}
        self.duration = Distribution(LATENCY_S)
        self.first_token = Distribution(LATENCY_S)
        self.pace = Pace()


class Telemetry:
    """The metrics of one gate. Kept in plain numbers on the hot path, told to Prometheus when it asks."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(self)
        self._series: dict[tuple[str, str], Series] = {}
        self._overhead = Distribution(OVERHEAD_S)
        self._errors: Counter[str] = Counter()
        self._journal_failures = 0
        self._responses_lost = 0
        self._reloads: Counter[str] = Counter()
        self._last_reload_success = True
        self.count_in_flight: Callable[[], int] = lambda: 0
        self.count_waiting: Callable[[], int] = lambda: 0
        self.count_queued: Callable[[], Mapping[str, int]] = dict
        self.see_models: Callable[[], Iterable[ModelState]] = tuple
        self.see_devices: Callable[[], Iterable[DeviceState]] = tuple
        self._waited: dict[str, Distribution] = {}
        self.is_shedding: Callable[[], bool] = lambda: False

    def ended(self, call: Call, *, overhead_s: float) -> None:
        """Count one finished call."""
        series = self._of(call)
        series.outcomes[call.outcome] += 1
        if call.duration_ms is not None:
            series.duration.observe(call.duration_ms / 1000)
        if call.first_token_ms is not None and call.stream:
            series.first_token.observe(call.first_token_ms / 1000)
        series.tokens["prompt"] += call.prompt_tokens
        series.tokens["completion"] += call.completion_tokens
        series.pace.note(time.monotonic(), call.completion_tokens)
        self._overhead.observe(overhead_s)

    def tokens_per_s(self, provider: str, model: str) -> float:
        """How many tokens a model has answered with, lately."""
        series = self._series.get((provider, model))
        return series.pace.at(time.monotonic()) if series is not None else 0.0

    def waited(self, model: str, seconds: float) -> None:
        """Note how long one request waited for its turn at a model of this machine; there are few of these."""
        found = self._waited.get(model)
        if found is None:
            found = self._waited[model] = Distribution(LATENCY_S)
        found.observe(seconds)

    def failed(self, code: str) -> None:
        """Count one request that was answered with an error."""
        # Some codes are a provider's own words.
        if code not in self._errors and (len(self._errors) >= MAX_CODES or len(code) > 64):
            code = "other"
        self._errors[code] += 1

    def journal_failed(self, error: OSError) -> None:
        """Count one record that could not be written; the first is logged."""
        if not self._journal_failures:
            log.error("journal_failed", reason=error.strerror or type(error).__name__)
        self._journal_failures += 1

    def response_lost(self, error: OSError) -> None:
        """Count one response that could not be kept; the first is logged."""
        if not self._responses_lost:
            log.error("response_lost", reason=error.strerror or type(error).__name__)
        self._responses_lost += 1

    def config_reloaded(self, outcome: Literal["changed", "unchanged", "failed"]) -> None:
        """Count one reading anew of the configuration."""
        self._reloads[outcome] += 1
        self._last_reload_success = outcome != "failed"

    def _of(self, call: Call) -> Series:
        key = (call.provider, call.model)
        series = self._series.get(key)
        if series is None:
            # A name that was never answered is a caller's word, and the series are bounded anyway.
            if call.outcome is not Outcome.OK or len(self._series) >= MAX_SERIES:
                key = (call.provider, "other")
                series = self._series.get(key)
            if series is None:
                series = self._series[key] = Series()
        return series

    def collect(self) -> Iterator[Metric]:
        """Every metric now, for Prometheus' client."""
        labels = ("provider", "model")
        requests = CounterMetricFamily(
            "farmgate_requests", "Calls to providers, by how they ended.", labels=(*labels, "outcome")
        )
        tokens = CounterMetricFamily("farmgate_tokens", "Tokens used.", labels=(*labels, "direction"))
        duration = HistogramMetricFamily(
            "farmgate_request_duration_seconds", "From the call to the end of the answer.", labels=labels
        )
        first_token = HistogramMetricFamily(
            "farmgate_first_token_seconds", "From the call to the first content of a stream.", labels=labels
        )
        for key, series in self._series.items():
            for outcome, count in series.outcomes.items():
                requests.add_metric((*key, outcome), count)
            for direction, count in series.tokens.items():
                tokens.add_metric((*key, direction), count)
            duration.add_metric(key, series.duration.buckets(), series.duration.total)
            first_token.add_metric(key, series.first_token.buckets(), series.first_token.total)
        yield from (requests, tokens, duration, first_token)
        errors = CounterMetricFamily("farmgate_errors", "Requests answered with an error.", labels=("code",))
        for code, count in self._errors.items():
            errors.add_metric((code,), count)
        yield errors
        overhead = HistogramMetricFamily(
            "farmgate_overhead_seconds",
            "The gate's own share of a request: before the provider is called and after its last byte.",
        )
        overhead.add_metric((), self._overhead.buckets(), self._overhead.total)
        yield overhead
        yield GaugeMetricFamily(
            "farmgate_requests_in_flight", "Requests being answered now.", value=self.count_in_flight()
        )
        yield GaugeMetricFamily(
            "farmgate_requests_waiting", "Requests that wait for others to end.", value=self.count_waiting()
        )
        yield GaugeMetricFamily(
            "farmgate_shedding", "Whether new requests are refused for the process's limits.", value=self.is_shedding()
        )
        yield CounterMetricFamily(
            "farmgate_journal_failures", "Records that could not be written.", value=self._journal_failures
        )
        sinks = [one for one in logging.getLogger().handlers if isinstance(one, Sink)]
        yield CounterMetricFamily(
            "farmgate_log_lost", "Lines of the log that nobody read in time.", value=sum(one.lost for one in sinks)
        )
        yield CounterMetricFamily(
            "farmgate_responses_lost",
            "Responses whose file could not be written or deleted.",
            value=self._responses_lost,
        )

        yield from self._collect_queues()
        yield from model_metrics(self.see_models())
        yield from device_metrics(self.see_devices())
        yield from self._collect_reloads()

    def _collect_queues(self) -> Iterator[Metric]:
        queued = GaugeMetricFamily(
            "farmgate_model_waiting", "Requests that wait for their turn at a model of this machine.", labels=("model",)
        )
        for model, count in self.count_queued().items():
            queued.add_metric((model,), count)
        yield queued
        waited = HistogramMetricFamily(
            "farmgate_model_wait_seconds", "How long requests waited for their turn at a model.", labels=("model",)
        )
        for model, one in self._waited.items():
            waited.add_metric((model,), one.buckets(), one.total)
        yield waited

    def _collect_reloads(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "farmgate_config_last_reload_success",
            "1 if the configuration could be used when it was last read.",
            value=self._last_reload_success,
        )
        reloads = CounterMetricFamily(
            "farmgate_config_reloads", "Readings anew of the configuration, by how they ended.", labels=("outcome",)
        )
        for outcome in ("changed", "unchanged", "failed"):
            reloads.add_metric((outcome,), self._reloads[outcome])
        yield reloads

    def render(self) -> bytes:
        """The metrics in Prometheus' text format."""
        return generate_latest(self.registry)


def model_metrics(states: Iterable[ModelState]) -> Iterator[Metric]:
    """What there is of the models of this machine."""
    labels = ("model", "version", "purpose")
    up = GaugeMetricFamily("farmgate_model_up", "Whether a model has a process that answers.", labels=labels)
    memory = GaugeMetricFamily(
        "farmgate_model_memory_bytes", "Memory a model holds or was promised.", labels=(*labels, "device")
    )
    starts = CounterMetricFamily("farmgate_model_starts", "Processes started for a model.", labels=labels)
    load = GaugeMetricFamily("farmgate_model_load_seconds", "How long its last start took.", labels=labels)
    busy = GaugeMetricFamily("farmgate_model_in_flight", "Requests at a model now: its batch.", labels=labels)
    for state in states:
        names = (state.name, state.version, state.purpose)
        up.add_metric(names, state.state == "ready")
        starts.add_metric(names, state.starts)
        busy.add_metric(names, state.in_flight)
        if state.load_s is not None:
            load.add_metric(names, state.load_s)
        for device, count in state.memory.items():
            memory.add_metric((*names, device), count)
    yield from (up, memory, starts, load, busy)


def device_metrics(states: Iterable[DeviceState]) -> Iterator[Metric]:
    """What there is of the devices."""
    memory = GaugeMetricFamily("farmgate_device_memory_bytes", "Memory of a device.", labels=("device", "kind"))
    busy = GaugeMetricFamily("farmgate_device_utilisation", "Use of a device, from 0 to 1.", labels=("device",))
    for state in states:
        for kind, count in (("total", state.total), ("free", state.free), ("models", sum(state.models.values()))):
            memory.add_metric((state.name, kind), count)
        if state.utilisation is not None:
            busy.add_metric((state.name,), state.utilisation)
    yield from (memory, busy)
