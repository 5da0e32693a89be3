"""Models that are somebody's own classes, behind a real gate: tensors, chats, vectors, versions, what goes wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from tests.journey.gate import KEY, Answer, RealGate, data_of, events, request

from farmgate.stores.journal import read_calls

T = TypeVar("T")
OPINIONS = Path(__file__).parent / "code" / "opinions.py"
GUIDE = Path(__file__).parent.parent / "models" / "guide-1.gguf"
CONFIG = {
    "keys": [{"name": "tests", "key": KEY, "admin": True}],
    "ai": {"providers": {"local": {"provider": "local"}}, "routes": {"moods": "local/opinions"}},
    "models": {
        "opinions": {
            "versions": {"1": f"{OPINIONS}:Opinions", "2": f"{OPINIONS}:Second"},
            "maxBatch": 4,
            # Batches in these tests are full: nobody waits so long.
            "maxWaitMs": 30,
        },
        "labels": {"engine": "python", "source": f"{OPINIONS}:Labels", "maxWaitMs": 0},
        "broken": f"{OPINIONS}:Broken",
        "guide": str(GUIDE),
    },
}


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealGate]:
    with RealGate(tmp_path_factory.mktemp("code"), config=CONFIG).start() as gate:
        yield gate


def texts(*values: object, datatype: str = "BYTES", **more: object) -> dict[str, object]:
    return {"inputs": [{"name": "text", "shape": [len(values)], "datatype": datatype, "data": values}], **more}


def infer(gate: RealGate, body: object, path: str = "opinions", **headers: str) -> Answer:
    return gate.call("POST", f"/v2/models/{path}/infer", body, headers)


def outputs(answer: Answer) -> dict[str, Any]:
    assert answer.status == 200, answer.body
    return {output["name"]: output["data"] for output in answer.json["outputs"]}


def at_once(asks: Sequence[Callable[[], T]]) -> list[T]:
    with ThreadPoolExecutor(len(asks)) as pool:
        return [doing.result() for doing in [pool.submit(ask) for ask in asks]]


def chatting(content: str, **more: object) -> dict[str, object]:
    return {"model": "opinions", "messages": [{"role": "user", "content": content}], **more}


# ------------------------------------------------------------------------------------------------------- tensors


def test_an_inference_is_answered_by_predict(gate: RealGate) -> None:
    answer = infer(gate, texts("a lovely day", "rain", id="mine"))
    told = answer.json
    assert (told["model_name"], told["model_version"], told["id"]) == ("opinions", "1", "mine")
    label = told["outputs"][0]
    assert label == {"name": "label", "shape": [2], "datatype": "BYTES", "data": ["good", "bad"]}
    assert outputs(answer)["is_own_thread"] == [True, True]
    assert answer.headers["x-farmgate-provider"] == "local"


def test_who_asks_at_the_same_time_is_computed_together(gate: RealGate) -> None:
    # A process that is up: the first to come would be alone otherwise.
    infer(gate, texts("x"))
    answers = at_once([partial(infer, gate, texts("good"))] * 4)
    together = [outputs(answer)["together"][0] for answer in answers]
    assert max(together) > 1, together


def test_what_one_caller_breaks_breaks_for_nobody_else(gate: RealGate) -> None:
    words = ("good", "raise", "bad", "refuse")
    good, raised, bad, refused = at_once([partial(infer, gate, texts(word)) for word in words])
    assert outputs(good)["label"] == ["good"]
    assert outputs(bad)["label"] == ["bad"]
    assert (raised.status, refused.status) == (502, 400)
    assert raised.json == {
        "error": "local: The code of opinions failed: predict raised KeyError. Its engine's log tells where."
    }
    assert "must not be like that" in refused.json["error"]


def test_what_code_raises_is_in_its_engine_s_log_and_nowhere_else(gate: RealGate) -> None:
    assert "words of whoever" not in infer(gate, texts("raise")).body.decode()
    log = next((gate.home / "log").glob("engine-opinions@1-*.log")).read_text()
    assert "Traceback" in log
    assert "opinions.py" in log


def test_it_is_asked_once_and_not_again(gate: RealGate) -> None:
    before = len([*read_calls(gate.home / "journal")])
    answer = infer(gate, texts("raise"))
    assert "x-farmgate-attempts" not in answer.headers or answer.headers["x-farmgate-attempts"] == "1"
    (call,) = [*read_calls(gate.home / "journal")][before:]
    assert (call.outcome, call.code) == ("error", "model_failed")


def test_only_the_outputs_that_are_wanted_are_given(gate: RealGate) -> None:
    assert [*outputs(infer(gate, texts("x", outputs=[{"name": "version"}])))] == ["version"]
    answer = infer(gate, texts("x", outputs=[{"name": "other"}]))
    assert answer.status == 400
    assert "There is no output 'other': there is label, version" in answer.json["error"]


@pytest.mark.parametrize(("text", "why"), [("odd", "holds object"), ("short", "predict gave 0 results for 1 inputs")])
def test_results_that_are_none_are_the_model_s_fault(gate: RealGate, text: str, why: str) -> None:
    answer = infer(gate, texts(text), "labels")
    assert answer.status == 502
    assert why in answer.json["error"]


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "told"),
    [
        ("opinions", {}, {}, 400, "`inputs`"),
        ("opinions", b"{", {}, 400, "not valid JSON"),
        ("opinions", texts("x", datatype="TEXT"), {}, 400, "`inputs[0].datatype`"),
        ("opinions", texts("x"), {"content-type": "application/octet-stream"}, 415, "application/json"),
        ("opinions", texts("x"), {"authorization": "Bearer another-key"}, 401, "API key"),
        ("opinions/versions/2", texts("x"), {}, 404, "no version '2' of opinions that answers: '1' does"),
        ("opinion", texts("x"), {}, 404, "Did you mean 'opinions'?"),
        ("guide", texts("x"), {}, 404, "guide takes no tensors"),
        ("broken", texts("x"), {}, 503, "load() raised FileNotFoundError at opinions.py"),
        ("opinions", texts("x"), {"x-request-timeout-ms": "1"}, 504, ""),
    ],
)
def test_errors_have_the_protocol_s_form(
    gate: RealGate, path: str, body: object, headers: dict[str, str], status: int, told: str
) -> None:
    answer = infer(gate, body, path, **headers)
    assert answer.status == status, answer.body
    assert set(answer.json) == {"error"}
    assert told in answer.json["error"]
    assert "secret" not in answer.json["error"]


def bare(path: str, body: bytes, **headers: str) -> bytes:
    """A request that does not say what its body is."""
    told = request("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    return told.replace(b"content-type: application/json\r\n", b"")


def test_a_body_of_no_type_is_taken_from_programs_and_not_from_pages(gate: RealGate) -> None:
    path, body = "/v2/models/opinions/infer", json.dumps(texts("good")).encode()
    assert gate.raw(bare(path, body)).status == 200
    assert gate.raw(bare(path, body, origin="http://a.page")).status == 415
    assert gate.raw(bare("/v1/embeddings", b"{}")).status == 415


def test_tensors_may_be_bytes_behind_the_json(gate: RealGate) -> None:
    size = {"binary_data_size": 8}
    head = json.dumps(
        {
            "inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "parameters": size}],
            "outputs": [{"name": "together", "parameters": {"binary_data": True}}, {"name": "label"}],
        }
    ).encode()
    length = str(len(head))
    body = head + b"\4\0\0\0good"
    answer = gate.raw(
        bare("/v2/models/opinions/infer", body, inference_header_content_length=length, idempotency_key="once")
    )
    assert answer.status == 200, answer.body
    end = int(answer.headers["inference-header-content-length"])
    together, label = json.loads(answer.body[:end])["outputs"]
    assert (answer.body[end:], together["parameters"]) == (b"\1" + b"\0" * 7, size)
    assert label["data"] == ["good"]
    again = gate.raw(
        bare("/v2/models/opinions/infer", body, inference_header_content_length=length, idempotency_key="once")
    )
    assert again.status == 409, "its header is not kept, and so neither is it"


def test_where_the_json_ends_must_be_in_the_body(gate: RealGate) -> None:
    for length in ("x", "-1", "999"):
        answer = infer(gate, texts("good"), **{"inference-header-content-length": length})
        assert answer.status == 400
        assert "Inference-Header-Content-Length must be" in answer.json["error"]


# ------------------------------------------------------------------------------------------------------ the rest of /v2


def test_the_server_tells_what_it_is(gate: RealGate) -> None:
    assert gate.call("GET", "/v2").json["name"] == "farmgate"
    assert gate.call("GET", "/v2/health/live").json == {"live": True}
    assert gate.call("GET", "/v2/health/ready").json == {"ready": True}


def test_a_model_is_ready_when_it_is_loaded(gate: RealGate) -> None:
    unloaded = gate.call("GET", "/v2/models/broken/ready")
    assert (unloaded.status, unloaded.json["ready"]) == (503, False)
    infer(gate, texts("x"))
    for path in ("opinions", "opinions/versions/1", "moods"):
        assert gate.call("GET", f"/v2/models/{path}/ready").status == 200
    index = {one["name"]: one for one in gate.call("POST", "/v2/repository/index", {}).json}
    assert index["opinions"] == {"name": "opinions", "version": "1", "state": "READY"}
    assert index["broken"]["state"] == "UNAVAILABLE"
    assert "guide" not in index


def test_a_model_tells_what_it_is(gate: RealGate) -> None:
    told = gate.call("GET", "/v2/models/opinions").json
    assert told == {"name": "opinions", "versions": ["1"], "platform": "python", "inputs": [], "outputs": []}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/models/other", 404),
        ("GET", "/v2/models/guide", 404),
        ("GET", "/v2/models/opinions/versions/9", 404),
        ("GET", "/v2/models/opinions/versions/9/ready", 404),
        ("GET", "/v2/models/opinions/infer", 405),
        ("POST", "/v2/models/opinions", 405),
        ("DELETE", "/v2/models/opinions", 405),
        ("GET", "/v2/nowhere", 404),
        ("GET", "/v2/models/", 404),
    ],
)
def test_what_is_not_there_is_told_in_the_protocol_s_form(gate: RealGate, method: str, path: str, status: int) -> None:
    answer = gate.call(method, path, {} if method == "POST" else None)
    assert answer.status == status
    assert set(answer.json) == {"error"}


def test_a_route_leads_to_it_too(gate: RealGate) -> None:
    assert outputs(infer(gate, texts("good"), "moods"))["label"] == ["good"]
    assert outputs(infer(gate, texts("good"), "local/opinions"))["label"] == ["good"]


def test_a_call_is_on_record(gate: RealGate) -> None:
    infer(gate, texts("x"))
    *_, call = read_calls(gate.home / "journal")
    assert (call.kind, call.model, call.outcome, call.key_name) == ("infer", "opinions", "ok", "tests")


# ----------------------------------------------------------------------------------------------------- OpenAI's API


def test_chat_answers_chats_with_the_options_that_it_takes(gate: RealGate) -> None:
    answer = gate.call("POST", "/v1/chat/completions", chatting("hi", temperature=0.5, max_tokens=5)).json
    assert answer["choices"][0]["message"]["content"] == "first hi at 0.5"
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["farmgate_dropped"] == ["max_tokens"]
    assert answer["usage"]["completion_tokens"] > 0


def test_stream_writes_what_is_to_come_in_pieces(gate: RealGate) -> None:
    answer = gate.call("POST", "/v1/chat/completions", chatting("hello there", stream=True))
    *frames, end = events(answer.body)
    assert end == "[DONE]"
    deltas = [choice["delta"] for frame in frames for choice in json.loads(frame)["choices"]]
    assert [delta["content"] for delta in deltas if delta.get("content")] == ["first ", "hello ", "there "]


def test_a_prompt_is_completed_by_stream(gate: RealGate) -> None:
    answer = gate.call("POST", "/v1/completions", {"model": "opinions", "prompt": "once"}).json
    assert answer["choices"][0]["text"] == "first once "


def test_texts_become_vectors(gate: RealGate) -> None:
    answer = gate.call("POST", "/v1/embeddings", {"model": "opinions", "input": ["a", "abc"], "dimensions": 2}).json
    first, second = (one["embedding"] for one in answer["data"])
    assert first == pytest.approx([1 / 5**0.5, 2 / 5**0.5])
    assert len(second) == 2
    as_text = gate.call("POST", "/v1/embeddings", {"model": "opinions", "input": "a", "encoding_format": "base64"}).json
    assert isinstance(as_text["data"][0]["embedding"], str)


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]}, "labels gives no chat answers."),
        ("/v1/completions", {"prompt": "x"}, "labels gives no completion answers."),
        ("/v1/embeddings", {"input": "x"}, "labels gives no embedding answers."),
    ],
)
def test_what_a_class_has_no_method_for_is_told(gate: RealGate, path: str, body: dict[str, object], told: str) -> None:
    answer = gate.call("POST", path, {"model": "labels", **body})
    assert (answer.status, answer.error["code"]) == (404, "model_not_capable")
    assert told in answer.error["message"]


@pytest.mark.parametrize(
    "more",
    [
        {"stop": ["x"]},
        {"n": 2},
        {"response_format": {"type": "json_object"}},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
    ],
)
def test_what_would_change_the_answer_is_refused_by_name(gate: RealGate, more: dict[str, object]) -> None:
    answer = gate.call("POST", "/v1/chat/completions", chatting("hi", **more))
    assert (answer.status, answer.error["param"]) == (400, next(iter(more)))


def test_what_fails_before_the_first_word_has_its_status(gate: RealGate) -> None:
    answer = gate.call("POST", "/v1/chat/completions", chatting("raise", stream=True))
    assert (answer.status, answer.error["code"]) == (502, "model_failed")


def test_what_fails_after_it_ends_the_stream_with_an_error(gate: RealGate) -> None:
    answer = gate.call("POST", "/v1/chat/completions", chatting("raise late", stream=True))
    *_, last = events(answer.body)
    assert json.loads(last)["error"]["code"] == "model_failed"


def test_who_leaves_ends_the_writing(gate: RealGate) -> None:
    before = outputs(infer(gate, texts("x")))["left"][0]
    with gate.stream("/v1/chat/completions", chatting("for ever", stream=True)) as response:
        next(data_of(response))
    assert gate.comes(lambda: outputs(infer(gate, texts("x")))["left"][0] == before + 1)
    assert gate.is_idle()


def test_many_are_written_at_the_same_time(gate: RealGate) -> None:
    with (
        gate.stream("/v1/chat/completions", chatting("for ever", stream=True)) as one,
        gate.stream("/v1/chat/completions", chatting("for ever", stream=True)) as other,
    ):
        for _ in range(3):
            assert next(data_of(one))
            assert next(data_of(other))
        assert outputs(infer(gate, texts("good")))["label"] == ["good"]


# ------------------------------------------------------------------------------------------------------------ versions


def test_another_version_takes_over_and_back(gate: RealGate) -> None:
    def change(verb: str, body: object = None) -> None:
        job = gate.call("POST", f"/api/ai/models/opinions/{verb}", body).json["job"]
        assert gate.comes(lambda: gate.call("GET", f"/api/ai/jobs/{job}").json["endedAt"] is not None, 20.0)
        assert gate.call("GET", f"/api/ai/jobs/{job}").json["error"] is None

    infer(gate, texts("x"))
    change("reload", {"version": "2"})
    try:
        answer = infer(gate, texts("x"), "opinions/versions/2")
        assert answer.json["model_version"] == "2"
        assert outputs(answer)["version"] == ["second"]
        old = infer(gate, texts("x"), "opinions/versions/1")
        assert old.status == 404
        assert "that answers: '2' does" in old.json["error"]
    finally:
        change("rollback")
    assert outputs(infer(gate, texts("x")))["version"] == ["first"]


def test_what_ends_an_engine_ends_one_more_and_is_told(gate: RealGate, tmp_path: Path) -> None:
    outputs(infer(gate, texts("good")))
    noted = tmp_path / "noted"
    refused = infer(gate, texts(f"end {noted}"))
    assert (refused.status, refused.headers["x-farmgate-attempts"]) == (503, "2")
    # Over a connection that was kept it may have been dead before, for all that is known there.
    assert 2 <= len(noted.read_text()) <= 3
    assert outputs(infer(gate, texts("good")))["label"] == ["good"]
