"""The data path takes no more Python than it did: counted calls, not time. `bench/work.py --update` after a reason."""

from __future__ import annotations

import json
import sys

import pytest
from bench.work import BASELINE, BODIES, CHAT, measure

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
