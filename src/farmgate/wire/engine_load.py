"""What an inference engine tells of how busy it is, in Prometheus' text format.

Sources: https://docs.vllm.ai/en/latest/usage/metrics.html, https://docs.sglang.ai/references/production_metrics.html,
https://github.com/ggml-org/llama.cpp/tree/master/tools/server (GET /metrics),
https://huggingface.co/docs/text-generation-inference/reference/metrics
"""

from __future__ import annotations

import math
import re

from farmgate.core.model import EngineLoad

__all__ = ["decode_load"]

WAITING = {b"vllm:num_requests_waiting", b"sglang:num_queue_reqs", b"llamacpp:requests_deferred", b"tgi_queue_size"}
WAITING |= {b"trtllm_num_requests_waiting", b"farmgate_engine_waiting"}
RUNNING = {b"vllm:num_requests_running", b"sglang:num_running_reqs", b"llamacpp:requests_processing"}
RUNNING |= {b"tgi_batch_current_size", b"trtllm_num_requests_running", b"farmgate_engine_running"}
CACHE = {
    b"vllm:kv_cache_usage_perc",
    b"vllm:gpu_cache_usage_perc",
    b"sglang:token_usage",
    b"trtllm_kv_cache_utilization",
}
# Of a name that is not looked for nothing is read: what servers tell of themselves is up to a megabyte.
NAMES = b"|".join(sorted(WAITING | RUNNING | CACHE))
LINE = re.compile(rb"^(" + NAMES + rb")(?:\{[^\n]{0,4096}\})? +([^ \n]{1,32})", re.MULTILINE)


def decode_load(text: bytes) -> EngineLoad | None:
    """The load of a server, all its engines together; None where it tells nothing of it."""
    waiting: list[float] = []
    running: list[float] = []
    cache: list[float] = []
    for name, told in LINE.findall(text):
        value = number(told)
        if value is None:
            continue
        if name in WAITING:
            waiting.append(value)
        elif name in RUNNING:
            running.append(value)
        else:
            cache.append(value)
    if not (waiting or running or cache):
        return None
    return EngineLoad(
        waiting=sum(waiting) if waiting else None,
        running=sum(running) if running else None,
        # Of several engines behind one address the fullest is the one that will wait.
        cache_used=min(max(cache), 1.0) if cache else None,
    )


def number(told: bytes) -> float | None:
    """A sample's value, if it is a count."""
    try:
        value = float(told)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None
