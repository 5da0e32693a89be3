"""Metrics that Prometheus can read and callers cannot multiply, and log lines that nobody can forge."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from farmgate.core.usage import Call, Outcome
from farmgate.telemetry import CONTENT_TYPE, Sink, Telemetry, configure_logging, log, logs
from farmgate.telemetry.counting import LATENCY_S
from farmgate.telemetry.metrics import MAX_CODES, MAX_SERIES


def call(*, model: str = "m", provider: str = "p", outcome: Outcome = Outcome.OK, stream: bool = True) -> Call:
    return Call(
        id="i",
        key_name="k",
        kind="chat",
        provider=provider,
        model=model,
        stream=stream,
        began_unix=0.0,
        outcome=outcome,
        prompt_tokens=3,
        completion_tokens=5,
        first_token_ms=20.0,
        duration_ms=400.0,
    )


def samples(telemetry: Telemetry) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample as Prometheus reads it."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(telemetry.render().decode())
        for sample in family.samples
    }


def of(provider: str = "p", model: str = "m", **more: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted({"provider": provider, "model": model, **more}.items()))


def test_calls_are_told_in_prometheus_own_format() -> None:
    telemetry = Telemetry()
    for outcome in (Outcome.OK, Outcome.OK, Outcome.ERROR, Outcome.CANCELLED):
        telemetry.ended(call(outcome=outcome), overhead_s=0.0004)
    told = samples(telemetry)
    assert told["farmgate_requests_total", of(outcome="ok")] == 2
    assert told["farmgate_requests_total", of(outcome="error")] == 1
    assert told["farmgate_requests_total", of(outcome="cancelled")] == 1
    assert told["farmgate_tokens_total", of(direction="prompt")] == 12
    assert told["farmgate_tokens_total", of(direction="completion")] == 20
    assert told["farmgate_overhead_seconds_count", ()] == 4
    assert told["farmgate_overhead_seconds_sum", ()] == pytest.approx(0.0016)
    assert CONTENT_TYPE.startswith("text/plain")


def test_histograms_count_up_to_every_bound() -> None:
    telemetry = Telemetry()
    for ms in (1.0, 5.0, 5.1, 700_000.0):
        slow = call()
        slow.duration_ms = ms
        telemetry.ended(slow, overhead_s=0.0)
    told = samples(telemetry)
    counts = [told["farmgate_request_duration_seconds_bucket", of(le=str(bound))] for bound in LATENCY_S]
    assert counts[:2] == [2, 3]
    assert counts == sorted(counts)
    assert counts[-1] == 3
    assert told["farmgate_request_duration_seconds_bucket", of(le="+Inf")] == 4
    assert told["farmgate_request_duration_seconds_count", of()] == 4
    assert told["farmgate_request_duration_seconds_sum", of()] == pytest.approx(700.0111)


def test_the_first_token_is_measured_of_streams_only() -> None:
    telemetry = Telemetry()
    telemetry.ended(call(stream=False), overhead_s=0.0)
    telemetry.ended(call(), overhead_s=0.0)
    assert samples(telemetry)["farmgate_first_token_seconds_count", of()] == 1


def test_the_time_of_a_token_is_the_mean_of_its_stream_without_the_first() -> None:
    telemetry = Telemetry()
    telemetry.ended(call(), overhead_s=0.0)
    telemetry.ended(call(stream=False), overhead_s=0.0)
    one = call()
    one.completion_tokens = 1
    telemetry.ended(one, overhead_s=0.0)
    told = samples(telemetry)
    assert told["farmgate_output_token_seconds_count", of()] == 1
    assert told["farmgate_output_token_seconds_sum", of()] == pytest.approx(0.380 / 4)


@pytest.mark.parametrize("model", ['a"b', "a\nb", "a\\b", "\u00e4", "{}", "x" * 300, ""])
def test_odd_names_do_not_break_the_format(model: str) -> None:
    telemetry = Telemetry()
    telemetry.ended(call(model=model), overhead_s=0.0)
    assert samples(telemetry)["farmgate_requests_total", of(model=model, outcome="ok")] == 1


def test_names_that_were_never_answered_make_no_series() -> None:
    telemetry = Telemetry()
    for at in range(1000):
        telemetry.ended(call(model=f"invented-{at}", outcome=Outcome.ERROR), overhead_s=0.0)
    assert len(telemetry._series) == 1
    assert samples(telemetry)["farmgate_requests_total", of(model="other", outcome="error")] == 1000


def test_a_model_that_answered_keeps_its_series_when_it_fails() -> None:
    telemetry = Telemetry()
    telemetry.ended(call(), overhead_s=0.0)
    telemetry.ended(call(outcome=Outcome.ERROR), overhead_s=0.0)
    assert samples(telemetry)["farmgate_requests_total", of(outcome="error")] == 1


def test_even_names_that_are_answered_make_no_more_than_so_many_series() -> None:
    telemetry = Telemetry()
    for at in range(MAX_SERIES + 1000):
        telemetry.ended(call(model=f"invented-{at}", provider=f"p{at % 3}"), overhead_s=0.0)
    assert len(telemetry._series) <= MAX_SERIES + 3
    total = sum(value for (name, _), value in samples(telemetry).items() if name == "farmgate_requests_total")
    assert total == MAX_SERIES + 1000


def test_codes_are_counted_and_a_provider_cannot_multiply_them() -> None:
    telemetry = Telemetry()
    telemetry.failed("overloaded")
    telemetry.failed("overloaded")
    telemetry.failed("x" * 65)
    for at in range(1000):
        telemetry.failed(f"invented_{at}")
    told = {labels: value for (name, labels), value in samples(telemetry).items() if name == "farmgate_errors_total"}
    assert told[("code", "overloaded"),] == 2
    assert len(told) <= MAX_CODES + 1
    assert sum(told.values()) == 1003


def test_a_record_that_could_not_be_written_is_counted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    telemetry = Telemetry()
    with caplog.at_level(logging.INFO, logger="farmgate"):
        telemetry.journal_failed(OSError(28, "No space left on device"))
        telemetry.journal_failed(OSError(28, "No space left on device"))
    assert samples(telemetry)["farmgate_journal_failures_total", ()] == 2
    assert [record.getMessage() for record in caplog.records] == ["journal_failed reason=No space left on device"]


def test_a_log_line_is_an_event_with_fields(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="farmgate"):
        log.info("target_skipped", target="p", tries=2)
    (record,) = caplog.records
    assert record.getMessage() == "target_skipped target=p tries=2"
    assert vars(record)["event"] == "target_skipped"
    assert vars(record)["fields"] == {"target": "p", "tries": 2}


def test_no_value_begins_a_line_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="farmgate"):
        log.warning("request_failed", path="/v1\nERROR forged\x1b[2J")
    assert caplog.records[0].getMessage().isprintable()


def test_our_own_mistake_is_told_by_its_places_and_not_by_its_words(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="farmgate"):
        try:
            raise ValueError("a caller's secret")
        except ValueError as error:
            log.traceback(error)
    message = caplog.records[0].getMessage()
    assert message.startswith("at test_telemetry.py:")
    assert "secret" not in message


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, given back as it was."""
    root, ours = logging.getLogger(), logging.getLogger("farmgate")
    before = (list(root.handlers), root.level, ours.level)
    yield root
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])


def test_a_log_that_nobody_reads_costs_lines_and_no_time(root: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with open(reading, "rb") as reader, open(writing, "w") as writer:
        monkeypatch.setattr(sys, "stderr", writer)
        monkeypatch.setattr(logs, "LINES_WAITING", 100)
        configure_logging(level="info", as_json=False)
        (sink,) = [one for one in root.handlers if isinstance(one, Sink)]
        configure_logging(level="debug", as_json=True)
        assert sink in root.handlers, "configured anew, it goes on with the lines it has"
        for number in range(2000):
            log.info("said", number=number, more="x" * 200)
        assert 0 < sink.lost < 2000
        assert b"farmgate_log_lost_total %d.0" % sink.lost in Telemetry().render()
        lines = [json.loads(reader.readline()) for _ in range(2000 - sink.lost)]
        numbers = [line["number"] for line in lines]
        assert numbers == sorted(set(numbers)), "those that were kept are whole and in order"
        sink.flush()
