"""An Ollama server is adopted where one answers, started where it is only installed, and ended only if it was started.

Its models are Ollama's business: this lends an address, like every engine.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import shutil
import signal
import ssl
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from urllib.parse import SplitResult, urlsplit

from farmgate.core.errors import UpstreamInvalidResponse
from farmgate.engines.child import bound_to_us
from farmgate.engines.engine import minimal_environment
from farmgate.engines.process import how_it_ended, last_lines, tail
from farmgate.wire.ollama.models import decode_version

__all__ = ["Adopted", "Found", "Missing", "NotOllama", "Started", "ensure", "probe"]

PROBE_S = 1.0
PROBE_BYTES = 64 * 1024
START_S = 30.0
LOOK_EVERY_S = 0.1
GRACE_S = 5.0
INSTALL = "Install Ollama from ollama.com, then start it with `ollama serve`."

# Where its models lie, its devices, its own settings, and the way out for its pulls. The gate's keys stay behind.
PASSED_ON = ("OLLAMA_", "GGML_", "CUDA_", "HIP_", "ROCR_", "HSA_", "NVIDIA_", "XDG_")
PROXIES = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"})


class NotOllama(Exception):
    """Something answers at the address, or holds it in silence, and it is not Ollama; the text says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """A server that was there already. Nobody here ends it."""

    url: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """No server; `detail` says why and what to do."""

    detail: str


class Started:
    """Our own server. Whoever has one calls `stop`."""

    def __init__(self, process: Process, *, url: str, version: str, log: Path) -> None:
        self._process = process
        self.url = url
        self.version = version
        self.log = log

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.returncode is None

    async def stop(self, grace_s: float = GRACE_S) -> None:
        """SIGTERM, and SIGKILL to it and all it started after `grace_s` or when cancelled. Gone when this returns."""
        await end(self._process, grace_s)


Found: TypeAlias = Adopted | Started | Missing


async def ensure(
    url: str,
    *,
    log_directory: Path,
    start: bool,
    environment: Mapping[str, str],
    which: Callable[[str], str | None] = shutil.which,
    probe_s: float = PROBE_S,
    start_s: float = START_S,
) -> Found:
    """An Ollama server at `url`, started if `start` says so and it can be. Never raises for what may be expected.

    On Linux a started server ends with the thread that called this: call it from the one that lives as long as the
    process. Elsewhere it ends only by `stop`.
    """
    url = url.rstrip("/").removesuffix("/v1")
    try:
        if (version := await probe(url, limit_s=probe_s)) is not None:
            return Adopted(url=url, version=version)
    except NotOllama as error:
        return Missing(detail=str(error))
    host = listen_address(urlsplit(url))
    if host is None:
        return Missing(detail=f"Nothing answers at {url}. Start Ollama on that machine, or correct the url.")
    program = which("ollama")
    if program is None:
        return Missing(detail=f"Ollama is not installed, and nothing answers at {url}. {INSTALL}")
    if not start:
        return Missing(detail=f"Ollama is installed but does not run at {url}. Start it with `ollama serve`.")
    log = new_log(log_directory)
    try:
        process = await spawn(program, log, environment_for(host, environment))
    except OSError as error:
        return Missing(detail=f"{program} could not be started: {error.strerror or error}.")
    return await until_ready(process, url=url, log=log, probe_s=probe_s, start_s=start_s)


async def probe(url: str, *, limit_s: float = PROBE_S) -> str | None:
    """The version of the Ollama server at `url`; None if nothing accepts a connection there. Raises NotOllama."""
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        raise NotOllama(f"{url!r} is not an http(s) address.")
    try:
        async with asyncio.timeout(limit_s):
            answer = await get(parts, f"{parts.path.rstrip('/')}/api/version")
    except TimeoutError:
        raise NotOllama(f"{url} does not answer within {limit_s:g} s.") from None
    except ssl.SSLError as error:
        raise NotOllama(f"{url} does not speak TLS as we do: {error.reason}.") from error
    except (OSError, UnicodeError):  # UnicodeError: a host that no name server could know.
        return None
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head.split(b"\r\n", 1)[0].split(b" ")
    if len(status) > 1 and status[1] == b"200":
        with suppress(UpstreamInvalidResponse):
            return decode_version(body, provider="ollama")
    raise NotOllama(f"Something that is not Ollama answers at {url}: stop it, or give Ollama another url.")


