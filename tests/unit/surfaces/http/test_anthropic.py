"""The Messages surface: what callers get, whole and streamed, and every refusal in Anthropic's shape."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from farmgate.core.errors import FarmError, UnsupportedParameter, UpstreamError, UpstreamRateLimited
from farmgate.core.event import Event, Finish, Text, Usage
from farmgate.core.model import ModelInfo
from farmgate.core.ports import Counted, Target
from farmgate.core.reply import Reply
from farmgate.core.request import Dialect, Request
from farmgate.core.words import Chat
from farmgate.surfaces.http.anthropic import AnthropicSurface
from farmgate.surfaces.http.auth import Doorman
from farmgate.surfaces.http.desk import Desk, HttpLimits
from farmgate.surfaces.http.exchange import Exchange
from farmgate.surfaces.http.front import Front
from farmgate.telemetry import Telemetry
from farmgate.testing import FakeTarget
from farmgate.wire.anthropic.answers import decode_whole
from farmgate.wire.anthropic.requests import betas_of, version_of
from farmgate.wire.anthropic.stream import StreamReader

KEY = "sk-farm-test"
HI: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
SAID = (Text("Hel"), Text("lo"), Finish(), Usage(prompt_tokens=3, completion_tokens=2))


@dataclass
class Answer:
    """What came back."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Gate:
    """A front with the Messages surface on it, and what it was asked."""

    target: Target
    streaming: bool = True
    counted: Counted | FarmError = field(default_factory=lambda: Counted(tokens=7, provider="p", model="m"))
    requests: list[Request] = field(default_factory=list)

    async def count(self, request: Request) -> Counted:
        self.requests.append(request)
        if isinstance(self.counted, FarmError):
            raise self.counted
        return self.counted

    def models(self) -> list[ModelInfo]:
        return [ModelInfo(name="a/b", provider="p"), ModelInfo(name="m", provider="p", context_tokens=5)]

    async def refresh(self) -> None:
        pass

    async def call(self, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Answer:
        """One call; a GET where there is no body."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        told = {"host": "x", "x-api-key": KEY, "content-type": "application/json"} | dict(headers or {})
        scope = {
            "type": "http",
            "method": "GET" if body is None else "POST",
            "path": path,
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in told.items() if value],
        }
        answer = Answer()
        waits = asyncio.Event()
        sent: list[MutableMapping[str, Any]] = [{"type": "http.request", "body": raw}]

        async def receive() -> MutableMapping[str, Any]:
            if not sent:
                await waits.wait()
            return sent.pop()

        async def send(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            else:
                answer.body += message.get("body", b"")

        await self.front()(scope, receive, send)
        return answer

    def front(self) -> Front:
        doorman = Doorman({hashlib.sha256(KEY.encode()).hexdigest(): "tests"})
        desk = Desk(doorman=doorman, limits=HttpLimits(body_bytes=1 << 20), telemetry=Telemetry())
        surface = AnthropicSurface(self.target, self, count=self.count, streaming=self.streaming)

        async def others(exchange: Exchange) -> None:
            await exchange.answer(200, b"[]")

        async def models(exchange: Exchange) -> None:
            await (surface.models if surface.is_asked(exchange) else others)(exchange)

        async def nothing() -> None:
            pass

        async def api(*_: object) -> None:
            pass

        routes = {
            "/v1/messages": {"POST": surface.messages},
            "/v1/messages/count_tokens": {"POST": surface.count_tokens},
            "/v1/models": {"GET": models},
            "/v1/models/": {"GET": models},
        }
        refusals = {"/v1/messages": surface.refuse}
        return Front(desk, routes, api=api, start=nothing, stop=nothing, refusals=refusals)


def refused(answer: Answer, status: int, type_: str, code: str) -> str:
    """Anthropic's shape, always; the message."""
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/json"
    told = answer.json
    assert set(told) == {"type", "error", "request_id"}
    assert told["type"] == "error"
    assert (told["error"]["type"], told["error"]["details"]) == (type_, {"error_code": code})
    assert told["request_id"] == answer.headers["x-request-id"] == answer.headers["request-id"]
    message = told["error"]["message"]
    assert isinstance(message, str)
    return message


async def test_a_message_is_answered_whole() -> None:
    target = FakeTarget(*SAID)
    answer = await Gate(target).call("/v1/messages", HI, {"x-request-id": "mine"})
    assert answer.status == 200
    assert answer.headers["request-id"] == answer.headers["x-request-id"] == "mine"
    assert answer.headers["x-farmgate-provider"] == "fake"
    told = answer.json
    assert told.pop("id") == f"msg_{target.requests[0].id}"
    assert told == {
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": "Hello"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 3,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 2,
        },
    }
    (request,) = target.requests
    assert (request.model, request.stream, request.want_usage) == ("m", False, True)
    assert request.body.dialect is Dialect.ANTHROPIC
    assert target.all_closed


