"""The Vercel AI SDK in Node: what it does is said in vercel/client.test.mjs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.journey.gate import KEY

HERE = Path(__file__).with_name("vercel")


def test_every_fact_of_the_node_side_holds(base_url: str) -> None:
    done = subprocess.run(
        ["node", "--test", "--test-reporter=spec", "client.test.mjs"],
        cwd=HERE,
        env={**os.environ, "FARMGATE_URL": base_url, "FARMGATE_KEY": KEY},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "fail 0" in done.stdout
    assert "pass 7" in done.stdout
