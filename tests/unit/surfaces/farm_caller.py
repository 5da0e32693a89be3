"""A caller of the typed API in this process, and the gate it calls: a target told what to do, and models to list."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections import deque
from collections.abc import Awaitable, Callable, Container, Mapping, MutableMapping
from typing import Any, TypeAlias

from tests.fakes.care import FakeCare

from farmgate.core.errors import FarmError, InvalidValue
from farmgate.core.event import Event, Finish, Part, Text, Usage
from farmgate.core.model import Health, HealthStatus, ModelInfo
from farmgate.core.ports import Report
from farmgate.core.reply import Reply
from farmgate.core.request import Request
from farmgate.surfaces.http.auth import Doorman
from farmgate.surfaces.http.desk import Desk, HttpLimits
from farmgate.surfaces.http.farm import farm_app
from farmgate.telemetry import Telemetry
from farmgate.wire.openai.rules import ListLimits
from farmgate.work.jobs import Jobs

Step: TypeAlias = Part | FarmError | asyncio.Event
Message: TypeAlias = MutableMapping[str, Any]

KEY = "sk-farm-test"
OTHER_KEY = "sk-farm-other"
ANSWER: tuple[Step, ...] = (Text("Hel"), Text("lo"), Finish(), Usage(prompt_tokens=3, completion_tokens=2))


class FakeTarget:
    """Answers with these steps: a part is said, an error raised, an event waited for."""

    def __init__(self, *steps: Step, refuses: FarmError | None = None, dropped: tuple[str, ...] = ()) -> None:
        self.steps = steps or ANSWER
        self.dropped = dropped
        self.refuses = refuses
        self.asked: list[Request] = []
        self.replies: list[Reply] = []

    async def send(self, request: Request) -> Reply:
        self.asked.append(request)
        if self.refuses is not None:
            raise self.refuses
        left = deque(self.steps)

        async def following() -> Event | None:
            while left:
                match left.popleft():
                    case FarmError() as error:
                        raise error
                    case asyncio.Event() as gate:
                        await gate.wait()
                    case part:
                        return Event((part,))
            return None

        reply = Reply(following, provider=request.provider or "ollama", model=request.model or "llama3.1")
        reply.dropped = self.dropped
        self.replies.append(reply)
        return reply


class Gate:
    """The app, and what it was given."""

    def __init__(
        self,
        target: FakeTarget | None = None,
        *,
        keys: bool = False,
        streaming: bool = True,
        admins: Container[str] = frozenset(),
    ) -> None:
        self.target = target or FakeTarget()
        self.jobs = Jobs(time.time)
        self.care = FakeCare()
        self.loads: list[tuple[str, str | None]] = []
        self.fetches: list[str] = []
        self.loading: Callable[[Report], Awaitable[None]] | None = None
        digests = {
            hashlib.sha256(key.encode()).hexdigest(): name for key, name in ((KEY, "tests"), (OTHER_KEY, "others"))
        }
        limits = HttpLimits(body_bytes=1 << 20, lists=ListLimits(messages=3, inputs=3))
        doorman = Doorman(digests if keys else {}, admins=admins)
        self.desk = Desk(doorman=doorman, limits=limits, telemetry=Telemetry())
        self.app = farm_app(
            self.desk,
            target=self.target,
            models=self,
            health=self.health,
            load=self.load,
            fetch=self.fetch,
            jobs=self.jobs,
            care=self.care,
            streaming=streaming,
        )

    def models(self) -> list[ModelInfo]:
        return [
            ModelInfo(name="llama3.1", provider="ollama", size_bytes=7, description="A llama.", loaded=True),
            ModelInfo(name="gpt-4", provider="openai"),
        ]

    async def refresh(self) -> None: ...

    async def health(self) -> Mapping[str, Health]:
        return {
            "ollama": Health(name="ollama", status=HealthStatus.HEALTHY, models=("llama3.1",)),
            "idle": Health(name="idle", status=HealthStatus.UNHEALTHY, detail="Start it."),
        }

    async def fetch(self, source: str, report: Report) -> None:
        self.fetches.append(source)
        if self.loading is not None:
            await self.loading(report)

    async def load(self, model: str, provider: str | None, report: Report) -> None:
        if provider == "nobody":
            raise InvalidValue("There is no provider 'nobody'.", param="provider")
        self.loads.append((model, provider))
        if self.loading is not None:
            await self.loading(report)


class Call:
    """One HTTP call under way."""

    def __init__(self, gate: Gate, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> None:
        path, _, query = path.partition("?")
        self.status = 0
        self.headers: dict[str, str] = {}
        self.pieces: list[bytes] = []
        self.is_complete = False
        self.heard = asyncio.Event()
        self._left = asyncio.Event()
        self._body: bytes | None = body
        told = {"host": "127.0.0.1", "content-length": str(len(body))} | dict(headers)
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in told.items()],
            "server": ("127.0.0.1", 8000),
            "client": ("127.0.0.1", 50000),
        }
        self.task = asyncio.create_task(gate.app(scope, self._receive, self._send))

    async def _receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            self.pieces.append(message.get("body", b""))
            self.is_complete = not message.get("more_body", False)
        self.heard.set()

    async def hears(self, number: int) -> None:
        """Wait until that many pieces have come."""
        while len(self.pieces) < number:
            self.heard.clear()
            await self.heard.wait()

    def leave(self) -> None:
        """The client closes the connection."""
        self._left.set()

    @property
    def text(self) -> str:
        return b"".join(self.pieces).decode()

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def events(self) -> list[Any]:
        """The data of each frame; `[DONE]` as text."""
        frames = self.text.removesuffix("\n\n").split("\n\n")
        told = [frame.removeprefix("data: ") for frame in frames]
        return [data if data == "[DONE]" else json.loads(data) for data in told]

    @property
    def error(self) -> Any:
        """The error object, once it has been seen to be one."""
        error = self.json["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert len(error["message"]) <= 200
        assert self.headers["content-type"] == "application/json"
        assert self.headers["x-request-id"]
        return error


def begin(gate: Gate, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Call:
    """Call, and do not wait. Bytes are sent as they are, everything else as JSON."""
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    typed = {} if body is None else {"content-type": "application/json"}
    return Call(gate, method, path, data, typed | dict(headers or {}))


async def ask(
    gate: Gate, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
) -> Call:
    """Call and wait for the end of the answer."""
    call = begin(gate, method, path, body, headers)
    await call.task
    assert call.is_complete
    return call
