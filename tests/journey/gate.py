"""A real `farmgate` process for tests: started, asked over sockets, looked at from outside, and gone at the end."""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import json
import os
import queue
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

KEY = "key-of-the-tests-0123456789"
PATIENCE_S = 30.0
NOBODY = 1
"""A port at which nobody listens."""

KEPT = ("PATH", "HOME", "PYTHONPATH", "COVERAGE_PROCESS_START")
SECRET_FIELDS = ("apiKey", "key")
SECRETS: set[bytes] = set()
"""Every key any gate here was configured with. None may turn up in what a gate answers, prints or keeps."""


def remember_secrets(config: object) -> None:
    """Gather the keys in a configuration."""
    if isinstance(config, Mapping):
        for name, value in config.items():
            if name in SECRET_FIELDS and isinstance(value, str) and len(value) > 8 and "$" not in value:
                SECRETS.add(value.encode())
            remember_secrets(value)
    elif isinstance(config, list):
        for value in config:
            remember_secrets(value)


def swept(data: bytes) -> bytes:
    """The same bytes, if no secret is in them."""
    leaked = [secret for secret in SECRETS if secret in data]
    assert not leaked, f"a key leaked: {data[:2000]!r}"
    return data


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One HTTP answer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        """The error object; fails when the body is anything but one."""
        error = self.json["error"]
        assert set(self.json) == {"error"}, self.body
        assert set(error) == {"message", "type", "param", "code"}, self.body
        return error


class Wire:
    """One connection on which a test says whatever it likes."""

    def __init__(self, port: int, *, timeout_s: float = PATIENCE_S, receive_bytes: int | None = None) -> None:
        self.socket = socket.socket()
        self.socket.settimeout(timeout_s)
        if receive_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        try:
            self.socket.connect(("127.0.0.1", port))
        except OSError:
            self.socket.close()
            raise
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def reset(self) -> None:
        """Leave without a goodbye: the other side gets an RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def ask(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> None:
        self.send(request(method, path, body, headers))

    def answer(self, *, has_body: bool = True) -> Answer:
        """The next answer on this connection."""
        head = self.head()
        return Answer(status=head.status, headers=head.headers, body=self._body(head.headers) if has_body else b"")

    def head(self) -> Answer:
        """Status and headers of the next answer; the body is still to be read."""
        line = self._file.readline()
        if not line:
            raise ConnectionResetError("closed without an answer")
        assert line.startswith(b"HTTP/1.1 "), line
        headers: dict[str, str] = {}
        while (field := swept(self._file.readline())) not in (b"\r\n", b""):
            name, _, value = field.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        return Answer(status=int(line[9:12]), headers=headers, body=b"")

    def _body(self, headers: Mapping[str, str]) -> bytes:
        if headers.get("transfer-encoding") == "chunked":
            return b"".join(iter(self.chunk, b""))
        length = headers.get("content-length")
        return swept(self._file.read() if length is None else self._file.read(int(length)))

    def chunk(self) -> bytes:
        """The next chunk of a body; empty at its proper end."""
        size = self._file.readline()
        assert size.strip(), "the connection closed within the body"
        data = swept(self._file.read(int(size, 16)))
        assert self._file.readline() == b"\r\n"
        return data

    def is_closed(self) -> bool:
        """Wait until the other side closes; False when it says something instead."""
        try:
            return self._file.read(1) == b""
        except ConnectionResetError:
            return True


def request(method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> bytes:
    """The bytes of an authorised request; `headers` are added to the usual ones or replace them."""
    fields = {"host": "localhost", "authorization": f"Bearer {KEY}"}
    raw = b""
    if body is not None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        fields |= {"content-type": "application/json", "content-length": str(len(raw))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in {**fields, **(headers or {})}.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + raw


class Exit:
    """The end of a process that is not ours to wait for."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._descriptor = os.pidfd_open(pid)

    def comes(self, within_s: float = PATIENCE_S) -> bool:
        """Whether the process ends in time."""
        ended = bool(select.select([self._descriptor], [], [], within_s)[0])
        os.close(self._descriptor)
        return ended


