"""How busy engines say they are, each in its own words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmgate.core.model import EngineLoad
from farmgate.wire.engine_load import decode_load

VLLM = b"""# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="Qwen/Qwen3-0.6B"} 3.0
vllm:num_requests_running{engine="1",model_name="Qwen/Qwen3-0.6B"} 2.0
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="Qwen/Qwen3-0.6B"} 4.0
vllm:num_requests_waiting{engine="1",model_name="Qwen/Qwen3-0.6B"} 0.0
vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"} 4.0
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="Qwen/Qwen3-0.6B"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="Qwen/Qwen3-0.6B"} 0.75
"""


@pytest.mark.parametrize(
    ("text", "load"),
    [
        (VLLM, EngineLoad(waiting=4, running=5, cache_used=0.75)),
        (b"sglang:num_queue_reqs 2\nsglang:num_running_reqs 7\nsglang:token_usage 0.5\n", (2, 7, 0.5)),
        (b"llamacpp:requests_deferred 1\nllamacpp:requests_processing 4\n", (1, 4, None)),
        (b'tgi_queue_size 3\ntgi_batch_current_size{a="b c"} 8 1700000000\n', (3, 8, None)),
        (b"farmgate_engine_running 2\nfarmgate_engine_waiting 1\nfarmgate_engine_rows_total 9\n", (1, 2, None)),
        (b"trtllm_num_requests_waiting 1\ntrtllm_num_requests_running 2\ntrtllm_kv_cache_utilization 0.1", (1, 2, 0.1)),
        (b"vllm:num_requests_waiting NaN\nvllm:num_requests_running 1e0\n", (None, 1, None)),
        (
            b"vllm:num_requests_waiting -3\nvllm:num_requests_running +Inf\nvllm:kv_cache_usage_perc 7\n",
            (None, None, 1),
        ),
    ],
)
def test_each_engine_has_its_own_words(text: bytes, load: EngineLoad | tuple[float | None, ...]) -> None:
    wanted = load
    if isinstance(load, tuple):
        wanted = EngineLoad(waiting=load[0], running=load[1], cache_used=load[2])
    assert decode_load(text) == wanted


@pytest.mark.parametrize("text", [b"", b"\xff\xfe", b"<html>", b"process_cpu_seconds_total 3\n", b"vllm:other 3\n"])
def test_who_says_nothing_of_it_is_not_taken_for_idle(text: bytes) -> None:
    assert decode_load(text) is None


@given(st.lists(st.sampled_from([b"vllm:num_requests_waiting", b"{", b"}", b" ", b"1", b"e9", b"\n", b'a="', b"\xff"])))
def test_whatever_it_says_it_is_a_load_or_none(pieces: list[bytes]) -> None:
    load = decode_load(b"".join(pieces))
    assert load is None or load.requests >= 0


def test_a_queue_or_a_full_cache_is_full() -> None:
    assert [
        EngineLoad(waiting=1).is_full,
        EngineLoad(cache_used=0.96).is_full,
        EngineLoad(running=99, cache_used=0.5).is_full,
    ] == [True, True, False]
