"""Google: an API key, or Application Default Credentials and Workload Identity through google-auth."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

from farmgate.core.errors import FarmError, UpstreamRefusedKey, UpstreamUnreachable
from farmgate.providers.credentials.credential import GoogleCredential
from farmgate.providers.credentials.keeper import Held, Keeper
from farmgate.providers.credentials.lines import KeyCredential, header_line
from farmgate.providers.credentials.options import credential_options, need, text_option
from farmgate.providers.credentials.reasons import hush, reason_in
from farmgate.providers.settings import ProviderSettings

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

__all__ = ["google_credential"]

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
CALL_S = 10.0
"""How long one call of google-auth may take; its own default is two minutes."""
NO_PROJECT = "{name} does not know its Google Cloud project: set options.project."
NOTHING_FOUND = (
    "{name} has no Google credentials: none were found. On a laptop run `gcloud auth application-default login`; on "
    "Google Cloud give the machine or the pod a service account (Workload Identity); elsewhere let "
    "GOOGLE_APPLICATION_CREDENTIALS or options.credential.file name a workload identity federation file."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """The lines for a request, and the project of whoever they speak for."""

    lines: bytes = field(repr=False)
    project: str | None


def google_credential(settings: ProviderSettings) -> GoogleCredential:
    """`x-goog-api-key` when there is an `apiKey`, else `authorization: Bearer` from google-auth's own chain:
    GOOGLE_APPLICATION_CREDENTIALS (service account, workload identity federation, user), gcloud's login, the metadata
    server. Raises CredentialError when google-auth is not installed (extra `vertex`) or an option is wrong.

    Options: `project`; `credential: {file: PATH, scope: URL}`.
    """
    options = credential_options(settings, "file", "scope")
    project = text_option(settings, "project")
    if settings.api_key:
        return GoogleKey(settings, project)
    need("google.auth", extra="vertex", purpose="Google")
    need("requests", extra="vertex", purpose="Google")
    return GoogleChain(settings.name, options, project)


class GoogleKey(KeyCredential):
    """An API key. It has no project of its own."""

    def __init__(self, settings: ProviderSettings, project: str | None) -> None:
        super().__init__("x-goog-api-key", settings.api_key or "")
        self._name = settings.name
        self._project = project

    async def project(self, *, deadline: float | None = None) -> str:
        """`options.project`."""
        if self._project is None:
            raise UpstreamRefusedKey(NO_PROJECT.format(name=self._name))
        return self._project


class GoogleChain:
    """Whatever google-auth finds. The chain is walked anew for each token, so that changed files are seen."""

    def __init__(self, name: str, options: Mapping[str, str], project: str | None) -> None:
        self._name = name
        self._project = project
        file, scope = options.get("file"), options.get("scope", SCOPE)
        self._keeper = Keeper(
            lambda: asyncio.to_thread(fetch, file, scope), name=name, explain=lambda error: explain(error, name, file)
        )

    async def headers(self, *, method: str, path: str, body: bytes, deadline: float | None = None) -> bytes:
        """`authorization`, and `x-goog-user-project` where the credentials name who pays."""
        return (await self._keeper.get(deadline)).lines

    async def project(self, *, deadline: float | None = None) -> str:
        """`options.project`, else that of the credentials."""
        project = self._project or (await self._keeper.get(deadline)).project
        if project is None:
            raise UpstreamRefusedKey(NO_PROJECT.format(name=self._name))
        return project

    async def close(self) -> None:
        """End what keeps the token fresh."""
        await self._keeper.close()


def fetch(file: str | None, scope: str) -> Held[Proof]:
    """A new token. Runs in a thread: it imports, reads files and talks to whoever gives out tokens."""
    import google.auth
    from google.auth.transport.requests import Request
    from requests import PreparedRequest, Response, Session

    class Impatient(Session):
        """One call takes ten seconds at most, and is not sent on elsewhere."""

        def send(self, request: PreparedRequest, **given: Any) -> Response:
            patience_s = min(given.pop("timeout", None) or CALL_S, CALL_S)
            return super().send(request, **given | {"timeout": patience_s, "allow_redirects": False})

    hush("google.auth", "google.oauth2", "urllib3")
    with Impatient() as session:
        request = Request(session)
        if file is None:
            credentials, project = google.auth.default(scopes=[scope], request=request)
        else:
            credentials, project = from_file(file, scope)
        credentials.refresh(request)
    lines = header_line("authorization", f"Bearer {credentials.token}")
    if quota_project := getattr(credentials, "quota_project_id", None):
        lines += header_line("x-goog-user-project", quota_project)
    # google-auth tells UTC without saying so.
    expiry = credentials.expiry
    expires_unix = expiry.replace(tzinfo=UTC).timestamp() if expiry else math.inf
    return Held(value=Proof(lines=lines, project=project), expires_unix=expires_unix)


def from_file(file: str, scope: str) -> tuple[Credentials, str | None]:
    """Credentials and project of one file. Each kind has its own reader: google-auth's reader of any kind is deprecated
    because a file may then be of a kind nobody meant, one that runs a program for instance."""
    from google.auth import aws, exceptions, identity_pool, impersonated_credentials
    from google.oauth2 import credentials as user
    from google.oauth2 import service_account

    info = json.loads(Path(file).read_bytes())
    match info.get("type") if isinstance(info, dict) else None:
        case "service_account":
            account = service_account.Credentials.from_service_account_info(info, scopes=[scope])
            return account, account.project_id
        case "authorized_user":
            return user.Credentials.from_authorized_user_info(info), None
        # The project of a federated identity is a question to one more API, which may be out of reach: not asked.
        case "external_account" if "environment_id" in info.get("credential_source", {}):
            return aws.Credentials.from_info(info, scopes=[scope]), None
        case "external_account":
            return identity_pool.Credentials.from_info(info, scopes=[scope]), None
        case "impersonated_service_account":
            kind = impersonated_credentials.Credentials
            return kind.from_impersonated_service_account_info(info, scopes=[scope]), None
        case _:
            raise exceptions.DefaultCredentialsError("a file of an unknown type")


def explain(error: Exception, name: str, file: str | None) -> FarmError:
    """What a failed fetch means, most specific first. google-auth's words may quote what a token service said."""
    from google.auth import exceptions

    match error:
        case exceptions.TransportError():
            return UpstreamUnreachable(f"{name} has no Google token: the token or metadata server does not answer.")
        case exceptions.RefreshError():
            return UpstreamRefusedKey(
                f"{name} was given no Google token{reason_in(error)}: log in again with "
                "`gcloud auth application-default login`, or look at the service account and its Workload Identity "
                "binding."
            )
        case _ if file is not None:
            return UpstreamRefusedKey(
                f"{name}: the file options.credential.file names cannot be used ({type(error).__name__}). It has to be "
                "there, readable, and of a service account, a user, or workload identity federation."
            )
        case exceptions.DefaultCredentialsError() if str(error).startswith("Your default credentials were not found"):
            return UpstreamRefusedKey(NOTHING_FOUND.format(name=name))
        case _:
            return UpstreamRefusedKey(
                f"{name}: Google's credentials cannot be used ({type(error).__name__}): look at the file "
                "GOOGLE_APPLICATION_CREDENTIALS names."
            )
