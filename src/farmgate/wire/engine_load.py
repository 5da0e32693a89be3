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

LINE = re.compile(rb"^([A-Za-z_:][A-Za-z0-9_:]{0,128})(?:\{[^\n]{0,4096}\})? +([^ \n]{1,32})", re.MULTILINE)
WAITING = {b"vllm:num_requests_waiting", b"sglang:num_queue_reqs", b"llamacpp:requests_deferred", b"tgi_queue_size"}
WAITING |= {b"trtllm_num_requests_waiting"}
RUNNING = {b"vllm:num_requests_running", b"sglang:num_running_reqs", b"llamacpp:requests_processing"}
RUNNING |= {b"tgi_batch_current_size", b"trtllm_num_requests_running"}
CACHE = {
    b"vllm:kv_cache_usage_perc",
    b"vllm:gpu_cache_usage_perc",
    b"sglang:token_usage",
    b"trtllm_kv_cache_utilization",
}


def decode_load(text: bytes) -> EngineLoad | None:
    """The load of a server, all its engines together; None where it tells nothing of it."""
    waiting = running = cache = 0.0
    found = False
    for name, told in LINE.findall(text):
        if name not in WAITING and name not in RUNNING and name not in CACHE:
            continue
        value = number(told)
        if value is None:
            continue
        found = True
        if name in WAITING:
            waiting += value
        elif name in RUNNING:
            running += value
        else:
            # Of several engines behind one address the fullest is the one that will wait.
            cache = max(cache, value)
    return EngineLoad(waiting=waiting, running=running, cache_used=min(cache, 1.0)) if found else None


def number(told: bytes) -> float | None:
    """A sample's value, if it is a count."""
    try:
        value = float(told)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None