async def test_a_message_is_streamed() -> None:
    answer = await Gate(FakeTarget(*SAID)).call("/v1/messages", HI | {"stream": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["request-id"] == answer.headers["x-request-id"]
    reader = StreamReader(provider="p")
    event = reader.feed(answer.body)
    reader.end()
    assert event is not None
    assert [part for part in event.parts if isinstance(part, Text)] == [Text("Hel"), Text("lo")]
    assert event.usage == Usage(prompt_tokens=3, completion_tokens=2)


async def test_a_stream_that_breaks_ends_with_an_error_event() -> None:
    answer = await Gate(FakeTarget(Text("Hel"), UpstreamError("broken"))).call("/v1/messages", HI | {"stream": True})
    last = answer.body.split(b"\n\n")[-2]
    assert last.startswith(b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"broken"')
    assert json.loads(last.partition(b"data: ")[2])["request_id"] == answer.headers["request-id"]
    assert b"message_stop" not in answer.body


async def test_an_answer_of_this_dialect_comes_back_as_it_came() -> None:
    raw = b'{"type":"message", "content":[{"type":"text","text":"x"}],"later":1}'
    target = FakeTarget(whole=decode_whole(raw, provider="p"))
    assert (await Gate(target).call("/v1/messages", HI)).body == raw
    streamed = await Gate(target).call("/v1/messages", HI | {"stream": True})
    assert b'"text_delta","text":"x"' in streamed.body
    assert streamed.body.endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')


async def test_what_the_headers_say_reaches_the_provider() -> None:
    target = FakeTarget(*SAID)
    gate = Gate(target)
    await gate.call("/v1/messages", HI, {"anthropic-version": "2099-01-01", "anthropic-beta": "a-1, b-2"})
    await gate.call("/v1/messages", HI)
    first, second = (request.body for request in target.requests)
    assert (version_of(first), betas_of(first)) == ("2099-01-01", ("a-1", "b-2"))
    assert (version_of(second), betas_of(second)) == ("2023-06-01", ())
    answer = await gate.call("/v1/messages", HI, {"anthropic-beta": "a b"})
    assert "anthropic-beta" in refused(answer, 400, "invalid_request_error", "invalid_value")


@dataclass
class Dropping:
    """A target whose provider could not be told something."""

    async def send(self, request: Request) -> Reply:
        reply = Reply.of([Event(SAID)], provider="p", model="m")
        reply.dropped = ("seed",)
        return reply


async def test_what_was_dropped_is_told_in_a_header_and_beside_the_usage() -> None:
    for stream in (False, True):
        answer = await Gate(Dropping()).call("/v1/messages", HI | {"stream": stream})
        assert answer.headers["x-farmgate-dropped"] == "seed"
        assert b'"farmgate_dropped":["seed"]' in answer.body


async def test_a_refusal_names_the_field_as_the_caller_knows_it() -> None:
    target = FakeTarget(refuses=UnsupportedParameter("p cannot be told `stop`.", param="stop"))
    message = refused(
        await Gate(target).call("/v1/messages", HI), 400, "invalid_request_error", "unsupported_parameter"
    )
    assert message == "p cannot be told `stop_sequences`."
    switched_off = await Gate(target, streaming=False).call("/v1/messages", HI | {"stream": True})
    refused(switched_off, 400, "invalid_request_error", "unsupported_parameter")


async def test_a_providers_limit_says_when_to_come_back() -> None:
    target = FakeTarget(refuses=UpstreamRateLimited("slow down", retry_after_s=3.0))
    answer = await Gate(target).call("/v1/messages", HI)
    refused(answer, 429, "rate_limit_error", "rate_limit_exceeded")
    assert answer.headers["retry-after"] == "3"


# ----------------------------------------------------------------------------------------- refusals

WRONG: list[tuple[str, object, Mapping[str, str], int, str, str]] = [
    ("/v1/messages", HI, {"x-api-key": ""}, 401, "authentication_error", "invalid_api_key"),
    ("/v1/messages", HI, {"x-api-key": "guess"}, 401, "authentication_error", "invalid_api_key"),
    (
        "/v1/messages",
        HI,
        {"authorization": f"Bearer {KEY}"},
        400,
        "invalid_request_error",
        "ambiguous_credentials",
    ),
    ("/v1/messages", HI | {"model": None}, {}, 400, "invalid_request_error", "missing_required_parameter"),
    ("/v1/messages/count_tokens", HI | {"model": ""}, {}, 400, "invalid_request_error", "missing_required_parameter"),
    ("/v1/messages", HI, {f"x-{at}": "y" for at in range(120)}, 431, "invalid_request_error", "headers_too_large"),
    ("/v1/messages", b"{", {}, 400, "invalid_request_error", "invalid_json"),
    ("/v1/messages", b'{"model":"\xff"}', {}, 400, "invalid_request_error", "invalid_unicode"),
    ("/v1/messages", [], {}, 400, "invalid_request_error", "invalid_type"),
    ("/v1/messages", b'{"a":1,"a":2}', {}, 400, "invalid_request_error", "duplicate_key"),
    ("/v1/messages", HI, {"content-type": "text/plain"}, 415, "invalid_request_error", "unsupported_media_type"),
    ("/v1/messages", HI, {"content-encoding": "gzip"}, 415, "invalid_request_error", "unsupported_encoding"),
    ("/v1/messages", HI, {"content-length": "9999999"}, 413, "request_too_large", "request_too_large"),
    ("/v1/messages", None, {}, 405, "invalid_request_error", "method_not_allowed"),
    ("/v1/messages/count_tokens", None, {}, 405, "invalid_request_error", "method_not_allowed"),
    ("/v1/messages/batches", HI, {}, 404, "not_found_error", "unknown_url"),
    ("/v1/messages/", HI, {}, 404, "not_found_error", "unknown_url"),
    ("/v1/models/nope", None, {"anthropic-version": "1"}, 404, "not_found_error", "model_not_found"),
    ("/v1/models", None, {"anthropic-version": "1", "x-api-key": ""}, 401, "authentication_error", "invalid_api_key"),
]


@pytest.mark.parametrize(("path", "body", "headers", "status", "type_", "code"), WRONG, ids=range(len(WRONG)))
async def test_every_refusal_has_anthropics_shape(
    path: str, body: object, headers: Mapping[str, str], status: int, type_: str, code: str
) -> None:
    answer = await Gate(FakeTarget(*SAID)).call(path, body, headers)
    refused(answer, status, type_, code)
    assert ("allow" in answer.headers) == (status == 405)


async def test_elsewhere_openais_shape_stays() -> None:
    for path in ("/v1/nothing", "/v1/messagesx"):
        assert set((await Gate(FakeTarget()).call(path, HI)).json) == {"error"}


# ----------------------------------------------------------------------------------------- counting, models


async def test_tokens_are_counted_without_a_limit() -> None:
    gate = Gate(FakeTarget())
    answer = await gate.call("/v1/messages/count_tokens", {"model": "m", "messages": HI["messages"]})
    assert (answer.status, answer.json) == (200, {"input_tokens": 7})
    assert "x-farmgate-estimated" not in answer.headers
    assert answer.headers["x-farmgate-provider"] == "p"
    words = gate.requests[0].body.ask()
    assert isinstance(words, Chat)
    assert words.sampling.max_tokens is None


async def test_an_estimate_is_told_as_one() -> None:
    gate = Gate(FakeTarget(), counted=Counted(tokens=7, provider="p", model="m", estimated=True))
    answer = await gate.call("/v1/messages/count_tokens", HI)
    assert answer.headers["x-farmgate-estimated"] == "true"


async def test_what_cannot_be_counted_is_refused() -> None:
    gate = Gate(FakeTarget(), counted=UnsupportedParameter("no", param="user"))
    message = refused(
        await gate.call("/v1/messages/count_tokens", HI), 400, "invalid_request_error", "unsupported_parameter"
    )
    assert message == "metadata.user_id: no"
    missing = await gate.call("/v1/messages/count_tokens", {"model": "m"})
    refused(missing, 400, "invalid_request_error", "missing_required_parameter")


async def test_models_are_listed_in_anthropics_form_for_its_callers_only() -> None:
    gate = Gate(FakeTarget())
    assert (await gate.call("/v1/models")).body == b"[]"
    listed = (await gate.call("/v1/models", headers={"anthropic-version": "2023-06-01"})).json
    assert [model["id"] for model in listed["data"]] == ["a/b", "m"]
    assert (listed["has_more"], listed["first_id"], listed["last_id"]) == (False, "a/b", "m")
    one = (await gate.call("/v1/models/a/b", headers={"anthropic-version": "2023-06-01"})).json
    assert (one["type"], one["id"]) == ("model", "a/b")
