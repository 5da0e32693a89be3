"""Metrics of what there is now, models and devices: nothing is counted for them, they are read when asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

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
    for names, alike in by_names(states).items():
        told = next((state.engine_load for state in alike if state.engine_load is not None), EngineLoad())
        load_s = next((state.load_s for state in alike if state.load_s is not None), None)
        for family, value in (
            *((running, told.running), (waiting, told.waiting), (cache, told.cache_used)),
            (load, load_s),
        ):
            if value is not None:
                family.add_metric(names, value)
        up.add_metric(names, any(state.state == "ready" for state in alike))
        starts.add_metric(names, sum(state.starts for state in alike))
        busy.add_metric(names, sum(state.in_flight for state in alike))
        for device in dict.fromkeys(device for state in alike for device in state.memory):
            memory.add_metric((*names, device), sum(state.memory.get(device, 0) for state in alike))
    yield from (up, memory, starts, load, busy, running, waiting, cache)


def by_names(states: Iterable[ModelState]) -> Mapping[tuple[str, str, str], list[ModelState]]:
    """A version that is started anew beside itself has the same names: the one that answers first."""
    found: dict[tuple[str, str, str], list[ModelState]] = {}
    for state in sorted(states, key=lambda state: not state.answers):
        found.setdefault((state.name, state.version, state.purpose), []).append(state)
    return found


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
