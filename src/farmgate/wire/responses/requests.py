"""Responses requests: read from callers, written for providers that speak the dialect themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from farmgate.core.errors import MissingParameter, NotSupported, TooManyItems, UnsupportedParameter
from farmgate.core.request import Dialect, Kind, Request
from farmgate.core.words import Chat
from farmgate.wire.losses import Losses, Outgoing
from farmgate.wire.openai.rules import ListLimits, check
from farmgate.wire.responses.items import Item, Placed
from farmgate.wire.responses.reading import decode_words
from farmgate.wire.responses.rules import RESPONSES
from farmgate.wire.responses.seal import open_seal
from farmgate.wire.strictjson import BOM, JsonLimits, decode_object, encode

__all__ = ["Recalled", "ResponsesBody", "decode_request", "encode_request"]

OWN_NAMES = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "response_format": "text.format",
    "reasoning_effort": "reasoning.effort",
    "verbosity": "text.verbosity",
    "logprobs": "top_logprobs",
}
"""What callers of this dialect call the fields our words call otherwise."""
NAME = re.compile(r"(?P<field>\w+)(?:\[(?P<at>\d{1,6})\])?(?P<rest>.*)", re.DOTALL)
BEFORE = "previous_response_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled:
    """What a request stands on. `items`: all that was said before; `references`: items it names by their id.

    `provider`: the one that gave every earlier answer in this dialect and so knows it by its id; None where there is
    none.
    """

    items: tuple[Item, ...] = ()
    references: Mapping[str, Item] = field(default_factory=dict)
    provider: str | None = None


class ResponsesBody:
    """A caller's body, checked. `recall` gives it what it stands on before anybody asks for its words."""

    __slots__ = ("_limits", "_recalled", "_words", "fields", "model", "raw", "stream")

    dialect = Dialect.RESPONSES
    want_usage = True
    """Its last event tells the usage."""

    def __init__(self, raw: bytes, fields: dict[str, object], limits: ListLimits) -> None:
        self.raw = raw
        self.fields = fields
        self.model = cast("str | None", fields.get("model"))
        self.stream = fields.get("stream") is True
        self._limits = limits
        self._recalled = Recalled()
        self._words: Chat | None = None

    @property
    def previous_id(self) -> str | None:
        """The response it goes on from."""
        return cast("str | None", self.fields.get(BEFORE))

    @property
    def wants_kept(self) -> bool:
        """Whether the answer may be kept: it may unless the caller says no."""
        return self.fields.get("store") is not False

    @property
    def given(self) -> str | list[Item]:
        """The input as the caller wrote it."""
        return cast("str | list[Item]", self.fields["input"])

    @property
    def references(self) -> dict[str, str]:
        """The ids of items it names instead of repeating them, each with its place. Raises MissingParameter."""
        given = self.given
        if isinstance(given, str):
            return {}
        places: dict[str, str] = {}
        for at, item in enumerate(given):
            if is_reference(item):
                place = f"input[{at}].id"
                told = item.get("id")
                if not isinstance(told, str):
                    raise MissingParameter(f"`{place}` must name an item.", param=place)
                places[told] = place
        return places

    @property
    def recalled(self) -> Recalled:
        return self._recalled

    def recall(self, recalled: Recalled) -> None:
        """Put what was said before in front. Raises TooManyItems."""
        given = self.given
        if len(recalled.items) + (1 if isinstance(given, str) else len(given)) > self._limits.messages:
            told = f"The conversation holds more than {self._limits.messages} items with those before it."
            raise TooManyItems(told, param=BEFORE)
        self._recalled = recalled

    def items(self) -> list[Item]:
        """Its own input, the items it names put in their place."""
        given = self.given
        if isinstance(given, str):
            return [{"type": "message", "role": "user", "content": given}]
        known = self._recalled.references
        return [known.get(str(item.get("id")), item) if is_reference(item) else item for item in given]

    def ask(self) -> Chat:
        """The typed words. Raises a BadRequest for what is no conversation or has no word."""
        if self._words is None:
            before = [Placed(item, BEFORE) for item in self._recalled.items]
            own = [Placed(item, self._place(at)) for at, item in enumerate(self.items())]
            self._words = decode_words(self.fields, [*before, *own])
        return self._words

    def _place(self, at: int) -> str:
        return "input" if isinstance(self.given, str) else f"input[{at}]"

    def own_name(self, param: str) -> str:
        """A message is called by the item it came from."""
        name = NAME.fullmatch(param)
        if name is None:
            return param
        at = name["at"]
        if name["field"] == "messages" and at is not None and self._words is not None:
            messages = self._words.messages
            place = messages[int(at)].place if int(at) < len(messages) else "input"
            return place + name["rest"]
        own = OWN_NAMES.get(name["field"])
        if own is None:
            return param
        return own + ("" if at is None else f"[{at}]") + name["rest"]


def is_reference(item: Item) -> bool:
    # `type` may be left out of a reference: an id without a role is one.
    return item.get("type") == "item_reference" or (item.get("type") is None and "id" in item and "role" not in item)


def decode_request(body: bytes, kind: Kind, *, json_limits: JsonLimits, list_limits: ListLimits) -> ResponsesBody:
    """A caller's body. Raises a BadRequest that names the field, or NotSupported for work in the background."""
    fields = decode_object(body, json_limits)
    check(fields, RESPONSES, list_limits)
    if fields.get("input") is None:
        raise MissingParameter("`input` is required.", param="input")
    if fields.get("background") is True:
        told = "Responses in the background are not answered here: leave `background` out, or stream."
        raise NotSupported(told, param="background")
    if fields.get("conversation") is not None:
        # Conversations belong to the provider's account, which all our callers share.
        told = "`conversation` is not kept here: name the response before in `previous_response_id`, or send the items."
        raise UnsupportedParameter(told, param="conversation")
    return ResponsesBody(body.removeprefix(BOM), fields, list_limits)


def encode_request(request: Request, body: ResponsesBody, *, provider: str) -> Outgoing:
    """The body for a provider that speaks this dialect.

    It goes out byte for byte, unless the model has another name there or the conversation before it was not held with
    that provider alone: what it does not know by id is sent whole.
    """
    losses = Losses(provider)
    changes: dict[str, object] = {}
    recalled = body.recalled
    if (recalled.items or recalled.references) and recalled.provider != provider:
        told = [*recalled.items, *body.items()]
        sent = [foreign(item, losses) for item in told]
        changes = {"input": [item for item in sent if item is not None], BEFORE: None}
    if body.fields.get("model") != request.model and request.model:
        changes["model"] = request.model
    if not changes:
        return Outgoing(body=body.raw)
    return Outgoing(body=encode({**body.fields, **changes}), dropped=losses.dropped)


def foreign(item: Item, losses: Losses) -> Item | None:
    """An item for a provider that may not have made it: without the id it would look for, or the signature of another.

    A thought is left out unless the provider's own encryption is on it.
    """
    if item.get("type") == "reasoning":
        encrypted = item.get("encrypted_content")
        if not isinstance(encrypted, str) or open_seal(encrypted) is not None:
            losses.drop("thinking")
            return None
    return {name: value for name, value in item.items() if name not in ("id", "status", "signature")}
