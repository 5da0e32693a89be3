"""A name is looked up once for all who wait, and one that hangs keeps nobody else waiting."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest

from farmgate.providers.names import Name


class Resolver:
    """Knows `well.test`; looks for `silent.test` until it is let go."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.let_go = threading.Event()

    def __call__(self, host: str, port: None, type: int) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        self.asked.append(host)
        if host == "silent.test":
            self.let_go.wait(10)
        if host != "well.test":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(0, type, 0, "", (address, 0)) for address in ("192.0.2.1", "192.0.2.2", "192.0.2.1")]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    resolver = Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    yield resolver
    resolver.let_go.set()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_an_address_is_not_looked_up(resolver: Resolver, host: str) -> None:
    assert await Name(host).addresses() == (host,)
    assert resolver.asked == []


async def test_each_address_is_told_once_in_order(resolver: Resolver) -> None:
    name = Name("well.test")
    assert await name.addresses() == ("192.0.2.1", "192.0.2.2")
    assert await name.addresses() == ("192.0.2.1", "192.0.2.2")
    assert resolver.asked == ["well.test"] * 2, "an address may change: it is looked up for each connection"


async def test_names_that_hang_hold_one_thread_each_and_keep_nobody_waiting(resolver: Resolver) -> None:
    silent = Name("silent.test")
    waiting = [asyncio.ensure_future(silent.addresses()) for _ in range(50)]
    assert await Name("well.test").addresses()
    waiting[0].cancel()
    resolver.let_go.set()
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(told[0], asyncio.CancelledError)
    assert all(isinstance(one, socket.gaierror) for one in told[1:])
    assert resolver.asked.count("silent.test") == 1


async def test_a_name_that_is_none_is_told(resolver: Resolver) -> None:
    with pytest.raises(socket.gaierror, match="not known"):
        await Name("nowhere.test").addresses()
