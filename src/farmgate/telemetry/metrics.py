"""What is counted, and how Prometheus is told."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
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
from farmgate.telemetry.counting import LATENCY_S, Distribution, Series
from farmgate.telemetry.logs import Sink, log
from farmgate.telemetry.state import device_metrics, model_metrics

__all__ = ["CONTENT_TYPE", "Telemetry"]

CONTENT_TYPE = CONTENT_TYPE_LATEST
MAX_SERIES = 500
"""Pairs of provider and model with series of their own; a caller cannot make more by inventing names."""
MAX_CODES = 200

OVERHEAD_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
BATCH = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0, 64.0, 128.0, 256.0)


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
        self._lines: dict[str, tuple[Distribution, Distribution]] = {}
        self.is_shedding: Callable[[], bool] = lambda: False

    def ended(self, call: Call, *, overhead_s: float) -> None:
        """Count one finished call."""
        self._of(call).note(call, time.monotonic())
        self._overhead.observe(overhead_s)

    def tokens_per_s(self, provider: str, model: str) -> float:
        """How many tokens a model has answered with, lately."""
        series = self._series.get((provider, model))
        return series.pace.at(time.monotonic()) if series is not None else 0.0

    def let_in(self, model: str, *, waited_s: float, batch: int) -> None:
        """Note how long one request waited for its turn at a model, and how many are there with it, itself included.
        There are few of these models."""
        found = self._lines.get(model)
        if found is None:
            found = self._lines[model] = Distribution(LATENCY_S), Distribution(BATCH)
        waits, batches = found
        waits.observe(waited_s)
        batches.observe(batch)

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
        token = HistogramMetricFamily(
            "farmgate_output_token_seconds",
            "Of each stream, the mean time from one token to the next.",
            labels=labels,
        )
        for key, series in self._series.items():
            for outcome, count in series.outcomes.items():
                requests.add_metric((*key, outcome), count)
            for direction, count in series.tokens.items():
                tokens.add_metric((*key, direction), count)
            duration.add_metric(key, series.duration.buckets(), series.duration.total)
            first_token.add_metric(key, series.first_token.buckets(), series.first_token.total)
            token.add_metric(key, series.token.buckets(), series.token.total)
        yield from (requests, tokens, duration, first_token, token)
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
            "farmgate_model_waiting", "Requests that wait for their turn at a model.", labels=("model",)
        )
        for model, count in self.count_queued().items():
            queued.add_metric((model,), count)
        yield queued
        waited = HistogramMetricFamily(
            "farmgate_model_wait_seconds", "How long requests waited for their turn at a model.", labels=("model",)
        )
        batch = HistogramMetricFamily(
            "farmgate_model_batch_size", "Requests at a model when one more has its turn, with it.", labels=("model",)
        )
        for model, (waits, batches) in self._lines.items():
            waited.add_metric((model,), waits.buckets(), waits.total)
            batch.add_metric((model,), batches.buckets(), batches.total)
        yield from (waited, batch)

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
