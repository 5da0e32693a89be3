"""Everything a stranger may send around a body: each gets its status, its code and the one error shape."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from socket import SHUT_WR

import pytest
from tests.journey.bad import CHAT, CONFIG, EMBED, FARM_CHAT, HELLO, LIMIT, RESPOND, chat, refused, well_ended
from tests.journey.gate import KEY, RealGate, Wire, request


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealGate]:
    with RealGate(tmp_path_factory.mktemp("gate"), config=CONFIG).start() as gate:
        assert gate.call("POST", FARM_CHAT, {"messages": HELLO}).status == 200
        yield gate
        well_ended(gate)


# ------------------------------------------------------------------------------------------ credentials, routing

NO_KEYS = {
    "none": {},
    "Basic": {"authorization": "Basic dXNlcjpwYXNz"},
    "empty": {"authorization": ""},
    "no token": {"authorization": "Bearer "},
    "a guess": {"authorization": "Bearer not-the-key-of-anybody"},
    "10 KB": {"authorization": "Bearer " + "k" * 10_000},
    "not ASCII": {"authorization": "Bearer schl\u00fcssel"},
    "SQL": {"x-api-key": "' OR 1=1 --"},
    "a prefix": {"x-api-key": KEY[:-1]},
}


@pytest.mark.parametrize("path", [CHAT, RESPOND, "/v1/models", FARM_CHAT, "/api/ai/models", "/api/ai/health"])
@pytest.mark.parametrize("headers", NO_KEYS.values(), ids=NO_KEYS)
def test_no_valid_key_is_401_on_every_api(gate: RealGate, path: str, headers: Mapping[str, str]) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    method = "GET" if path.endswith(("models", "health")) else "POST"
    body = b"" if method == "GET" else json.dumps(chat()).encode()
    head = f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{lines}"
    answer = gate.raw(head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body)
    refused(answer, 401, "invalid_api_key")


@pytest.mark.parametrize("path", [CHAT, FARM_CHAT])
def test_two_credentials_are_ambiguous(gate: RealGate, path: str) -> None:
    refused(gate.call("POST", path, chat(), {"x-api-key": KEY}), 400, "ambiguous_credentials")
    twice = request("POST", path, chat()).replace(b"\r\n\r\n", b"\r\nauthorization: Bearer other\r\n\r\n", 1)
    refused(gate.raw(twice), 400, "ambiguous_credentials")
    host_twice = request("POST", path, chat()).replace(b"\r\n\r\n", b"\r\nhost: other\r\n\r\n", 1)
    assert gate.raw(host_twice).status == 400


NAMES = ["dem", "../../etc/passwd", "de\u0000mo", "x" * 10_000, "demo/nothing", "nobody/demo"]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_an_unknown_model_is_404_on_every_api(gate: RealGate, name: str) -> None:
    nul = "\0" in name
    for path, body in ((CHAT, chat(model=name)), (FARM_CHAT, {"messages": HELLO, "model": name})):
        answer = gate.call("POST", path, body)
        refused(answer, 400 if nul else 404, "invalid_unicode" if nul else "model_not_found", None if nul else "model")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "unknown_url"),
        ("GET", "/v1", 404, "unknown_url"),
        ("GET", "/v1/nothing", 404, "unknown_url"),
        ("POST", "/v1/chat/completions/", 404, "unknown_url"),
        ("GET", "/api/nothing", 404, "unknown_url"),
        ("GET", "/api/ai", 404, "unknown_url"),
        ("GET", "/..%2f..%2fetc/passwd", 404, "unknown_url"),
        ("GET", "/%00%ff%0d%0a", 404, "unknown_url"),
        ("GET", "/" + "a" * 5_000, 404, "unknown_url"),
        ("GET", "/v1/models/%00", 404, "model_not_found"),
        ("GET", "/v1/models/" + "m" * 5_000, 404, "model_not_found"),
        ("GET", CHAT, 405, "method_not_allowed"),
        ("OPTIONS", CHAT, 405, "method_not_allowed"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
        ("GET", FARM_CHAT, 405, "method_not_allowed"),
        ("PUT", "/api/ai/models", 405, "method_not_allowed"),
        ("POST", "/health/live", 405, "method_not_allowed"),
        ("GET", "/api/ai/jobs/" + "j" * 3_000, 404, "not_found"),
    ],
)
def test_unknown_addresses_and_methods(gate: RealGate, method: str, path: str, status: int, code: str) -> None:
    answer = gate.call(method, path)
    refused(answer, status, code, "model" if code == "model_not_found" else None)
    assert ("allow" in answer.headers) == (status == 405)


def test_head_has_no_body_and_breaks_nothing(gate: RealGate) -> None:
    with gate.wire() as wire:
        for path in ("/health/live", CHAT, "/nothing", FARM_CHAT):
            wire.ask("HEAD", path)
            assert wire.answer(has_body=False).status in (404, 405)
        wire.ask("GET", "/health/live")
        assert wire.answer().status == 200


# ---------------------------------------------------------------------------------------------- transport, encoding


@pytest.mark.parametrize("path", [CHAT, EMBED, RESPOND, FARM_CHAT])
@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"content-type": "text/plain"}, "unsupported_media_type"),
        ({"content-type": "application/x-www-form-urlencoded"}, "unsupported_media_type"),
        ({"content-type": "multipart/form-data"}, "unsupported_media_type"),
        ({"content-type": ""}, "unsupported_media_type"),
        ({"content-type": "application/jsonp"}, "unsupported_media_type"),
        ({"content-type": "application/json-patch+json"}, "unsupported_media_type"),
        ({"content-encoding": "gzip"}, "unsupported_encoding"),
        ({"content-encoding": "identity, br"}, "unsupported_encoding"),
    ],
)
def test_media_type_and_encoding(gate: RealGate, path: str, headers: Mapping[str, str], code: str) -> None:
    refused(gate.call("POST", path, chat(), headers), 415, code)


@pytest.mark.parametrize("path", [CHAT, FARM_CHAT])
def test_a_body_that_is_too_large_is_413_and_read_by_clients_that_send_it_all(gate: RealGate, path: str) -> None:
    large = json.dumps(chat(user="x" * (8 * LIMIT))).encode()
    answer = gate.raw(request("POST", path, large))
    refused(answer, 413, "request_too_large")
    assert answer.headers["connection"] == "close"


def test_a_body_that_says_too_much_or_turns_out_too_large_is_413(gate: RealGate) -> None:
    for length in (str(LIMIT + 1), "9" * 18):
        refused(gate.raw(request("POST", CHAT, b"", {"content-length": length})), 413, "request_too_large")
    head = request("POST", CHAT, None, {"transfer-encoding": "chunked", "content-type": "application/json"})
    chunks = (b"10000\r\n" + b" " * 0x10000 + b"\r\n") * 20
    refused(gate.raw(head + chunks + b"0\r\n\r\n"), 413, "request_too_large")


@pytest.mark.parametrize("path", [CHAT, FARM_CHAT])
def test_a_body_that_never_ends_is_408_in_time(gate: RealGate, path: str) -> None:
    began = time.monotonic()
    with gate.wire() as wire:
        wire.send(request("POST", path, b'{"', {"content-length": "50"}))
        answer = wire.answer()
        refused(answer, 408, "request_timeout")
        assert answer.headers["connection"] == "close"
        assert wire.is_closed()
    assert 0.5 < time.monotonic() - began < 5


@pytest.mark.parametrize(
    "head",
    [
        b"GET /health/live HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 200_000 + b"\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nhost: x\r\n" + b"x: " + b"a" * 200_000,
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nhost: x\r\n" + b"a-header: with a value of some length\r\n" * 1000 + b"\r\n",
    ],
    ids=["long", "endless", "path", "many"],
)
def test_a_head_that_is_too_large_is_431(gate: RealGate, head: bytes) -> None:
    answer = gate.raw(head)
    refused(answer, 431, "headers_too_large")
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("path", [CHAT, FARM_CHAT, "/nothing", "/api/nothing", "/metrics", "/health/live"])
@pytest.mark.parametrize("name", ["x-{}", "x"], ids=["each its own", "one repeated"])
def test_too_many_headers_are_431(gate: RealGate, path: str, name: str) -> None:
    many = "".join(f"{name.format(at)}:y\r\n" for at in range(1000))
    head = request("POST", path, chat()).replace(b"\r\n\r\n", b"\r\n" + many.encode() + b"\r\n", 1)
    refused(gate.raw(head), 431, "headers_too_large")


BESIDE_BODY = {
    "the size of a chunk": b"5;" + b"a" * 200_000,
    "a trailer": b"2\r\n{}\r\n0\r\nx: " + b"a" * 500_000,
    "trailers": b"2\r\n{}\r\n0\r\n" + b"x: a\r\n" * 50_000,
}


@pytest.mark.parametrize("name", BESIDE_BODY)
def test_what_stands_around_a_body_is_bounded_as_a_head_is(gate: RealGate, name: str) -> None:
    head = request("POST", CHAT, None, {"transfer-encoding": "chunked", "content-type": "application/json"})
    with gate.wire() as wire:
        wire.send(head)
        with contextlib.suppress(ConnectionError):
            wire.send(BESIDE_BODY[name])
        refused(wire.answer(), 431, "headers_too_large")
        assert wire.is_closed()


def test_a_second_head_on_a_connection_is_bounded_too(gate: RealGate) -> None:
    with gate.wire() as wire:
        wire.ask("GET", "/health/live")
        assert wire.answer().status == 200
        wire.send(b"GET /health/live HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 100_000 + b"\r\n\r\n")
        refused(wire.answer(), 431, "headers_too_large")


@pytest.mark.parametrize("length", [0, 1_000_000_000_000], ids=["between requests", "a refused body"])
def test_bytes_that_belong_to_nothing_hold_no_connection(gate: RealGate, length: int) -> None:
    """A byte now and then sets no clock back: neither line ends behind an answer nor a body nobody wants."""
    began = time.monotonic()
    with gate.wire(timeout_s=0.2) as wire, contextlib.suppress(ConnectionError):
        wire.send(b"POST /nothing HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % length)
        assert wire.answer().status == 404
        while time.monotonic() - began < 10:
            wire.send(b"\r\n")
            with contextlib.suppress(TimeoutError):
                assert wire.socket.recv(100) == b""
                break
    assert 1 < time.monotonic() - began < 6


def test_headers_that_drip_are_cut_off_in_time(gate: RealGate) -> None:
    began = time.monotonic()
    with gate.wire(timeout_s=0.1) as wire, contextlib.suppress(ConnectionError):
        wire.send(b"GET /health/live HTTP/1.1\r\nhost: x\r\n")
        while time.monotonic() - began < 10:
            wire.send(b"x")
            with contextlib.suppress(TimeoutError):
                assert wire.socket.recv(100).startswith(b"HTTP/1.1 408 ")
                break
    assert 1 < time.monotonic() - began < 6


PROTOCOL = {
    "length and chunks": b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0",
    "two lengths": b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
    "signed length": b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-length: +2\r\n\r\n{}",
    "negative length": b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-length: -2\r\n\r\n{}",
    "bad chunk": b"POST %b HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n",
    "line feeds only": b"GET %b HTTP/1.1\nhost: x\n\n",
    "NUL in a header": b"GET %b HTTP/1.1\r\nhost: x\r\nx: a\0b\r\n\r\n",
    "space before colon": b"GET %b HTTP/1.1\r\nhost : x\r\n\r\n",
    "folded header": b"GET %b HTTP/1.1\r\nhost: x\r\nx: a\r\n b\r\n\r\n",
    "header without colon": b"GET %b HTTP/1.1\r\nhost: x\r\nnonsense\r\n\r\n",
    "no method": b" %b HTTP/1.1\r\nhost: x\r\n\r\n",
    "unknown method": b"BREW %b HTTP/1.1\r\nhost: x\r\n\r\n",
    "version 9": b"GET %b HTTP/9.9\r\nhost: x\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n",
    "authority": b"CONNECT evil.example:443 HTTP/1.1\r\nhost: evil.example\r\n\r\n",
    "TLS": bytes.fromhex("16030100c8010000c40303") + b"\x42" * 180,
    "bytes": bytes(range(256)) * 4,
    "nothing but line ends": b"\r\n" * 50 + b"GARBAGE\r\n\r\n",
}


@pytest.mark.parametrize("name", PROTOCOL)
def test_what_is_not_http_is_a_4xx_or_a_closed_connection(gate: RealGate, name: str) -> None:
    data = PROTOCOL[name].replace(b"%b", CHAT.encode())
    with gate.wire() as wire:
        wire.send(data)
        with contextlib.suppress(TimeoutError):
            wire.socket.shutdown(SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            said = wire.socket.recv(65_536)
            assert not said or said[:12].startswith(b"HTTP/1.1 4"), said
    assert gate.call("GET", "/health/live").status == 200


def test_pipelined_requests_are_answered_in_order(gate: RealGate) -> None:
    with gate.wire() as wire:
        wire.send(request("POST", CHAT, chat()) + request("GET", "/nothing") + request("POST", FARM_CHAT, b"["))
        assert wire.answer().json["object"] == "chat.completion"
        assert wire.answer().status == 404
        assert wire.answer().error["code"] == "invalid_json"


def test_a_next_request_that_never_comes_whole_does_not_spoil_the_answer_under_way(gate: RealGate) -> None:
    with gate.wire() as wire:
        wire.send(request("POST", CHAT, chat(model="slow/demo", stream=True)) + b"GET /health/live HTTP/1.1\r\nho")
        assert wire.head().status == 200
        said = b""
        with contextlib.suppress(ConnectionError):
            while data := wire.socket.recv(65_536):
                said += data
    assert b"word" in said
    assert b"HTTP/1.1" not in said


def test_a_connection_goes_on_after_every_kind_of_refusal_but_the_cut_ones(gate: RealGate) -> None:
    with gate.wire() as wire:
        for method, path, body, headers in (
            ("POST", CHAT, b"{}", {"authorization": ""}),
            ("POST", "/nothing", b"x" * 300_000, {}),
            ("PUT", CHAT, b"{}", {}),
            ("POST", CHAT, b"{}", {"content-type": "text/plain"}),
            ("POST", CHAT, b"nonsense", {}),
            ("POST", FARM_CHAT, b"{}", {}),
        ):
            wire.ask(method, path, body, headers)
            assert 400 <= wire.answer().status < 500
        wire.ask("POST", CHAT, chat())
        assert wire.answer().status == 200


def test_odd_but_proper_requests_are_answered(gate: RealGate) -> None:
    with gate.wire() as wire:
        head, _, body = request("POST", CHAT, chat(), {"expect": "100-continue"}).partition(b"\r\n\r\n")
        wire.send(head + b"\r\n\r\n")
        assert wire.head().status == 100
        wire.send(body)
        assert wire.answer().status == 200
    with gate.wire() as wire:  # byte by byte
        for byte in request("POST", CHAT, chat()):
            wire.send(bytes([byte]))
        assert wire.answer().status == 200
    body = json.dumps(chat()).encode()
    chunked = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\nx-trailer: 1\r\n\r\n"
    head = request("POST", CHAT, None, {"transfer-encoding": "chunked", "content-type": "application/json"})
    assert gate.raw(head + chunked).status == 200
    assert gate.raw(request("POST", CHAT, b"\xef\xbb\xbf" + body)).status == 200
    absolute = request("POST", "http://elsewhere.example" + CHAT, chat())
    assert gate.raw(absolute).status == 200
    old = request("POST", CHAT, chat()).replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    assert gate.raw(old).status == 200
    assert gate.raw(request("POST", CHAT, chat(), {"content-type": "Application/JSON; charset=utf-8"})).status == 200
    for offer in (b"Upgrade", b"upgrade"):  # as Java's HttpClient and curl --http2 make it
        more = b"\r\nconnection: Upgrade, HTTP2-Settings\r\n" + offer + b": h2c\r\nhttp2-settings: AAMAAABkAAQ\r\n\r\n"
        assert gate.raw(request("POST", CHAT, chat()).replace(b"\r\n\r\n", more, 1)).status == 200, offer
    upgrade = {"connection": "upgrade, close", "upgrade": "websocket", "sec-websocket-version": "13"}
    assert gate.raw(request("GET", "/health/live", None, upgrade)).status in (200, 400, 426)


def test_a_request_id_of_the_caller_is_given_back_if_it_is_harmless(gate: RealGate) -> None:
    assert gate.call("GET", "/v1/models", headers={"x-request-id": "mine-1"}).headers["x-request-id"] == "mine-1"
    for strange in ("a b", "x" * 129, "\u00e4", "<script>"):
        assert gate.call("GET", "/v1/models", headers={"x-request-id": strange}).headers["x-request-id"] != strange


def test_nothing_of_all_this_stays_behind(gate: RealGate) -> None:
    """Descriptors and memory after another round of the worst, against before it."""

    def round_of_the_worst() -> None:
        for data in PROTOCOL.values():
            with gate.wire() as wire:
                wire.send(data.replace(b"%b", CHAT.encode()))
        large = request("POST", CHAT, b"x" * 900_000)
        wires = [Wire(gate.port) for _ in range(30)]
        for wire in wires:
            wire.send(large[:-1])
        for wire in wires:
            wire.reset()
        for worst in (b"[" * 900_000, b'{"a":' * 100_000, b"[" + b"1," * 400_000 + b"1]", b'{"seed":' + b"9" * 900_000):
            assert gate.call("POST", CHAT, worst).status == 400

    round_of_the_worst()
    assert gate.is_idle()
    files, memory = gate.descriptors(), gate.memory_mib()
    round_of_the_worst()
    round_of_the_worst()
    assert gate.is_idle()
    assert gate.comes(lambda: gate.call("GET", "/health/live").status == 200 and gate.descriptors() <= files + 2)
    assert gate.memory_mib() < memory + 32
