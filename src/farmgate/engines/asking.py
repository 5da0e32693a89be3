"""An engine that has just come up is asked for one token: what listens does not yet answer."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from farmgate.core.errors import EngineUnavailable
from farmgate.core.ports import Lease, Purpose
from farmgate.engines.adapters import Order
from farmgate.engines.declared import Question
from farmgate.engines.engine import Spec
from farmgate.engines.leases import Address
from farmgate.engines.process import EngineDied

__all__ = ["NoAnswer", "ask", "carry_out", "check_answer", "check_status", "exchange", "status_of", "warm"]

ANSWER_BYTES = 1 << 20
QUESTION_S = 120.0
QUESTION_TOKENS = 128
PIECES = re.compile(rb"\r\ntransfer-encoding: *chunked\b", re.IGNORECASE)
SIZE = re.compile(rb"[0-9A-Fa-f]{1,8}")
ORDER_S = 120.0
"""How long an engine may take over an adapter."""


class NoAnswer(Exception):
    """It did not answer as an engine does; the text says how."""


async def warm(spec: Spec, address: Address) -> None:
    """Have it compute something. Raises EngineDied: it came up, and cannot do what it is for."""
    try:
        if spec.purpose is Purpose.INFER:
            # What it takes only it knows; its own `load` has run, and told if it could not.
            await ask(address.url, address.key, "/v2/health/ready", {})
        elif spec.purpose is Purpose.EMBED:
            await ask(address.url, address.key, "/v1/embeddings", {"model": spec.model, "input": "a"})
        elif spec.purpose is Purpose.RERANK:
            await ask(address.url, address.key, "/v1/rerank", {"model": spec.model, "query": "a", "documents": ["a"]})
        else:
            body = {"model": spec.model, "prompt": "a", "max_tokens": 1, "temperature": 0}
            await ask(address.url, address.key, "/v1/completions", body)
    except NoAnswer as error:
        raise EngineDied(f"came up and, asked for one token, {error}") from error


async def check_answer(lease: Lease, model: str, question: Question) -> None:
    """Ask a new version what its owner wants asked. Raises EngineUnavailable where the answer is not as expected."""
    messages = [{"role": "user", "content": question.ask}]
    asked = {"model": model, "messages": messages, "max_tokens": QUESTION_TOKENS, "temperature": 0}
    body = {**asked, **lease.fields}
    try:
        async with asyncio.timeout(QUESTION_S):
            told = await ask(lease.url, lease.key, "/v1/chat/completions", body)
        text = told["choices"][0]["message"]["content"]  # type: ignore[index]
    except TimeoutError:
        raise EngineUnavailable(f"The new version of {model} did not answer within {QUESTION_S:g} s.") from None
    except (NoAnswer, LookupError, TypeError) as error:
        raise EngineUnavailable(f"The new version of {model} did not answer: {error}.") from error
    if question.expect not in str(text):
        raise EngineUnavailable(
            f"The new version of {model} answered {str(text)[:200]!r}, and {question.expect!r} was expected in it."
        )


async def ask(url: str, key: str, path: str, body: dict[str, object]) -> dict[str, object]:
    """What an engine answers, as JSON. Raises NoAnswer."""
    return read_answer(await exchange(url, key, "POST", path, body))


async def carry_out(address: Address, order: Order) -> None:
    """Have an engine do something, whatever it says of it. Raises NoAnswer where it did not, or not in time."""
    try:
        async with asyncio.timeout(ORDER_S):
            answer = await exchange(address.url, address.key, order.method, order.path, order.body)
    except TimeoutError:
        raise NoAnswer(f"did not do it within {ORDER_S:g} s") from None
    check_status(answer, "2")


async def exchange(url: str, key: str, method: str, path: str, body: Mapping[str, object] | None = None) -> bytes:
    """The whole of an engine's HTTP answer. Raises NoAnswer where there is none."""
    parts = urlsplit(url)
    content = json.dumps(body).encode() if body is not None else b""
    kind = "content-type: application/json\r\n" if content else ""
    # HTTP/1.0: the answer ends with the connection.
    head = (
        f"{method} {path} HTTP/1.0\r\nhost: {parts.netloc}\r\nauthorization: Bearer {key}\r\n"
        f"{kind}content-length: {len(content)}\r\n\r\n"
    )
    try:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=ANSWER_BYTES)
        try:
            writer.write(head.encode() + content)
            answer = await read_all(reader)
        finally:
            writer.close()
    except OSError as error:
        raise NoAnswer(f"broke the connection ({error})") from error
    return answer


async def read_all(reader: asyncio.StreamReader) -> bytes:
    pieces, size = [], 0
    while piece := await reader.read(65536):
        pieces.append(piece)
        size += len(piece)
        if size > ANSWER_BYTES:
            raise NoAnswer("answered without an end")
    return b"".join(pieces)


def read_answer(answer: bytes) -> dict[str, object]:
    """The JSON object in the whole of an HTTP answer. Raises NoAnswer for anything else."""
    body = check_status(answer, "200")
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        raise NoAnswer("answered something else than JSON") from None
    if not isinstance(told, dict):
        raise NoAnswer("answered something else than a JSON object")
    return told


def status_of(answer: bytes) -> str:
    """The status of an HTTP answer. Raises NoAnswer for what is none."""
    status = answer.partition(b"\r\n")[0].split(None, 2)[1:2]
    if not answer.startswith(b"HTTP/") or not status:
        raise NoAnswer("answered nothing" if not answer else "did not answer in HTTP")
    return status[0].decode("latin-1")[:8]


def check_status(answer: bytes, begins: str) -> bytes:
    """The body of an HTTP answer whose status begins so. Raises NoAnswer for any other."""
    status = status_of(answer)
    head, _, body = answer.partition(b"\r\n\r\n")
    if not status.startswith(begins):
        raise NoAnswer(f"answered HTTP {status}: {body[:300].decode('utf-8', 'replace')}")
    # Some servers send pieces to whoever they are asked by.
    return in_one_piece(body) if PIECES.search(head) is not None else body


def in_one_piece(body: bytes) -> bytes:
    """A body of pieces, each behind its size. Raises NoAnswer where it is none."""
    pieces: list[bytes] = []
    at = 0
    while True:
        end = body.find(b"\r\n", at)
        told = body[at:end].partition(b";")[0].strip()
        if end < 0 or SIZE.fullmatch(told) is None:
            raise NoAnswer("answered in pieces that do not fit")
        size, at = int(told, 16), end + 2
        if size == 0:
            return b"".join(pieces)
        pieces.append(body[at : at + size])
        at += size + 2
