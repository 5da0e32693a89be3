"""Proves AWS's Signature Version 4 of a request as it came, with nothing of botocore.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
import re
from urllib.parse import quote

from tests.fakes.upstream import Asked

__all__ = ["prove"]

AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, "
    r"SignedHeaders=([^,]+), Signature=(\w{64})"
)


def prove(asked: Asked, *, secret: str, region: str, service: str) -> None:
    """Assert that who holds `secret` signed exactly this method, path, headers and body for this service and region."""
    told = AUTHORIZATION.fullmatch(asked.header("authorization") or "")
    assert told, asked.header("authorization")
    _, day, told_region, told_service, names, signature = told.groups()
    assert (told_region, told_service) == (region, service)
    path, _, query = asked.path.partition("?")
    lines = [
        asked.method,
        quote(path, safe="/-_.~"),  # Quoted once more than it is sent: only S3 does otherwise.
        query,
        *(f"{name}:{asked.header(name)}" for name in names.split(";")),
        "",
        names,
        hashlib.sha256(asked.body).hexdigest(),
    ]
    scope = f"{day}/{region}/{service}/aws4_request"
    hashed = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", asked.header("x-amz-date") or "", scope, hashed])
    key = f"AWS4{secret}".encode()
    for step in (day, region, service, "aws4_request"):
        key = hmac.digest(key, step.encode(), "sha256")
    assert hmac.new(key, text.encode(), "sha256").hexdigest() == signature, "\n".join(lines)
