"""The HTTP of engines of our own: a key for everything, and errors without anybody's words."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.unit.engines.serving.asgi import KEY, asked, told

from farmgate.core.errors import ClientGone, InvalidValue, RequestTooLarge
from farmgate.engines.serving.app import App
from farmgate.engines.serving.exchange import Exchange, first

WORDS = "somebody's"


async def hello(exchange: Exchange) -> None:
    await exchange.answer({"path": exchange.path, "body": (await exchange.body()).decode()})


async def refuses(_: Exchange) -> None:
    raise InvalidValue("`x` is wrong.", param="x")


async def fails(_: Exchange) -> None:
    raise KeyError(WORDS)


async def fails_late(exchange: Exchange) -> None:
    await exchange.stream(b"data: 1\n\n")
    raise InvalidValue


APP = App(
    {
        "/hello": {"GET": hello},
        "/below/": {"GET": hello},
        "/below/deeper/": {"GET": refuses},
        "/refuses": {"GET": refuses},
        "/fails": {"GET": fails},
        "/fails_late": {"GET": fails_late},
    },
    key=KEY,
)


async def test_whoever_has_the_key_is_answered() -> None:
    assert told(await asked(APP, "/hello", body=(b"a", b"b"))) == (200, {"path": "/hello", "body": "ab"})
    assert told(await asked(APP, "/below/this/and/that"))[1]["path"] == "/below/this/and/that"


@pytest.mark.parametrize("path", ["/hello", "/nowhere"])
async def test_whoever_has_not_learns_nothing(path: str) -> None:
    for key in ("", "another", f"{KEY}x"):
        status, answer = told(await asked(APP, path, key=key))
        assert (status, answer["error"]["code"]) == (401, "invalid_api_key")


@pytest.mark.parametrize(
    ("path", "method", "status", "code"),
    [
        ("/nowhere", "GET", 404, "unknown_url"),
        ("/hello", "POST", 405, "method_not_allowed"),
        ("/refuses", "GET", 400, "invalid_value"),
        ("/below/deeper/x", "GET", 400, "invalid_value"),
        ("/fails", "GET", 500, "internal_error"),
    ],
)
async def test_errors_have_openai_s_form(path: str, method: str, status: int, code: str) -> None:
    seen, answer = told(await asked(APP, path, method=method))
    assert (seen, answer["error"]["code"]) == (status, code)


async def test_a_mistake_of_ours_is_told_by_its_kind_and_logged_by_its_place(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, answer = told(await asked(APP, "/fails"))
    assert answer["error"]["message"] == "The engine failed: KeyError."
    log = capsys.readouterr().err
    assert "in fails" in log
    assert "somebody" not in log


async def test_what_fails_in_a_stream_breaks_it() -> None:
    with pytest.raises(InvalidValue):
        await asked(APP, "/fails_late")


async def test_a_body_that_breaks_off_is_answered_by_nothing() -> None:
    assert await asked(APP, "/hello", body=(b"a", None)) == []


async def test_a_body_without_an_end_is_refused() -> None:
    bounded = App({"/hello": {"GET": hello}}, key=KEY, most_body_bytes=3)
    assert told(await asked(bounded, "/hello", body=(b"ab", b"c")))[0] == 200
    assert told(await asked(bounded, "/hello", body=(b"ab", b"cd")))[0] == RequestTooLarge.status


async def test_work_ends_with_whoever_waited_for_it() -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(_: Any) -> None: ...

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    ended: list[bool] = []
    exchange = Exchange({"method": "GET", "path": "/", "headers": []}, receive, send)
    task = asyncio.ensure_future(work())
    with pytest.raises(ClientGone):
        await first(task, exchange)
    await asyncio.wait({task})
    assert ended == [True]
