"""Metrics of what there is now, models and devices: nothing is counted for them, they are read when asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from farmgate.core.model import DeviceState, EngineLoad, ModelState

__all__ = ["device_metrics", "model_metrics"]


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
    running = GaugeMetricFamily("farmgate_model_engine_running", "Requests an engine says it computes.", labels=labels)
    waiting = GaugeMetricFamily("farmgate_model_engine_waiting", "Requests an engine says wait in it.", labels=labels)
    cache = GaugeMetricFamily(
        "farmgate_model_engine_cache_used", "How much of its cache an engine says is used, from 0 to 1.", labels=labels
    )
    for state in states:
        names = (state.name, state.version, state.purpose)
        told = state.engine_load if state.engine_load is not None else EngineLoad()
        for family, value in ((running, told.running), (waiting, told.waiting), (cache, told.cache_used)):
            if value is not None:
                family.add_metric(names, value)
        up.add_metric(names, state.state == "ready")
        starts.add_metric(names, state.starts)
        busy.add_metric(names, state.in_flight)
        if state.load_s is not None:
            load.add_metric(names, state.load_s)
        for device, count in state.memory.items():
            memory.add_metric((*names, device), count)
    yield from (up, memory, starts, load, busy, running, waiting, cache)


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
