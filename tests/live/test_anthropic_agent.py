"""The unmodified anthropic SDK as an agent uses it, against a real gate in front of models of both dialects."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic, beta_tool
from anthropic.types import MessageParam, ToolParam
from pydantic import BaseModel
from tests.journey.gate import KEY, RealGate
from tests.journey.upstream import Upstream

HELLO: list[MessageParam] = [{"role": "user", "content": "Hello"}]
TIDE: ToolParam = {
    "name": "tide",
    "description": "High water of a port.",
    "input_schema": {"type": "object", "properties": {"port": {"type": "string"}}, "required": ["port"]},
}
MODELS = ["say", "die-3", "end-3", "fail-3", "refuse-400", "refuse-500", "refuse-429"]
RECORDINGS = Path(__file__).parents[1] / "recordings" / "anthropic"


class Talker(BaseHTTPRequestHandler):
    """A model that speaks OpenAI's or Anthropic's dialect: it asks for the tide of two ports, then tells them."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append((self.path, dict(self.headers), asked))  # type: ignore[attr-defined] # ours
        if self.path == "/v1/chat/completions":
            self._openai(asked)
        elif self.path == "/v1/messages/count_tokens":
            self._send("application/json", (RECORDINGS / "count.json").read_bytes())
        elif asked.get("stream"):
            self._send("text/event-stream", (RECORDINGS / "parallel_tools_stream.sse").read_bytes())
        else:
            self._send("application/json", (RECORDINGS / "reasoning.json").read_bytes())

    def _openai(self, asked: dict[str, Any]) -> None:
        answered = [turn["content"] for turn in asked["messages"] if turn["role"] == "tool"]
        if asked.get("response_format"):
            message: dict[str, Any] = {"content": '{"boats": 12, "calm": true}'}
        elif answered:
            message = {"content": "Tides: " + ", ".join(map(str, answered))}
        else:
            message = {"content": None, "reasoning_content": "Two ports.", "tool_calls": CALLS}
        finish = "tool_calls" if "tool_calls" in message else "stop"
        usage: dict[str, Any] = {
            "prompt_tokens": 50,
            "completion_tokens": 20,
            "total_tokens": 70,
            "prompt_tokens_details": {"cached_tokens": 30},
        }
        head: dict[str, Any] = {"id": "c", "created": 1, "model": "talker"}
        if not asked.get("stream"):
            choice: dict[str, Any] = {"index": 0, "message": {"role": "assistant"} | message, "finish_reason": finish}
            told = head | {"object": "chat.completion", "choices": [choice], "usage": usage}
            self._send("application/json", json.dumps(told).encode())
            return
        chunks: list[dict[str, Any]] = [
            {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas(message)
        ]
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
        chunks.append({"choices": [], "usage": usage})
        frames = "".join(f"data: {json.dumps(head | chunk)}\n\n" for chunk in chunks)
        self._send("text/event-stream", f"{frames}data: [DONE]\n\n".encode())

    def _send(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


CALLS = [
    {"id": "call_1", "type": "function", "function": {"name": "tide", "arguments": '{"port": "Brest"}'}},
    {"id": "call_2", "type": "function", "function": {"name": "tide", "arguments": '{"port": "Saint-Malo"}'}},
]


def deltas(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A message in pieces: each call's arguments in two."""
    if message.get("reasoning_content"):
        yield {"reasoning_content": message["reasoning_content"]}
    if message["content"]:
        yield {"content": message["content"]}
    for index, call in enumerate(message.get("tool_calls", ())):
        text = call["function"]["arguments"]
        yield {"tool_calls": [{"index": index} | call | {"function": {"name": "tide", "arguments": text[:5]}}]}
        yield {"tool_calls": [{"index": index, "function": {"arguments": text[5:]}}]}


class TalkerServer(ThreadingHTTPServer):
    """Remembers what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Talker)
        self.asked: list[tuple[str, dict[str, str], dict[str, Any]]] = []


@pytest.fixture(scope="module")
def talker() -> Iterator[TalkerServer]:
    with TalkerServer() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream, talker: TalkerServer) -> Iterator[RealGate]:
    here = f"http://127.0.0.1:{talker.server_port}"
    config = {
        "keys": [{"name": "tests", "key": KEY}],
        "ai": {
            "providers": {
                "demo": {"options": {"text": "Hello from the demo"}},
                "up": {"provider": "openai", "url": upstream.url, "apiKey": "none", "models": MODELS},
                "talk": {"provider": "openai", "url": f"{here}/v1", "apiKey": "none", "models": ["talker"]},
                "claude": {"provider": "anthropic", "url": here, "apiKey": "sk-ant-there", "models": ["claude-x"]},
            },
            "routing": {"production": "demo"},
        },
    }
    with RealGate(tmp_path_factory.mktemp("gate"), config=config).start() as gate:
        yield gate


@pytest.fixture
def client(gate: RealGate) -> Iterator[Anthropic]:
    with Anthropic(base_url=f"http://127.0.0.1:{gate.port}", api_key=KEY, max_retries=0) as client:
        yield client


def test_a_message_is_answered_whole(client: Anthropic) -> None:
    answer = client.messages.create(model="demo", max_tokens=100, messages=HELLO, system="Be brief.")
    assert answer.content[0].type == "text"
    assert answer.content[0].text == "Hello from the demo"
    assert (answer.role, answer.type, answer.stop_reason) == ("assistant", "message", "end_turn")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (1, 4)
    assert answer._request_id
    assert client.messages.create(model="demo", max_tokens=2, messages=HELLO).stop_reason == "max_tokens"


@pytest.mark.parametrize("model", ["demo", "say"])
def test_a_message_is_streamed(client: Anthropic, model: str) -> None:
    with client.messages.stream(model=model, max_tokens=100, messages=HELLO) as stream:
        text = "".join(stream.text_stream)
        answer = stream.get_final_message()
    assert text in ("Hello from the demo", "Hello there")
    assert answer.content[0].type == "text"
    assert answer.content[0].text == text
    assert answer.stop_reason == "end_turn"
    assert (answer.usage.input_tokens, answer.usage.output_tokens) in ((1, 4), (7, 3))


@pytest.mark.parametrize("streams", [False, True])
def test_an_agent_s_loop_with_parallel_tools_runs_on_a_model_that_speaks_openai(
    client: Anthropic, talker: TalkerServer, streams: bool
) -> None:
    messages: list[MessageParam] = [{"role": "user", "content": "The tides, please."}]
    for _ in range(3):
        asked: dict[str, Any] = {"model": "talker", "max_tokens": 100, "messages": messages, "tools": [TIDE]}
        if streams:
            with client.messages.stream(**asked) as stream:
                answer: anthropic.types.Message = stream.get_final_message()
        else:
            answer = client.messages.create(**asked)
        messages.append({"role": "assistant", "content": answer.content})
        if answer.stop_reason != "tool_use":
            break
        assert [block.type for block in answer.content] == ["thinking", "tool_use", "tool_use"]
        results: list[Any] = [
            {"type": "tool_result", "tool_use_id": block.id, "content": f"noon at {block.input['port']}"}
            for block in answer.content
            if block.type == "tool_use"
        ]
        messages.append({"role": "user", "content": results})
    assert answer.content[0].type == "text"
    assert answer.content[0].text == "Tides: noon at Brest, noon at Saint-Malo"
    assert (answer.usage.input_tokens, answer.usage.cache_read_input_tokens) == (20, 30)
    sent = talker.asked[-1][2]["messages"]
    assert [turn["role"] for turn in sent] == ["user", "assistant", "tool", "tool"]
    assert [call["id"] for call in sent[1]["tool_calls"]] == ["call_1", "call_2"]


def test_the_sdks_own_runner_does_without_a_thread_where_nobody_keeps_one(
    client: Anthropic, talker: TalkerServer
) -> None:
    @beta_tool
    def tide(port: str) -> str:
        """High water of a port."""
        return f"noon at {port}"

    runner = client.beta.messages.tool_runner(
        model="talker", max_tokens=100, messages=[{"role": "user", "content": "The tides, please."}], tools=[tide]
    )
    answer = runner.until_done()
    assert [block.text for block in answer.content if block.type == "text"] == [
        "Tides: noon at Brest, noon at Saint-Malo"
    ]
    assert "thread" not in talker.asked[-1][2]


class Harbour(BaseModel):
    """What is to be told."""

    boats: int
    calm: bool


def test_a_structured_answer_is_parsed(client: Anthropic, talker: TalkerServer) -> None:
    answer = client.messages.parse(model="talker", max_tokens=100, messages=HELLO, output_format=Harbour)
    assert answer.parsed_output == Harbour(boats=12, calm=True)
    assert talker.asked[-1][2]["response_format"]["type"] == "json_schema"


def test_what_anthropic_says_comes_back_untouched_and_its_headers_reach_it(
    client: Anthropic, talker: TalkerServer
) -> None:
    answer = client.messages.create(
        model="claude-x", max_tokens=100, messages=HELLO, extra_headers={"anthropic-beta": "later-2026-01-01"}
    )
    assert [block.type for block in answer.content] == ["thinking", "redacted_thinking", "text"]
    assert answer.usage.output_tokens_details is not None
    assert answer.usage.output_tokens_details.thinking_tokens == 31
    path, headers, sent = talker.asked[-1]
    told = {name.lower(): value for name, value in headers.items()}
    assert path == "/v1/messages"
    assert (told["x-api-key"], told["anthropic-beta"]) == ("sk-ant-there", "later-2026-01-01")
    assert sent["model"] == "claude-x"
    with client.messages.stream(model="claude-x", max_tokens=100, messages=HELLO, tools=[TIDE]) as stream:
        streamed = stream.get_final_message()
    assert [block.input for block in streamed.content if block.type == "tool_use"] == [
        {"port": "Brest"},
        {"port": "Saint-Malo"},
        {},
    ]


def test_tokens_are_counted_by_anthropic_or_estimated(client: Anthropic) -> None:
    assert client.messages.count_tokens(model="claude-x", messages=HELLO).input_tokens == 2095
    raw = client.messages.with_raw_response.count_tokens(model="say", messages=HELLO)
    assert raw.headers["x-farmgate-estimated"] == "true"
    assert raw.parse().input_tokens > 0


def test_models_are_listed(client: Anthropic) -> None:
    assert {"demo", "claude-x", *MODELS} <= {model.id for model in client.models.list()}
    assert client.models.retrieve("demo").display_name == "demo"
    with pytest.raises(anthropic.NotFoundError):
        client.models.retrieve("no/such/model")


def test_a_wrong_key_is_an_authentication_error(gate: RealGate) -> None:
    with (
        Anthropic(base_url=f"http://127.0.0.1:{gate.port}", api_key="a-guess", max_retries=0) as client,
        pytest.raises(anthropic.AuthenticationError) as caught,
    ):
        client.messages.create(model="demo", max_tokens=9, messages=HELLO)
    assert caught.value.request_id


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("dem", anthropic.NotFoundError),
        ("refuse-400", anthropic.BadRequestError),
        ("refuse-429", anthropic.RateLimitError),
        ("refuse-500", anthropic.InternalServerError),
    ],
)
def test_what_is_refused_is_the_exception_of_its_status(
    client: Anthropic, model: str, kind: type[anthropic.APIStatusError]
) -> None:
    with pytest.raises(kind) as caught:
        client.messages.create(model=model, max_tokens=9, messages=HELLO)
    body: Any = caught.value.body
    assert body["type"] == "error"
    assert body["request_id"] == caught.value.request_id


@pytest.mark.parametrize(
    ("model", "code"),
    [("fail-3", "upstream_error"), ("die-3", "upstream_stream_truncated"), ("end-3", "upstream_stream_truncated")],
)
def test_a_stream_that_breaks_is_an_error_after_what_had_come(
    client: Anthropic, upstream: Upstream, model: str, code: str
) -> None:
    text = ""

    def read(stream: anthropic.Stream[anthropic.types.RawMessageStreamEvent]) -> None:
        nonlocal text
        for event in stream:
            if event.type == "content_block_delta" and event.delta.type == "text_delta":
                text += event.delta.text
                upstream.seen[-1].go.set()

    with (
        client.messages.create(model=model, max_tokens=9, messages=HELLO, stream=True) as stream,
        pytest.raises(anthropic.APIStatusError) as caught,
    ):
        read(stream)
    assert text == "Hello"
    body: Any = caught.value.body
    assert body["error"]["details"] == {"error_code": code}


async def test_the_asynchronous_client_does_the_same(gate: RealGate) -> None:
    async with AsyncAnthropic(base_url=f"http://127.0.0.1:{gate.port}", api_key=KEY, max_retries=0) as client:
        answer = await client.messages.create(model="demo", max_tokens=9, messages=HELLO)
        assert answer.stop_reason == "end_turn"
        async with client.messages.stream(model="say", max_tokens=9, messages=HELLO) as stream:
            assert await stream.get_final_text() == "Hello there"
        with pytest.raises(anthropic.BadRequestError):
            await client.messages.create(model="demo", max_tokens=9, messages=[])
