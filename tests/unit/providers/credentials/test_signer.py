"""A signature is what AWS computes: its published vectors, and a second computation of what an Upstream sent."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from tests.fakes.upstream import Asked, FakeUpstream, say, whole
from tests.unit.providers.credentials.support import headers_of, settings_of

from farmgate.providers.credentials import aws, aws_credential
from farmgate.providers.credentials.signer import AwsKeys, Signer, host_of
from farmgate.providers.transport import Upstream

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
KEYS = AwsKeys(access_key="AKIDEXAMPLE", secret_key=SECRET)


@pytest.mark.parametrize(
    ("method", "path", "signature"),
    [
        # The "aws-sig-v4-test-suite" AWS publishes: get-vanilla, post-vanilla, get-vanilla-query-order-key-case.
        ("GET", "/", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", "/", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        ("GET", "/?Param2=value2&Param1=value1", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
    ],
)
def test_aws_own_vectors(monkeypatch: pytest.MonkeyPatch, method: str, path: str, signature: str) -> None:
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: datetime(2015, 8, 30, 12, 36, tzinfo=UTC))
    signer = Signer(KEYS, service="service", region="us-east-1", url="https://example.amazonaws.com")
    assert signer.lines(method=method, path=path, body=b"").decode() == (
        "x-amz-date: 20150830T123600Z\r\n"
        "authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders=host;x-amz-date, Signature={signature}\r\n"
    )


def recomputed(asked: Asked, *, secret: str, region: str, service: str) -> str:
    """The signature of a request as it came, by the recipe of the documentation and nothing of botocore's.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html"""
    path, _, query = asked.path.partition("?")
    authorization = asked.header("authorization") or ""
    signed = authorization.split("SignedHeaders=")[1].split(",")[0]
    canonical = "\n".join(
        (
            asked.method,
            quote(path, safe="/~"),
            "&".join(sorted(query.split("&"))) if query else "",
            *(f"{name}:{asked.header(name)}" for name in signed.split(";")),
            "",
            signed,
            hashlib.sha256(asked.body).hexdigest(),
        )
    )
    time = asked.header("x-amz-date") or ""
    scope = f"{time[:8]}/{region}/{service}/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{time}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()


@pytest.mark.parametrize("token", [None, "CANARY-token"])
@pytest.mark.parametrize(
    ("base", "path", "body"),
    [
        ("", "/model/anthropic.claude-3-5-sonnet%3A0/converse", b'{"messages": []}'),
        ("", "/model/arn%3Aaws%3Abedrock%3Aeu%3A1%3Ainference-profile%2Fx/converse-stream", '{"ä": 1}'.encode()),
        ("", "/foundation-models?byProvider=x&byOutputModality=TEXT", b""),
        ("/behind/a/proxy", "/endpoints/e/invocations", b"x" * (aws.THREAD_BYTES + 1)),
    ],
)
async def test_what_an_upstream_sends_is_what_was_signed(
    monkeypatch: pytest.MonkeyPatch, token: str | None, base: str, path: str, body: bytes
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    if token:
        monkeypatch.setenv("AWS_SESSION_TOKEN", token)
    async with FakeUpstream(say(whole())) as fake:
        url = fake.url + base
        credential = aws_credential(settings_of(), service="sagemaker", region="eu-west-1", url=url)
        upstream = Upstream(url, name="aws")
        method = "POST" if body else "GET"
        lines = await credential.headers(method=method, path=path, body=body)
        async with await upstream.send(method, path, body=body, headers=lines) as answer:
            await answer.whole(100)
        asked = fake.asked[0]
        expected = recomputed(asked, secret=SECRET, region="eu-west-1", service="sagemaker")
        assert (asked.header("authorization") or "").endswith(f"Signature={expected}")
        assert asked.header("x-amz-security-token") == token
        upstream.close()
        await credential.close()


@pytest.mark.parametrize(
    "url",
    ["https://here", "https://here:443/a/", "http://HERE:8080", "http://[::1]:9/x", "https://[2001:db8::1]"],
)
def test_the_host_is_signed_as_an_upstream_writes_it(url: str) -> None:
    assert host_of(url) == Upstream(url, name="aws").address


def test_the_usual_port_is_signed_where_it_is_sent() -> None:
    url = "https://there:443"
    lines = Signer(KEYS, service="bedrock", region="r", url=url).lines(method="POST", path="/x", body=b"{}")
    pairs = [line.split(": ", 1) for line in lines.decode().splitlines()]
    headers = (("host", Upstream(url, name="aws").address), *((name, value) for name, value in pairs))
    sent = Asked(method="POST", path="/x", headers=headers, body=b"{}", raw_head=b"")
    expected = recomputed(sent, secret=SECRET, region="r", service="bedrock")
    assert (sent.header("authorization") or "").endswith(f"Signature={expected}")


async def test_each_request_has_a_signature_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    credential = aws_credential(settings_of(), service="bedrock", region="eu-west-1", url="https://there")
    one = await headers_of(credential, path="/a", body=b"1")
    assert one["authorization"] != (await headers_of(credential, path="/a", body=b"2"))["authorization"]
    assert one["authorization"] != (await headers_of(credential, path="/b", body=b"1"))["authorization"]
    await credential.close()


def test_no_secret_is_in_a_repr() -> None:
    keys = AwsKeys(access_key="CANARY", secret_key="CANARY", token="CANARY")
    assert "CANARY" not in repr(keys) + repr(Signer(keys, service="s", region="r", url="https://there"))
