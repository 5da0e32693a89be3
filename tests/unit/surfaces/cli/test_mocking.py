"""`farmgate mock`: what it lists, says at the start, says of each call, and refuses."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from tests.unit.surfaces.cli.fakes import Shell

from farmgate.mock import Call
from farmgate.mock.plan import FAULTS
from farmgate.surfaces.cli.mocking import Wish, call_line, panel, read_file

URL = "http://127.0.0.1:9000"


def call(*, model: str = "mock:rst=2", ended: str = "rst", status: int | None = 200, frames: int = 2) -> Call:
    return Call(
        number=3,
        at=0.0,
        began=0.0,
        method="POST",
        path="/v1/chat/completions",
        endpoint="chat",
        model=model,
        stream=True,
        headers={},
        body_bytes=2,
        body_sha256="",
        connection=1,
        status=status,
        ended=ended,
        sent_bytes=433,
        sent_frames=frames,
        took_s=0.0004,
    )


def test_every_fault_is_listed_in_its_group(shell: Shell) -> None:
    ran = shell("mock", "--faults")
    assert ran.code == 0
    assert "Streams that break\n  stall[=N]" in ran.out
    for name in FAULTS:
        assert f"\n  {name}" in ran.out


def test_programs_get_the_list_as_objects(shell: Shell) -> None:
    rows = [json.loads(line) for line in shell("mock", "--faults", "--json").out.splitlines()]
    assert len(rows) == len(FAULTS)
    assert rows[-1] == {
        "group": "Connections",
        "fault": "close-reuse[=K]",
        "help": "close when request K+1 of a connection has come (default 1)",
    }


def test_the_panel_says_where_each_sdk_finds_it_and_how_it_is_told_to_fail() -> None:
    text = "\n".join(panel(URL, Wish()))
    for line in (
        f"OpenAI     {URL}/v1",
        f"Anthropic  {URL}",
        f"Ollama     {URL}",
        "mock:status=503 (farmgate mock --faults lists them)",
        "script     none: PUT /mock/script, or --script FILE",
        f"calls      {URL}/mock/calls",
    ):
        assert line in text
    assert "script     steps.yaml" in "\n".join(panel(URL, Wish(script=Path("steps.yaml"))))


@pytest.mark.parametrize(
    ("seen", "line"),
    [
        (call(), "    3  chat stream         mock:rst=2               200  rst: 2 frames, 433 bytes, 0.4 ms"),
        (
            call(ended="left", status=None, frames=1, model=""),
            "    3  chat stream         -                        -    caller left: 1 frame, 433 bytes, 0.4 ms",
        ),
    ],
)
def test_a_call_is_a_line(seen: Call, line: str) -> None:
    assert call_line(seen) == line


def test_a_name_on_several_lines_or_without_end_stays_one_short_line() -> None:
    line = call_line(call(model="a\nb" + "x" * 1000))
    assert "\n" not in line
    assert len(line) < 150


def test_a_script_is_yaml_or_json(tmp_path: Path) -> None:
    steps = [{"do": "status=503", "times": 2}]
    for name, text in (("a.yaml", "- do: status=503\n  times: 2\n"), ("a.json", json.dumps(steps))):
        (tmp_path / name).write_text(text)
        assert read_file(tmp_path / name) == steps


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- do: stal", 'error: bad.yaml: Step 1 of the script: There is no fault "stal". Did you mean "stall"?'),
        ("- do: [", "error: bad.yaml:1:8: "),
        ("just words", "error: bad.yaml: The script cannot be read: Expected `object`, got `str`."),
    ],
)
def test_a_script_that_cannot_be_read_is_told_by_its_file(shell: Shell, text: str, message: str) -> None:
    Path("bad.yaml").write_text(text)
    ran = shell("mock", "--port", "0", "--script", "bad.yaml")
    assert ran.code == 2
    assert ran.err.startswith(message)


def test_a_script_that_there_is_not_is_told(shell: Shell) -> None:
    ran = shell("mock", "--script", "none.yaml")
    assert (ran.code, ran.err) == (2, "error: none.yaml: No such file or directory\n")


def test_an_address_that_is_taken_is_told_with_what_to_do(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = shell("mock", "--port", str(port))
    assert ran.code == 1
    assert f"127.0.0.1:{port} cannot be listened on: Address already in use." in ran.err
    assert "choose another --port" in ran.err
