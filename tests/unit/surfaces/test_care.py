"""Operators unload models, swap versions and go back; everybody sees devices, and only admins who is busy with what."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.surfaces.farm_caller import KEY, OTHER_KEY, Gate, ask

from farmgate.core.errors import ModelTooLarge
from farmgate.core.ports import Progress, Report

ADMIN = {"authorization": f"Bearer {KEY}"}
OTHER = {"authorization": f"Bearer {OTHER_KEY}"}
CHANGES = [f"/api/ai/models/guide/{verb}" for verb in ("unload", "reload", "rollback")]


@pytest.fixture
def gate() -> Gate:
    return Gate(keys=True, admins={"tests"})


@pytest.mark.parametrize(
    ("verb", "body", "asked", "title"),
    [
        ("unload", None, ("unload", "guide"), "guide"),
        ("reload", {"version": "2"}, ("swap", "guide", "2"), "guide to 2"),
        ("reload", {}, ("swap", "guide", None), "guide"),
        ("reload", None, ("swap", "guide", None), "guide"),
        ("rollback", None, ("rollback", "guide"), "guide"),
    ],
)
async def test_a_change_is_a_job_that_can_be_watched(
    gate: Gate, verb: str, body: object, asked: tuple[str | None, ...], title: str
) -> None:
    go = asyncio.Event()

    async def doing(report: Report) -> None:
        report(Progress(status="half way"))
        await go.wait()

    gate.care.doing = doing
    begun = await ask(gate, "POST", f"/api/ai/models/guide/{verb}", body, ADMIN)
    assert begun.status == 202
    job = begun.json["job"]
    assert f"/api/ai/jobs/{job}" in begun.json["message"]
    told = await ask(gate, "GET", f"/api/ai/jobs/{job}", None, ADMIN)
    assert (told.json["status"], told.json["title"], told.json["progress"]["status"]) == ("running", title, "half way")
    go.set()
    await gate.jobs.close()
    assert gate.care.asked == [asked]


@pytest.mark.parametrize("path", CHANGES)
async def test_what_is_refused_at_once_is_told_at_once(gate: Gate, path: str) -> None:
    call = await ask(gate, "POST", path.replace("guide", "nobody"), None, ADMIN)
    assert (call.status, call.error["code"]) == (404, "model_not_found")
    long = await ask(gate, "POST", path.replace("guide", "x" * 600), None, ADMIN)
    assert (long.status, long.error["code"]) == (404, "model_not_found")


async def test_a_model_that_never_fits_is_told_with_its_numbers_and_not_to_try_again(gate: Gate) -> None:
    async def doing(report: Report) -> None:
        raise ModelTooLarge("it needs 9 MiB")

    gate.care.doing = doing
    call = await ask(gate, "POST", CHANGES[1], {"version": "2"}, ADMIN)
    assert (call.status, call.error["code"], call.error["message"]) == (507, "model_too_large", "it needs 9 MiB")
    assert call.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("path", CHANGES)
async def test_an_ordinary_key_changes_nothing(gate: Gate, path: str) -> None:
    call = await ask(gate, "POST", path, None, OTHER)
    assert (call.status, call.error["code"]) == (403, "not_an_admin")
    assert gate.care.asked == []


@pytest.mark.parametrize("path", CHANGES)
async def test_a_page_of_another_site_changes_nothing_where_there_are_no_keys(path: str) -> None:
    gate = Gate()
    assert (await ask(gate, "POST", path, None, {"sec-fetch-site": "cross-site"})).status == 403
    assert gate.care.asked == []
    assert (await ask(gate, "POST", path, None)).status == 202


@pytest.mark.parametrize(
    "body", [{"version": 2}, {"version": ""}, {"version": "x" * 300}, {"to": "2"}, [], "2", {"version": None, "x": 1}]
)
async def test_a_body_that_is_not_understood_changes_nothing(gate: Gate, body: object) -> None:
    call = await ask(gate, "POST", CHANGES[1], body, ADMIN)
    assert call.status == 400
    assert gate.care.asked == []


async def test_devices_are_shown_to_every_caller(gate: Gate) -> None:
    call = await ask(gate, "GET", "/api/ai/gpus", None, OTHER)
    gpu, machine = call.json["devices"]
    assert gpu == {
        "name": "gpu0",
        "title": "A GPU",
        "kind": "gpu",
        "memoryTotal": 100,
        "memoryUsed": 60,
        "memoryFree": 40,
        "utilisation": 0.5,
        "temperatureC": 60.0,
        "powerW": 200.5,
        "models": {"guide@1 (generate)": 50},
    }
    assert (machine["kind"], machine["temperatureC"], machine["models"]) == ("cpu", None, {})


async def test_processes_are_shown_to_admins(gate: Gate) -> None:
    assert (await ask(gate, "GET", "/api/ai/processes", None, OTHER)).status == 403
    (process,) = (await ask(gate, "GET", "/api/ai/processes", None, ADMIN)).json["processes"]
    assert process == {
        "name": "guide",
        "version": "1",
        "purpose": "generate",
        "engine": "llama.cpp",
        "state": "ready",
        "answers": True,
        "memory": {"cpu": 7},
        "pid": 4711,
        "inFlight": 1,
        "waiting": 0,
        "starts": 2,
        "ttlLeftS": 9.5,
        "pinned": False,
        "priority": 0,
        "failure": None,
        "loadS": None,
        "tokensPerS": 0.0,
        "adapters": ["formal"],
        "engineLoad": {"running": 3.0, "waiting": 1.0, "cacheUsed": None},
    }
