"""A real engine process, started as the gate starts it, and a client that asks it as the gate does."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from farmgate.core.ports import Purpose
from farmgate.engines.engine import Dtype, Quantize, Spec, minimal_environment
from farmgate.engines.transformers import Transformers

__all__ = ["KEY", "MODELS", "Running", "StartFailed", "at_once", "starting"]

T = TypeVar("T")
MODELS = Path(__file__).parents[2] / "models"
KEY = "the engine's own key"
LONGEST_S = 60


class StartFailed(Exception):
    """It ended before it could be asked; the text is what it complained of, or its log."""


class Running:
    """Asks one engine. A connection for each request, closed after it."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, log: Path) -> None:
        self.process = process
        self.url = url
        self.log = log
        where = urlsplit(url)
        self._where = (where.hostname or "", where.port or 0)

    def connect(
        self, method: str, path: str, body: object = None, *, key: str = KEY
    ) -> tuple[http.client.HTTPConnection, Callable[[], http.client.HTTPResponse]]:
        """A request that is sent; the answer's head comes with the call."""
        connection = http.client.HTTPConnection(*self._where, timeout=LONGEST_S)
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        return connection, connection.getresponse

    def call(self, method: str, path: str, body: object = None, *, key: str = KEY) -> tuple[int, Any]:
        connection, answer = self.connect(method, path, body, key=key)
        try:
            response = answer()
            told = response.read()
            kind = response.getheader("content-type") or ""
            return response.status, json.loads(told) if kind.startswith("application/json") else told.decode()
        finally:
            connection.close()

    def post(self, path: str, body: object) -> Any:
        """An answer that must be one."""
        status, told = self.call("POST", path, body)
        assert status == 200, told
        return told

    @contextmanager
    def streaming(self, path: str, body: Mapping[str, object]) -> Iterator[Iterator[str]]:
        """The data of each frame as it comes. Leaving ends the connection."""
        connection, answer = self.connect("POST", path, {**body, "stream": True})
        try:
            response = answer()
            assert response.status == 200, response.read()
            lines = (line.decode().rstrip("\n") for line in response)
            yield (line.removeprefix("data: ") for line in lines if line)
        finally:
            connection.close()

    def frames(self, path: str, body: Mapping[str, object]) -> list[Any]:
        """A whole stream, which must have its end."""
        with self.streaming(path, body) as came:
            *frames, end = came
        assert end == "[DONE]"
        return [json.loads(frame) for frame in frames]

    def chat(self, question: str, **more: object) -> Any:
        return self.post("/v1/chat/completions", asked(question, **more))

    def said(self, question: str, **more: object) -> str:
        """The text of an answer, greedy unless something else is asked."""
        return str(self.chat(question, **more)["choices"][0]["message"]["content"])

    def metric(self, name: str) -> float:
        _, told = self.call("GET", "/metrics")
        found = re.search(rf"^farmgate_engine_{name} (\S+)$", told, re.MULTILINE)
        assert found is not None, name
        return float(found[1])

    def until(self, name: str, wanted: Callable[[float], bool]) -> float:
        """A figure once it is what is wanted. Asked again and again: its own clock is the engine's."""
        for _ in range(20_000):
            if wanted(told := self.metric(name)):
                return told
        raise AssertionError(f"{name} is {told}")


def asked(question: str, **more: object) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": question}], "temperature": 0, **more}


@contextmanager
def starting(
    folder: Path,
    logs: Path,
    *,
    purpose: Purpose = Purpose.GENERATE,
    parallel: int = 8,
    context_tokens: int = 1024,
    threads: int = 1,
    device: str = "auto",
    dtype: Dtype = "auto",
    quantize: Quantize = "none",
) -> Iterator[Running]:
    """An engine that can be asked, under the name of its folder. Raises StartFailed."""
    engine = Transformers()
    spec = Spec(
        model=folder.name,
        path=folder,
        purpose=purpose,
        context_tokens=context_tokens,
        parallel=parallel,
        threads=threads,
        device=device,
        dtype=dtype,
        quantize=quantize,
    )
    launch = engine.launch(spec, key=KEY, environment=minimal_environment(os.environ))
    log = logs / f"{folder.name}-{purpose}.log"
    with log.open("ab") as errors:
        process = subprocess.Popen(
            launch.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=dict(launch.environment),
            cwd=logs,
        )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        try:
            process.stdin.write(KEY.encode() + b"\n")
            process.stdin.flush()
            url = next((told for line in process.stdout if (told := engine.address(line)) is not None), None)
            if url is None:
                said = log.read_text()
                raise StartFailed(engine.complaint(said) or said)
            yield Running(process, url, log)
        finally:
            process.kill()


def at_once(asks: Sequence[Callable[[], T]]) -> list[T]:
    """All of them at the same time."""
    with ThreadPoolExecutor(len(asks)) as pool:
        return [doing.result() for doing in [pool.submit(ask) for ask in asks]]
