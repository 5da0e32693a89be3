"""A request on its way."""

from __future__ import annotations

from farmgate.core.identity import Principal
from farmgate.core.request import Dialect, Kind, Request, Typed
from farmgate.core.words import Complete


def test_addressing_a_request_changes_only_the_address() -> None:
    body = Typed(Complete(prompt="a"))
    asked = Request(
        id="i",
        kind=Kind.COMPLETION,
        body=body,
        principal=Principal(key_name="k"),
        deadline=5.0,
        started=4.0,
        model="default",
        stream=True,
        want_usage=True,
        asked_id="mine",
    )
    to = asked.to(provider="p", model="m")
    changed = {name for name in Request.__slots__ if getattr(to, name) != getattr(asked, name)}
    assert changed == {"provider", "model"}
    assert (to.provider, to.model, asked.provider, asked.model) == ("p", "m", None, "default")


def test_typed_words_have_no_bytes() -> None:
    body = Typed(Complete(prompt="a"))
    assert (body.dialect, body.raw, dict(body.fields)) == (Dialect.TYPED, b"", {})
    assert body.ask() == Complete(prompt="a")
