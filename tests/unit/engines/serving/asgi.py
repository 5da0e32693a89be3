"""An application asked without a socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from farmgate.engines.serving.app import App

__all__ = ["KEY", "asked", "told"]

KEY = "the engine's own key"


async def asked(
    app: App, path: str, *, method: str = "GET", key: str = KEY, body: Sequence[bytes | None] = (b"",)
) -> list[dict[str, Any]]:
    """What the application sends. A body that ends in None breaks off; whoever asked stays until they are answered."""
    sent: list[dict[str, Any]] = []
    left = [
        {"type": "http.request", "body": piece, "more_body": at + 1 < len(body)}
        if piece is not None
        else {"type": "http.disconnect"}
        for at, piece in enumerate(body)
    ]
    answered = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if left:
            return left.pop(0)
        await answered.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            answered.set()

    headers = [(b"authorization", f"Bearer {key}".encode())]
    await app({"type": "http", "method": method, "path": path, "headers": headers}, receive, send)
    return sent


def told(sent: list[dict[str, Any]]) -> tuple[int, Any]:
    """The status and the JSON of a whole answer."""
    start, body = sent
    return start["status"], json.loads(body["body"])
