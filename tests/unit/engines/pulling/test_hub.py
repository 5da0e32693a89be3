"""Against a real HTTP server on loopback that misbehaves on demand."""

from __future__ import annotations

import asyncio
import http.server
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.engines.fakes import gguf, ignore, item

from farmgate.core.ports import Progress
from farmgate.engines.pulling.download import start_of
from farmgate.engines.pulling.hub import Hub
from farmgate.engines.pulling.sources import SourceFailed

CONTENT = gguf(filler=700_000)
ITEM = item(CONTENT)
HALF = len(CONTENT) // 2


class Server(http.server.ThreadingHTTPServer):
    """Answers each request by the next of `script`; the last one stays."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list[Callable[[Handler], None]] = [whole]
        self.ranges: list[str | None] = []
        self.paths: list[str] = []
        self.release = threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves is part of these tests."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.ranges.append(self.headers.get("Range"))
        self.server.paths.append(self.path)
        script = self.server.script
        (script.pop(0) if len(script) > 1 else script[0])(self)

    def log_message(self, format: str, *args: object) -> None:
        return

    def start(self) -> int:
        asked = self.headers.get("Range")
        return int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0

    def head(self, start: int, *, content: bytes = CONTENT) -> None:
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()


def whole(handler: Handler) -> None:
    start = handler.start()
    handler.head(start)
    handler.wfile.write(CONTENT[start:])


def cut(handler: Handler) -> None:
    start = handler.start()
    handler.head(start)
    handler.wfile.write(CONTENT[start : start + HALF // 2])


def stalls(handler: Handler) -> None:
    cut(handler)
    handler.wfile.flush()
    handler.server.release.wait(20)


def ignores_range(handler: Handler) -> None:
    handler.head(0)
    handler.wfile.write(CONTENT)


def ignores_range_and_is_cut(handler: Handler) -> None:
    handler.head(0)
    handler.wfile.write(CONTENT[: HALF // 2])


def refuses_range(handler: Handler) -> None:
    handler.send_response(416)
    handler.end_headers()


def not_there(handler: Handler) -> None:
    handler.send_response(404)
    handler.end_headers()


def another_file(handler: Handler) -> None:
    handler.head(0, content=CONTENT + b"!")
    handler.wfile.write(CONTENT + b"!")


def no_length(handler: Handler) -> None:
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(CONTENT + b"more")


def moved(handler: Handler) -> None:
    handler.send_response(302)
    handler.send_header("Location", "/elsewhere")
    handler.end_headers()


def hangs_up(handler: Handler) -> None:
    handler.close_connection = True


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.release.set()
        server.shutdown()
        thread.join()


async def test_the_file_comes_whole_from_the_pinned_revision(server: Server, tmp_path: Path) -> None:
    told: list[Progress] = []
    await Hub(server.url + "/").fetch(ITEM, tmp_path / "part", told.append)
    assert (tmp_path / "part").read_bytes() == CONTENT
    assert server.paths == ["/farm/tiny/resolve/abc/tiny%20model.gguf"]
    counts = [progress.completed for progress in told]
    assert counts == sorted(counts)
    assert counts[-1] == len(CONTENT)
    assert {progress.total for progress in told} == {len(CONTENT)}


async def test_a_connection_cut_in_the_middle_is_taken_up_where_it_was(server: Server, tmp_path: Path) -> None:
    server.script = [cut, cut, whole]
    await Hub(server.url).fetch(ITEM, tmp_path / "part", ignore)
    assert (tmp_path / "part").read_bytes() == CONTENT
    quarter = HALF // 2
    assert server.ranges == [None, f"bytes={quarter}-", f"bytes={quarter * 2}-"]


async def test_what_an_earlier_try_left_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(CONTENT[:HALF])
    await Hub(server.url).fetch(ITEM, tmp_path / "part", ignore)
    assert (tmp_path / "part").read_bytes() == CONTENT
    assert server.ranges == [f"bytes={HALF}-"]


async def test_a_whole_part_asks_nobody(server: Server, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(CONTENT)
    await Hub(server.url).fetch(ITEM, tmp_path / "part", ignore)
    assert server.ranges == []


async def test_a_part_that_is_too_long_is_begun_anew(server: Server, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(CONTENT + b"!")
    await Hub(server.url).fetch(ITEM, tmp_path / "part", ignore)
    assert (tmp_path / "part").read_bytes() == CONTENT
    assert server.ranges == [None]


async def test_a_server_that_ignores_the_range_is_read_from_the_start(server: Server, tmp_path: Path) -> None:
    server.script = [ignores_range]
    (tmp_path / "part").write_bytes(b"?" * HALF)
    await Hub(server.url).fetch(ITEM, tmp_path / "part", ignore)
    assert (tmp_path / "part").read_bytes() == CONTENT


async def test_what_was_there_is_gone_once_a_server_began_anew(server: Server, tmp_path: Path) -> None:
    server.script = [ignores_range_and_is_cut, whole]
    (tmp_path / "part").write_bytes(b"?" * HALF)
    await Hub(server.url).fetch(ITEM, tmp_path / "part", ignore)
    assert (tmp_path / "part").read_bytes() == CONTENT
    assert server.ranges == [f"bytes={HALF}-", f"bytes={HALF // 2}-"]


async def test_a_server_that_refuses_the_range_is_asked_for_the_whole(server: Server, tmp_path: Path) -> None:
    server.script = [refuses_range, whole]
    (tmp_path / "part").write_bytes(CONTENT[:HALF])
    await Hub(server.url).fetch(ITEM, tmp_path / "part", ignore)
    assert (tmp_path / "part").read_bytes() == CONTENT
    assert server.ranges == [f"bytes={HALF}-", None]


async def test_a_server_that_stops_sending_is_left_and_asked_for_the_rest(server: Server, tmp_path: Path) -> None:
    server.script = [stalls, whole]
    await Hub(server.url, stall_s=0.2).fetch(ITEM, tmp_path / "part", ignore)
    assert (tmp_path / "part").read_bytes() == CONTENT


async def test_a_redirect_is_followed_with_its_range(server: Server, tmp_path: Path) -> None:
    server.script = [moved, whole]
    (tmp_path / "part").write_bytes(CONTENT[:HALF])
    await Hub(server.url).fetch(ITEM, tmp_path / "part", ignore)
    assert (tmp_path / "part").read_bytes() == CONTENT
    assert server.paths[-1] == "/elsewhere"
    assert server.ranges == [f"bytes={HALF}-"] * 2


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (not_there, "answered 404"),
        (another_file, f"has {len(CONTENT) + 1} bytes and not the {len(CONTENT)} expected"),
        (no_length, f"more than the {len(CONTENT)} bytes expected"),
        (moved, "answered 302"),
        (hangs_up, "Remote end closed connection"),
    ],
)
async def test_an_answer_of_no_use_fails_with_its_reason(
    server: Server, tmp_path: Path, answer: Callable[[Handler], None], reason: str
) -> None:
    server.script = [answer]
    with pytest.raises(SourceFailed, match=reason):
        await Hub(server.url).fetch(ITEM, tmp_path / "part", ignore)


async def test_a_server_that_is_not_there_fails_at_once(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(SourceFailed, match="refused"):
            await Hub(url).fetch(ITEM, tmp_path / "part", ignore)


async def test_an_address_that_does_not_connect_costs_its_time_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = threading.Event()

    def slow_resolver(*_args: object, **_kwargs: object) -> object:
        answer.wait(20)
        raise OSError("no such name")

    monkeypatch.setattr(socket, "create_connection", slow_resolver)
    try:
        with pytest.raises(SourceFailed, match=r"did not connect within 0.05 s"):
            await Hub("http://127.0.0.1:1", connect_s=0.05).fetch(ITEM, tmp_path / "part", ignore)
    finally:
        answer.set()


async def test_nothing_is_written_once_the_pull_is_cancelled(server: Server, tmp_path: Path) -> None:
    server.script = [stalls]
    moved_on = asyncio.Event()
    fetching = asyncio.create_task(Hub(server.url).fetch(ITEM, tmp_path / "part", lambda _: moved_on.set()))
    await moved_on.wait()
    fetching.cancel()
    await asyncio.wait({fetching})
    size = (tmp_path / "part").stat().st_size
    server.release.set()
    assert fetching.cancelled()
    assert (tmp_path / "part").stat().st_size == size <= HALF


def test_a_part_without_a_name_is_not_believed() -> None:
    response = SimpleNamespace(status=206, headers={"Content-Range": "bytes */5"})
    with pytest.raises(SourceFailed, match="does not name"):
        start_of(response, 5)  # type: ignore[arg-type]  # the two attributes it reads


def test_only_the_web_is_a_hub() -> None:
    with pytest.raises(ValueError, match="https://"):
        Hub("file:///etc")


def test_it_offers_what_has_a_file_there() -> None:
    assert Hub().offers(ITEM)
    assert Hub().scratch_bytes(ITEM) == 0
