"""What a stranger may send to responses that are kept: ids, cursors and queries of every kind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.journey.bad import CONFIG, RESPOND, refused, respond, well_ended
from tests.journey.gate import KEY, RealGate

OTHER_KEY = "another-key-of-the-tests-0123456789"


@pytest.fixture(scope="module", params=["memory", "disk"])
def gate(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealGate]:
    keys = [{"name": "tests", "key": KEY}, {"name": "others", "key": OTHER_KEY}]
    config = CONFIG | {"keys": keys, "responses": {"store": request.param}}
    with RealGate(tmp_path_factory.mktemp("gate"), config=config).start() as gate:
        yield gate
        well_ended(gate)


@pytest.fixture(scope="module")
def kept(gate: RealGate) -> str:
    """The path of a response that is there."""
    answer = gate.call("POST", RESPOND, respond(input=[{"role": "user", "content": str(at)} for at in range(30)]))
    return f"{RESPOND}/{answer.json['id']}"


STRANGE = [
    "resp_1",
    "..",
    "..%2f..%2fetc%2fpasswd",
    "%00",
    "x" * 10_000,
    "%ff%fe",
    "resp_1.json",
    "%20",
    "'",
    "null",
    "*",
]


@pytest.mark.parametrize("name", STRANGE)
@pytest.mark.parametrize(
    ("method", "rest"), [("GET", ""), ("DELETE", ""), ("GET", "/input_items"), ("POST", "/cancel")]
)
def test_an_id_that_is_none_is_404(gate: RealGate, method: str, rest: str, name: str) -> None:
    answer = gate.call(method, f"{RESPOND}/{name}{rest}")
    code = "unknown_url" if "%2f" in name else "not_found"
    refused(answer, 404, code, None if code == "unknown_url" else "response_id")


@pytest.mark.parametrize("name", ["resp_1", "../x", "x" * 10_000, "", "a\ud83d\ude00"])
def test_a_previous_response_that_is_none_is_404(gate: RealGate, name: str) -> None:
    answer = gate.call("POST", RESPOND, respond(previous_response_id=name))
    refused(answer, 404, "previous_response_not_found", "previous_response_id")


def test_a_response_of_another_key_is_404_like_one_that_is_none(gate: RealGate, kept: str) -> None:
    others = {"authorization": f"Bearer {OTHER_KEY}"}
    for method, path in (("GET", kept), ("DELETE", kept), ("GET", f"{kept}/input_items"), ("POST", f"{kept}/cancel")):
        refused(gate.call(method, path, headers=others), 404, "not_found", "response_id")
    for theirs in (kept.rpartition("/")[2], "resp_unknown"):
        continued = gate.call("POST", RESPOND, respond(previous_response_id=theirs), others)
        refused(continued, 404, "previous_response_not_found", "previous_response_id")
    refused(gate.call("GET", kept, headers={"authorization": ""}), 401, "invalid_api_key")
    assert gate.call("GET", kept).status == 200


@pytest.mark.parametrize(
    ("query", "param"),
    [
        *((f"limit={told}", "limit") for told in ("-1", "0", "101", "1.5", "x", "", "%%%%", "9" * 5000, "%D9%A1")),
        *((f"order={told}", "order") for told in ("up", "", "ASC", "%00")),
        *((f"after={told}", "after") for told in ("msg_1", "", "%%%%", "x" * 5000, "..")),
        ("&".join(f"a{at}=1" for at in range(60)), None),
        ("after=%ff%fe", None),
    ],
)
def test_a_bad_cursor_limit_or_order_is_400(gate: RealGate, kept: str, query: str, param: str | None) -> None:
    refused(gate.call("GET", f"{kept}/input_items?{query}"), 400, "invalid_value", param)


def test_pages_are_walked_from_either_end(gate: RealGate, kept: str) -> None:
    def walk(order: str) -> list[str]:
        found: list[str] = []
        after = ""
        while True:
            told = gate.call("GET", f"{kept}/input_items?order={order}&limit=7{after}").json
            texts = [item["content"][0]["text"] for item in told["data"]]
            found += texts
            assert (told["first_id"], told["last_id"]) == (told["data"][0]["id"], told["data"][-1]["id"])
            if not told["has_more"]:
                return found
            after = f"&after={told['last_id']}"

    assert walk("asc") == [str(at) for at in range(30)]
    assert walk("desc") == [str(at) for at in reversed(range(30))]
    assert len(gate.call("GET", f"{kept}/input_items").json["data"]) == 20


def test_what_is_kept_is_not_given_as_a_stream(gate: RealGate, kept: str) -> None:
    refused(gate.call("GET", f"{kept}?stream=true"), 400, "unsupported_parameter", "stream")
    assert gate.call("GET", f"{kept}?stream=false&include=x&include=y").status == 200


def test_other_methods_and_paths(gate: RealGate, kept: str) -> None:
    for method, path, allowed in (
        ("GET", RESPOND, "POST"),
        ("POST", kept, "DELETE, GET"),
        ("PUT", kept, "DELETE, GET, POST"),
        ("DELETE", f"{kept}/input_items", "GET"),
        ("GET", f"{kept}/cancel", "POST"),
    ):
        answer = gate.call(method, path)
        refused(answer, 405, "method_not_allowed")
        assert answer.headers["allow"] == allowed
    for path in (f"{kept}/other", f"{RESPOND}/", f"{kept}/input_items/x", f"{kept}/"):
        answer = gate.call("GET", path)
        assert answer.status == (200 if path == f"{kept}/" else 404), path


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        (RESPOND, respond(background=True), "background"),
        (f"{RESPOND}/compact", respond(), None),
    ],
)
def test_what_is_not_built_says_so(gate: RealGate, path: str, body: object, param: str | None) -> None:
    answer = gate.call("POST", path, body)
    refused(answer, 400, "not_supported", param)


def test_tokens_are_counted_of_proper_requests_only(gate: RealGate, kept: str) -> None:
    path = f"{RESPOND}/input_tokens"
    told = gate.call("POST", path, respond())
    assert (told.status, told.json["object"], told.headers["x-farmgate-estimated"]) == (
        200,
        "response.input_tokens",
        "true",
    )
    longer = gate.call("POST", path, respond(previous_response_id=kept.rpartition("/")[2]))
    assert longer.json["input_tokens"] > told.json["input_tokens"] > 0
    refused(gate.call("POST", path, respond(previous_response_id="x")), 404, *NO_PREVIOUS)
    refused(gate.call("POST", path, {"model": "demo"}), 400, "missing_required_parameter", "input")
    refused(gate.call("POST", path, respond(model="nobody")), 404, "model_not_found", "model")
    refused(gate.call("GET", path), 405, "method_not_allowed")


NO_PREVIOUS = ("previous_response_not_found", "previous_response_id")


def test_where_nothing_is_kept_that_is_said(tmp_path_factory: pytest.TempPathFactory) -> None:
    config = CONFIG | {"responses": {"store": "off"}}
    with RealGate(tmp_path_factory.mktemp("gate"), config=config).start() as gate:
        answer = gate.call("POST", RESPOND, respond(store=True))
        assert (answer.json["store"], answer.headers["x-farmgate-dropped"]) == (False, "store")
        assert answer.json["usage"]["farmgate_dropped"] == ["store"]
        assert "x-farmgate-dropped" not in gate.call("POST", RESPOND, respond()).headers
        for path, told in ((RESPOND, respond(previous_response_id=answer.json["id"])), (f"{RESPOND}/x", None)):
            refusal = gate.call("POST" if told else "GET", path, told)
            assert refusal.status == 404
            assert "responses.store is off" in refusal.error["message"]
        well_ended(gate)
