from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.unit.engines.hf.fakes import END, Echo, decode

from farmgate.core.ports import Purpose
from farmgate.engines.engine import Spec
from farmgate.engines.hf.adapters import Adapters
from farmgate.engines.hf.choosing import Habits
from farmgate.engines.hf.folder import CannotLoad
from farmgate.engines.hf.house import House
from farmgate.engines.hf.server import app_of
from farmgate.engines.hf.texts import TextHouse, is_fatal
from farmgate.engines.hf.tokens import Tokens
from farmgate.engines.hf.vectors import VectorHouse, cut
from farmgate.engines.serving.app import App

SPEC = Spec(model="echo", path=Path("/m"), purpose=Purpose.GENERATE, context_tokens=32, parallel=2, threads=1)


class Bytes:
    """A tokenizer of bytes, with a template that only joins what is said."""

    bos_token = None
    chat_template = "plain"

    def apply_chat_template(self, messages: list[dict[str, Any]], **_: Any) -> str:
        return "".join(message["content"] for message in messages)

    def encode(self, text: str, **_: Any) -> list[int]:
        return list(text.encode())

    def decode(self, ids: Sequence[int], **_: Any) -> str:
        return decode(ids)


class NoAdapters(Adapters):
    """They come and go, and change nothing."""

    def __init__(self) -> None:
        super().__init__(None)
        self.log: list[str] = []

    def add(self, name: str, folder: Path) -> None:
        if folder.name == "broken":
            raise CannotLoad("broken")
        self.log.append(f"+{name}")

    def remove(self, name: str) -> None:
        self.log.append(f"-{name}")


