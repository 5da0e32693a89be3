"""Servers of others as engines: started with a port and a key, waited for, and never left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.unit.engines.fakes import becomes

from farmgate.core.errors import EngineUnavailable
from farmgate.core.ports import Purpose
from farmgate.engines.command import COMMANDS, Command
from farmgate.engines.declared import Declared
from farmgate.engines.engine import Gpus, Spec
from farmgate.engines.lifecycle import Engines
from farmgate.engines.pulling.weights import ModelStore
from farmgate.engines.states import State
from farmgate.engines.surroundings import unasked

GIB = 1 << 30
SERVER = """
import http.server, os, signal, subprocess, sys
port, mode = int(sys.argv[1]), sys.argv[2]
if mode == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if mode == "refuses":
    sys.exit("no GPU here")
print("loading", flush=True)
helper = subprocess.Popen(["sleep", "1000"])
print("helper", helper.pid, flush=True)

class Handler(http.server.BaseHTTPRequestHandler):
    asked = 0

    def do_GET(self):
        Handler.asked += 1
        ready = Handler.asked > 2 and self.headers["authorization"] == "Bearer " + os.environ["KEY"]
        self.send_response(200 if ready else 503)
        self.end_headers()
        self.wfile.write((self.path + " " + " ".join(sys.argv[3:])).encode())

    def log_message(self, *_):
        pass

http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


