"""Callers who use the SDKs of OpenAI and Anthropic as they are, and what those tell them of an answer."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from contextvars import ContextVar
from types import TracebackType
from typing import Any

import anthropic
import httpx2
import openai
from tests.faults.words import Combo, Kind, Outcome, Surface

from farmgate.mock import answer_text
from farmgate.mock.text import vector_of

__all__ = ["Callers", "prompt_of"]

PATIENCE_S = 30.0
PROMPT = "canary-of-the-prompt-4b1d9e"
"""Stands in every prompt, and may turn up nowhere."""
ENOUGH_TOKENS = 1000
NEAR = 1e-3

heard: ContextVar[Outcome] = ContextVar("heard")


def prompt_of(marker: str) -> str:
    """What is asked: the mock answers with the marker."""
    return f"{PROMPT} marker={marker}"


class Listened(httpx2.AsyncByteStream):
    """A body whose bytes are kept besides."""

    def __init__(self, stream: Any, outcome: Outcome) -> None:
        self._stream = stream
        self._outcome = outcome

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            if len(self._outcome.raw) < 1 << 20:
                self._outcome.raw += piece
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


class Listening(httpx2.AsyncHTTPTransport):
    """Notes what comes, under the SDK's feet."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        outcome = heard.get()
        outcome.status = response.status_code
        outcome.headers = dict(response.headers)
        response.stream = Listened(response.stream, outcome)
        return response


class Callers:
    """One SDK each, on connections of their own."""

    def __init__(self, url: str, key: str, *, retries: int = 0) -> None:
        client = httpx2.AsyncClient(transport=Listening(limits=httpx2.Limits(max_connections=400)), timeout=PATIENCE_S)
        self._http = client
        self.openai = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=retries, http_client=client)
        self.anthropic = anthropic.AsyncAnthropic(base_url=url, api_key=key, max_retries=retries, http_client=client)

    async def __aenter__(self) -> Callers:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def ask(
        self,
        combo: Combo,
        model: str,
        marker: str,
        *,
        text: str | None = None,
        headers: dict[str, str] | None = None,
        max_tokens: int = ENOUGH_TOKENS,
    ) -> Outcome:
        """Ask, and tell what came. `text`: what a whole answer says, where that is not what the mock says."""
        outcome = Outcome()
        token = heard.set(outcome)
        began = time.monotonic()
        try:
            is_whole = await self._read(combo, model, marker, outcome, headers or {}, max_tokens)
        except Exception as error:  # noqa: BLE001 - whatever an SDK raises is what a caller meets
            tell_error(outcome, error)
        else:
            wanted = answer_text(marker) if text is None else text
            is_right = combo.surface is Surface.EMBEDDINGS or outcome.text == wanted
            outcome.kind = Kind.WHOLE if is_whole and is_right else Kind.SILENT
        finally:
            heard.reset(token)
            outcome.took_s = time.monotonic() - began
        return outcome

    async def _read(
        self, combo: Combo, model: str, marker: str, outcome: Outcome, headers: dict[str, str], max_tokens: int
    ) -> bool:
        """Whether the answer came to its end."""
        prompt = prompt_of(marker)
        turns: Any = [{"role": "user", "content": prompt}]
        match combo.surface:
            case Surface.CHAT:
                asked = self.openai.chat.completions.create
                answer: Any = await asked(model=model, messages=turns, stream=combo.streams, extra_headers=headers)
                return await (chat_stream if combo.streams else chat_whole)(answer, outcome)
            case Surface.MESSAGES:
                told = await self.anthropic.messages.create(
                    model=model, max_tokens=max_tokens, messages=turns, stream=combo.streams, extra_headers=headers
                )
                return await (messages_stream if combo.streams else messages_whole)(told, outcome)
            case Surface.RESPONSES:
                made: Any = await self.openai.responses.create(
                    model=model, input=prompt, stream=combo.streams, extra_headers=headers
                )
                return await (responses_stream if combo.streams else responses_whole)(made, outcome)
            case Surface.EMBEDDINGS:
                vectors = await self.openai.embeddings.create(model=model, input=prompt, extra_headers=headers)
                wanted = vector_of(prompt, len(vectors.data[0].embedding))
                near = zip(vectors.data[0].embedding, wanted, strict=True)
                return len(wanted) > 1 and all(abs(one - other) < NEAR for one, other in near)


async def chat_whole(answer: Any, outcome: Outcome) -> bool:
    outcome.pieces.append(answer.choices[0].message.content or "")
    return answer.choices[0].finish_reason is not None


async def chat_stream(stream: Any, outcome: Outcome) -> bool:
    finish = None
    async with contextlib.aclosing(stream.__aiter__()) as chunks:
        async for chunk in chunks:
            for choice in chunk.choices:
                outcome.pieces.append(choice.delta.content or "")
                finish = choice.finish_reason or finish
    return finish is not None


async def messages_whole(answer: Any, outcome: Outcome) -> bool:
    outcome.pieces += [block.text for block in answer.content]
    return answer.stop_reason is not None


async def messages_stream(stream: Any, outcome: Outcome) -> bool:
    is_over = False
    async for event in stream:
        match event.type:
            case "content_block_delta":
                outcome.pieces.append(event.delta.text)
            case "message_stop":
                is_over = True
    return is_over


async def responses_whole(answer: Any, outcome: Outcome) -> bool:
    outcome.pieces.append(answer.output_text)
    return answer.status in ("completed", "incomplete")


async def responses_stream(stream: Any, outcome: Outcome) -> bool:
    status = None
    async for event in stream:
        match event.type:
            case "response.output_text.delta":
                outcome.pieces.append(event.delta)
            case "response.completed" | "response.incomplete":
                status = event.response.status
    return status is not None


def tell_error(outcome: Outcome, error: Exception) -> None:
    """What an exception tells a caller."""
    outcome.said = f"{type(error).__name__}: {error}"
    body = getattr(error, "body", None)
    match error:
        case openai.APIConnectionError() | anthropic.APIConnectionError() | httpx2.TransportError():
            outcome.kind = Kind.CUT
        case openai.APIError():
            outcome.kind = Kind.BROKEN if outcome.status == 200 else Kind.REFUSED
            outcome.code = error.code
        case anthropic.APIStatusError():
            outcome.kind = Kind.BROKEN if outcome.status == 200 else Kind.REFUSED
            told = body.get("error") if isinstance(body, dict) else None
            details = told.get("details") if isinstance(told, dict) else None
            outcome.code = details.get("error_code") if isinstance(details, dict) else None
        case _:
            outcome.kind = Kind.ODD
