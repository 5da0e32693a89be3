"""What is written in one turn of the loop is sent at its end, all of it, in order, whatever others write."""

from __future__ import annotations

import asyncio
from typing import cast

from farmgate.surfaces.http.protocol import MANY_PIECES, MOST_HELD, Corked, Outbox, not_upgraded


class Socket:
    """A transport that remembers each thing it was given to send."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


def corked(sockets: list[Socket]) -> list[Corked]:
    outbox = Outbox(asyncio.get_running_loop())
    return [Corked(cast("asyncio.Transport", socket), outbox) for socket in sockets]


async def test_what_is_written_in_one_turn_goes_out_in_one_piece_at_its_end() -> None:
    sockets = [Socket()]
    [one] = corked(sockets)
    one.write(b"head ")
    one.write(b"body")
    assert sockets[0].sent == []
    await asyncio.sleep(0)
    assert sockets[0].sent == [b"head body"]


async def test_nothing_is_held_back_however_many_write_in_one_turn() -> None:
    sockets = [Socket() for _ in range(3 * MOST_HELD + 5)]
    many = corked(sockets)
    for one in many:
        one.write(b"a")
        one.write(b"b")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [b"".join(socket.sent) for socket in sockets] == [b"ab"] * len(sockets)


async def test_a_full_outbox_does_not_wait_for_the_end_of_the_turn() -> None:
    sockets = [Socket() for _ in range(MOST_HELD)]
    for one in corked(sockets):
        one.write(b"a")
    assert [socket.sent for socket in sockets] == [[b"a"]] * MOST_HELD


async def test_many_pieces_do_not_wait_for_the_end_of_the_turn() -> None:
    sockets = [Socket()]
    [one] = corked(sockets)
    for _ in range(MANY_PIECES + 1):
        one.write(b"a")
    assert sockets[0].sent == [b"a" * MANY_PIECES]
    await asyncio.sleep(0)
    assert sockets[0].sent == [b"a" * MANY_PIECES, b"a"]


OFFER = b"POST / HTTP/1.1\r\nhost: x\r\nUpgrade: h2c\r\nconnection: upgrade\r\n\r\n"


def test_an_offer_of_another_protocol_is_passed_over_in_the_head_alone() -> None:
    assert not_upgraded(OFFER + b"\r\nupgrade: me") == OFFER.replace(b"Upgrade", b"x-grade") + b"\r\nupgrade: me"
    cut = OFFER[: OFFER.index(b"\r\n\r\n")]
    assert not_upgraded(cut) == cut.replace(b"Upgrade", b"x-grade")
    assert not_upgraded(b"GET /upgrade: HTTP/1.1\r\nx-upgrade: a\r\n\r\n") == (
        b"GET /upgrade: HTTP/1.1\r\nx-upgrade: a\r\n\r\n"
    )