async def get(parts: SplitResult, path: str) -> bytes:
    """The answer to one GET, head and body. HTTP/1.0, so that its end is the end of the connection."""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=parts.scheme == "https" or None)
    try:
        writer.write(f"GET {path} HTTP/1.0\r\nhost: {parts.netloc.rpartition('@')[2]}\r\n\r\n".encode())
        answer = b""
        while len(answer) < PROBE_BYTES and (data := await reader.read(PROBE_BYTES)):
            answer += data
        return answer
    finally:
        writer.transport.abort()


def listen_address(parts: SplitResult) -> str | None:
    """What OLLAMA_HOST must be for a server to answer there; None where that is not for this machine to decide."""
    host = parts.hostname or ""
    if parts.scheme != "http" or parts.path.strip("/"):
        return None
    if host == "localhost":
        host = "127.0.0.1"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if not address.is_loopback:
        return None
    return f"[{host}]:{parts.port or 80}" if address.version == 6 else f"{host}:{parts.port or 80}"


def environment_for(host: str, environment: Mapping[str, str]) -> dict[str, str]:
    """What of the gate's own environment `ollama serve` may see, and where it is to listen."""
    seen = {
        name: value
        for name, value in environment.items()
        if name.startswith(PASSED_ON) or name.upper() in PROXIES or name == "USER"
    }
    return minimal_environment(environment) | seen | {"OLLAMA_HOST": host}


def new_log(directory: Path) -> Path:
    """An empty log; that of the server before it becomes `ollama.log.1`."""
    directory.mkdir(parents=True, exist_ok=True)
    log = directory / "ollama.log"
    if log.exists():
        log.replace(log.with_name("ollama.log.1"))
    return log


async def spawn(program: str, log: Path, environment: Mapping[str, str]) -> Process:
    """`ollama serve` in a session of its own: Ctrl-C in the terminal is for the gate, which ends it in order."""
    # SIGTERM and not SIGKILL: `ollama serve` ends the processes that hold its models.
    command = bound_to_us((program, "serve"), signal.SIGTERM)
    with log.open("ab") as file:
        return await asyncio.create_subprocess_exec(
            *command, stdin=DEVNULL, stdout=file, stderr=STDOUT, env=dict(environment), start_new_session=True
        )


async def until_ready(process: Process, *, url: str, log: Path, probe_s: float, start_s: float) -> Found:
    """The server once it answers. It is ended where it does not within `start_s`, or when this is cancelled."""
    loop = asyncio.get_running_loop()
    last = loop.time() + start_s
    ending = asyncio.ensure_future(process.wait())
    server: Started | None = None
    try:
        while not ending.done() and loop.time() < last:
            version = await quietly(url, probe_s)
            if version is not None and not ending.done():
                server = Started(process, url=url, version=version, log=log)
                return server
            await asyncio.wait({ending}, timeout=LOOK_EVERY_S)
        if not ending.done():
            return Missing(detail=f"`ollama serve` did not answer at {url} within {start_s:g} s. Its log: {log}")
        # Somebody else may have started one at the same moment: ours finds its port taken then.
        if (version := await quietly(url, probe_s)) is not None:
            return Adopted(url=url, version=version)
        why = f"`ollama serve` {how_it_ended(ending.result())}: {last_lines(tail(log)) or 'it does not say why'}"
        return Missing(detail=f"{why}. Its log: {log}")
    finally:
        if server is None:
            await end(process, GRACE_S)
        else:
            ending.cancel()


async def quietly(url: str, limit_s: float) -> str | None:
    """The version of the server at `url`, or None while it is not ready."""
    try:
        return await probe(url, limit_s=limit_s)
    except NotOllama:
        return None


async def end(process: Process, grace_s: float) -> None:
    """End our own child. One that is gone already is left alone: its number may be somebody else's by now."""
    ending = asyncio.ensure_future(process.wait())
    try:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        await asyncio.wait({ending}, timeout=grace_s)
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        await asyncio.wait({ending})
