"""A request that is sent again under its Idempotency-Key is done once, whoever the client is."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import openai
import pytest
from tests.journey.gate import KEY, Answer, RealGate, request
from tests.journey.upstream import Upstream

CHAT, MESSAGES, RESPONSES, EMBED = "/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/embeddings"
FARM, OLLAMA = "/api/ai/chat", "/api/chat"
OTHER = "another-key-of-the-tests-0123456789"
numbers = count(1)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[RealGate]:
    config = {
        "keys": [{"name": "tests", "key": KEY, "admin": True}, {"name": "others", "key": OTHER}],
        "ai": {
            "providers": {"up": {"provider": "openai", "url": upstream.url, "apiKey": "sk-CANARY-of-the-upstream"}},
            "routing": {"production": "up"},
            "attempts": {"retries": 0},
        },
    }
    with RealGate(tmp_path_factory.mktemp("gate"), config=config).start() as gate:
        yield gate
        assert gate.stop() == 0
        assert "Traceback" not in gate.everything_said()


def body_for(path: str, model: str = "say", text: str = "Hello", *, stream: bool = False) -> dict[str, object]:
    asked: dict[str, object] = {"model": model, "stream": stream}
    if path == RESPONSES:
        return asked | {"input": text}
    return asked | {"messages": [{"role": "user", "content": text}]} | ({"max_tokens": 20} if path == MESSAGES else {})


def keyed(key: str, *, caller: str = KEY) -> dict[str, str]:
    return {"idempotency-key": key, "authorization": f"Bearer {caller}"}


def told_by(answer: Answer) -> dict[str, str]:
    """The headers that must be the same each time."""
    return {
        name: value
        for name, value in answer.headers.items()
        if name.startswith(("x-farmgate-", "content-")) and name != "x-farmgate-overhead-ms"
    }


@pytest.fixture
def key() -> str:
    return f"key {next(numbers)}"


@pytest.mark.parametrize("path", [CHAT, MESSAGES, RESPONSES, FARM, OLLAMA])
def test_a_whole_answer_is_given_again_without_asking_anybody(
    gate: RealGate, upstream: Upstream, key: str, path: str
) -> None:
    before = len(upstream.seen)
    first = gate.call("POST", path, body_for(path), keyed(key))
    again = gate.call("POST", path, body_for(path), keyed(key))
    assert (first.status, again.status) == (200, 200)
    assert again.body == first.body
    assert told_by(again) == told_by(first)
    assert (first.headers.get("idempotent-replayed"), again.headers["idempotent-replayed"]) == (None, "true")
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert len(upstream.seen) == before + 1


def test_another_body_or_path_under_the_key_is_refused(gate: RealGate, key: str) -> None:
    gate.call("POST", CHAT, body_for(CHAT), keyed(key))
    for path, text in ((CHAT, "Goodbye"), (OLLAMA, "Hello")):
        refused = gate.call("POST", path, body_for(path, text=text), keyed(key))
        assert refused.status == 422
        assert "Idempotency-Key" in refused.body.decode()


def test_while_the_first_is_being_answered_the_second_is_told_to_come_back(
    gate: RealGate, upstream: Upstream, key: str
) -> None:
    for stream in (True, False):
        number = len(upstream.seen) + 1
        own = f"{key} {stream}"
        with gate.wire() as wire:
            wire.send(request("POST", CHAT, body_for(CHAT, "wait-0", stream=stream), keyed(own)))
            upstream.last(number)
            again = gate.call("POST", CHAT, body_for(CHAT, "wait-0", stream=stream), keyed(own))
            assert (again.status, again.headers["retry-after"]) == (409, "1")
            assert again.error["code"] == "idempotency_in_flight"
        assert gate.is_idle()


def test_a_stream_is_not_given_twice(gate: RealGate, upstream: Upstream, key: str) -> None:
    before = len(upstream.seen)
    assert gate.call("POST", CHAT, body_for(CHAT, stream=True), keyed(key)).status == 200
    again = gate.call("POST", CHAT, body_for(CHAT, stream=True), keyed(key))
    assert again.status == 409
    assert again.headers["x-should-retry"] == "false"
    assert "retry-after" not in again.headers
    assert len(upstream.seen) == before + 1


@pytest.mark.parametrize("model", ["refuse-500", "die-1"])
@pytest.mark.parametrize("stream", [False, True])
def test_what_failed_may_be_sent_again(gate: RealGate, upstream: Upstream, key: str, model: str, stream: bool) -> None:
    before = len(upstream.seen)
    for _ in range(2):
        answer = gate.call("POST", CHAT, body_for(CHAT, model, stream=stream), keyed(key))
        assert answer.status >= 500
        assert "idempotent-replayed" not in answer.headers
    # A connection that was idle and is closed without a byte is replaced once.
    assert len(upstream.seen) >= before + 2


def test_what_its_client_left_may_be_sent_again(gate: RealGate, upstream: Upstream, key: str) -> None:
    for _ in range(2):
        number = len(upstream.seen) + 1
        with gate.wire() as wire:
            wire.send(request("POST", CHAT, body_for(CHAT, "wait-0"), keyed(key)))
            upstream.last(number)
        assert gate.is_idle()


def test_a_stream_that_its_client_left_in_the_middle_was_paid_for(gate: RealGate, upstream: Upstream, key: str) -> None:
    number = len(upstream.seen) + 1
    with gate.wire() as wire:
        wire.send(request("POST", CHAT, body_for(CHAT, "wait-3", stream=True), keyed(key)))
        assert wire.head().status == 200
    assert upstream.last(number).left.wait(5)
    assert gate.is_idle()
    assert gate.call("POST", CHAT, body_for(CHAT, "wait-3", stream=True), keyed(key)).status == 409
    assert len(upstream.seen) == number


def test_a_form_is_the_same_whatever_its_boundary_is(gate: RealGate, upstream: Upstream, key: str) -> None:
    form = (
        b'--B\r\ncontent-disposition: form-data; name="model"\r\n\r\nup/sound\r\n'
        b'--B\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\r\n--B--\r\n'
    )

    def send(content: bytes, boundary: str) -> Answer:
        headers = keyed(key) | {"content-type": f"multipart/form-data; boundary={boundary}"}
        return gate.call("POST", "/v1/audio/transcriptions", content.replace(b"--B", f"--{boundary}".encode()), headers)

    first = send(form, "one-of-a-client")
    assert first.status == 200
    number = len(upstream.seen)
    again = send(form, "another-of-it")
    assert (again.status, again.body, again.headers["idempotent-replayed"]) == (200, first.body, "true")
    assert send(form.replace(b"RIFF", b"RIFX"), "one-of-a-client").status == 422
    assert len(upstream.seen) == number


def test_one_key_means_nothing_to_another_caller(gate: RealGate, upstream: Upstream, key: str) -> None:
    before = len(upstream.seen)
    for caller in (KEY, OTHER):
        answer = gate.call("POST", CHAT, body_for(CHAT), keyed(key, caller=caller))
        assert (answer.status, answer.headers.get("idempotent-replayed")) == (200, None)
    assert len(upstream.seen) == before + 2


def test_an_answer_outlives_a_reload(gate: RealGate, key: str) -> None:
    first = gate.call("POST", CHAT, body_for(CHAT), keyed(key))
    switched = gate.call("PATCH", "/api/admin/features", {"streaming": False}, keyed("unused"))
    assert switched.status == 200
    assert gate.call("POST", CHAT, body_for(CHAT), keyed(key)).body == first.body
    gate.call("PATCH", "/api/admin/features", {"streaming": None}, keyed("unused"))


@pytest.mark.parametrize("wrong", ["", "x" * 257, "k\u00e9y"])
def test_a_key_that_is_none_is_refused(gate: RealGate, wrong: str) -> None:
    answer = gate.call("POST", CHAT, body_for(CHAT), keyed(wrong))
    assert answer.status == 400
    assert "Idempotency-Key" in answer.error["message"]


def test_a_key_that_is_sent_twice_is_refused(gate: RealGate) -> None:
    data = request("POST", CHAT, body_for(CHAT), keyed("a"))
    twice = data.replace(b"\r\n\r\n", b"\r\nidempotency-key: b\r\n\r\n", 1)
    assert gate.raw(twice).status == 400


def test_the_sdk_gets_the_same_answer(gate: RealGate, upstream: Upstream, key: str) -> None:
    before = len(upstream.seen)
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{gate.port}/v1", api_key=KEY, max_retries=0)
    told = {
        client.chat.completions.create(
            model="say", messages=[{"role": "user", "content": "Hello"}], extra_headers={"Idempotency-Key": key}
        ).to_json()
        for _ in range(2)
    }
    client.close()
    assert len(told) == 1
    assert len(upstream.seen) == before + 1
