"""What a `data:` URL holds, and what is none."""

from __future__ import annotations

import pytest

from farmgate.wire.inline import Inline, document_of, inline_of


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


@pytest.mark.parametrize(
    ("told", "held"),
    [
        ("AAAA", ("application/pdf", "AAAA")),
        ("data:text/plain;base64,AAAA", ("text/plain", "AAAA")),
        ("DATA:Text/Plain;charset=utf-8;base64,AAAA", ("text/plain", "AAAA")),
    ],
)
def test_a_document_is_base64_alone_or_in_a_data_url(told: str, held: tuple[str, str]) -> None:
    document = document_of(told)
    assert (document.media_type, document.base64) == held
