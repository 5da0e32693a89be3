"""What a `data:` URL holds, and what is none."""

from __future__ import annotations

import pytest

from farmgate.wire.inline import Inline, inline_of


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("data:image/png;base64,AAAA", "image/png"),
        ("DATA:Image/PNG;name=a;BASE64,AAAA", "image/png"),
        ("data:;base64,AAAA", ""),
    ],
)
def test_it_holds_a_type_and_base64(url: str, kind: str) -> None:
    assert inline_of(url) == Inline(media_type=kind, base64="AAAA")


@pytest.mark.parametrize(
    "url", ["", "https://a.example/a,b", "data:image/png,AAAA", "data:image/png;base64,", "base64,A"]
)
def test_any_other_address_is_none(url: str) -> None:
    assert inline_of(url) is None
