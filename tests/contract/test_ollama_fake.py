"""What Farmgate relies on in an Ollama server holds for the fake, and for a real one where there is one.

FARMGATE_TEST_OLLAMA names a real server on this machine (`http://127.0.0.1:11434`) that has at least one model
that can chat.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from tests.fakes.ollama import FakeModel, FakeOllama

from farmgate.providers.transport import Upstream

REAL = "FARMGATE_TEST_OLLAMA"
SERVERS = ["fake", *(["real"] if os.environ.get(REAL) else [])]
ABSENT = "farmgate-has-no-such-model"


@dataclass(frozen=True, kw_only=True)
class Heard:
    """One answer."""

    status: int
    kind: str
    lines: list[dict[str, object]]

    @property
    def only(self) -> dict[str, object]:
        (line,) = self.lines
        return line


class Server:
    """A server that may be asked."""

    def __init__(self, url: str) -> None:
        self._upstream = Upstream(url, name="ollama")

    async def ask(self, method: str, path: str, fields: object = None, *, raw: bytes = b"") -> Heard:
        body = raw or (b"" if fields is None else json.dumps(fields).encode())
        async with await self._upstream.send(method, path, body=body) as answer:
            whole = await answer.whole(1 << 24)
            kind = answer.header(b"content-type").partition(";")[0]
            lines = [json.loads(line) for line in whole.splitlines() if line.startswith(b"{")]
            return Heard(status=answer.status, kind=kind, lines=lines)

    async def model(self, capability: str) -> str:
        """The name of an installed model that can do that; skips the test where there is none."""
        models = (await self.ask("GET", "/api/tags")).only["models"]
        assert isinstance(models, list)
        for model in models:
            shown = (await self.ask("POST", "/api/show", {"model": model["name"]})).only
            capabilities = shown.get("capabilities")
            if isinstance(capabilities, list) and capability in capabilities:
                return str(model["name"])
        pytest.skip(f"this server has no model for {capability}")

    def close(self) -> None:
        self._upstream.close()


@pytest.fixture(params=SERVERS)
async def server(request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    if request.param == "real":
        real = Server(os.environ[REAL])
        yield real
        real.close()
        return
    installed = {"tiny:latest": FakeModel(), "vec:latest": FakeModel(capabilities=("embedding",))}
    async with FakeOllama(installed=installed) as fake:
        asked = Server(fake.url)
        yield asked
        asked.close()


async def test_the_version_is_text(server: Server) -> None:
    heard = await server.ask("GET", "/api/version")
    assert (heard.status, heard.kind) == (200, "application/json")
    assert isinstance(heard.only["version"], str)


async def test_installed_models_have_a_name_with_its_tag_and_a_size(server: Server) -> None:
    models = (await server.ask("GET", "/api/tags")).only["models"]
    assert isinstance(models, list)
    for model in models:
        assert ":" in model["name"]
        assert isinstance(model["size"], int)
        assert isinstance(model["modified_at"], str)
        assert isinstance(model["details"], dict)


@pytest.mark.parametrize("path", ["/api/show", "/api/chat", "/api/generate", "/api/embed"])
async def test_a_missing_model_is_a_404_with_an_error(server: Server, path: str) -> None:
    fields = {"model": ABSENT, "messages": [{"role": "user", "content": "a"}], "prompt": "a", "input": "a"}
    heard = await server.ask("POST", path, fields)
    assert heard.status == 404
    assert isinstance(heard.only["error"], str)


async def test_a_body_that_is_no_json_is_a_400_with_an_error(server: Server) -> None:
    heard = await server.ask("POST", "/api/chat", raw=b"{")
    assert heard.status == 400
    assert isinstance(heard.only["error"], str)


async def test_a_chat_streams_lines_until_done(server: Server) -> None:
    fields = {
        "model": await server.model("completion"),
        "messages": [{"role": "user", "content": "Say hello."}],
        "options": {"num_predict": 8, "temperature": 0},
    }
    heard = await server.ask("POST", "/api/chat", fields)
    assert (heard.status, heard.kind) == (200, "application/x-ndjson")
    assert len(heard.lines) > 1
    assert all(line["done"] is False and isinstance(line["message"], dict) for line in heard.lines[:-1])
    last = heard.lines[-1]
    assert last["done"] is True
    assert last["done_reason"] in ("stop", "length")
    assert isinstance(last.get("eval_count", 0), int)


async def test_a_chat_without_a_stream_is_one_object(server: Server) -> None:
    fields = {
        "model": await server.model("completion"),
        "messages": [{"role": "user", "content": "Say hello."}],
        "options": {"num_predict": 8},
        "stream": False,
    }
    heard = await server.ask("POST", "/api/chat", fields)
    assert (heard.status, heard.kind) == (200, "application/json")
    assert heard.only["done"] is True
    message = heard.only["message"]
    assert isinstance(message, dict)
    assert isinstance(message["content"], str)


async def test_generate_says_response(server: Server) -> None:
    fields = {"model": await server.model("completion"), "prompt": "Once", "options": {"num_predict": 4}}
    heard = await server.ask("POST", "/api/generate", fields)
    assert heard.kind == "application/x-ndjson"
    assert all(isinstance(line["response"], str) for line in heard.lines)
    assert heard.lines[-1]["done"] is True


async def test_an_empty_prompt_loads_and_unloads(server: Server) -> None:
    name = await server.model("completion")
    loaded = await server.ask("POST", "/api/generate", {"model": name, "stream": False})
    assert (loaded.only["done"], loaded.only["done_reason"]) == (True, "load")
    running = (await server.ask("GET", "/api/ps")).only["models"]
    assert isinstance(running, list)
    assert name in [model["name"] for model in running]
    unloaded = await server.ask("POST", "/api/generate", {"model": name, "stream": False, "keep_alive": 0})
    assert unloaded.only["done_reason"] == "unload"


async def test_every_input_has_its_vector(server: Server) -> None:
    fields = {"model": await server.model("embedding"), "input": ["a", "b c"], "truncate": False}
    vectors = (await server.ask("POST", "/api/embed", fields)).only["embeddings"]
    assert isinstance(vectors, list)
    assert len(vectors) == 2
    assert all(isinstance(value, float | int) for vector in vectors for value in vector)


async def test_embedding_nothing_only_loads(server: Server) -> None:
    heard = await server.ask("POST", "/api/embed", {"model": await server.model("embedding"), "input": []})
    assert (heard.status, heard.only["embeddings"]) == (200, [])


async def test_a_pull_of_nothing_ends_in_an_error_line(server: Server) -> None:
    heard = await server.ask("POST", "/api/pull", {"model": ABSENT})
    assert heard.lines[0]["status"] == "pulling manifest"
    assert isinstance(heard.lines[-1]["error"], str)
