"""What is found is what answers as it should, on this machine; a server that lies or hangs is not found."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from tests.fakes.upstream import (
    CHUNKED,
    OK,
    FakeUpstream,
    Script,
    chunk,
    closed_port,
    drip_for_ever,
    flood,
    say,
    say_and_close,
    say_and_reset,
    say_and_stall,
    whole,
)

from farmgate.providers import discovery
from farmgate.providers.discovery import SIGNS, Found, keys_found, servers_found
from farmgate.providers.registry import CODED, ROWS

ANSWERS = {
    "ollama": {"version": "0.1"},
    "lmstudio": {"object": "list", "data": []},
    "llamacpp": {"default_generation_settings": {}},
    "tgi": {"model_id": "x"},
    "vllm": {"version": "0.1"},
    "sglang": {"model_path": "x"},
}


def at(monkeypatch: pytest.MonkeyPatch, urls: dict[str, str]) -> None:
    """Have the servers listen elsewhere."""
    nobody = f"http://127.0.0.1:{closed_port()}"
    signs = tuple((name, urls.get(name, nobody), path, sign) for name, _, path, sign in SIGNS)
    monkeypatch.setattr(discovery, "SIGNS", signs)


async def test_every_server_is_known_by_its_own_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(ANSWERS) == {name for name, *_ in SIGNS}
    async with AsyncExitStack() as stack:
        fakes = {
            name: await stack.enter_async_context(FakeUpstream(say(whole(answer)))) for name, answer in ANSWERS.items()
        }
        at(monkeypatch, {name: fake.url for name, fake in fakes.items()})
        found = await servers_found()
        for fake in fakes.values():
            await fake.until_all_left()
            assert len(fake.asked) == 1
    assert set(found) == {
        Found(name=name, url=fake.url if name == "ollama" else f"{fake.url}/v1") for name, fake in fakes.items()
    }


async def test_nothing_is_found_where_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, {})
    assert await servers_found() == ()


@pytest.mark.parametrize(
    "script",
    [
        say(whole({"error": "version"}, status=404)),
        say(whole({"something": "else"})),
        say(whole(b"<html>", headers=b"content-type: text/html\r\n")),
        say(whole({"version": 1}, status=302, headers=b"location: http://127.0.0.1:1/\r\n")),
        say_and_close(),
        say_and_close(b"-ERR unknown command\r\n"),
        say_and_close(whole({"version": 1})[:-1]),
        say_and_reset(),
        say_and_stall(),
        say_and_stall(OK),
        drip_for_ever(OK + CHUNKED + b"\r\n", chunk(b"x")),
        flood(OK + CHUNKED + b"\r\n", chunk(b"x" * 8192)),
    ],
)
async def test_who_answers_otherwise_is_not_found(monkeypatch: pytest.MonkeyPatch, script: Script) -> None:
    monkeypatch.setattr(discovery, "PROBE_S", 0.05)
    async with FakeUpstream(script) as fake:
        at(monkeypatch, {"ollama": fake.url})
        async with asyncio.timeout(5.0):
            assert await servers_found() == ()
        await fake.until_all_left()


def test_only_this_machine_is_looked_at() -> None:
    for name, url, _, _ in SIGNS:
        assert url.startswith("http://127.0.0.1:")
        assert name in CODED or ROWS[name].url == f"{url}/v1"
        assert name in CODED or ROWS[name].is_local


def test_keys_in_the_environment_name_their_clouds() -> None:
    variables = {row.key_variable: "canary" for row in ROWS.values() if row.key_variable}
    found = keys_found(variables)
    assert {one.name for one in found} == {name for name, row in ROWS.items() if not row.is_local}
    assert all(one.key_variable in variables and one.url is None for one in found)
    assert "canary" not in repr(found)
    assert keys_found({}) == keys_found({"OPENAI_API_KEY": ""}) == ()
