"""The unmodified openai SDK on the other endpoints: moderations, images, speech, transcriptions; and ranking."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import openai
import pytest
from openai import OpenAI
from tests.journey.gate import KEY, RealGate
from tests.journey.upstream import SOUND, Upstream


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[RealGate]:
    config = {
        "keys": [{"name": "tests", "key": KEY}],
        "ai": {
            "providers": {
                "demo": {},
                "up": {
                    "provider": "openai",
                    "url": upstream.url,
                    "apiKey": "sk-CANARY-of-the-upstream",
                    "models": ["sound", "pictures", "die"],
                },
                "ranker": {"provider": "vllm", "url": upstream.url, "models": ["ranker", "ranker-2"]},
            },
            "routing": {"production": "demo"},
        },
    }
    with RealGate(tmp_path_factory.mktemp("gate"), config=config).start() as gate:
        yield gate


@pytest.fixture
def client(gate: RealGate) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{gate.ready['apiBase']}", api_key=KEY, max_retries=0) as client:
        yield client


def test_a_text_is_moderated_without_naming_a_model(client: OpenAI, upstream: Upstream) -> None:
    answer = client.moderations.create(input="I hate this")
    assert answer.results[0].flagged
    assert upstream.seen[-1].body == {"input": "I hate this"}


def test_a_picture_is_made(client: OpenAI, upstream: Upstream) -> None:
    answer = client.images.generate(model="pictures", prompt="a gate", n=1, size="1024x1024")
    assert answer.data is not None
    assert base64.b64decode(answer.data[0].b64_json or "") == b"ABC"
    assert upstream.seen[-1].body["size"] == "1024x1024"


def test_speech_comes_as_the_bytes_the_provider_sent(client: OpenAI) -> None:
    answer = client.audio.speech.create(model="up/sound", voice="alloy", input="hello")
    assert answer.content == SOUND
    assert answer.response.headers["content-type"] == "audio/mpeg"


def test_speech_that_breaks_off_is_not_taken_for_the_whole(client: OpenAI) -> None:
    with pytest.raises(openai.APIConnectionError):
        _ = client.audio.speech.create(model="die", voice="alloy", input="hello").content


def test_sound_is_written_down_and_the_form_goes_out_as_it_came(client: OpenAI, upstream: Upstream) -> None:
    answer = client.audio.transcriptions.create(model="up/sound", file=("a.wav", SOUND), language="de")
    assert answer.text == "hello there"
    seen = upstream.seen[-1]
    assert seen.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert SOUND in seen.raw
    assert b"\r\n\r\nsound\r\n" in seen.raw


def test_documents_are_ranked(gate: RealGate, upstream: Upstream) -> None:
    asked = {"model": "ranker", "query": "gate", "documents": ["a door", {"text": "a gate"}], "top_n": 1, "odd": 1}
    answer = gate.call("POST", "/v1/rerank", asked)
    assert [one["index"] for one in answer.json["results"]] == [1, 0]
    assert upstream.seen[-1].body == asked


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/audio/speech", {"model": "demo", "input": "x", "voice": "y"}),
        ("/v1/rerank", {"model": "demo", "query": "x", "documents": ["y"]}),
        ("/v1/images/generations", {"model": "demo", "prompt": "x"}),
        ("/v1/moderations", {"model": "demo", "input": "x"}),
    ],
)
def test_a_model_that_cannot_is_told_so(gate: RealGate, path: str, body: object) -> None:
    answer = gate.call("POST", path, body)
    assert (answer.status, answer.error["code"], answer.error["param"]) == (404, "model_not_capable", "model")


BAD = [
    ("/v1/rerank", {"model": "ranker", "query": "x"}, "missing_required_parameter", "documents"),
    ("/v1/rerank", {"model": "ranker", "query": "x", "documents": [1]}, "invalid_type", "documents[0]"),
    ("/v1/rerank", {"model": "ranker", "query": "x", "documents": []}, "invalid_value", "documents"),
    ("/v1/rerank", {"query": "x", "documents": ["y"]}, "missing_required_parameter", "model"),
    ("/v1/moderations", {"input": 5}, "invalid_type", "input"),
    ("/v1/images/generations", {"model": "pictures", "prompt": "x", "n": 0}, "invalid_value", "n"),
    ("/v1/audio/speech", {"model": "sound", "input": "x"}, "missing_required_parameter", "voice"),
    ("/v1/audio/speech", {"model": "sound", "input": "x", "voice": "y", "speed": 9}, "invalid_value", "speed"),
]


@pytest.mark.parametrize(("path", "body", "code", "param"), BAD)
def test_bad_input_is_refused_by_name(gate: RealGate, path: str, body: object, code: str, param: str) -> None:
    answer = gate.call("POST", path, body)
    assert (answer.status, answer.error["code"], answer.error["param"]) == (400, code, param)


def test_a_transcription_is_asked_for_with_a_form(gate: RealGate) -> None:
    answer = gate.call("POST", "/v1/audio/transcriptions", {"model": "sound"})
    assert (answer.status, answer.error["code"]) == (415, "unsupported_media_type")
    form = {"content-type": "multipart/form-data"}
    answer = gate.call("POST", "/v1/audio/transcriptions", b"--x", headers=form)
    assert (answer.status, answer.error["code"]) == (400, "invalid_multipart")


def test_the_address_may_name_the_version_of_a_model(gate: RealGate, upstream: Upstream) -> None:
    asked = {"query": "x", "documents": ["y", "z"]}
    answer = gate.call("POST", "/v1/models/ranker/versions/2/rerank", asked)
    assert (answer.status, answer.headers["x-farmgate-model"]) == (200, "ranker-2")
    assert upstream.seen[-1].body == asked | {"model": "ranker-2"}
    answer = gate.call("POST", "/v1/rerank", asked | {"model": "ranker@2"})
    assert (answer.status, answer.headers["x-farmgate-model"]) == (200, "ranker-2")
    told = gate.call("GET", "/v1/models/ranker/versions/2")
    assert (told.status, told.json["id"]) == (200, "ranker@2")
    for path, code in (("versions/9/rerank", "model_not_found"), ("versions/2/nothing", "unknown_url")):
        refused = gate.call("POST", f"/v1/models/ranker/{path}", asked)
        assert (refused.status, refused.error["code"]) == (404, code)
