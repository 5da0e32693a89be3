"""One response on its way: what it stands on is recalled before anybody is asked, and it is kept when it is whole."""

from __future__ import annotations

from typing import cast

import msgspec

from farmgate.core.errors import FarmError, NotFound, PreviousResponseNotFound, TooManyItems
from farmgate.core.event import Event
from farmgate.core.ports import Clock, KeptResponse, Responses, Target
from farmgate.core.reply import Reply
from farmgate.core.request import Request
from farmgate.surfaces.http.asking import SurfaceCodec
from farmgate.wire.openai.errors import encode_error
from farmgate.wire.openai.rules import ListLimits
from farmgate.wire.responses.answers import Envelope, Whole
from farmgate.wire.responses.items import Item, with_ids
from farmgate.wire.responses.output import Output
from farmgate.wire.responses.requests import Recalled, ResponsesBody, decode_request
from farmgate.wire.responses.stream import StreamWriter, failed_frame
from farmgate.wire.strictjson import encode

__all__ = ["Turn", "recall", "stored_items"]


class ToldOutput(msgspec.Struct):
    """A response as far as somebody goes on from it."""

    id: str = ""
    output: list[dict[str, object]] = msgspec.field(default_factory=list)


decode_output = msgspec.json.Decoder(ToldOutput).decode
decode_items = msgspec.json.Decoder(list[dict[str, object]]).decode


class Turn:
    """A Target for one request, in front of another."""

    def __init__(self, target: Target, kept: Responses, *, limits: ListLimits, clock: Clock) -> None:
        """`clock` gives Unix time."""
        self._target = target
        self._kept = kept
        self._limits = limits
        self._clock = clock
        self._writer: StreamWriter | None = None
        self.codec = SurfaceCodec(
            decode=decode_request,
            writer=self._begin,
            whole=self._whole,
            error=encode_error,
            error_frame=self._fail,
        )

    async def prepare(self, request: Request) -> None:
        """Recall what the request stands on. Raises NotFound and TooManyItems."""
        body = body_of(request)
        owner = request.principal.key_name
        before = await recall(self._kept, owner, body.previous_id, most=self._limits.messages)
        body.recall(await self._referenced(body, owner, before))

    async def send(self, request: Request) -> Reply:
        await self.prepare(request)
        body = body_of(request)
        reply = await self._target.send(request)
        if body.fields.get("store") is True and not self._kept.keeps:
            reply.dropped = (*reply.dropped, "store")
        return reply

    async def _referenced(self, body: ResponsesBody, owner: str, before: Recalled) -> Recalled:
        """What was said before, with the items the request names by their id. Raises NotFound."""
        references = body.references
        if not references:
            return before
        known = {str(item.get("id")): item for item in before.items}
        found: dict[str, Item] = {}
        providers = {before.provider} if before.items else set()
        for item_id, place in references.items():
            holder = None if item_id in known else await self._kept.find_item(owner, item_id)
            if holder is not None:
                providers.add(holder.provider)
                known |= {str(item.get("id")): item for item in said_in(holder)}
            if item_id not in known:
                raise NotFound(f"There is no item {item_id[:100]!r} in a response that is kept here.", param=place)
            found[item_id] = known[item_id]
        provider = providers.pop() if len(providers) == 1 else None
        return Recalled(items=before.items, references=found, provider=provider)

    # ------------------------------------------------------------------------------------------ what is answered

    def _begin(self, request: Request, reply: Reply) -> StreamWriter:
        self._writer = StreamWriter(
            self._envelope(request, reply),
            Output(request.id),
            now_unix=self._clock,
            finished=lambda response, output: self._keep(request, reply, response, output),
        )
        return self._writer

    def _whole(self, request: Request, reply: Reply, events: list[Event]) -> bytes:
        if len(events) == 1 and type(events[0]) is Whole:
            response = events[0].raw
            self._keep(request, reply, response, None)
            return response
        output = Output(request.id)
        for event in events:
            output.add(event.parts)
        output.close()
        told = self._envelope(request, reply).told(
            output.status,
            output.items,
            usage=output.usage,
            incomplete=output.incomplete,
            completed_unix=None if output.incomplete else int(self._clock()),
        )
        response = encode(told)
        self._keep(request, reply, response, output.items)
        return response

    def _fail(self, error: FarmError) -> bytes:
        return failed_frame(error) if self._writer is None else self._writer.fail(error)

    def _envelope(self, request: Request, reply: Reply) -> Envelope:
        body = body_of(request)
        return Envelope(
            id=f"resp_{request.id}",
            created_unix=int(self._clock()),
            model=reply.model,
            fields=body.fields,
            is_kept=body.wants_kept and self._kept.keeps,
            dropped=reply.dropped,
        )

    def _keep(self, request: Request, reply: Reply, response: bytes, output: list[dict[str, object]] | None) -> None:
        """`output`: None where a provider wrote the response itself."""
        body = body_of(request)
        if not body.wants_kept or not self._kept.keeps:
            return
        provider = reply.provider if output is None else None
        response_id = f"resp_{request.id}"
        if output is None:
            told = decode_output(response)
            response_id, output = told.id, told.output
        items = with_ids(body.items(), request.id)
        self._kept.keep(
            request.principal.key_name,
            KeptResponse(
                id=response_id,
                # A provider that gives an id twice would make a conversation without a beginning.
                previous_id=None if body.previous_id == response_id else body.previous_id,
                provider=provider,
                created_unix=int(self._clock()),
                item_ids=tuple(str(item["id"]) for item in (*items, *output) if "id" in item),
                response=response,
                items=encode(items),
            ),
        )


def body_of(request: Request) -> ResponsesBody:
    assert isinstance(request.body, ResponsesBody), "a turn is asked in its own dialect"
    return request.body


def stored_items(items: bytes) -> list[Item]:
    """The input a response was given, as it was kept."""
    return cast("list[Item]", decode_items(items))


def said_in(kept: KeptResponse) -> list[Item]:
    """The input and the output of a response."""
    return [*stored_items(kept.items), *decode_output(kept.response).output]


async def recall(kept: Responses, owner: str, previous_id: str | None, *, most: int) -> Recalled:
    """All that was said up to and in a response. Raises PreviousResponseNotFound, and TooManyItems above `most`."""
    found: list[KeptResponse] = []
    wanted = previous_id
    while wanted is not None:
        one = await kept.find(owner, wanted)
        if one is None:
            raise not_found(kept, wanted, previous_id)
        if len(found) >= most:
            raise TooManyItems(f"The conversation is longer than {most} responses.", param="previous_response_id")
        found.append(one)
        wanted = one.previous_id
    items = [item for one in reversed(found) for item in said_in(one)]
    providers = {one.provider for one in found}
    return Recalled(items=tuple(items), provider=providers.pop() if len(providers) == 1 else None)


def not_found(kept: Responses, wanted: str, previous_id: str | None) -> PreviousResponseNotFound:
    """What to do about a conversation whose beginning is gone."""
    which = "Response" if wanted == previous_id else "An earlier response of the conversation,"
    why = "is not kept here" if kept.keeps else "cannot be gone on from: none are kept here (responses.store is off)"
    told = f"{which} {wanted[:100]!r} {why}: send the whole conversation as `input`."
    return PreviousResponseNotFound(told, param="previous_response_id")