def spec(**more: object) -> Spec:
    given: dict[str, object] = {
        "model": "m",
        "path": Path("/models/m"),
        "purpose": Purpose.GENERATE,
        "context_tokens": 4096,
        "parallel": 8,
        "threads": 1,
        **more,
    }
    return Spec(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", COMMANDS)
def test_each_is_told_which_model_where_and_how_large(name: str) -> None:
    engine = COMMANDS[name]
    launch = engine.launch(spec(arguments=("--dtype", "auto")), key="sesame", environment={"PATH": "/bin"})
    line = " ".join(launch.command)
    assert "sesame" not in line, "other users of the machine see command lines"
    for told in ("/models/m", "127.0.0.1", "{port}", "4096", "8"):
        assert told in line
    assert launch.command[-2:] == ("--dtype", "auto")
    assert launch.environment == {"PATH": "/bin"}
    assert engine.name == name


def words(name: str, *arguments: str, gpus: int = 1, given: Gpus | None = None) -> list[str]:
    """The command of the server itself."""
    seen = spec(arguments=arguments, gpus=given or Gpus(count=gpus))
    command = COMMANDS[name].launch(seen, key="k", environment={}).command
    return list(command[command.index("--") + 1 :])


SHARE = {
    "vllm": ("--gpu-memory-utilization", "0.2999"),
    "sglang": ("--mem-fraction-static", "0.4500"),
    "tgi": ("--cuda-memory-fraction", "0.2999"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_each_takes_of_a_gpu_what_it_was_promised_unless_its_owner_says_another_share(name: str) -> None:
    gpus = Gpus(count=1, share=0.29999, share_of_free=0.45)
    flag, told = SHARE[name]
    line = words(name, given=gpus)
    assert line[line.index(flag) + 1] == told
    for said in ((flag, "0.8"), (f"{flag}=0.8",), (flag.replace("-", "_").replace("__", "--") + "=0.8",)):
        line = words(name, *said, given=gpus)
        assert line[-len(said) :] == list(said)
        assert flag not in line[: -len(said)]


SIZE = {"vllm": "--tensor-parallel-size", "sglang": "--tp-size", "tgi": "--num-shard"}


@pytest.mark.parametrize("name", COMMANDS)
def test_each_is_told_on_how_many_gpus_it_is(name: str) -> None:
    told = words(name, gpus=4)
    assert told[told.index(SIZE[name]) + 1] == "4"
    assert COMMANDS[name].gpu_counts(spec()) == (1, 2, 4, 8)


@pytest.mark.parametrize(
    ("name", "arguments", "counts"),
    [
        ("vllm", ("--tensor-parallel-size", "2"), (2,)),
        ("vllm", ("--tensor_parallel_size=4",), (4,)),
        ("vllm", ("-tp", "2", "--pipeline-parallel-size", "3"), (6,)),
        ("vllm", ("--tensor-parallel-size", "many"), (1,)),
        ("vllm", ("--tensor-parallel-size",), (1,)),
        ("sglang", ("--tp", "8"), (8,)),
        ("tgi", ("--num-shard", "2", "--num-shard", "4"), (4,)),
    ],
)
def test_where_the_arguments_say_how_many_they_win(name: str, arguments: tuple[str, ...], counts: tuple[int]) -> None:
    assert COMMANDS[name].gpu_counts(spec(arguments=arguments)) == counts
    told = words(name, *arguments, gpus=counts[0])
    assert SIZE[name] not in told[: -len(arguments)], "it is said once"


def test_heads_of_attention_are_shared_evenly(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"num_attention_heads": 28}')
    assert COMMANDS["vllm"].gpu_counts(spec(path=tmp_path)) == (1, 2, 4)


def test_a_server_of_ones_own_splits_if_it_takes_the_number() -> None:
    own = Command(name="command", argv=("my-server", "--port", "{port}"))
    assert own.gpu_counts(spec()) == (1,)
    assert own.gpu_counts(spec(arguments=("--gpus={gpus}",))) == (1, 2, 4, 8)


def test_one_that_is_not_installed_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert COMMANDS["vllm"].missing() == "vllm is not on the PATH: pip install vllm"
    (tmp_path / "vllm").write_text("#!/bin/sh\n")
    (tmp_path / "vllm").chmod(0o755)
    assert COMMANDS["vllm"].missing() is None


class Bench:
    """Engines with one model behind a server of Python's own."""

    def __init__(self, folder: Path, mode: str = "serves") -> None:
        (folder / "server.py").write_text(SERVER)
        (folder / "m").mkdir()
        (folder / "m" / "config.json").write_text("{}")
        self.log = folder / "logs" / "engine-m@1-generate.log"
        server = Command(
            name="server",
            argv=(sys.executable, str(folder / "server.py"), "{port}", mode, "{name}", "{context}"),
            key_variable="KEY",
            runs_on=frozenset({"cpu"}),
        )
        self.engines = Engines(
            ModelStore(folder / "none", sources=()),
            log_directory=folder / "logs",
            engines={"server": server},
            environment=dict(os.environ),
            warm=unasked,
        )
        versions = {"1": str(folder / "m")}
        declared = Declared(name="m", versions=versions, version="1", engine="server", memory_bytes=GIB)
        self.engines.declare({"m": declared})

    @property
    def helper(self) -> int:
        """A process that the server has started."""
        return next(int(line.split()[1]) for line in self.log.read_text().splitlines() if line.startswith("helper"))


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    await bench.engines.close()


async def gone(pid: int) -> None:
    async with asyncio.timeout(20):
        while Path(f"/proc/{pid}").exists():
            await asyncio.sleep(0.01)


async def test_it_is_lent_once_it_answers_and_nobody_else_has_its_key(bench: Bench) -> None:
    lease = await bench.engines.lease("m")
    request = urllib.request.Request(f"{lease.url}/x", headers={"authorization": f"Bearer {lease.key}"})
    with await asyncio.to_thread(urllib.request.urlopen, request) as response:
        assert response.read() == b"/x m 2048"
    assert bench.engines.devices()[0].models == {"m@1 (generate)": GIB}, "as its owner said"
    assert bench.engines.states()[0].engine == "server"


async def test_it_ends_with_all_it_has_started(bench: Bench) -> None:
    await bench.engines.lease("m")
    helper = bench.helper
    await bench.engines.close()
    await gone(helper)


async def test_where_it_is_killed_all_of_it_goes_and_it_comes_back(bench: Bench) -> None:
    (await bench.engines.lease("m")).release()
    (supervisor,) = bench.engines.supervisors()
    assert supervisor.pid is not None
    helper = bench.helper
    server = int(Path(f"/proc/{helper}/stat").read_text().split()[3])
    os.kill(server, signal.SIGKILL)
    await becomes(supervisor, State.FAILED)
    await gone(helper)
    await becomes(supervisor, State.READY)


async def test_where_its_wrapper_is_killed_the_server_goes_too(bench: Bench) -> None:
    (await bench.engines.lease("m")).release()
    (supervisor,) = bench.engines.supervisors()
    helper = bench.helper
    server = int(Path(f"/proc/{helper}/stat").read_text().split()[3])
    os.kill(supervisor.pid or 0, signal.SIGKILL)
    await gone(server)
    await gone(helper)


async def test_where_the_gate_is_killed_all_of_it_goes(tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text(SERVER)
    wrapped = (sys.executable, "-P", "-m", "farmgate.engines.wrapper", "--parent", str(os.getpid()), "--ready", "/")
    server = (sys.executable, str(tmp_path / "server.py"), "{port}", "serves")
    with subprocess.Popen(
        [*wrapped, "--key-variable", "KEY", "--", *server],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as wrapper:
        assert wrapper.stdin is not None
        assert wrapper.stdout is not None
        assert wrapper.stderr is not None
        wrapper.stdin.write(b"sesame\n")
        wrapper.stdin.flush()
        assert b"http://127.0.0.1" in await asyncio.to_thread(wrapper.stdout.readline)
        assert wrapper.stderr.readline() == b"loading\n"
        helper = int(wrapper.stderr.readline().split()[1])
        # Its other end is closed with whoever holds it, however that ends.
        wrapper.stdin.close()
        await gone(helper)


async def test_one_that_will_not_end_leaves_nothing_behind(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "deaf")
    await bench.engines.lease("m")
    helper = bench.helper
    await bench.engines.close()
    await gone(helper)


async def test_one_that_does_not_come_up_says_why(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "refuses")
    with pytest.raises(EngineUnavailable, match="exited with code 1 at its start"):
        await bench.engines.lease("m")
    assert bench.engines.states()[0].failure == "exited with code 1 at its start (no GPU here)"
    await bench.engines.close()
