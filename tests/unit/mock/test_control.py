"""Who may steer the mock, and what is told of its calls."""

from __future__ import annotations

import json
from typing import Any

import pytest

from farmgate.mock import Mock
from farmgate.mock.asks import read_ask
from farmgate.mock.calls import Calls, begin
from farmgate.mock.control import control
from farmgate.mock.reading import Request

SECRET = "sk-canary-of-the-mock"


def asked(
    method: str,
    path: str,
    body: object = None,
    *,
    mock: Mock | None = None,
    peer: str = "127.0.0.1",
    host: str = "",
    **query: str,
) -> tuple[int, Any]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = Request(method=method, path=f"/mock/{path}", query=query, headers={"host": host}, body=raw)
    head, _, data = control(request, peer, mock or Mock()).partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(data)


def chat(model: str = "m", **headers: str) -> Request:
    body = json.dumps({"model": model}).encode()
    return Request(method="POST", path="/v1/chat/completions", query={}, headers=headers, body=body)


def counted(mock: Mock, request: Request, *, number: int = 1) -> None:
    call = begin(request, read_ask(request), number=number, connection=1)
    mock.counted.add(call)
    mock.counted.end(call, "answered")


@pytest.mark.parametrize(
    ("peer", "host", "status"),
    [
        ("127.0.0.1", "127.0.0.1:9000", 200),
        ("127.0.0.1", "localhost:9000", 200),
        ("127.9.9.9", "", 200),
        ("::1", "[::1]:9000", 200),
        ("::1%lo", "localhost", 200),
        ("10.0.0.1", "127.0.0.1", 403),
        ("", "127.0.0.1", 403),
        ("127.0.0.1", "rebound.example:9000", 403),
        ("127.0.0.1", "127.0.0.1.rebound.example", 403),
        ("127.0.0.1", "[::1", 403),
    ],
)
def test_it_is_steered_from_its_own_machine_by_its_address_there(peer: str, host: str, status: int) -> None:
    assert asked("GET", "state", peer=peer, host=host)[0] == status


def test_a_script_is_put_shown_and_dropped() -> None:
    mock = Mock()
    script = [{"do": "status=503", "times": 1}]
    assert asked("PUT", "script", script, mock=mock)[1]["script"] == {"steps": script}
    assert asked("GET", "state", mock=mock)[1]["steps"] == [{"seen": 0, "taken": 0}]
    assert asked("DELETE", "script", mock=mock)[1]["script"] is None


def test_a_script_that_cannot_be_read_changes_nothing() -> None:
    mock = Mock()
    asked("PUT", "script", [{"do": "hang"}], mock=mock)
    for body, message in (
        (b"{", "The script is no JSON: "),
        (b"[" * 5000, "The script is no JSON: "),
        ([{"do": "stal"}], 'Did you mean "stall"?'),
        (None, "The script cannot be read: "),
    ):
        status, told = asked("PUT", "script", body, mock=mock)
        assert status == 400
        assert message in told["error"]["message"]
    assert asked("GET", "state", mock=mock)[1]["script"] == {"steps": [{"do": "hang"}]}


def test_what_there_is_not_is_told_with_what_there_is() -> None:
    for method, path in (("GET", "script"), ("POST", "calls"), ("GET", "")):
        status, told = asked(method, path)
        assert status == 404
        assert "PUT /mock/script" in told["error"]["message"]


def test_calls_are_shown_newest_last_within_limits_and_by_model() -> None:
    mock = Mock()
    for number in range(1, 1501):
        counted(mock, chat("even" if number % 2 == 0 else "odd"), number=number)

    def numbers(**query: str) -> list[int]:
        return [call["number"] for call in asked("GET", "calls", mock=mock, **query)[1]["calls"]]

    assert numbers() == list(range(1401, 1501))
    assert numbers(limit="2") == [1499, 1500]
    assert numbers(limit="0") == []
    assert len(numbers(limit="99999999")) == 1000
    assert numbers(since="1498") == [1499, 1500]
    assert numbers(model="odd", limit="2") == [1497, 1499]
    assert numbers(limit="-1", since="nonsense") == list(range(1401, 1501))


def test_calls_are_counted_and_forgotten() -> None:
    mock = Mock()
    counted(mock, chat())
    told = asked("GET", "calls", mock=mock)[1]
    assert (told["total"], told["open"], told["by_end"], told["by_model"]) == (1, 0, {"answered": 1}, {"m": 1})
    assert asked("DELETE", "calls", mock=mock)[1] == {"forgotten": 1}
    assert asked("GET", "calls", mock=mock)[1]["total"] == 0


def test_a_key_is_told_by_the_beginning_of_its_hash_and_a_prompt_by_its_hash() -> None:
    mock = Mock()
    counted(mock, chat(authorization=f"Bearer {SECRET}", cookie=SECRET, **{"x-api-key": SECRET, "user-agent": "me"}))
    (told,) = asked("GET", "calls", mock=mock)[1]["calls"]
    assert SECRET not in json.dumps(told)
    assert told["headers"]["user-agent"] == "me"
    assert told["headers"]["authorization"].startswith("Bearer sha256:")
    assert told["headers"]["authorization"].removeprefix("Bearer ") == told["headers"]["x-api-key"]
    assert len(told["body_sha256"]) == 64


def test_the_newest_calls_are_kept_and_names_are_bounded() -> None:
    calls = Calls(most=10)
    for number in range(1200):
        calls.add(begin(chat(f"m{number}"), read_ask(chat(f"m{number}")), number=number, connection=1))
    assert [call.number for call in calls.kept] == list(range(1190, 1200))
    assert (calls.total, len(calls.by_model), calls.by_model["(others)"]) == (1200, 1001, 200)


def test_a_call_ends_once() -> None:
    heard = []
    calls = Calls(told=lambda call: heard.append(call.ended))
    call = begin(chat(), read_ask(chat()), number=1, connection=1)
    calls.add(call)
    calls.end(call, "rst")
    calls.end(call, "left")
    assert (call.ended, heard, calls.open) == ("rst", ["rst"], 0)
