"""A hub made of two real HTTP servers: one that knows repositories, and a CDN that has their large files.

It speaks the part of the Hugging Face hub's API that a pull needs, and misbehaves as it is told to. Nothing of Farmgate
is in it.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import parse_qs, unquote, urlsplit

LARGE_BYTES = 2000
"""Files from here on are in LFS, and at the CDN."""
PATIENCE_S = 20.0


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request as it came. `place`: hub or cdn. Names of headers in lower case."""

    place: str
    path: str
    headers: Mapping[str, str]

    @property
    def start(self) -> int:
        return int(self.headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")[0])


@dataclass
class FakeRepository:
    """`commits`: every state it was in, the last one is that of main. `names`: other revisions, by commit."""

    commits: dict[str, dict[str, bytes]]
    names: dict[str, str] = field(default_factory=dict)
    card: object = field(default_factory=lambda: {"license": "apache-2.0"})
    gated: bool = False
    lists_gated: bool = False
    """Its list is for everybody, its files are not."""
    private: bool = False
    moved_to: str | None = None

    @property
    def main(self) -> str:
        return list(self.commits)[-1]


Fault: TypeAlias = Callable[["Handler", bytes], None]


class FakeHub:
    """`token`: what opens gated and private repositories. `faults` answer one file's request each, in order."""

    def __init__(self) -> None:
        self.repositories: dict[str, FakeRepository] = {}
        self.token = "hf_of_the_tests"
        self.asked: list[Asked] = []
        self.faults: deque[Fault] = deque()
        self.faults_of: dict[str, deque[Fault]] = {}
        """The same for one file, by its name."""
        self.api_faults: deque[Fault] = deque()
        self.blobs: dict[str, tuple[str, bytes]] = {}
        self.files: dict[str, bytes] = {}
        """At addresses of their own, by path."""
        self.etags: dict[str, str] = {}
        self.release = threading.Event()
        self.reached = threading.Event()
        self.at_once = 0
        self.most_at_once = 0
        self.lock = threading.Condition()
        self.hub = Server(self, "hub")
        self.cdn = Server(self, "cdn")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.hub.server_port}"

    def wait_for(self, at_once: int) -> None:
        """Until so many are being answered."""
        with self.lock:
            assert self.lock.wait_for(lambda: self.at_once >= at_once, 60), f"{self.at_once} are answered"

    def add(self, name: str, files: Mapping[str, bytes], **more: Any) -> FakeRepository:
        """A repository with one commit."""
        repository = self.repositories[name] = FakeRepository(commits={commit_of(files): dict(files)}, **more)
        return repository

    def change(self, name: str, files: Mapping[str, bytes]) -> str:
        """A further commit."""
        commit = commit_of(files)
        self.repositories[name].commits[commit] = dict(files)
        return commit

    def of_files(self) -> list[Asked]:
        """The requests for large files, where they were answered."""
        return [one for one in self.asked if one.place == "cdn" or one.path.startswith("/files/")]


