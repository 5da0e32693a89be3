"""Whom the gate fetches for: nobody but admins makes it reach an address, whatever the words."""

from __future__ import annotations

import pytest
from tests.unit.surfaces.farm_caller import KEY, OTHER_KEY, Gate, ask

from farmgate.core.model import ModelInfo

SOURCES = [
    "hf:owner/name",
    "HF:owner/name",
    "hf:",
    "https://host/x.gguf",
    "http://169.254.169.254/x.gguf",
    "file:///etc/x",
]
ADMIN = {"authorization": f"Bearer {KEY}"}
OTHER = {"authorization": f"Bearer {OTHER_KEY}"}


@pytest.fixture
def gate() -> Gate:
    return Gate(keys=True, admins={"tests"})


@pytest.mark.parametrize("query", ["", "?provider=local", "?provider=ollama"])
@pytest.mark.parametrize("source", SOURCES)
async def test_a_caller_who_is_no_admin_makes_it_fetch_nothing(gate: Gate, source: str, query: str) -> None:
    call = await ask(gate, "POST", f"/api/ai/models/{source}/load{query}", None, OTHER)
    assert (call.status, call.error["code"]) == (403, "not_an_admin")
    assert "Only an admin may have a model fetched" in call.error["message"]
    assert (gate.fetches, gate.loads) == ([], [])


async def test_without_a_key_nobody_is_let_in(gate: Gate) -> None:
    assert (await ask(gate, "POST", "/api/ai/models/hf:owner/name/load")).status == 401


async def test_a_page_of_another_site_makes_it_fetch_nothing() -> None:
    gate = Gate()
    call = await ask(gate, "POST", "/api/ai/models/hf:owner/name/load", None, {"sec-fetch-site": "cross-site"})
    assert (call.status, gate.fetches) == (403, [])
    assert (await ask(gate, "POST", "/api/ai/models/hf:owner/name/load")).status == 202
    assert gate.fetches == ["hf:owner/name"]


@pytest.mark.parametrize("source", ["hf:owner/name@v1:Q4_0", "https://host/x.gguf"])
async def test_an_admin_does_and_it_is_a_job(gate: Gate, source: str) -> None:
    call = await ask(gate, "POST", f"/api/ai/models/{source}/load", None, ADMIN)
    assert call.status == 202
    assert gate.fetches == [source]
    told = await ask(gate, "GET", f"/api/ai/jobs/{call.json['job']}", None, ADMIN)
    assert (told.json["title"], told.json["kind"]) == (source, "load")


@pytest.mark.parametrize("source", ["hf:owner", "https://host/x.bin", "ftp://host/x.gguf"])
async def test_what_an_admin_writes_wrongly_is_told(gate: Gate, source: str) -> None:
    call = await ask(gate, "POST", f"/api/ai/models/{source}/load", None, ADMIN)
    assert (call.status, call.error["code"], gate.fetches) == (400, "invalid_value", [])


async def test_another_providers_models_do_not_come_from_where_a_name_says(gate: Gate) -> None:
    call = await ask(gate, "POST", "/api/ai/models/hf:owner/name/load?provider=ollama", None, ADMIN)
    assert (call.status, call.error["code"], call.error["param"]) == (400, "not_supported", "provider")


@pytest.mark.parametrize("name", ["owner/name", "llama3.1:8b", "./x.gguf", "/etc/x.gguf", "hf.co/owner/name"])
async def test_every_other_name_is_a_name(gate: Gate, name: str) -> None:
    """What a path names is not looked at: the store knows names of models only."""
    call = await ask(gate, "POST", f"/api/ai/models/{name}/load", None, OTHER)
    assert (call.status, gate.fetches) == (202, [])
    assert gate.loads == [(name, None)]


async def test_callers_see_where_the_hubs_models_came_from_and_no_path_or_address_of_the_owner(gate: Gate) -> None:
    sources = ["hf:owner/name", "https://intranet/x.gguf", "/home/me/x.gguf"]
    made = [ModelInfo(name=str(at), provider="local", source=one, licence="mit") for at, one in enumerate(sources)]
    gate.models = lambda: made  # type: ignore[method-assign]  # what this gate has
    told = (await ask(gate, "GET", "/api/ai/models", None, OTHER)).json
    assert [(one.get("source"), one["licence"]) for one in told] == [
        ("hf:owner/name", "mit"),
        (None, "mit"),
        (None, "mit"),
    ]
