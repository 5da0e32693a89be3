"""A running mock is steered over its own small API."""

from __future__ import annotations

from tests.fakes.raw import Dial, ask, request

from farmgate.mock import Mock


async def test_a_script_decides_from_the_moment_it_is_put(mock: Mock, dial: Dial) -> None:
    raw = await dial()
    raw.send(request([{"do": "status=503", "times": 1}], path="/mock/script", method="PUT"))
    await raw.whole()
    statuses = []
    for _ in range(2):
        one = await dial()
        one.send(ask("gpt"))
        statuses.append((await one.whole()).status)
    assert statuses == [503, 200]
    state = await dial()
    state.send(request(b"", path="/mock/state", method="GET"))
    told = (await state.whole()).json
    assert told["steps"] == [{"seen": 2, "taken": 1}]
    assert told["calls"]["total"] == 2, "what steers is no call"


async def test_another_script_lets_names_count_anew(mock: Mock, dial: Dial) -> None:
    async def status() -> int:
        raw = await dial()
        raw.send(ask("mock:status=503,times=1"))
        return (await raw.whole()).status

    assert [await status(), await status()] == [503, 200]
    mock.script([])
    assert await status() == 503
    mock.forget_script()
    assert [await status(), await status()] == [503, 200]


async def test_a_page_of_somebody_elses_does_not_steer(mock: Mock, dial: Dial) -> None:
    raw = await dial()
    raw.send(b"DELETE /mock/calls HTTP/1.1\r\nhost: rebound.example\r\n\r\n")
    assert (await raw.whole()).status == 403


async def test_calls_are_shown_with_how_they_ended(mock: Mock, dial: Dial) -> None:
    broken = await dial()
    broken.send(ask("mock:cut-rst=33"))
    await broken.ended()
    raw = await dial()
    raw.send(request(b"", path="/mock/calls?limit=5", method="GET"))
    (call,) = (await raw.whole()).json["calls"]
    assert (call["ended"], call["sent_bytes"], call["status"]) == ("cut-rst", 33, 200)
    assert (call["endpoint"], call["model"], call["stream"]) == ("chat", "mock:cut-rst=33", True)


async def test_a_door_that_refuses_lets_nobody_in_until_it_is_open_again(mock: Mock, dial: Dial) -> None:
    mock.script([{"do": "refuse", "times": 2}])
    for _ in range(2):
        raw = await dial()
        assert (await raw.ended()).data == b""
        assert raw.how == "rst"
    raw = await dial()
    raw.send(ask("gpt"))
    assert (await raw.whole()).status == 200
    assert mock.counted.total == 1, "what never asked is no call"


async def test_a_caller_who_expects_it_is_told_to_go_on(mock: Mock, dial: Dial) -> None:
    raw = await dial()
    raw.send(b"POST /v1/messages HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 13\r\n\r\n")
    await raw.until(lambda raw: raw.data == b"HTTP/1.1 100 Continue\r\n\r\n")
    raw.send(b'{"model":"m"}')
    await raw.until(lambda raw: b"end_turn" in raw.data)
    assert mock.calls[0].model == "m"
