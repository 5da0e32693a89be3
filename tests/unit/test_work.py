"""The data path takes no more Python than it did: counted calls, not time. `bench/work.py --update` after a reason."""

from __future__ import annotations

import asyncio
import json
import sys

import pytest
from bench.work import BASELINE, BODIES, CHAT, FRAMES, garbage_of, measure, stream_reads, whole_reads

from farmgate.providers.pool import Pool

# Between Python versions the interpreter itself calls more or less.
ALLOWED = 1.02 if sys.version_info[:2] == (3, 11) else 1.15


@pytest.fixture(scope="module")
def calls() -> dict[str, float]:
    # Coverage counts calls of its own: it is off while we count.
    tracing = sys.gettrace()
    sys.settrace(None)
    try:
        return measure()
    finally:
        sys.settrace(tracing)


TRANSLATED = [f"chunk {path}" for path in BODIES if path != CHAT]


@pytest.mark.parametrize("what", ["request", "stream", "chunk", *TRANSLATED])
def test_the_data_path_takes_no_more_calls_than_the_baseline(what: str, calls: dict[str, float]) -> None:
    baseline = json.loads(BASELINE.read_text())[what]
    assert calls[what] <= baseline * ALLOWED, f"{what}: {calls[what]} calls, baseline {baseline}"


BROKEN = [*stream_reads(FRAMES[:2])[:-1], b"0\r\n\r\n"]
GONE = [*stream_reads(FRAMES[:2])[:-1], b""]
GONE_AT_ONCE = [b""]
REFUSED = [b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("what", "reads"),
    [
        ("a stream", stream_reads([*FRAMES[:2], FRAMES[-1]])),
        ("a whole answer", whole_reads()),
        ("a stream that is cut", BROKEN),
        ("a refusal", REFUSED),
        ("a connection that breaks", GONE),
        ("a connection that breaks before it says anything", GONE_AT_ONCE),
    ],
)
def test_a_request_leaves_nothing_for_the_garbage_collector(
    what: str, reads: list[bytes], stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With thousands of streams it comes late and looks long; until then each would keep all it worked with."""
    monkeypatch.setattr(Pool, "connect", Pool.connect)
    assert asyncio.run(garbage_of(stream, reads, times=50)) < 50, what
