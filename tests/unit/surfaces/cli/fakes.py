"""A house for the command line's tests: no engine, no network, no weights, and everything that was asked of it."""

from __future__ import annotations

import asyncio
import io
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from farmgate.admin.prices import Beside
from farmgate.config import Config, ConfigError
from farmgate.config.reloads import Reload, Source
from farmgate.core.errors import FarmError, ModelNotFound
from farmgate.core.event import Event, Finish, Part, Text, Usage
from farmgate.core.model import Health, HealthStatus, ModelInfo
from farmgate.core.ports import Progress, Report
from farmgate.core.reply import Reply
from farmgate.core.request import Request
from farmgate.core.usage import Call
from farmgate.core.words import Chat
from farmgate.flow.explain import Explanation, Question
from farmgate.surfaces.cli.house import Finding, OpenGate
from farmgate.surfaces.cli.program import program

STARTER = ModelInfo(name="starter", provider="local", size_bytes=98_362_432, context_tokens=8192, loaded=False)
HELLO: tuple[Part, ...] = (Text("Hel"), Text("lo"), Finish(), Usage(prompt_tokens=3, completion_tokens=2))


@dataclass
class FakeTarget:
    """Answers every request with the same parts, or fails; remembers what it was asked."""

    parts: Sequence[Part] = HELLO
    error: FarmError | None = None
    breaks: FarmError | None = None
    asked: list[Request] = field(default_factory=list)
    hangs: bool = False
    closed: list[BaseException | None] = field(default_factory=list)

    async def send(self, request: Request) -> Reply:
        self.asked.append(request)
        if self.error:
            raise self.error
        left = [Event((part,)) for part in self.parts]

        async def following() -> Event | None:
            if left:
                return left.pop(0)
            if self.breaks:
                raise self.breaks
            if self.hangs:
                await asyncio.Event().wait()
            return None

        reply = Reply(following, provider="local", model=request.model or "starter")
        reply.when_closed(self.closed.append)
        return reply

    @property
    def chat(self) -> Chat:
        """What was asked last."""
        words = self.asked[-1].body.ask()
        assert isinstance(words, Chat)
        return words


@dataclass
class FakeGate:
    """An open gate with what it is told to have."""

    target: FakeTarget = field(default_factory=FakeTarget)
    findings: tuple[Finding, ...] = (Finding(name="local", is_there=True, text="1 model"),)
    default: tuple[str, str | None] | None = ("local", "starter")
    is_demo: bool = False
    known: list[ModelInfo] = field(default_factory=lambda: [STARTER])
    healths: dict[str, Health] = field(
        default_factory=lambda: {"local": Health(name="local", status=HealthStatus.HEALTHY, models=("starter",))}
    )
    loads: list[tuple[str, str | None]] = field(default_factory=list)
    error: FarmError | None = None
    explains: Callable[[Question], Explanation] | None = None
    questions: list[Question] = field(default_factory=list)

    def explain(self, question: Question) -> Explanation:
        assert self.explains is not None
        self.questions.append(question)
        return self.explains(question)

    def models(self) -> list[ModelInfo]:
        return self.known

    async def refresh(self) -> None:
        """Nothing changes."""

    async def health(self) -> Mapping[str, Health]:
        return self.healths

    async def load(self, model: str, provider: str | None, report: Report) -> None:
        self.loads.append((model, provider))
        if self.error:
            raise self.error
        report(Progress(status="downloading", completed=50, total=100))
        report(Progress(status="downloading", completed=100, total=100))


