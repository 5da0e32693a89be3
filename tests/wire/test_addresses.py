"""Which addresses a request may name: public ones; and images may be given whole."""

from __future__ import annotations

import json

import pytest

from farmgate.core.errors import BadRequest
from farmgate.core.request import Kind
from farmgate.wire.openai.requests import decode_request
from farmgate.wire.openai.rules import ListLimits
from farmgate.wire.strictjson import JsonLimits

PNG = "data:image/png;base64,iVBORw0KGgo="


def shows(part: object) -> None:
    """Send a message with a text and this part."""
    messages = [{"role": "user", "content": [{"type": "text", "text": "what"}, part]}]
    body = json.dumps({"model": "m", "messages": messages}).encode()
    decode_request(body, Kind.CHAT, json_limits=JsonLimits(), list_limits=ListLimits())


# Whether the base64 holds a picture is not looked into: decoding megabytes to find out is the provider's work.
NO_IMAGES = ["data:text/html;base64,PGI+", "data:,x", "data:image/png,abc", "data:image/png;base64,", "data:image/png"]


@pytest.mark.parametrize("url", NO_IMAGES)
def test_a_data_url_that_is_no_image_is_refused(url: str) -> None:
    with pytest.raises(BadRequest) as caught:
        shows({"type": "image_url", "image_url": {"url": url}})
    assert (caught.value.code, caught.value.param) == ("invalid_image", "messages[0].content[1]")


# Names that resolve to a private address cannot be told here: nothing is resolved, and the gate fetches no image.
PRIVATE = [
    "http://127.0.0.1/x.png",
    "http://localhost:8000/x.png",
    "http://LOCALHOST./x.png",
    "http://a.localhost/x",
    "http://10.0.0.1/x",
    "http://192.168.1.1/x",
    "http://172.16.0.1/x",
    "http://169.254.169.254/latest/meta-data",
    "http://100.64.0.1/x",
    "http://0.0.0.0/x",
    "http://0/x",
    "http://127.1/x",
    "http://2130706433/x",
    "http://0x7f000001/x",
    "http://0x7f.1/x",
    "http://017700000001/x",
    "http://127.0.0.1./x",
    "http://user:pass@127.0.0.1/x",
    "http://example.com@127.0.0.1/x",
    "http://[::1]/x",
    "http://[::]/x",
    "http://[::ffff:127.0.0.1]/x",
    "http://[::127.0.0.1]/x",
    "http://[64:ff9b::7f00:1]/x",
    "http://[2002:7f00:1::]/x",
    "http://[fe80::1]/x",
    "http://[fe80::1%25eth0]/x",
    "http://[fd00::1]/x",
    "http://\uff11\uff12\uff17.0.0.1/x",
    "http://127\u30020\u30020\u30021/x",
    "http://\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3/x",
    "http://127%2e0%2e0%2e1/x",
    "http://%6cocalhost/x",
    "http://printer/x",
    "http://nas.local/x",
    "http://metadata.google.internal/x",
    "http://router.lan/x",
    "http:\\\\127.0.0.1\\x",
    "http://example.com\\@127.0.0.1/x",
    " http://127.0.0.1/x",
    "ht\ntp://127.0.0.1/x",
    "file:///etc/passwd",
    "ftp://example.com/x",
    "gopher://example.com/x",
    "//example.com/x",
    "example.com/x.png",
    "",
    "http://",
    "http://[::1",
    "http://a..b\u00e4/x",
]


@pytest.mark.parametrize("url", PRIVATE)
def test_an_address_that_leads_into_a_private_network_is_refused(url: str) -> None:
    with pytest.raises(BadRequest) as caught:
        shows({"type": "image_url", "image_url": {"url": url}})
    assert (caught.value.code, caught.value.param) == ("url_not_allowed", "messages[0].content[1]")


@pytest.mark.parametrize(
    "url",
    [
        PNG,
        "https://example.com/x.png",
        "http://8.8.8.8/x.png",
        "https://b\u00fccher.example/x.png",
        "https://1e100.net/x.png",
        "https://[2606:4700::1111]/x.png",
        "https://[::ffff:8.8.8.8]/x.png",
        "https://user@example.com:8443/x.png?q=127.0.0.1",
    ],
)
def test_a_public_address_and_a_whole_image_pass(url: str) -> None:
    shows({"type": "image_url", "image_url": {"url": url}})
    shows({"type": "image_url", "image_url": url})


@pytest.mark.parametrize("kind", ["video_url", "audio_url", "file_url", "text"])
@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/x", "http://2130706433/", "http://[::1]/", "file:///etc/passwd", "gopher://a.b/"]
)
def test_no_part_of_any_kind_names_a_private_address(kind: str, url: str) -> None:
    name = "image_url" if kind == "text" else kind
    for address in (url, {"url": url}):
        with pytest.raises(BadRequest) as caught:
            shows({"type": kind, "text": "a", name: address, "uuid": "a"})
        assert (caught.value.code, caught.value.param) == ("url_not_allowed", "messages[0].content[1]")


@pytest.mark.parametrize("url", ["https://example.com/x.mp4", "data:video/mp4;base64,AAAA"])
def test_sound_and_video_from_the_public_internet_or_whole_pass(url: str) -> None:
    shows({"type": "video_url", "video_url": {"url": url}})
    shows({"type": "audio_url", "audio_url": url})


INSIDE = "http://10.0.0.1/"
PART = {"type": "image_url", "image_url": {"url": INSIDE}}
SAID = [{"role": "user", "content": [PART]}]


@pytest.mark.parametrize(
    ("kind", "fields", "param"),
    [
        (Kind.EMBEDDING, {"input": "x", "messages": SAID}, "messages[0].content[0]"),
        (Kind.COMPLETION, {"prompt": "x", "messages": SAID}, "messages[0].content[0]"),
        (Kind.MODERATION, {"input": [{"type": "text", "text": "x"}, PART]}, "input[1]"),
        (Kind.RERANK, {"query": "q", "documents": [{"text": "x", "image_url": INSIDE}]}, "documents[0]"),
        (Kind.RERANK, {"query": "q", "documents": [{"text": "x", "content": [PART]}]}, "documents[0].content[0]"),
        (Kind.IMAGE, {"prompt": "x", "image_url": INSIDE}, "image_url"),
        (Kind.IMAGE, {"prompt": "x", "image": ["AAAA", INSIDE]}, "image"),
        (Kind.SPEECH, {"input": "x", "voice": "v", "ref_audio": INSIDE}, "ref_audio"),
        (Kind.CHAT, {"messages": [{"role": "user", "content": "x"}], "webhook_url": INSIDE}, "webhook_url"),
    ],
)
def test_no_endpoint_takes_a_private_address(kind: Kind, fields: dict[str, object], param: str) -> None:
    for url, is_allowed in ((INSIDE, False), ("https://example.com/a", True)):
        body = json.dumps({"model": "m", **fields}).replace(INSIDE, url).encode()
        try:
            decode_request(body, kind, json_limits=JsonLimits(), list_limits=ListLimits())
        except BadRequest as error:
            told = (error.code, error.param)
        else:
            told = ("passes", None)
        assert told == (("passes", None) if is_allowed else ("url_not_allowed", param))
