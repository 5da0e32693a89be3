"""An engine that comes up is asked for one token, and a new version what its owner wants to know."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from farmgate.core.errors import EngineUnavailable
from farmgate.core.ports import Purpose
from farmgate.engines.adapters import Order
from farmgate.engines.adapting import AdaptedLease
from farmgate.engines.asking import NoAnswer, carry_out, check_answer, read_answer, warm
from farmgate.engines.declared import Question
from farmgate.engines.engine import Spec
from farmgate.engines.leases import Address, Leases
from farmgate.engines.process import EngineDied

ANSWER = {"choices": [{"message": {"content": "You load it with POST."}}]}


class FakeServer:
    """Answers with given bytes, and keeps what it was sent."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.head = b""
        self.body: dict[str, object] = {}
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in self.head.splitlines() if line.startswith(b"content-length:"))
        self.body = json.loads(await reader.readexactly(length))
        writer.write(self.answer)
        writer.close()

    @property
    def address(self) -> Address:
        return Address(url=self.url, key="sesame")


Make = Callable[[bytes], FakeServer]


def whole(body: object, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n\r\n".encode() + json.dumps(body).encode()


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    server = FakeServer(whole(ANSWER))
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
        server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        yield server


def spec(purpose: Purpose) -> Spec:
    return Spec(model="m", path=Path("m"), purpose=purpose, context_tokens=1, parallel=1, threads=1)


async def test_it_is_asked_for_one_token_with_its_key(server: FakeServer) -> None:
    await warm(spec(Purpose.GENERATE), server.address)
    assert server.head.startswith(b"POST /v1/completions HTTP/1.0\r\n")
    assert b"authorization: Bearer sesame\r\n" in server.head
    assert server.body["max_tokens"] == 1


async def test_one_for_embeddings_is_asked_for_an_embedding(server: FakeServer) -> None:
    await warm(spec(Purpose.EMBED), server.address)
    assert server.head.startswith(b"POST /v1/embeddings ")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "answered nothing"),
        (b"SSH-2.0\r\n\r\n", "did not answer in HTTP"),
        (whole({"error": "no"}, "500 Internal"), 'answered HTTP 500: {"error": "no"}'),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", "something else than JSON"),
        (b"HTTP/1.1 200 OK\r\n\r\n[1]", "something else than a JSON object"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 100_000, "something else than JSON"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b" " * (2 << 20), "answered without an end"),
    ],
)
async def test_what_is_no_answer_is_a_start_that_failed(server: FakeServer, answer: bytes, said: str) -> None:
    server.answer = answer
    with pytest.raises(EngineDied) as caught:
        await warm(spec(Purpose.GENERATE), server.address)
    assert str(caught.value).startswith("came up and, asked for one token, ")
    assert said in str(caught.value)


async def test_one_that_is_gone_is_a_start_that_failed() -> None:
    with pytest.raises(EngineDied, match="broke the connection"):
        await warm(spec(Purpose.GENERATE), Address(url="http://127.0.0.1:1", key=""))


def test_an_answer_cut_anywhere_is_no_other_answer() -> None:
    data = whole(ANSWER)
    assert read_answer(data) == ANSWER
    for end in range(len(data)):
        with pytest.raises(NoAnswer):
            read_answer(data[:end])


async def test_a_new_version_must_say_what_is_expected(server: FakeServer) -> None:
    lease = Leases(lambda: 0.0).take(server.address)
    await check_answer(lease, "m", Question(ask="How?", expect="POST"))
    assert server.body["messages"] == [{"role": "user", "content": "How?"}]
    assert server.body["temperature"] == 0
    with pytest.raises(EngineUnavailable, match=r"answered 'You load it with POST.', and 'GET' was expected in it"):
        await check_answer(lease, "m", Question(ask="How?", expect="GET"))


async def test_a_new_version_is_asked_for_its_own_words_without_an_adapter(server: FakeServer) -> None:
    lease = AdaptedLease(Leases(lambda: 0.0).take(server.address), {"lora": []}, lambda: None)
    await check_answer(lease, "m", Question(ask="How?", expect="POST"))
    assert server.body["lora"] == []


@pytest.mark.parametrize("order", [b"200 OK", b"204 No Content"])
async def test_an_order_is_carried_out_whatever_is_said_of_it(server: FakeServer, order: bytes) -> None:
    server.answer = b"HTTP/1.1 " + order + b"\r\n\r\nnot JSON"
    await carry_out(server.address, Order(method="DELETE", path="/adapters/a", body={"b": 1}))
    assert server.head.startswith(b"DELETE /adapters/a HTTP/1.0\r\n")
    assert server.body == {"b": 1}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\nno such layer", "HTTP 400: no such layer"),
        (b"", "answered nothing"),
        (b"x y z", "HTTP"),
    ],
)
async def test_an_order_that_is_not_carried_out_says_why(server: FakeServer, answer: bytes, said: str) -> None:
    server.answer = answer
    with pytest.raises(NoAnswer, match=said):
        await carry_out(server.address, Order(method="POST", path="/adapters", body={}))


@pytest.mark.parametrize("answer", [whole({}), whole({"choices": [1]}), b"", whole({}, "404 Not Found")])
async def test_a_new_version_that_does_not_answer_does_not_take_over(server: FakeServer, answer: bytes) -> None:
    server.answer = answer
    lease = Leases(lambda: 0.0).take(server.address)
    with pytest.raises(EngineUnavailable, match="The new version of m did not answer"):
        await check_answer(lease, "m", Question(ask="How?", expect="POST"))
