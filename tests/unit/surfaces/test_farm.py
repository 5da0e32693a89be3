"""Farmgate's own API: what is answered, how streams end, who may call, how models are loaded."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
from fastapi.routing import APIRoute
from tests.unit.surfaces.farm_caller import KEY, OTHER_KEY, FakeTarget, Gate, ask, begin

from farmgate.core.errors import (
    EngineUnavailable,
    InternalError,
    ModelNotCapable,
    ModelNotFound,
    UnsupportedParameter,
    UpstreamStreamTruncated,
)
from farmgate.core.event import Finish, FinishReason, Reasoning, Refusal, Text, Usage, Vector
from farmgate.core.ports import Progress, Report
from farmgate.core.reply import Reply
from farmgate.core.request import Kind, Request
from farmgate.core.words import Chat, Complete, Embed, Message, Role, Sampling, TextPart
from farmgate.surfaces.http.farm_answers import EmbedAnswer, JobAnswer, TextAnswer

HELLO = {"messages": [{"role": "user", "content": "hello"}]}
USAGE = {"promptTokens": 3, "completionTokens": 2, "totalTokens": 5}
LAST = {"content": "", "finishReason": "stop", "usage": USAGE}
STREAMED = [{"content": "Hel"}, {"content": "lo"}, LAST, "[DONE]"]


# ------------------------------------------------------------------------------------------------------------ answers


async def test_a_chat_is_answered_whole_with_who_answered_and_what_it_used() -> None:
    call = await ask(Gate(), "POST", "/api/ai/chat", HELLO)
    assert call.status == 200
    told = {"response": "Hello", "model": "llama3.1", "provider": "ollama", "usage": USAGE, "finishReason": "stop"}
    assert call.json == told
    assert call.headers["x-farmgate-provider"] == "ollama"
    TextAnswer.model_validate_json(call.text)


async def test_what_is_asked_arrives_as_words_in_either_spelling() -> None:
    gate = Gate()
    spelled = {
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": [{"type": "text", "text": "hi"}]},
        ],
        "model": "llama3.1",
        "provider": "ollama",
        "temperature": 1,
        "stop": ["."],
    }
    await ask(gate, "POST", "/api/ai/chat", {**spelled, "maxTokens": 5, "topP": 0.5})
    await ask(gate, "POST", "/api/ai/chat", {**spelled, "max_tokens": 5, "top_p": 0.5})
    camel, snake = gate.target.asked
    assert camel.body.ask() == snake.body.ask()
    assert camel.body.ask() == Chat(
        messages=(
            Message(role=Role.SYSTEM, content="Be kind."),
            Message(role=Role.USER, content=(TextPart(text="hi"),)),
        ),
        sampling=Sampling(temperature=1, top_p=0.5, max_tokens=5, stop=(".",)),
    )
    assert (camel.kind, camel.model, camel.provider, camel.stream) == (Kind.CHAT, "llama3.1", "ollama", False)


async def test_a_text_is_generated_from_a_prompt() -> None:
    gate = Gate()
    call = await ask(gate, "POST", "/api/ai/generate", {"prompt": "Once"})
    assert call.json["response"] == "Hello"
    assert gate.target.asked[0].kind is Kind.CHAT
    words = gate.target.asked[0].body.ask()
    assert words == Chat(messages=(Message(role=Role.USER, content="Once", place="prompt"),))


class Completes(FakeTarget):
    """Has no chat."""

    async def send(self, request: Request) -> Reply:
        if request.kind is Kind.CHAT:
            raise ModelNotCapable
        return await super().send(request)


@pytest.mark.parametrize("path", ["/api/ai/generate", "/api/ai/generate/stream"])
async def test_who_cannot_chat_completes_the_prompt(path: str) -> None:
    gate = Gate(Completes())
    call = await ask(gate, "POST", path, {"prompt": "Once"})
    assert "lo" in call.text
    assert [(asked.kind, asked.body.ask()) for asked in gate.target.asked] == [
        (Kind.COMPLETION, Complete(prompt="Once"))
    ]


async def test_texts_become_vectors_in_the_order_they_were_given() -> None:
    gate = Gate(FakeTarget(Vector((0.5,), 1), Vector((0.25, 1.0), 0), Usage(prompt_tokens=4)))
    call = await ask(gate, "POST", "/api/ai/embed", {"input": ["a", "b"], "dimensions": 2})
    assert call.json["embeddings"] == [[0.25, 1.0], [0.5]]
    assert call.json["usage"] == {"promptTokens": 4, "completionTokens": 0, "totalTokens": 4}
    assert gate.target.asked[0].body.ask() == Embed(inputs=("a", "b"), dimensions=2)
    EmbedAnswer.model_validate_json(call.text)


async def test_a_vector_too_few_is_the_providers_fault() -> None:
    call = await ask(Gate(FakeTarget(Vector((0.5,), 0))), "POST", "/api/ai/embed", {"input": ["a", "b"]})
    assert (call.status, call.error["code"]) == (502, "upstream_invalid_response")


async def test_figures_no_provider_gave_are_marked() -> None:
    call = await ask(Gate(FakeTarget(Text("hi"), Finish())), "POST", "/api/ai/chat", HELLO)
    assert call.json["usage"] == {"promptTokens": 0, "completionTokens": 0, "totalTokens": 0, "estimated": True}


async def test_a_refusal_is_said_and_thinking_is_not() -> None:
    parts = (Reasoning("hm"), Refusal("I will not."), Finish())
    assert (await ask(Gate(FakeTarget(*parts)), "POST", "/api/ai/chat", HELLO)).json["response"] == "I will not."
    streamed = await ask(Gate(FakeTarget(*parts)), "POST", "/api/ai/chat/stream", HELLO)
    first, last, done = streamed.events
    assert (first, last["content"], done) == ({"content": "I will not."}, "", "[DONE]")


@pytest.mark.parametrize("reason", FinishReason)
async def test_why_an_answer_ended_is_told_whole_and_streamed(reason: FinishReason) -> None:
    gate = Gate(FakeTarget(Text("a"), Finish(reason)))
    assert (await ask(gate, "POST", "/api/ai/chat", HELLO)).json["finishReason"] == reason
    assert (await ask(gate, "POST", "/api/ai/chat/stream", HELLO)).events[-2]["finishReason"] == reason


async def test_what_a_provider_could_not_be_told_and_what_it_counted_apart_stand_in_the_usage() -> None:
    counted = Usage(prompt_tokens=9, completion_tokens=5, cached_tokens=4, reasoning_tokens=3)
    target = FakeTarget(Text("a"), Finish(), counted, dropped=("seed",))
    told = {"promptTokens": 9, "completionTokens": 5, "totalTokens": 14, "cachedTokens": 4, "reasoningTokens": 3}
    whole = await ask(Gate(target), "POST", "/api/ai/chat", HELLO)
    streamed = await ask(Gate(target), "POST", "/api/ai/chat/stream", HELLO)
    assert whole.json["usage"] == streamed.events[-2]["usage"] == told | {"dropped": ["seed"]}
    assert whole.headers["x-farmgate-dropped"] == streamed.headers["x-farmgate-dropped"] == "seed"


@pytest.mark.parametrize("spelled", ["maxTokens", "max_tokens"])
async def test_a_provider_s_refusal_names_the_field_as_the_caller_spelled_it(spelled: str) -> None:
    target = FakeTarget(refuses=UnsupportedParameter("p cannot be told `max_tokens`.", param="max_tokens"))
    call = await ask(Gate(target), "POST", "/api/ai/chat", HELLO | {spelled: 7})
    assert (call.error["param"], call.error["message"]) == (spelled, f"p cannot be told `{spelled}`.")


# ------------------------------------------------------------------------------------------------------------ streams


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/ai/chat/stream", HELLO),
        ("/api/ai/chat", {**HELLO, "stream": True}),
        ("/api/ai/generate/stream", {"prompt": "Once"}),
        ("/api/ai/generate", {"prompt": "Once", "stream": True}),
    ],
)
async def test_a_stream_is_a_frame_per_piece_and_done(path: str, body: object) -> None:
    gate = Gate()
    call = await ask(gate, "POST", path, body)
    assert call.events == STREAMED
    assert call.headers["content-type"].startswith("text/event-stream")
    assert gate.target.asked[0].stream
    assert gate.target.replies[0].is_closed


async def test_pieces_are_sent_as_they_come() -> None:
    more = asyncio.Event()
    call = begin(Gate(FakeTarget(Text("one"), more, Text("two"), Finish())), "POST", "/api/ai/chat/stream", HELLO)
    await call.hears(1)
    assert call.events == [{"content": "one"}]
    more.set()
    await call.task
    assert [*call.events[:2], call.events[-1]] == [{"content": "one"}, {"content": "two"}, "[DONE]"]


async def test_an_error_before_the_first_content_has_its_status() -> None:
    gate = Gate(FakeTarget(refuses=ModelNotFound("There is no model 'x'.", param="model")))
    for path in ("/api/ai/chat/stream", "/api/ai/chat"):
        call = await ask(gate, "POST", path, HELLO)
        assert (call.status, call.error["code"], call.error["param"]) == (404, "model_not_found", "model")


async def test_a_stream_that_breaks_ends_in_an_error_and_not_in_done() -> None:
    gate = Gate(FakeTarget(Text("one"), UpstreamStreamTruncated()))
    call = await ask(gate, "POST", "/api/ai/chat/stream", HELLO)
    first, last = call.events
    assert call.status == 200
    assert first == {"content": "one"}
    assert last["error"]["code"] == "upstream_stream_truncated"
    assert set(last["error"]) == {"message", "type", "param", "code"}
    assert gate.target.replies[0].is_closed


async def test_a_whole_answer_that_breaks_is_an_error_with_its_status() -> None:
    call = await ask(Gate(FakeTarget(Text("one"), UpstreamStreamTruncated())), "POST", "/api/ai/chat", HELLO)
    assert (call.status, call.error["code"]) == (502, "upstream_stream_truncated")


@pytest.mark.parametrize("path", ["/api/ai/chat/stream", "/api/ai/chat"])
async def test_a_client_that_leaves_closes_the_reply(path: str) -> None:
    gate = Gate(FakeTarget(Text("one"), asyncio.Event()))
    call = begin(gate, "POST", path, HELLO)
    while not gate.target.replies:
        await asyncio.sleep(0)
    call.leave()
    await call.task
    assert gate.target.replies[0].is_closed
    assert not call.is_complete


async def test_streams_can_be_switched_off() -> None:
    gate = Gate(streaming=False)
    for path, body in (("/api/ai/chat/stream", HELLO), ("/api/ai/chat", {**HELLO, "stream": True})):
        call = await ask(gate, "POST", path, body)
        assert (call.status, call.error["code"]) == (400, "unsupported_parameter")
    assert (await ask(gate, "POST", "/api/ai/chat", HELLO)).status == 200


# ----------------------------------------------------------------------------------------------------------- who, where


async def test_every_route_refuses_a_call_without_a_key() -> None:
    gate = Gate(keys=True)
    routes = [route for route in gate.app.routes if isinstance(route, APIRoute)]
    assert len(routes) == len(gate.app.routes) == 21
    for route in routes:
        path = route.path.replace("{name:path}", "x").replace("{id}", "x")
        for method in route.methods or ():
            call = await ask(gate, method, path)
            assert (call.status, call.error["code"]) == (401, "invalid_api_key"), path
    assert gate.target.asked == []
    assert gate.loads == []


async def test_a_key_in_either_header_opens() -> None:
    gate = Gate(keys=True)
    for headers in ({"authorization": f"Bearer {KEY}"}, {"x-api-key": KEY}):
        assert (await ask(gate, "POST", "/api/ai/chat", HELLO, headers)).status == 200
    assert gate.target.asked[0].principal.key_name == "tests"


async def test_the_callers_name_for_a_request_is_given_back() -> None:
    call = await ask(Gate(), "POST", "/api/ai/chat", HELLO, {"x-request-id": "mine-1"})
    assert call.headers["x-request-id"] == "mine-1"


@pytest.mark.parametrize("path", ["/api/nothing", "/api/ai", "/api/ai/chat/", "/api/docs", "/api/ai/models//load"])
async def test_an_unknown_address_is_an_error_object(path: str) -> None:
    call = await ask(Gate(), "POST", path, {})
    assert (call.status, call.error["code"]) == (404, "unknown_url")


async def test_a_wrong_method_is_told_the_right_one() -> None:
    call = await ask(Gate(), "GET", "/api/ai/chat")
    assert (call.status, call.error["code"], call.headers["allow"]) == (405, "method_not_allowed", "POST")


async def test_a_mistake_of_our_own_is_told_without_its_words() -> None:
    gate = Gate()
    gate.refresh = broken  # type: ignore[method-assign] # the models break
    call = await ask(gate, "GET", "/api/ai/models")
    assert (call.status, call.error["code"]) == (500, InternalError.code)
    assert "secret" not in call.text


async def broken() -> None:
    raise RuntimeError("secret")


# ------------------------------------------------------------------------------------------------------------ the house


async def test_models_are_listed_with_what_is_known_of_them() -> None:
    gate = Gate()
    llama = {"name": "llama3.1", "provider": "ollama", "size": 7, "description": "A llama.", "loaded": True}
    assert (await ask(gate, "GET", "/api/ai/models")).json == [llama, {"name": "gpt-4", "provider": "openai"}]
    assert (await ask(gate, "GET", "/api/ai/models?provider=ollama")).json == [llama]
    assert (await ask(gate, "GET", "/api/ai/models?provider=idle")).json == []


async def test_a_provider_or_a_query_that_does_not_exist_is_said() -> None:
    gate = Gate()
    wrong = await ask(gate, "GET", "/api/ai/models?provider=olama")
    assert (wrong.status, wrong.error["code"], wrong.error["param"]) == (400, "invalid_value", "provider")
    unknown = await ask(gate, "GET", "/api/ai/models?provder=ollama")
    assert (unknown.status, unknown.error["code"], unknown.error["param"]) == (400, "unknown_parameter", "provder")


async def test_health_tells_every_provider() -> None:
    assert (await ask(Gate(), "GET", "/api/ai/health")).json == {
        "ollama": {"name": "ollama", "status": "healthy", "models": ["llama3.1"]},
        "idle": {"name": "idle", "status": "unhealthy", "models": [], "detail": "Start it."},
    }


@pytest.mark.parametrize(
    ("query", "body"),
    [("?provider=local", None), ("", {"provider": "local"}), ("?provider=local", {"provider": "local"})],
)
async def test_a_model_with_slashes_in_its_name_is_loaded(query: str, body: object) -> None:
    gate = Gate()
    call = await ask(gate, "POST", f"/api/ai/models/microsoft/DialoGPT-medium/load{query}", body)
    assert call.status == 202
    assert set(call.json) == {"message", "job"}
    assert gate.loads == [("microsoft/DialoGPT-medium", "local")]
    told = await ask(gate, "GET", f"/api/ai/jobs/{call.json['job']}")
    assert (told.json["title"], told.json["kind"]) == ("local/microsoft/DialoGPT-medium", "load")
    JobAnswer.model_validate_json(told.text)


async def test_two_providers_for_one_load_are_refused() -> None:
    call = await ask(Gate(), "POST", "/api/ai/models/x/load?provider=local", {"provider": "ollama"})
    assert (call.status, call.error["param"]) == (400, "provider")


async def test_a_load_refused_at_its_start_is_answered_with_the_refusal() -> None:
    call = await ask(Gate(), "POST", "/api/ai/models/x/load?provider=nobody")
    assert (call.status, call.error["code"], call.error["param"]) == (400, "invalid_value", "provider")


async def test_a_name_that_no_model_can_have_is_not_found() -> None:
    call = await ask(Gate(), "POST", f"/api/ai/models/{'x' * 10_000}/load")
    assert (call.status, call.error["code"]) == (404, "model_not_found")


class Loading:
    """A load that reports once it is told to go on, and then ends as it is told."""

    def __init__(self, ends_in: Exception | None = None) -> None:
        self.go = asyncio.Event()
        self.ends_in = ends_in

    async def __call__(self, report: Report) -> None:
        report(Progress(status="pulling", completed=1, total=4))
        await self.go.wait()
        if self.ends_in is not None:
            raise self.ends_in


async def test_a_job_is_watched_by_several_and_outlives_one_that_leaves() -> None:
    gate = Gate()
    gate.loading = loading = Loading()
    job = (await ask(gate, "POST", "/api/ai/models/llama3.1/load")).json["job"]
    again = (await ask(gate, "POST", "/api/ai/models/llama3.1/load")).json["job"]
    assert again == job
    stays, leaves = (begin(gate, "GET", f"/api/ai/jobs/{job}/stream") for _ in range(2))
    await stays.hears(1)
    await leaves.hears(1)
    leaves.leave()
    await leaves.task
    loading.go.set()
    await stays.task
    first, last, done = stays.events
    assert (first["status"], first["progress"]) == ("running", {"status": "pulling", "completed": 1, "total": 4})
    assert (last["status"], last["error"], done) == ("done", None, "[DONE]")
    assert last["endedAt"].endswith("Z")
    assert not leaves.is_complete


async def test_a_load_that_fails_later_fails_its_job() -> None:
    gate = Gate()
    gate.loading = loading = Loading(ends_in=EngineUnavailable())
    job = (await ask(gate, "POST", "/api/ai/models/llama3.1/load")).json["job"]
    loading.go.set()
    last = (await ask(gate, "GET", f"/api/ai/jobs/{job}/stream")).events[-2]
    assert last["status"] == "failed"
    assert last["error"]["code"] == "engine_unavailable"
    assert set(last["error"]) == {"message", "type", "param", "code"}


async def test_closing_the_jobs_ends_their_streams() -> None:
    gate = Gate()
    gate.loading = Loading()
    job = (await ask(gate, "POST", "/api/ai/models/llama3.1/load")).json["job"]
    watcher = begin(gate, "GET", f"/api/ai/jobs/{job}/stream")
    await watcher.hears(1)
    await gate.jobs.close()
    await watcher.task
    assert watcher.events[-2]["error"]["code"] == "server_shutting_down"
    assert watcher.events[-1] == "[DONE]"


@pytest.mark.parametrize("path", ["/api/ai/jobs/nothing", "/api/ai/jobs/nothing/stream"])
async def test_an_unknown_job_is_not_found(path: str) -> None:
    call = await ask(Gate(), "GET", path)
    assert (call.status, call.error["code"]) == (404, "not_found")


@pytest.mark.parametrize("rest", ["", "/stream"])
async def test_a_job_of_another_key_is_as_unknown_as_none(rest: str) -> None:
    gate = Gate(keys=True)
    mine, others = ({"x-api-key": key} for key in (KEY, OTHER_KEY))
    job = (await ask(gate, "POST", "/api/ai/models/llama3.1/load", headers=mine)).json["job"]
    assert (await ask(gate, "GET", f"/api/ai/jobs/{job}{rest}", headers=mine)).status == 200
    refused = await ask(gate, "GET", f"/api/ai/jobs/{job}{rest}", headers=others)
    unknown = await ask(gate, "GET", f"/api/ai/jobs/{job[::-1]}{rest}", headers=others)
    assert (refused.status, unknown.status) == (404, 404)
    assert refused.error["message"].replace(job, "") == unknown.error["message"].replace(job[::-1], "")


# --------------------------------------------------------------------------------------------------------- the document


async def test_the_document_shows_what_is_asked_and_answered() -> None:
    told = (await ask(Gate(), "GET", "/api/openapi.json")).json
    chat = told["paths"]["/api/ai/chat"]["post"]
    assert chat["operationId"] == "chat"
    assert chat["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/ChatRequest")
    assert chat["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].endswith("/TextAnswer")
    assert chat["responses"]["default"]["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorAnswer")
    stream = told["paths"]["/api/ai/chat/stream"]["post"]["responses"]["200"]["content"]
    assert list(stream) == ["text/event-stream"]
    assert told["paths"]["/api/ai/models/{name}/load"]["post"]["responses"]["202"]
    assert "maxTokens" in told["components"]["schemas"]["ChatRequest"]["properties"]


async def test_every_reference_of_the_document_leads_somewhere() -> None:
    call = await ask(Gate(), "GET", "/api/openapi.json")
    schemas = call.json["components"]["schemas"]
    for reference in call.text.split('"#/components/schemas/')[1:]:
        assert reference.partition('"')[0] in schemas
    assert "detail" not in schemas
    assert "HTTPValidationError" not in schemas


def test_the_front_door_does_not_import_the_framework() -> None:
    program = "import sys, farmgate.surfaces.http.front, farmgate.work.jobs; sys.exit('fastapi' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