def commit_of(files: Mapping[str, bytes]) -> str:
    return hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """One port of the hub."""

    daemon_threads = True

    def __init__(self, fake: FakeHub, place: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.fake = fake
        self.place = place

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves is part of these tests."""


class Handler(http.server.BaseHTTPRequestHandler):
    """One request."""

    server: Server

    def log_message(self, format: str, *args: object) -> None:
        return

    def do_GET(self) -> None:
        fake = self.server.fake
        self.parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.said = Asked(place=self.server.place, path=unquote(self.parts.path), headers=headers)
        with fake.lock:
            fake.asked.append(self.said)
        steps = [unquote(step) for step in self.parts.path.split("/")[1:]]
        if self.server.place == "cdn":
            self.file(*fake.blobs[steps[1]])
            return
        match steps:
            case ["api", "models", owner, name, "revision", revision]:
                if fake.api_faults:
                    fake.api_faults.popleft()(self, b"")
                    return
                self.repository(f"{owner}/{name}", revision)
            case [owner, name, "resolve", commit, *path]:
                self.resolve(f"{owner}/{name}", commit, "/".join(path))
            case ["files", *path]:
                content = fake.files.get("/".join(path))
                if content is None:
                    self.refuse(404)
                else:
                    self.file("/".join(path), content, etag=fake.etags.get("/".join(path)))
            case _:
                self.refuse(404)

    def may_read(self, repository: FakeRepository) -> bool:
        is_list = self.said.path.startswith("/api/")
        if not repository.private and (not repository.gated or (repository.lists_gated and is_list)):
            return True
        told = self.said.headers.get("authorization")
        if told == f"Bearer {self.server.fake.token}":
            return True
        if repository.gated:
            self.refuse(401 if told is None else 403, "GatedRepo")
        else:
            self.refuse(401 if told is None else 404, "RepoNotFound")
        return False

    def found(self, name: str) -> FakeRepository | None:
        repository = self.server.fake.repositories.get(name)
        if repository is None:
            # As the hub does: whether there is a private one is not for strangers.
            known = self.said.headers.get("authorization") == f"Bearer {self.server.fake.token}"
            self.refuse(404 if known else 401, "RepoNotFound")
            return None
        return repository if self.may_read(repository) else None

    def repository(self, name: str, revision: str) -> None:
        repository = self.found(name)
        if repository is None:
            return
        if repository.moved_to is not None:
            self.redirect(f"{self.path.replace(name, repository.moved_to)}", 307)
            return
        commit = {"main": repository.main, **repository.names}.get(revision, revision)
        files = repository.commits.get(commit)
        if files is None:
            self.refuse(404, "RevisionNotFound")
            return
        assert parse_qs(self.parts.query) == {"blobs": ["true"]}
        told = {
            "id": name,
            "modelId": name,
            "sha": commit,
            "private": repository.private,
            "gated": "manual" if repository.gated else False,
            "cardData": repository.card,
            "tags": ["transformers"],
            "siblings": [sibling(path, content) for path, content in files.items()],
        }
        self.whole(json.dumps(told).encode(), kind="application/json")

    def resolve(self, name: str, commit: str, path: str) -> None:
        fake = self.server.fake
        repository = self.found(name)
        if repository is None:
            return
        content = repository.commits.get(commit, {}).get(path)
        if content is None:
            self.refuse(404, "EntryNotFound")
        elif len(content) >= LARGE_BYTES:
            digest = hashlib.sha256(content).hexdigest()
            fake.blobs[digest] = (path, content)
            self.redirect(f"http://127.0.0.1:{fake.cdn.server_port}/{name.replace('/', '-')}/{digest}?sig=abc", 302)
        else:
            self.file(path, content)

    # ---------------------------------------------------------------------------------------------------- answers

    def file(self, name: str, content: bytes, *, etag: str | None = None) -> None:
        fake = self.server.fake
        self.etag = etag
        with fake.lock:
            fake.at_once += 1
            fake.most_at_once = max(fake.most_at_once, fake.at_once)
            fake.lock.notify_all()
            faults = fake.faults_of.get(name.rpartition("/")[2]) or fake.faults
            is_look = self.said.headers.get("range") == "bytes=0-0"
            fault = faults.popleft() if faults and not is_look else None
        self.is_answering = True
        try:
            (fault or whole)(self, content)
        finally:
            self.leave()

    def leave(self) -> None:
        """It is no longer one of those that are answered at once: said before its last byte, after which the other side
        may ask for the next file."""
        fake = self.server.fake
        with fake.lock:
            if self.is_answering:
                self.is_answering = False
                fake.at_once -= 1

    def head(self, content: bytes, start: int, *, status: int | None = None, end: int | None = None) -> None:
        last = len(content) - 1 if end is None else end
        is_part = start > 0 or end is not None
        self.send_response(status or (206 if is_part else 200))
        self.send_header("Content-Length", str(last + 1 - start))
        if is_part:
            self.send_header("Content-Range", f"bytes {start}-{last}/{len(content)}")
        if getattr(self, "etag", None):
            self.send_header("ETag", str(self.etag))
        self.end_headers()

    def whole(self, body: bytes, *, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, status: int, code: str | None = None, **headers: str) -> None:
        self.send_response(status)
        if code is not None:
            self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", "words of the server, which nobody repeats")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def redirect(self, where: str, status: int) -> None:
        self.send_response(status)
        self.send_header("Location", where)
        self.send_header("Content-Length", "0")
        self.end_headers()


def sibling(path: str, content: bytes) -> dict[str, object]:
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    told: dict[str, object] = {"rfilename": path, "size": len(content), "blobId": blob}
    if len(content) >= LARGE_BYTES:
        told["blobId"] = "0" * 40
        told["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
    return told


def whole(handler: Handler, content: bytes) -> None:
    asked = handler.said.headers.get("range", "")
    start = handler.said.start
    if asked.partition("-")[2]:
        end = min(int(asked.partition("-")[2]), len(content) - 1)
        handler.head(content, start, end=end)
        handler.leave()
        handler.wfile.write(content[start : end + 1])
        return
    handler.head(content, start)
    handler.leave()
    handler.wfile.write(content[start:])


def cut(count: int) -> Fault:
    """The connection ends after so many bytes more."""

    def fault(handler: Handler, content: bytes) -> None:
        start = handler.said.start
        handler.head(content, start)
        handler.wfile.write(content[start : start + count])
        handler.wfile.flush()
        handler.close_connection = True

    return fault


def reset(count: int) -> Fault:
    """The same, without a goodbye."""

    def fault(handler: Handler, content: bytes) -> None:
        cut(count)(handler, content)
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.close()

    return fault


def drip(handler: Handler, content: bytes) -> None:
    """A few bytes at a time."""
    start = handler.said.start
    handler.head(content, start)
    for at in range(start, len(content), 997):
        handler.wfile.write(content[at : at + 997])
        handler.wfile.flush()


def hold(count: int) -> Fault:
    """So many bytes more, then nothing until the test says go on."""

    def fault(handler: Handler, content: bytes) -> None:
        start = handler.said.start
        handler.head(content, start)
        handler.wfile.write(content[start : start + count])
        handler.wfile.flush()
        handler.server.fake.reached.set()
        handler.server.fake.release.wait(PATIENCE_S)
        handler.leave()
        with contextlib.suppress(OSError):
            handler.wfile.write(content[start + count :])

    return fault


def corrupt(handler: Handler, content: bytes) -> None:
    """As many bytes, not the right ones."""
    start = handler.said.start
    handler.head(content, start)
    handler.wfile.write(bytes(byte ^ 0xFF for byte in content[start:]))


def longer(handler: Handler, content: bytes) -> None:
    """Another file than was announced."""
    handler.head(content + b"!", 0)
    handler.wfile.write(content + b"!")


def refuses(status: int, code: str | None = None, **headers: str) -> Fault:
    """An error status."""

    def fault(handler: Handler, _: bytes) -> None:
        handler.refuse(status, code, **headers)

    return fault


def says(body: bytes) -> Fault:
    """Whatever that is."""

    def fault(handler: Handler, _: bytes) -> None:
        handler.whole(body, kind="application/json")

    return fault


def sends_to(where: str) -> Fault:
    """A redirect."""

    def fault(handler: Handler, _: bytes) -> None:
        handler.redirect(where, 302)

    return fault


@contextlib.contextmanager
def running() -> Iterator[FakeHub]:
    """A hub that answers until the end of the block."""
    fake = FakeHub()
    threads = [
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}) for server in (fake.hub, fake.cdn)
    ]
    for thread in threads:
        thread.start()
    try:
        yield fake
    finally:
        fake.release.set()
        for server, thread in zip((fake.hub, fake.cdn), threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()
