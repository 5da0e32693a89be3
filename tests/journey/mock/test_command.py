"""`farmgate mock` as a process: ready, asked, told to stop."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.fakes.raw import Dial, ask

PATIENCE_S = 30.0


@asynccontextmanager
async def running(*arguments: str, cwd: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    command = [sys.executable, "-m", "farmgate", "mock", "--port", "0", *arguments]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, cwd=cwd, stdout=pipe, stderr=pipe)
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_a_program_reads_ready_then_every_call_and_stops_it(tmp_path: Path) -> None:
    (tmp_path / "steps.yaml").write_text("- do: {status: 503, retry-after: 1}\n  times: 1\n")
    async with running("--json", "--script", "steps.yaml", cwd=tmp_path) as process:
        assert process.stdout is not None
        ready = json.loads(await process.stdout.readline())
        assert ready["event"] == "ready"
        assert ready["script"] == "steps.yaml"
        dial = Dial(int(ready["url"].rpartition(":")[2]))
        statuses = []
        for _ in range(2):
            raw = await dial()
            raw.send(ask("gpt"))
            statuses.append((await raw.whole()).status)
            call = json.loads(await process.stdout.readline())
            assert (call["event"], call["model"], call["ended"]) == ("call", "gpt", "answered")
        assert statuses == [503, 200]
        await dial.close()
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


async def test_a_person_reads_a_panel_a_line_for_each_call_and_how_many_there_were(tmp_path: Path) -> None:
    async with running(cwd=tmp_path) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        line = b""
        while b"farmgate mock" not in line:
            line = await process.stderr.readline()
        dial = Dial(int(line.rpartition(b":")[2]))
        raw = await dial()
        raw.send(ask("mock:rst=2"))
        await raw.ended()
        assert b"mock:rst=2               200  rst: 2 frames" in await process.stdout.readline()
        await dial.close()
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0
        assert (await process.stderr.read()).endswith(b"\nstopped after 1 call\n")
