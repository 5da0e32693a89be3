"""Models are pulled by real processes from a real server, killed on the way, gone on with by others, and answer."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.fakes.hub import FakeHub, hold, running
from tests.fakes.splitting import in_two
from tests.journey.gate import KEY, RealGate, events
from tools.guide_model.words import held_out

MODELS = Path(__file__).parent.parent / "models"
GGUF = (MODELS / "guide-1.gguf").read_bytes()
FOLDER = {path.name: path.read_bytes() for path in sorted((MODELS / "guide-1").iterdir())}
OTHER_KEY = "another-key-of-the-tests-0123"
TOKEN = "hf_token-of-the-tests-0123456789"


@pytest.fixture
def fake() -> Iterator[FakeHub]:
    with running() as fake:
        fake.token = TOKEN
        fake.add("owner/guide", {"guide-Q8_0.gguf": GGUF, "README.md": b"read me"})
        fake.add("owner/folder", {**FOLDER, "modeling.py": b"raise SystemExit"})
        yield fake


def gate_with(tmp_path: Path, fake: FakeHub, config: Mapping[str, object] | None = None, **more: str) -> RealGate:
    # With a configuration nobody looks around: what else runs on this machine has models too.
    gate = RealGate(tmp_path, config=config or {})
    gate.environment |= {"HF_ENDPOINT": fake.url, **more}
    return gate


def until_there(path: Path, size: int) -> None:
    deadline = time.monotonic() + 30
    while not path.exists() or path.stat().st_size < size:
        assert time.monotonic() < deadline, f"{path} never had {size} bytes"
        time.sleep(0.005)


def test_killed_again_and_again_it_comes_whole_and_no_byte_comes_twice(tmp_path: Path, fake: FakeHub) -> None:
    gate = gate_with(tmp_path, fake)
    part = gate.home / "models" / ".chat.part" / "files" / "guide-Q8_0.gguf"
    had = 0
    for more in (1, 300_000, 777_777):
        fake.faults.append(hold(more))
        process = gate.spawn("pull", "hf:owner/guide", "--as", "chat", pipe=False)
        until_there(part, had + more)
        process.kill()
        process.wait()
        had += more
        assert part.stat().st_size == had
    code, out, _ = gate.command("ls", "--json")
    assert code == 0
    assert "chat" not in [json.loads(line)["name"] for line in out.splitlines()]
    code, _, err = gate.command("pull", "hf:owner/guide", "--as", "chat")
    assert code == 0, err
    assert "resuming at" in err
    assert (gate.home / "models" / "chat.gguf").read_bytes() == GGUF
    assert [asked.start for asked in fake.of_files()] == [0, 1, 300_001, 1_077_778]
    _, out, _ = gate.command("ls", "--json")
    (told,) = [entry for line in out.splitlines() if (entry := json.loads(line))["name"] == "chat"]
    assert (told["size"], told["source"], told["licence"]) == (len(GGUF), "hf:owner/guide", "apache-2.0")
    assert told["revision"] == fake.repositories["owner/guide"].main
    assert gate.command("rm", "chat", "--yes")[0] == 0
    assert [path.name for path in (gate.home / "models").iterdir()] == [".chat.lock"]


def test_a_folder_whose_pull_was_killed_is_no_model_and_comes_whole_after(tmp_path: Path, fake: FakeHub) -> None:
    gate = gate_with(tmp_path, fake)
    fake.faults_of["model.safetensors"] = deque([hold(100_000)])
    process = gate.spawn("pull", "hf:owner/folder", "--as", "chat", pipe=False)
    until_there(gate.home / "models" / ".chat.part" / "files" / "model.safetensors", 100_000)
    process.kill()
    process.wait()
    assert not (gate.home / "models" / "chat").exists()
    code, _, err = gate.command("pull", "hf:owner/folder", "--as", "chat")
    assert code == 0, err
    folder = gate.home / "models" / "chat"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == FOLDER
    assert [
        asked.start for asked in fake.of_files() if len(fake.blobs[asked.path.rpartition("/")[2]][1]) > 100_000
    ] == [
        0,
        100_000,
    ]


def test_two_commands_at_once_fetch_it_once(tmp_path: Path, fake: FakeHub) -> None:
    gate = gate_with(tmp_path, fake)
    fake.faults.append(hold(1000))
    first = gate.spawn("pull", "hf:owner/guide")
    assert fake.reached.wait(30)
    second = gate.spawn("pull", "hf:owner/guide")
    assert second.stderr is not None
    said = []
    for line in second.stderr:
        said.append(line.decode())
        if "waiting for another Farmgate" in said[-1]:
            fake.release.set()
    with first, second:
        assert (first.wait(30), second.wait(30)) == (0, 0)
    assert len(fake.of_files()) == 1, said
    assert any("is what is here" in line for line in said)


def test_the_token_reaches_the_hub_alone_and_nothing_that_is_said_or_kept(tmp_path: Path, fake: FakeHub) -> None:
    fake.repositories["owner/folder"].gated = True
    gate = gate_with(tmp_path, fake)
    code, out, err = gate.command("pull", "hf:owner/folder")
    assert code == 4
    assert "is gated: accept its terms at" in err
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        gate.environment[name] = TOKEN
        code, out, err = gate.command("pull", "hf:owner/folder", "--as", name.lower(), "--json")
        assert code == 0, err
        del gate.environment[name]
        assert TOKEN not in out + err
    assert [asked for asked in fake.asked if asked.place == "cdn"]
    assert not [asked for asked in fake.asked if asked.place == "cdn" and TOKEN in str(asked)]
    assert not [path for path in gate.home.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]


def test_offline_it_says_what_to_do(tmp_path: Path, fake: FakeHub) -> None:
    gate = gate_with(tmp_path, fake, HF_ENDPOINT="http://127.0.0.1:9")
    code, out, err = gate.command("pull", "hf:owner/guide")
    assert (code, out) == (6, "")
    assert "Without a network: copy the model here and take it by its path" in err
    code, _, err = gate.command("pull", str(MODELS / "guide-1.gguf"))
    assert code == 0, err
    assert (gate.home / "models" / "guide-1.gguf").read_bytes() == GGUF


def question(model: str) -> dict[str, object]:
    asked = held_out(1)[0].question
    return {"model": model, "messages": [{"role": "user", "content": asked}], "temperature": 0}


def answer_of(gate: RealGate, model: str) -> str:
    said = gate.call("POST", "/v1/chat/completions", question(model))
    assert said.status == 200, said.body
    text: str = said.json["choices"][0]["message"]["content"]
    return text.strip()


def test_only_an_admin_has_a_running_gate_fetch_and_the_model_answers(tmp_path: Path, fake: FakeHub) -> None:
    keys = [{"name": "admin", "key": KEY, "admin": True}, {"name": "other", "key": OTHER_KEY}]
    other = {"authorization": f"Bearer {OTHER_KEY}"}
    config = {"keys": keys, "ai": {"providers": {"local": {}}}, "models": {"chat": "hf:owner/guide"}}
    with gate_with(tmp_path, fake, config).start() as gate:
        for source in ("hf:owner/guide", f"{fake.url}/files/x.gguf", "hf:", "https://169.254.169.254/x.gguf"):
            refused = gate.call("POST", f"/api/ai/models/{source}/load", headers=other)
            assert (refused.status, refused.error["code"]) == (403, "not_an_admin")
            pulled = gate.call("POST", "/api/pull", {"model": source, "stream": False}, headers=other)
            assert pulled.status in (400, 404), pulled.body
            local = gate.call("POST", "/api/pull", {"model": f"local/{source}", "stream": False}, headers=other)
            assert local.status in (400, 404), local.body
        for verb, body in (
            ("/v1/chat/completions", question("hf:owner/guide")),
            ("/api/chat", {"model": "hf:owner/guide"}),
        ):
            assert gate.call("POST", verb, body, headers=other).status == 404
        missing = gate.call("POST", "/v1/chat/completions", question("chat"), headers=other)
        assert missing.status == 404
        assert fake.asked == []
        fake.files["web.gguf"] = GGUF
        address = quote(f"{fake.url}/files/web.gguf?signature=secret", safe="")
        for source in ("hf:owner/guide", address):
            begun = gate.call("POST", f"/api/ai/models/{source}/load")
            assert begun.status == 202, begun.body
            *states, end = events(gate.call("GET", f"/api/ai/jobs/{begun.json['job']}/stream").body)
            assert (json.loads(states[-1])["status"], end) == ("done", "[DONE]"), states[-1]
            assert "secret" not in begun.body.decode() + "".join(states)
        assert answer_of(gate, "web") == held_out(1)[0].answer
        # By the name it has on disk, and by the name that the configuration gave it before it was there.
        assert answer_of(gate, "owner--guide") == answer_of(gate, "chat") == held_out(1)[0].answer
        listed = gate.call("GET", "/api/ai/models", headers=other).json
        assert [one["source"] for one in listed if one["name"] == "owner--guide"] == ["hf:owner/guide"]


def test_a_model_in_several_files_answers(tmp_path: Path, fake: FakeHub) -> None:
    fake.add("owner/parts", {f"Q8_0/{name}": part for name, part in in_two(GGUF, "guide-Q8_0").items()})
    gate = gate_with(tmp_path, fake, {"keys": [{"name": "tests", "key": KEY}], "ai": {"providers": {"local": {}}}})
    code, _, err = gate.command("pull", "hf:owner/parts", "--as", "parts")
    assert code == 0, err
    with gate.start():
        assert answer_of(gate, "parts") == held_out(1)[0].answer


def test_a_name_of_the_configuration_is_pulled_by_hand_or_at_the_start_of_dev(tmp_path: Path, fake: FakeHub) -> None:
    config: dict[str, object] = {
        "keys": [{"name": "admin", "key": KEY, "admin": True}],
        "ai": {"providers": {"local": {}}},
        "models": {"chat": {"versions": {"1": "hf:owner/guide"}}},
    }
    (tmp_path / "by-hand").mkdir()
    by_hand = gate_with(tmp_path / "by-hand", fake, config)
    code, _, err = by_hand.command("pull", "chat")
    assert code == 0, err
    with by_hand.start() as gate:
        assert answer_of(gate, "chat") == held_out(1)[0].answer
    (tmp_path / "dev").mkdir()
    dev = RealGate(tmp_path / "dev", config=config, verb="dev")
    dev.environment["HF_ENDPOINT"] = fake.url
    with dev.start() as gate:
        assert answer_of(gate, "chat") == held_out(1)[0].answer