@dataclass
class FakeWeights:
    """Weights in memory."""

    known: dict[str, ModelInfo] = field(default_factory=dict)
    pulls: list[str] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)
    begun: set[str] = field(default_factory=set)
    error: FarmError | None = None
    shipped: frozenset[str] = frozenset()
    """Models that come without a network."""

    def models(self) -> tuple[ModelInfo, ...]:
        return tuple(self.known.values())

    def path(self, model: str) -> Path | None:
        return Path(f"/weights/{model}.gguf") if model in self.known else None

    async def pull(self, model: str, report: Report) -> Path:
        self.pulls.append(model)
        for completed in range(0, 101, 5):
            report(Progress(status="downloading", completed=completed * 1_000_000, total=100_000_000))
        if self.error and model not in self.shipped:
            raise self.error
        if model not in ("starter", *self.shipped):
            raise ModelNotFound(f"There is no model {model}.")
        self.known[model] = STARTER
        return Path(f"/weights/{model}.gguf")

    def source(self, text: str) -> Path | None:
        return self.path(text)

    async def fetch(self, source: str, report: Report, *, name: str | None = None) -> str:
        self.names.append(name)
        if not source.startswith(("hf:", "http", ".")):
            return (await self.pull(source, report)).stem
        self.pulls.append(source)
        report(Progress(status="downloading", completed=5, total=10))
        if self.error:
            raise self.error
        stored = name or "made-from-it"
        self.known[stored] = replace(STARTER, name=stored)
        return stored

    def remove(self, model: str) -> bool:
        was_begun = model in self.begun
        self.begun.discard(model)
        return self.known.pop(model, None) is not None or was_begun


@dataclass
class FakeHouse:
    """The House of the tests. `during` is called while it serves, with the gate's `stop` and the command's hooks."""

    gate: FakeGate = field(default_factory=FakeGate)
    store: FakeWeights = field(default_factory=FakeWeights)
    engine: bool = True
    journal: list[Call] = field(default_factory=list)
    beside: Beside = field(default_factory=Beside)
    during: Callable[[Serving], None] = lambda serving: None
    prepared: list[Config] = field(default_factory=list)
    opened: list[Config] = field(default_factory=list)
    registered: list[Path] = field(default_factory=list)
    served: list[Config] = field(default_factory=list)
    taken: str | None = None
    wrong: str | None = None
    notices: tuple[str, ...] = ()

    @asynccontextmanager
    async def open(self, config: Config) -> AsyncIterator[OpenGate]:
        self.opened.append(config)
        yield self.gate

    def listen(self, host: str, port: int) -> socket.socket:
        if self.taken:
            raise OSError(self.taken)
        return socket.create_server((host, port))

    async def serve(
        self,
        config: Config,
        sock: socket.socket,
        *,
        ready: Callable[[OpenGate, Callable[[], None]], None],
        reload: Source | None = None,
        reloaded: Callable[[Reload, OpenGate], None] | None = None,
    ) -> None:
        self.served.append(config)
        stopped = asyncio.Event()
        ready(self.gate, stopped.set)
        assert reload is not None
        assert reloaded is not None
        self.during(Serving(stop=stopped.set, reload=reload, reloaded=reloaded, gate=self.gate))
        stopped.set()
        await stopped.wait()

    async def prepare(self, config: Config, report: Callable[[str], Report]) -> tuple[Finding, ...]:
        self.prepared.append(config)
        return ()

    def weights(self, config: Config) -> FakeWeights:
        return self.store

    def has_engine(self) -> bool:
        return self.engine

    def register(self, config: Config, path: Path) -> str:
        self.registered.append(path)
        return path.stem

    def prices(self, config: Config) -> Beside:
        return self.beside

    def check(self, config: Config) -> tuple[str, ...]:
        if self.wrong:
            raise ConfigError(self.wrong)
        return self.notices

    def calls(self, config: Config) -> Iterator[Call]:
        return iter(self.journal)


@dataclass(frozen=True)
class Serving:
    """What a server under way can be told."""

    stop: Callable[[], None]
    reload: Source
    reloaded: Callable[[Reload, OpenGate], None]
    gate: FakeGate

    def read(self) -> Config | None:
        """The configuration, where its files changed. Raises ConfigError."""
        return None if self.reload.look() is None else self.reload.load()


class Terminal(io.StringIO):
    """Standard input, as a terminal or a pipe."""

    def __init__(self, text: str = "", *, is_terminal: bool = False) -> None:
        super().__init__(text)
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str


class Shell:
    """Runs commands against a FakeHouse, in an empty directory."""

    def __init__(self, house: FakeHouse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.house = house
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: str, stdin: str = "", is_terminal: bool = False) -> Ran:
        self._monkeypatch.setattr("sys.stdin", Terminal(stdin, is_terminal=is_terminal))
        self._capsys.readouterr()
        code = program(arguments, lambda: self.house)
        said = self._capsys.readouterr()
        return Ran(code, said.out, said.err)