class RealGate:
    """One `farmgate` process with a directory of its own; `config` becomes its farm.config.json.

    `python` is the interpreter that has Farmgate, where this one has not.
    """

    def __init__(
        self,
        directory: Path,
        *,
        config: Mapping[str, object] | None = None,
        verb: str = "serve",
        python: str = sys.executable,
    ) -> None:
        self.directory = directory
        self.environment: dict[str, str] = {}
        self._python = python
        self.home = directory / "home"
        self.config_file = directory / "farm.config.json"
        self.port = 0
        self._verb = verb
        self._threads: list[threading.Thread] = []
        self._is_read = threading.Event()
        self._is_read.set()
        self._lines: queue.Queue[str] = queue.Queue()
        self.log: list[str] = []
        if config is not None:
            self.configure(config)

    def configure(self, config: Mapping[str, object]) -> None:
        """Put another configuration in place of the one that is there, whole."""
        remember_secrets(config)
        draft = self.config_file.with_suffix(".new")
        draft.write_text(json.dumps(config))
        draft.replace(self.config_file)

    # ------------------------------------------------------------------------------------------- the process

    def spawn(self, *arguments: str, pipe: bool = True) -> subprocess.Popen[bytes]:
        """A farmgate command in this gate's directory."""
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        return subprocess.Popen(
            [self._python, "-m", "farmgate", *arguments],
            cwd=self.directory,
            # Commands ask this gate, or nobody: never one that somebody has running on this machine.
            env={**kept, "FARM_HOME": str(self.home), "FARM_PORT": str(self.port or NOBODY), **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if pipe else None,
            stderr=subprocess.PIPE if pipe else None,
        )

    def command(self, *arguments: str, timeout_s: float = 60) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of a farmgate command."""
        process = self.spawn(*arguments)
        with process:
            out, err = process.communicate(timeout=timeout_s)
        return process.returncode, out.decode(), err.decode()

    def start(self, *arguments: str) -> RealGate:
        self.process = self.spawn(self._verb, "--port", "0", "--json", *arguments)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
            thread.start()
            self._threads.append(thread)
        ready = json.loads(self.says('"event": "ready"', within_s=120))
        self.port = int(ready["url"].rpartition(":")[2])
        self.ready: dict[str, Any] = ready
        return self

    def _read(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                self._lines.put(line.decode(errors="replace"))
                self._is_read.wait()

    @contextlib.contextmanager
    def unread(self) -> Iterator[None]:
        """Nobody reads what it prints meanwhile, and hardly anything of it finds room."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        for stream in (self.process.stdout, self.process.stderr):
            fcntl.fcntl(stream, fcntl.F_SETPIPE_SZ, 4096)
        self._is_read.clear()
        try:
            yield
        finally:
            self._is_read.set()

    def says(self, text: str, within_s: float = PATIENCE_S) -> str:
        """Wait until it prints a line with that text, passing over others. Each line is seen once."""
        deadline = time.monotonic() + within_s
        while True:
            try:
                line = self._lines.get(timeout=min(1.0, max(0.0, deadline - time.monotonic())))
            except queue.Empty:
                if time.monotonic() < deadline and self.process.poll() is None:
                    continue
                raise AssertionError(f"the gate never said {text!r}:\n{''.join(self.log)}") from None
            self.log.append(line)
            if text in line:
                return line

    def heard(self) -> list[str]:
        """The lines it has printed that nobody has seen yet."""
        lines = []
        with contextlib.suppress(queue.Empty):
            while True:
                lines.append(self._lines.get_nowait())
        self.log += lines
        return lines

    def everything_said(self) -> str:
        """All it has printed, once it has ended."""
        for thread in self._threads:
            thread.join(PATIENCE_S)
        with contextlib.suppress(queue.Empty):
            while True:
                self.log.append(self._lines.get_nowait())
        swept("".join(self.log).encode())
        for file in self.home.rglob("*"):
            if file.is_file() and not file.is_symlink() and file.stat().st_size < 64 << 20:
                swept(file.read_bytes())
        return "".join(self.log)

    @property
    def pid(self) -> int:
        return self.process.pid

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.everything_said()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        finally:
            self.everything_said()

    def __enter__(self) -> RealGate:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # ------------------------------------------------------------------------------------------- asking it

    def wire(self, *, timeout_s: float = PATIENCE_S, receive_bytes: int | None = None) -> Wire:
        return Wire(self.port, timeout_s=timeout_s, receive_bytes=receive_bytes)

    def call(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Answer:
        """One request on a connection of its own."""
        with self.wire() as wire:
            wire.ask(method, path, body, {"connection": "close", **(headers or {})})
            return wire.answer()

    def raw(self, data: bytes, *, has_body: bool = True) -> Answer:
        """The answer to these bytes on a connection of its own."""
        with self.wire() as wire:
            with contextlib.suppress(ConnectionError):
                wire.send(data)
            return wire.answer(has_body=has_body)

    @contextlib.contextmanager
    def stream(self, path: str, body: object) -> Iterator[http.client.HTTPResponse]:
        """An answer whose lines are read as they come."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
        with contextlib.closing(connection):
            connection.request("POST", path, json.dumps(body), headers)
            with connection.getresponse() as response:
                yield response

    # ------------------------------------------------------------------------------------------- looking at it

    def metric(self, name: str) -> float:
        """A metric's value, summed over its series; `name` may hold labels."""
        text = self.call("GET", "/metrics").body.decode()
        found = [line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(name)]
        return sum(map(float, found))

    def comes(self, is_true: Callable[[], bool], within_s: float = 5.0) -> bool:
        """Ask until it is true, or the time is over. The asking itself must wait for something."""
        deadline = time.monotonic() + within_s
        while not is_true():
            if time.monotonic() > deadline:
                return False
        return True

    def is_idle(self, within_s: float = 5.0) -> bool:
        """Nothing is in flight any more."""
        return self.comes(lambda: self.metric("farmgate_requests_in_flight") == 0, within_s)

    def descriptors(self) -> int:
        """Open files and sockets, this question's own not among them."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def memory_mib(self) -> float:
        """Resident memory."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE") / 2**20

    def children(self) -> list[int]:
        """Its child processes."""
        tasks = Path(f"/proc/{self.pid}/task").glob("*/children")
        return [int(pid) for task in tasks for pid in task.read_text().split()]

    def calls(self) -> list[dict[str, Any]]:
        """What `farmgate usage` says of every call so far."""
        code, out, err = self.command("usage", "--json", "--since", "all")
        assert code == 0, err
        return [json.loads(line) for line in out.splitlines()]


def data_of(response: http.client.HTTPResponse) -> Iterator[str]:
    """The data of each event, as it comes."""
    while line := response.readline():
        if line.startswith(b"data: "):
            yield line[6:].decode().strip()


def events(body: bytes) -> list[str]:
    """The data of every event of a whole body."""
    return [block[6:] for block in body.decode().split("\n\n") if block.startswith("data: ")]
