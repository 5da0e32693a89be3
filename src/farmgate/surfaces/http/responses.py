"""OpenAI's Responses API: POST /v1/responses, in front of any provider, and what was kept of earlier ones."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias
from urllib.parse import parse_qs

from farmgate.core.errors import (
    FarmError,
    InvalidValue,
    MethodNotAllowed,
    NotSupported,
    ResponseNotFound,
    UnknownUrl,
    UnsupportedParameter,
)
from farmgate.core.ports import Counting, KeptResponse, Responses, Target
from farmgate.core.request import Kind, Request
from farmgate.surfaces.http.asking import Asking
from farmgate.surfaces.http.exchange import Exchange, answered_by
from farmgate.surfaces.http.front import refuse
from farmgate.surfaces.http.responses_turn import Turn, recall, stored_items
from farmgate.wire.openai.errors import encode_error, error_frame
from farmgate.wire.responses.items import Item
from farmgate.wire.responses.requests import decode_request
from farmgate.wire.strictjson import encode

__all__ = ["ResponsesSurface"]

PREFIX = "/v1/responses/"
MOST_ITEMS = 100
USUAL_ITEMS = 20
ESTIMATED = (b"x-farmgate-estimated", b"true")

Endpoint: TypeAlias = Callable[[Exchange, str], Awaitable[None]]


class ResponsesSurface:
    """The endpoints. `streaming`: whether streams are answered at all (`ai.features.streaming`)."""

    def __init__(self, target: Target, kept: Responses, *, count: Counting, streaming: bool = True) -> None:
        self._target = target
        self._kept = kept
        self._count = count
        self._streaming = streaming
        self._below: Mapping[str, Mapping[str, Endpoint]] = {
            "": {"GET": self._retrieve, "DELETE": self._delete},
            "cancel": {"POST": self._cancel},
            "input_items": {"GET": self._items},
        }

    async def create(self, exchange: Exchange) -> None:
        """POST /v1/responses."""
        turn = self._turn(exchange)
        await Asking(turn, turn.codec, streaming=self._streaming).ask(exchange, Kind.CHAT)

    def _turn(self, exchange: Exchange) -> Turn:
        return Turn(self._target, self._kept, limits=exchange.desk.limits.lists, clock=time.time)

    async def input_tokens(self, exchange: Exchange) -> None:
        """POST /v1/responses/input_tokens: counted by the provider that would answer, or estimated, which a header
        tells."""
        await exchange.run(lambda: self._tell_count(exchange), shape=encode_error, frame=error_frame)

    async def _tell_count(self, exchange: Exchange) -> None:
        principal = exchange.principal()
        limits = exchange.desk.limits
        body = decode_request(await exchange.body(), Kind.CHAT, json_limits=limits.json, list_limits=limits.lists)
        request = Request(
            id=exchange.id,
            kind=Kind.CHAT,
            body=body,
            principal=principal,
            deadline=exchange.deadline,
            started=exchange.started,
            model=exchange.model or body.model,
        )
        try:
            await self._turn(exchange).prepare(request)
            counted = await self._count(request)
        except FarmError as error:
            error.param = None if error.param is None else body.own_name(error.param)
            raise
        headers = answered_by(counted.provider, counted.model)
        told = encode({"object": "response.input_tokens", "input_tokens": counted.tokens})
        await exchange.answer(200, told, (*headers, ESTIMATED) if counted.estimated else headers)

    async def compact(self, exchange: Exchange) -> None:
        """POST /v1/responses/compact is not built."""
        await refuse(exchange, NotSupported("Conversations are not compacted here: send fewer items."))

    async def below(self, exchange: Exchange) -> None:
        """What is under /v1/responses/."""
        await exchange.run(lambda: self._one(exchange), shape=encode_error, frame=error_frame)

    async def _one(self, exchange: Exchange) -> None:
        response_id, _, rest = exchange.path.removeprefix(PREFIX).partition("/")
        exchange.principal()
        methods = self._below.get(rest)
        if methods is None or not response_id:
            raise UnknownUrl(f"There is nothing at {exchange.path[:200]}.")
        endpoint = methods.get(exchange.method)
        if endpoint is None:
            allowed = ", ".join(sorted(methods))
            raise MethodNotAllowed(f"{exchange.path[:200]} answers {allowed}.", allow=allowed)
        exchange.watch()
        await endpoint(exchange, response_id)

    async def _found(self, exchange: Exchange, response_id: str) -> KeptResponse:
        kept = await self._kept.find(exchange.principal().key_name, response_id)
        if kept is None:
            raise ResponseNotFound(f"There is no response {response_id[:100]!r}{self._why()}.", param="response_id")
        return kept

    def _why(self) -> str:
        return "" if self._kept.keeps else ": none are kept here (responses.store is off)"

    async def _retrieve(self, exchange: Exchange, response_id: str) -> None:
        query = query_of(exchange)
        kept = await self._found(exchange, response_id)
        if query.get("stream") not in (None, "false"):
            told = "A response that was kept is given whole: leave `stream` out."
            raise UnsupportedParameter(told, param="stream")
        await exchange.answer(200, kept.response)

    async def _delete(self, exchange: Exchange, response_id: str) -> None:
        await self._found(exchange, response_id)
        await self._kept.forget(exchange.principal().key_name, response_id)
        await exchange.answer(200, encode({"id": response_id, "object": "response", "deleted": True}))

    async def _cancel(self, exchange: Exchange, response_id: str) -> None:
        await self._found(exchange, response_id)
        raise InvalidValue(
            "Only a response in the background can be cancelled; this one is whole.", param="response_id"
        )

    async def _items(self, exchange: Exchange, response_id: str) -> None:
        """The input of a response, that of the responses before it included, the newest first unless asked."""
        query = query_of(exchange)
        limit, order = limit_of(query), order_of(query)
        kept = await self._found(exchange, response_id)
        most = exchange.desk.limits.lists.messages
        before = await recall(self._kept, exchange.principal().key_name, kept.previous_id, most=most)
        items = [*before.items, *stored_items(kept.items)]
        await exchange.answer(200, encode(page(items, limit=limit, order=order, after=query.get("after"))))


def query_of(exchange: Exchange) -> dict[str, str]:
    """The query, of a repeated name the last value. Raises InvalidValue."""
    try:
        told = parse_qs(exchange.query.decode("ascii"), keep_blank_values=True, max_num_fields=50, errors="strict")
    except ValueError as error:
        raise InvalidValue("The query is not a proper one.") from error
    return {name: values[-1] for name, values in told.items()}


def limit_of(query: Mapping[str, str]) -> int:
    told = query.get("limit", str(USUAL_ITEMS))
    if not told.isascii() or not told.isdigit() or len(told) > 6 or not 1 <= int(told) <= MOST_ITEMS:
        raise InvalidValue(f"`limit` must be between 1 and {MOST_ITEMS}.", param="limit")
    return int(told)


def order_of(query: Mapping[str, str]) -> str:
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise InvalidValue("`order` must be `asc` or `desc`.", param="order")
    return order


def page(items: list[Item], *, limit: int, order: str, after: str | None) -> dict[str, object]:
    """A page of items. Raises InvalidValue for a cursor that is none of them."""
    told = items if order == "asc" else items[::-1]
    begin = 0
    if after is not None:
        at = next((at for at, item in enumerate(told) if item.get("id") == after), None)
        if at is None:
            raise InvalidValue("`after` must be the id of one of the items.", param="after")
        begin = at + 1
    shown = told[begin : begin + limit]
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0].get("id") if shown else None,
        "last_id": shown[-1].get("id") if shown else None,
        "has_more": begin + limit < len(told),
    }
