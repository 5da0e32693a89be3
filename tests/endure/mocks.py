"""A `farmgate mock` process: scripted, asked what it saw, stopped and started again on its port."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["Mock", "provider"]

PATIENCE_S = 30.0
Script = Sequence[Mapping[str, object]]


class Mock:
    """One process. All it said is in `log`: a line of JSON for each call that is over."""

    def __init__(self, directory: Path, name: str, script: Script, *, seed: int) -> None:
        self.name = name
        self.port = free_port()
        self.log = directory / f"{name}.jsonl"
        self._script = directory / f"{name}.script.json"
        self._seed = seed
        self._process: subprocess.Popen[bytes] | None = None
        self._script.write_text(json.dumps(script))

    def start(self) -> None:
        """Listen, with the script it began with."""
        command = [sys.executable, "-m", "farmgate", "mock", "--json", "--port", str(self.port), "--keep", "10"]
        command += ["--seed", str(self._seed), "--script", str(self._script)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE_S
        while not is_listening(self.port):
            assert time.monotonic() < deadline, f"the mock does not start: {self.log.read_text()[-2000:]}"
            assert self._process.poll() is None, f"the mock ended: {self.log.read_text()[-2000:]}"
            time.sleep(0.02)

    def stop(self) -> None:
        """End every connection, whatever is on it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(PATIENCE_S)
            self._process = None

    def script(self, script: Script) -> None:
        """From here on this one, until the next start."""
        self._steer("PUT", "/mock/script", json.dumps(script))

    def counts(self) -> dict[str, Any]:
        """What was counted since it was started."""
        counted: dict[str, Any] = self._steer("GET", "/mock/state")["calls"]
        return counted

    def calls(self) -> Iterator[dict[str, Any]]:
        """Every call that is over."""
        with self.log.open() as log:
            for line in log:
                said = json.loads(line)
                if said["event"] == "call":
                    yield said

    def _steer(self, method: str, path: str, body: str | None = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            told = json.loads(answer.read())
            assert answer.status == 200, told
            return told
        finally:
            connection.close()


def provider(mock: Mock, **settings: object) -> dict[str, object]:
    """Its entry in a gate's configuration."""
    url = f"http://127.0.0.1:{mock.port}/v1"
    return {
        "provider": "openai",
        "url": url,
        "apiKey": f"key-of-{mock.name}-0123456789",
        "models": ["mock"],
        **settings,
    }


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
