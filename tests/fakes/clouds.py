"""The places three clouds give tokens out at, on loopback: metadata servers and token services, as their papers say.

Every token is a canary: `CANARY-1`, `CANARY-2`, ...
Google: https://cloud.google.com/compute/docs/metadata and RFC 8693.
Azure: https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token and RFC 7523.
AWS: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html and the STS API reference.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

from tests.fakes.upstream import JSON, Asked, Exchange, FakeUpstream, whole

__all__ = ["FakeClouds"]

TEXT = b"content-type: text/plain\r\n"
XML = b"content-type: text/xml\r\n"
ROLE = "the-role"


class FakeClouds(FakeUpstream):
    """All of them at one address. `refuses` answers every request for a token with that error; `lifetime_s` is how long
    what it gives out lives."""

    def __init__(self, *, certificate: str = "") -> None:
        super().__init__(self._answer, certificate=certificate)
        self.refuses: bytes | None = None
        self.lifetime_s = 3600
        self.given = 0
        self.answers: dict[str, bytes] = {}
        """Answers for more paths."""

    def asked_for(self, part: str) -> list[Asked]:
        """The requests whose path holds this."""
        return [asked for asked in self.asked if part in asked.path]

    async def _answer(self, exchange: Exchange) -> None:
        asked = exchange.link.asked[-1]
        await exchange.send(self._found(asked, urlsplit(asked.path).path))

    def _found(self, asked: Asked, path: str) -> bytes:
        if asked.method == "POST" and path == "/":
            return self.refuses or whole(self._assumed(form_of(asked)), headers=XML)
        found = self.answers.get(path) or self._google(path) or self._azure(path) or self._aws(path)
        return found or whole({"error": "nothing here"}, status=404)

    def _token(self) -> str:
        self.given += 1
        return f"CANARY-{self.given}"

    def _oauth(self, **more: object) -> bytes:
        if self.refuses is not None:
            return self.refuses
        return whole({"access_token": self._token(), "expires_in": self.lifetime_s, "token_type": "Bearer", **more})

    def _google(self, path: str) -> bytes | None:
        flavor = b"metadata-flavor: Google\r\n"
        account = "/computeMetadata/v1/instance/service-accounts"
        match path:
            case "/":
                return whole(b"computeMetadata/\n", headers=TEXT + flavor)
            case "/computeMetadata/v1/project/project-id":
                return whole(b"metadata-project", headers=TEXT + flavor)
            case "/google/token":
                return self._oauth()
            case "/google/sts":
                return self._oauth(issued_token_type="urn:ietf:params:oauth:token-type:access_token")
            case "/google/subject":
                return whole({"id_token": "CANARY-subject-of-a-url"})
            case "/google/impersonated:generateAccessToken":
                return self.refuses or whole({"accessToken": self._token(), "expireTime": self._end()})
        if path == f"{account}/default/":
            info = {"email": "farm@metadata-project.iam.gserviceaccount.com", "scopes": [], "aliases": ["default"]}
            return whole(info, headers=JSON + flavor)
        if path.startswith(account) and path.endswith("/token"):
            return self._oauth()
        return None

    def _azure(self, path: str) -> bytes | None:
        if path in ("/metadata/identity/oauth2/token", "/msi/token") or path.endswith("/oauth2/v2.0/token"):
            expires_on = str(int(time.time()) + self.lifetime_s)
            return self._oauth(resource="https://cognitiveservices.azure.com", expires_on=expires_on)
        return None

    def _aws(self, path: str) -> bytes | None:
        roles = "/latest/meta-data/iam/security-credentials"
        match path:
            case "/latest/api/token":
                return whole(
                    b"CANARY-session-of-metadata", headers=TEXT + b"x-aws-ec2-metadata-token-ttl-seconds: 21600\r\n"
                )
            case _ if path == f"{roles}/":
                return whole(ROLE.encode(), headers=TEXT)
            case _ if path in (f"{roles}/{ROLE}", "/container"):
                return self.refuses or whole({"Code": "Success", "Type": "AWS-HMAC", **self._keys(token="Token")})
        return None

    def _end(self) -> str:
        return datetime.fromtimestamp(time.time() + self.lifetime_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _keys(self, *, token: str) -> dict[str, str]:
        name = self._token()
        return {
            "AccessKeyId": f"ASIA{self.given:016}",
            "SecretAccessKey": f"{name}-secret",
            token: f"{name}-token",
            "Expiration": self._end(),
        }

    def _assumed(self, form: Mapping[str, str]) -> bytes:
        assert form["Action"] == "AssumeRoleWithWebIdentity"
        inside = "".join(f"<{name}>{value}</{name}>" for name, value in self._keys(token="SessionToken").items())
        return (
            '<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
            f"<AssumeRoleWithWebIdentityResult><Credentials>{inside}</Credentials>"
            "</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
        ).encode()


def form_of(asked: Asked) -> dict[str, str]:
    """The fields of a form."""
    return dict(parse_qsl(asked.body.decode()))
