"""What the tests of Responses requests have in common: bodies, read in the order they are read on their way."""

from __future__ import annotations

import json
from typing import Any

from farmgate.core.request import Kind
from farmgate.core.words import Chat
from farmgate.wire.openai.rules import ListLimits
from farmgate.wire.responses.items import Item, with_ids
from farmgate.wire.responses.requests import Recalled, ResponsesBody, decode_request
from farmgate.wire.strictjson import JsonLimits

CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c", "output": "1"}


def body_of(limits: ListLimits | None = None, **fields: Any) -> ResponsesBody:
    raw = json.dumps({"model": "m", "input": "hi"} | fields).encode()
    return decode_request(raw, Kind.CHAT, json_limits=JsonLimits(), list_limits=limits or ListLimits())


def read(before: tuple[Item, ...] = (), **fields: Any) -> Chat:
    """All that is done with a body on its way, in the order it is done."""
    body = body_of(**fields)
    assert isinstance(body.references, dict)
    body.recall(Recalled(items=before))
    assert with_ids(body.items(), "r")
    words = body.ask()
    assert body.own_name("messages[0].content[1]")
    return words


def user(content: object) -> dict[str, object]:
    return {"role": "user", "content": content}
