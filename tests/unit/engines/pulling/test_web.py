"""To whom the token is shown, which redirects are followed, and how long the busy are waited for. No socket."""

from __future__ import annotations

import email.message
import http.client
import io
import urllib.error
import urllib.request

import pytest

from farmgate.engines.pulling.hub import Hub
from farmgate.engines.pulling.sources import SourceFailed
from farmgate.engines.pulling.web import Busy, Redirects, Token, Visit, Web, busy_or, origin_of

HUB = "https://hub.example"
TOKEN = Token(origin=origin_of(HUB), value="hf_secret")


def shown_to(url: str, token: Token = TOKEN) -> str | None:
    request = urllib.request.Request(url)
    token.put_on(request)
    return request.get_header("Authorization")


@pytest.mark.parametrize("url", [HUB, f"{HUB}/a/b?c", "https://HUB.example:443/x"])
def test_the_token_is_shown_to_the_hub(url: str) -> None:
    assert shown_to(url) == "Bearer hf_secret"


@pytest.mark.parametrize(
    "url",
    [
        *("http://hub.example/x", "https://hub.example:8443/x", "https://cdn.hub.example/x", "https://example/x"),
        *("https://hub.example.evil/x", "https://hub.example@evil/x", "https://evil/https://hub.example/x"),
    ],
)
def test_and_to_nobody_else(url: str) -> None:
    assert shown_to(url) is None


def test_it_is_not_sent_where_others_can_read_it() -> None:
    open_hub = Token(origin=origin_of("http://mirror.example"), value="hf_secret")
    assert shown_to("http://mirror.example/x", open_hub) is None
    at_home = Token(origin=origin_of("http://127.0.0.1:8080"), value="hf_secret")
    assert shown_to("http://127.0.0.1:8080/x", at_home) == "Bearer hf_secret"


def test_it_is_not_shown_in_what_is_printed() -> None:
    assert "hf_secret" not in repr(TOKEN) + str(TOKEN) + repr(vars(Hub(HUB, token="hf_secret")))


@pytest.mark.parametrize("value", ["two words", "line\nend", "ünï", "", "x" * 600])
def test_a_token_that_no_header_can_hold_is_refused_without_being_told(value: str) -> None:
    with pytest.raises(ValueError, match="visible ASCII") as refused:
        Token(origin=HUB, value=value)
    assert not value or value not in str(refused.value)


def redirected(start: str, to: str) -> urllib.request.Request:
    request = urllib.request.Request(start, headers={"Range": "bytes=5-"})
    TOKEN.put_on(request)
    headers = http.client.HTTPMessage()
    followed = Redirects(TOKEN).redirect_request(request, io.BytesIO(), 302, "Found", headers, to)
    assert followed is not None
    return followed


@pytest.mark.parametrize("to", ["https://cdn.example/x?sig=1", "https://hub.example:8443/x"])
def test_a_redirect_to_another_place_takes_the_range_and_leaves_the_token(to: str) -> None:
    followed = redirected(f"{HUB}/x", to)
    assert followed.get_header("Range") == "bytes=5-"
    assert [name.lower() for name, _ in followed.header_items()] == ["range"]


def test_a_redirect_within_the_hub_takes_both() -> None:
    assert redirected(f"{HUB}/old", f"{HUB}/new").get_header("Authorization") == "Bearer hf_secret"


@pytest.mark.parametrize("url", ["http://a..b/x", "http://[::1/x", f"{HUB}:99999999/x"])
def test_an_address_that_is_none_is_told_as_every_failure(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    visit = Visit(Web(token=TOKEN), connected=lambda: None, pausing=lambda _: None)
    with pytest.raises(SourceFailed, match="leads to an address that is none"):
        visit.open(url, {})


@pytest.mark.parametrize("to", ["http://hub.example/x", "http://127.0.0.1/x", "ftp://hub.example/x"])
def test_a_redirect_out_of_encryption_or_out_of_the_web_is_not_followed(to: str) -> None:
    with pytest.raises(SourceFailed, match="is not followed"):
        redirected(f"{HUB}/x", to)


def answered(status: int, **headers: str) -> SourceFailed:
    told = email.message.Message()
    for name, value in headers.items():
        told[name.replace("_", "-")] = value
    error = urllib.error.HTTPError(HUB, status, "", told, io.BytesIO())
    with error:
        return busy_or(error, lambda _: SourceFailed("why"))


@pytest.mark.parametrize(
    ("status", "headers", "wait_s"),
    [
        (429, {"Retry_After": "7"}, 7),
        (429, {"RateLimit": '"api";r=0;t=55'}, 55),
        (429, {"RateLimit": '"api";r=12;t=55'}, None),
        (429, {"RateLimit": "nonsense"}, None),
        (429, {"Retry_After": "9", "RateLimit": '"api";r=0;t=55'}, 9),
        (429, {"Retry_After": "999999"}, 300),
        (503, {"Retry_After": "soon"}, None),
        (503, {}, None),
        (500, {}, None),
    ],
)
def test_who_is_busy_says_for_how_long(status: int, headers: dict[str, str], wait_s: float | None) -> None:
    failed = answered(status, **headers)
    assert isinstance(failed, Busy)
    assert (failed.wait_s, str(failed)) == (wait_s, "why")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 416, 501])
def test_what_waiting_does_not_help_is_final(status: int) -> None:
    assert not isinstance(answered(status), Busy)
