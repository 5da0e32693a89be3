"""Requests to a provider, and what comes of them; keys of nobody for those that speak to AWS."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from farmgate.core.answer import Answer, fold, gather
from farmgate.core.identity import ANONYMOUS
from farmgate.core.request import Body, Kind, Request, Typed
from farmgate.core.words import Ask, Chat, Message, Role
from farmgate.providers.provider import Provider

__all__ = ["REGION", "SECRET", "answered", "asking", "hi", "use_keys"]

REGION = "eu-west-1"
SECRET = "CANARY-secret"
WITHIN_S = 10.0


def use_keys(monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    """Only these keys are found, wherever botocore looks."""
    for name in tuple(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "CANARY-session")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(directory / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(directory / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def hi(**more: Any) -> Chat:
    """The shortest chat; `more`: its other fields."""
    return Chat(messages=(Message(role=Role.USER, content="hi"),), **more)


def asking(
    words: Ask,
    *,
    body: Body | None = None,
    kind: Kind = Kind.CHAT,
    model: str = "m",
    stream: bool = False,
    usage: bool = True,
) -> Request:
    """A request on its way to one model."""
    return Request(
        id="r",
        kind=kind,
        body=body or Typed(words),
        principal=ANONYMOUS,
        deadline=asyncio.get_running_loop().time() + 60.0,
        started=0.0,
        model=model,
        stream=stream,
        want_usage=usage,
    )


async def answered(provider: Provider, request: Request) -> Answer:
    """The whole answer. Raises what broke it."""
    async with asyncio.timeout(WITHIN_S):
        return fold(await gather(await provider.send(request)))
