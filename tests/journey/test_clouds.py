"""A caller who speaks OpenAI, through a real gate, to each provider with a dialect of its own; all on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.recordings import recorded_events, recording
from tests.journey.gate import KEY, RealGate

JSON = "application/json"
SSE = "text/event-stream"
AWS = "application/vnd.amazon.eventstream"
CLAUDE = "eu.anthropic.claude-sonnet-4-20250514-v1:0"
KEYS = "[default]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = CANARY-secret\n"
ANSWERS: dict[str, tuple[str, bytes]] = {
    "/model/eu.anthropic.claude-sonnet-4-20250514-v1%3A0/converse": (JSON, recording("bedrock/text.json")),
    "/model/eu.anthropic.claude-sonnet-4-20250514-v1%3A0/converse-stream": (
        AWS,
        b"".join(recorded_events("bedrock/tools_stream.jsonl")),
    ),
    "/model/amazon.titan-embed-text-v2%3A0/invoke": (JSON, recording("bedrock/titan.json")),
    "/endpoints/farm/invocations": (JSON, recording("sagemaker/text.json")),
    "/endpoints/farm/invocations-response-stream": (AWS, b"".join(recorded_events("sagemaker/stream.jsonl"))),
    "/v2/chat": (JSON, recording("cohere/text.json")),
    "/v2/chat?stream": (SSE, recording("cohere/tools_stream.sse")),
    "/v2/embed": (JSON, recording("cohere/embed.json")),
    "/v2/rerank": (JSON, recording("cohere/rerank.json")),
    "/v2/models/farm/versions/1/generate": (JSON, recording("triton/text.json")),
    "/v2/models/farm/generate_stream": (SSE, recording("triton/stream.sse")),
    "/v2/models/embedder/infer": (JSON, recording("triton/infer.json")),
    "/v2/repository/index": (JSON, recording("triton/index.json")),
}


class Clouds(BaseHTTPRequestHandler):
    """All of them at one address, told apart by their paths."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        path = f"{self.path}?stream" if self.path == "/v2/chat" and body["stream"] else self.path
        kind, data = ANSWERS.get(path, (JSON, b'{"message":"not here","error":"not here"}'))
        self.send_response(200 if path in ANSWERS else 400)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nothing is said."""


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealGate]:
    with pytest.MonkeyPatch.context() as patch, ThreadingHTTPServer(("127.0.0.1", 0), Clouds) as clouds:
        serving = threading.Thread(target=clouds.serve_forever, daemon=True)
        serving.start()
        directory: Path = tmp_path_factory.mktemp("clouds")
        (directory / ".aws").mkdir()
        (directory / ".aws" / "credentials").write_text(KEYS)
        patch.setenv("HOME", str(directory))
        url = f"http://127.0.0.1:{clouds.server_port}"
        providers: dict[str, Any] = {
            "bedrock": {
                "url": url,
                "models": [CLAUDE, "amazon.titan-embed-text-v2:0"],
                "options": {"region": "eu-west-1"},
            },
            "sagemaker": {"url": url, "models": ["farm"], "options": {"region": "eu-west-1"}},
            "cohere": {"url": url, "apiKey": "co-CANARY"},
            "triton": {"url": url, "options": {"template": "chatml"}},
        }
        config = {"keys": [{"name": "tests", "key": KEY}], "ai": {"providers": providers}}
        with RealGate(directory, config=config).start() as gate:
            yield gate
            assert gate.stop() == 0
            said = gate.everything_said()
            assert "CANARY" not in said
            assert "Traceback" not in said
        clouds.shutdown()
        serving.join()


def asked(gate: RealGate, model: str, **more: Any) -> Any:
    answer = gate.call("POST", "/v1/chat/completions", {"model": model, "messages": HELLO, **more})
    assert answer.status == 200, answer.body
    return answer


HELLO = [{"role": "user", "content": "When does the gate open?"}]
WHOLE = [f"bedrock/{CLAUDE}", "sagemaker/farm", "cohere/command-a-03-2025", "triton/farm@1"]


@pytest.mark.parametrize("model", WHOLE)
def test_a_whole_answer_comes_from_each(gate: RealGate, model: str) -> None:
    told = asked(gate, model).json
    (choice,) = told["choices"]
    assert choice["message"]["content"].startswith("The gate opens at dawn.")
    assert choice["finish_reason"] == "stop"
    assert told["usage"]["prompt_tokens"] > 0


STREAMED = [
    (f"bedrock/{CLAUDE}", "I will look.", "tool_calls"),
    ("sagemaker/farm", "The gate opens at dawn. Ça va ?", "stop"),
    ("cohere/command-a-03-2025", "I will look.", "tool_calls"),
    ("triton/farm", "The gate opens at dawn. Ça va ?", "length"),
]


@pytest.mark.parametrize(("model", "text", "reason"), STREAMED)
def test_a_streamed_answer_comes_from_each(gate: RealGate, model: str, text: str, reason: str) -> None:
    body = asked(gate, model, stream=True, stream_options={"include_usage": True}).body
    frames = [line.removeprefix(b"data: ") for line in body.split(b"\n\n") if line]
    assert frames.pop() == b"[DONE]"
    chunks = [json.loads(frame) for frame in frames]
    deltas = [choice for chunk in chunks for choice in chunk["choices"]]
    assert "".join(choice["delta"].get("content") or "" for choice in deltas) == text
    assert [choice["finish_reason"] for choice in deltas if choice["finish_reason"]] == [reason]
    assert [chunk["usage"]["completion_tokens"] > 0 for chunk in chunks if chunk.get("usage")] == [True]
    calls = [call for choice in deltas for call in choice["delta"].get("tool_calls", ())]
    names = [call["function"]["name"] for call in calls if "name" in call["function"]]
    assert names == (["weather", "clock"] if reason == "tool_calls" else [])


EMBEDDED = [("bedrock/amazon.titan-embed-text-v2:0", 1), ("cohere/embed-v4.0", 2), ("triton/embedder", 2)]


@pytest.mark.parametrize(("model", "count"), EMBEDDED)
def test_vectors_come_from_each_that_embeds(gate: RealGate, model: str, count: int) -> None:
    answer = gate.call("POST", "/v1/embeddings", {"model": model, "input": ["a", "b"][:count]})
    assert answer.status == 200, answer.body
    assert [item["embedding"][0] for item in answer.json["data"]] == [0.5, 1.0][:count]


def test_documents_are_ranked_by_cohere(gate: RealGate) -> None:
    body = {"model": "cohere/rerank-v3.5", "query": "when?", "documents": ["a", "b", "c"], "top_n": 2}
    answer = gate.call("POST", "/v1/rerank", body)
    assert answer.status == 200, answer.body
    assert [(one["index"], one["relevance_score"]) for one in answer.json["results"]] == [(2, 0.98), (0, 0.31)]


def test_what_could_not_be_told_is_announced(gate: RealGate) -> None:
    answer = asked(gate, f"bedrock/{CLAUDE}", seed=1)
    assert answer.headers["x-farmgate-dropped"] == "seed"


@pytest.mark.parametrize("model", [f"bedrock/{CLAUDE}", "cohere/command-a-03-2025", "triton/farm"])
def test_what_would_make_another_answer_is_a_bad_request(gate: RealGate, model: str) -> None:
    answer = gate.call("POST", "/v1/chat/completions", {"model": model, "messages": HELLO, "n": 2})
    assert (answer.status, answer.error["code"], answer.error["param"]) == (400, "unsupported_parameter", "n")