class Caller:
    """Asks the application as a server would. `leave` ends the connection."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._gone = asyncio.Event()
        self.came = asyncio.Event()
        self.status = 0
        self.body = b""

    def leave(self) -> None:
        self._gone.set()

    async def ask(self, method: str, path: str, body: object = None, *, key: str = "key") -> Caller:
        sent = False

        async def receive() -> dict[str, Any]:
            nonlocal sent
            if not sent:
                sent = True
                return {"type": "http.request", "body": b"" if body is None else json.dumps(body).encode()}
            await self._gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            self.status = message.get("status", self.status)
            self.body += message.get("body", b"")
            self.came.set()
            if message["type"] == "http.response.body" and not message.get("more_body"):
                self.leave()

        headers = [(b"authorization", f"Bearer {key}".encode())] if key else []
        async with asyncio.timeout(20):
            await self._app({"type": "http", "method": method, "path": path, "headers": headers}, receive, send)
        return self

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def frames(self) -> list[Any]:
        *frames, end, rest = self.body.decode().split("\n\n")
        assert (end, rest) == ("data: [DONE]", "")
        return [json.loads(frame.removeprefix("data: ")) for frame in frames]


def house(steps: Echo | None = None, adapters: Adapters | None = None) -> TextHouse:
    """In the running event loop."""
    return TextHouse(
        SPEC,
        Tokens(Bytes()),
        steps or Echo(),
        adapters or NoAdapters(),
        context_tokens=32,
        end_ids=frozenset({END}),
        habits=Habits(),
        die=lambda: None,
    )


async def ask(method: str, path: str, body: object = None, *, of: House | None = None, key: str = "key") -> Caller:
    return await Caller(app_of(of or house(), key="key")).ask(method, path, body, key=key)


def chat(text: str, **more: object) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": text}], **more}


async def test_a_chat_is_answered_whole() -> None:
    told = await ask("POST", "/v1/chat/completions", chat("Hello €"))
    assert told.status == 200
    (choice,) = told.json["choices"]
    assert choice["message"] == {"role": "assistant", "content": "Hello €", "refusal": None}
    assert choice["finish_reason"] == "stop"
    assert told.json["object"] == "chat.completion"
    assert told.json["model"] == "echo"
    assert told.json["usage"] == {"prompt_tokens": 9, "completion_tokens": 10, "total_tokens": 19}


async def test_a_chat_is_streamed_with_its_usage_at_the_end() -> None:
    told = await ask("POST", "/v1/chat/completions", chat("a€", stream=True, stream_options={"include_usage": True}))
    first, *_, finish, usage = told.frames
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": "a"}
    assert finish["choices"][0]["finish_reason"] == "stop"
    assert usage["choices"] == []
    assert usage["usage"] == {"prompt_tokens": 4, "completion_tokens": 5, "total_tokens": 9}
    deltas = [choice["delta"].get("content", "") for frame in told.frames for choice in frame["choices"]]
    assert "".join(deltas) == "a€"


async def test_usage_is_streamed_to_none_but_who_asked() -> None:
    told = await ask("POST", "/v1/chat/completions", chat("a", stream=True))
    assert all("usage" not in frame for frame in told.frames)


async def test_a_completion_is_answered_whole_and_streamed() -> None:
    told = await ask("POST", "/v1/completions", {"prompt": "abc", "max_tokens": 2})
    (choice,) = told.json["choices"]
    assert (choice["text"], choice["finish_reason"]) == ("ab", "length")
    told = await ask("POST", "/v1/completions", {"prompt": "abc", "stop": "c", "stream": True})
    assert "".join(frame["choices"][0]["text"] for frame in told.frames) == "ab"
    assert told.frames[-1]["choices"][0]["finish_reason"] == "stop"


async def test_a_body_that_no_gate_would_send_is_refused() -> None:
    assert (await ask("POST", "/tokenize", {"content": "x" * (64 << 20)})).status == 413


@pytest.mark.parametrize("key", ["", "guess", "keyy"])
async def test_whoever_has_no_key_is_told_nothing_but_the_health(key: str) -> None:
    here = house()
    assert (await ask("GET", "/health", of=here, key=key)).json == {"status": "ok"}
    for method, path in (("GET", "/v1/models"), ("GET", "/metrics"), ("POST", "/v1/chat/completions"), ("GET", "/x")):
        told = await ask(method, path, of=here, key=key)
        assert (told.status, told.json["error"]["code"]) == (401, "invalid_api_key")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/nothing", None, 404, "unknown_url"),
        ("GET", "/v1/completions", None, 405, "method_not_allowed"),
        ("POST", "/v1/chat/completions", {}, 400, "missing_required_parameter"),
        ("POST", "/v1/chat/completions", chat("x" * 32), 400, "context_length_exceeded"),
        ("POST", "/v1/completions", {"prompt": "x" * 40}, 400, "context_length_exceeded"),
        ("POST", "/v1/completions", {"prompt": ""}, 400, "missing_required_parameter"),
        ("POST", "/v1/chat/completions", chat("x", n=2), 400, "unsupported_parameter"),
        ("POST", "/v1/chat/completions", chat("x", model="other"), 404, "model_not_found"),
        ("POST", "/v1/chat/completions", chat("x", model="echo:none"), 404, "model_not_found"),
        ("POST", "/v1/embeddings", {"input": "x"}, 400, "not_supported"),
        ("POST", "/adapters", {"name": "a"}, 400, "invalid_type"),
        ("POST", "/adapters", {"path": "/a", "name": 3}, 400, "invalid_type"),
        ("POST", "/adapters", {"path": "/a", "name": "a/b"}, 400, "invalid_value"),
        ("POST", "/adapters", {"path": "/a"}, 400, "invalid_type"),
        ("POST", "/adapters", {"path": "/broken", "name": "b"}, 400, "cannot_load"),
        ("DELETE", "/adapters/none", None, 404, "model_not_found"),
    ],
)
async def test_what_cannot_be_answered_is_an_error_of_openai_s_shape(
    method: str, path: str, body: object, status: int, code: str
) -> None:
    told = await ask(method, path, body)
    assert (told.status, told.json["error"]["code"]) == (status, code)
    assert set(told.json["error"]) == {"message", "type", "param", "code"}


async def test_as_much_as_the_context_holds_is_written() -> None:
    told = await ask("POST", "/v1/completions", {"prompt": "x" * 31, "max_tokens": 100})
    assert (told.json["choices"][0]["text"], told.json["choices"][0]["finish_reason"]) == ("x", "length")


class Endless(Echo):
    """It never comes to an end by itself."""

    def step(self, take: Callable[..., bool]) -> None:
        for each in tuple(self.entered):
            if not take(each, ord("x")):
                self.entered.remove(each)


@pytest.mark.parametrize("stream", [True, False])
async def test_who_goes_away_leaves_nothing_running(stream: bool) -> None:
    steps = Endless()
    here = TextHouse(
        SPEC,
        Tokens(Bytes()),
        steps,
        NoAdapters(),
        context_tokens=1 << 40,
        end_ids=frozenset(),
        habits=Habits(),
        die=lambda: None,
    )
    caller = Caller(app_of(here, key="key"))
    asking = asyncio.ensure_future(caller.ask("POST", "/v1/chat/completions", chat("x", stream=stream)))
    async with asyncio.timeout(20):
        while here.counts.tokens < 10:
            await asyncio.sleep(0)
        caller.leave()
        await asking
        while here.counts.cancelled == 0:
            await asyncio.sleep(0)
    assert steps.entered == []
    assert here.counts.running == 0
    assert caller.status == (200 if stream else 0)


class FailsLater(Echo):
    """It writes a token, and fails."""

    def step(self, take: Callable[..., bool]) -> None:
        if self.sizes:
            self.fails = ValueError("x")
        super().step(take)


async def test_a_failure_before_the_first_word_is_a_status() -> None:
    told = await ask("POST", "/v1/chat/completions", chat("x", stream=True), of=house(Echo(fails=ValueError("x"))))
    assert (told.status, told.json["error"]["type"]) == (500, "server_error")
    told = await ask("POST", "/v1/chat/completions", chat("xyz"), of=house(FailsLater()))
    assert told.status == 500


async def test_a_failure_after_it_is_the_last_frame() -> None:
    told = await ask("POST", "/v1/chat/completions", chat("xyz", stream=True), of=house(FailsLater()))
    assert told.status == 200
    word, error, rest = told.body.decode().split("\n\n")
    assert json.loads(word.removeprefix("data: "))["choices"][0]["delta"]["content"] == "x"
    assert (
        json.loads(error.removeprefix("data: "))["error"]["message"] == "The engine failed while it wrote: ValueError."
    )
    assert rest == ""


async def test_adapters_are_models_of_their_own_while_they_are_there() -> None:
    adapters, steps = NoAdapters(), Echo()
    here = house(steps, adapters)
    assert (await ask("POST", "/adapters", {"path": "/a", "name": "law-v1-2"}, of=here)).json == {"id": "echo:law-v1-2"}
    again = await ask("POST", "/adapters", {"path": "/a", "name": "law-v1-2"}, of=here)
    assert (again.status, again.json["error"]["code"]) == (400, "invalid_value")
    listed = (await ask("GET", "/v1/models", of=here)).json["data"]
    assert [(each["id"], each.get("parent")) for each in listed] == [("echo", None), ("echo:law-v1-2", "echo")]
    told = await ask("POST", "/v1/completions", {"prompt": "x", "model": "echo:law-v1-2"}, of=here)
    assert told.json["model"] == "echo:law-v1-2"
    assert "law-v1-2" in steps.used
    assert (await ask("DELETE", "/adapters/law-v1-2", of=here)).json == {"deleted": True}
    assert adapters.log == ["+law-v1-2", "-law-v1-2"]
    assert (await ask("POST", "/v1/completions", {"prompt": "x", "model": "echo:law-v1-2"}, of=here)).status == 404


async def test_what_the_gate_asks_beside_answers_is_told() -> None:
    here = house()
    props = (await ask("GET", "/props", of=here)).json
    assert props["chat_template_caps"] == {"supports_tools": False}
    assert (props["total_slots"], props["default_generation_settings"]) == (2, {"n_ctx": 32})
    assert (await ask("POST", "/apply-template", chat("Hi"), of=here)).json == {"prompt": "Hi"}
    counted = await ask("POST", "/tokenize", {"content": "Hi", "add_special": True, "parse_special": True}, of=here)
    assert counted.json == {"tokens": [72, 105]}
    await ask("POST", "/v1/completions", {"prompt": "abc"}, of=here)
    told = (await ask("GET", "/metrics", of=here)).body.decode()
    assert "farmgate_engine_running 0\n" in told
    assert "farmgate_engine_tokens_total 4\n" in told
    assert "farmgate_engine_prompt_tokens_total 3\n" in told


class Broken(House):
    """It has a fault of its own."""

    @property
    def is_well(self) -> bool:
        return False

    async def write(self, *_: object) -> None:
        words = "a secret prompt"
        raise ValueError(words)


async def test_a_fault_of_our_own_is_an_error_and_its_words_are_nobody_s_business(
    capsys: pytest.CaptureFixture[str],
) -> None:
    here = Broken(SPEC, Tokens(Bytes()), context_tokens=32)
    told = await ask("POST", "/v1/chat/completions", chat("x"), of=here)
    assert (told.status, told.json["error"]["message"]) == (500, "The engine failed: ValueError.")
    assert "a secret prompt" not in capsys.readouterr().err.replace('words = "a secret prompt"', "")
    assert (await ask("GET", "/health", of=here)).status == 500


class FakeEmbedder:
    """The vector of a text is its first two bytes."""

    def __init__(self) -> None:
        self.counts = Echo  # never read
        self.is_alive = True

    def start(self) -> None: ...

    def submit(self, texts: Sequence[Sequence[int]]) -> Any:
        import concurrent.futures

        result: concurrent.futures.Future[list[list[float]]] = concurrent.futures.Future()
        result.set_result([[float(number) for number in text[:2]] for text in texts])
        return result


async def test_embeddings_are_told_with_what_they_cost() -> None:
    embedder: Any = FakeEmbedder()
    here = VectorHouse(SPEC, Tokens(Bytes()), embedder, context_tokens=8)
    told = await ask("POST", "/v1/embeddings", {"input": ["abc", "de"]}, of=here)
    assert [each["embedding"] for each in told.json["data"]] == [[97.0, 98.0], [100.0, 101.0]]
    assert told.json["usage"] == {"prompt_tokens": 5, "total_tokens": 5}
    cutoff = await ask("POST", "/v1/embeddings", {"input": "abc", "dimensions": 1}, of=here)
    assert cutoff.json["data"][0]["embedding"] == [1.0]
    packed = await ask("POST", "/v1/embeddings", {"input": "abc", "encoding_format": "base64"}, of=here)
    assert packed.json["data"][0]["embedding"] == "AADCQgAAxEI="
    long = await ask("POST", "/v1/embeddings", {"input": ["a", "x" * 9]}, of=here)
    assert (long.status, long.json["error"]["code"]) == (400, "context_length_exceeded")
    assert long.json["error"]["param"] == "input[1]"
    assert (await ask("POST", "/v1/embeddings", {"input": "a", "dimensions": 3}, of=here)).status == 400
    assert (await ask("POST", "/v1/embeddings", {"input": "a", "model": "other"}, of=here)).status == 404
    assert (await ask("POST", "/v1/chat/completions", chat("x"), of=here)).status == 400


def test_a_vector_that_is_cut_is_made_as_long_as_one_again() -> None:
    assert cut([3.0, 4.0, 12.0], 2) == [0.6, 0.8]
    assert cut([0.0, 0.0], 1) == [0.0]


def test_only_a_fault_of_the_gpu_is_fatal() -> None:
    assert is_fatal(RuntimeError("CUDA error: device-side assert triggered"))
    assert not is_fatal(RuntimeError("CUDA out of memory"))
