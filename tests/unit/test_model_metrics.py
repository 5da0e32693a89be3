"""What Prometheus is told of models and devices."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.fakes.care import DEVICES, PROCESS

from farmgate.core.model import EngineLoad
from farmgate.telemetry import Pace, Telemetry


def test_models_and_devices_are_told_as_they_are_when_asked() -> None:
    telemetry = Telemetry()
    assert "farmgate_model_up{" not in telemetry.render().decode()
    telemetry.see_models = lambda: [
        replace(PROCESS, load_s=0.5),
        replace(PROCESS, version="2", state="failed", memory={}, engine_load=None),
    ]
    telemetry.see_devices = lambda: DEVICES
    telemetry.count_queued = lambda: {"guide": 3}
    told = telemetry.render().decode()
    of = 'model="guide",purpose="generate",version='
    for line in (
        f'farmgate_model_up{{{of}"1"}} 1.0',
        f'farmgate_model_up{{{of}"2"}} 0.0',
        f'farmgate_model_starts_total{{{of}"1"}} 2.0',
        f'farmgate_model_load_seconds{{{of}"1"}} 0.5',
        f'farmgate_model_in_flight{{{of}"1"}} 1.0',
        'farmgate_model_memory_bytes{device="cpu",model="guide",purpose="generate",version="1"} 7.0',
        f'farmgate_model_engine_running{{{of}"1"}} 3.0',
        f'farmgate_model_engine_waiting{{{of}"1"}} 1.0',
        'farmgate_model_waiting{model="guide"} 3.0',
        'farmgate_device_memory_bytes{device="gpu0",kind="total"} 100.0',
        'farmgate_device_memory_bytes{device="gpu0",kind="models"} 50.0',
        'farmgate_device_utilisation{device="gpu0"} 0.5',
    ):
        assert line in told
    assert 'farmgate_device_utilisation{device="cpu"}' not in told, "it does not tell"
    assert "farmgate_model_engine_cache_used{" not in told, "none tells"
    assert f'farmgate_model_engine_running{{{of}"2"}}' not in told, "it tells nothing"
    assert f'farmgate_model_load_seconds{{{of}"2"}}' not in told, "it never came up"


def test_two_processes_of_the_same_names_are_one_line() -> None:
    telemetry = Telemetry()
    telemetry.see_models = lambda: [
        replace(PROCESS, answers=False, state="draining", in_flight=2, load_s=9.0),
        replace(PROCESS, starts=1, in_flight=3, load_s=0.5, engine_load=EngineLoad(running=4)),
    ]
    told = telemetry.render().decode().splitlines()
    of = '{model="guide",purpose="generate",version="1"}'
    assert [line for line in told if of in line] == [
        f"farmgate_model_up{of} 1.0",
        f"farmgate_model_starts_total{of} {PROCESS.starts + 1.0}",
        f"farmgate_model_load_seconds{of} 0.5",
        f"farmgate_model_in_flight{of} 5.0",
        f"farmgate_model_engine_running{of} 4.0",
    ]
    assert 'farmgate_model_memory_bytes{device="cpu",model="guide",purpose="generate",version="1"} 14.0' in told


def test_a_pace_is_what_there_was_lately() -> None:
    pace = Pace()
    assert pace.at(5.0) == 0.0
    for second in range(100, 200):
        pace.note(float(second), 20.0)
    assert pace.at(200.0) == pytest.approx(20.0, rel=0.1)
    assert pace.at(260.0) < 0.1
