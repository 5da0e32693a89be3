"""Azure: an API key, or managed identity, workload identity and the rest of azure-identity's chain."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, assert_never

from farmgate.core.errors import FarmError, UpstreamRefusedKey, UpstreamUnreachable
from farmgate.providers.credentials.credential import Credential, CredentialError
from farmgate.providers.credentials.keeper import Held, Keeper
from farmgate.providers.credentials.lines import KeyCredential, header_line
from farmgate.providers.credentials.options import credential_options, need
from farmgate.providers.credentials.reasons import hush, reason_in
from farmgate.providers.settings import ProviderSettings

if TYPE_CHECKING:
    from azure.core.credentials import SupportsTokenInfo

__all__ = ["azure_credential"]

SCOPE = "https://cognitiveservices.azure.com/.default"
PATIENCE: Mapping[str, Any] = {"read_timeout": 10, "retry_total": 3}
"""Of one call to a token service, for azure-core: seconds, and tries after the first."""


class Kind(StrEnum):
    """Which of azure-identity's credentials. DEFAULT tries the others in their order: environment, workload, managed,
    then whoever logged in on this machine."""

    DEFAULT = "default"
    MANAGED = "managed"
    WORKLOAD = "workload"
    ENVIRONMENT = "environment"
    CLI = "cli"


HINTS = {
    Kind.DEFAULT: "on a laptop run `az login`; on Azure give the machine a managed identity, or the pod a workload "
    "identity, that may use the resource (role Cognitive Services OpenAI User)",
    Kind.MANAGED: "give this machine a managed identity; for a user-assigned one set options.credential.clientId",
    Kind.WORKLOAD: "label the pod azure.workload.identity/use and annotate its service account with the client id; "
    "the federated credential has to name that service account",
    Kind.ENVIRONMENT: "set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET or AZURE_CLIENT_CERTIFICATE_PATH",
    Kind.CLI: "run `az login`",
}


def azure_credential(settings: ProviderSettings) -> Credential:
    """`api-key` when there is an `apiKey`, else `authorization: Bearer` from azure-identity.
    Raises CredentialError when azure-identity is not installed (extra `azure`) or an option is wrong.

    Options: `credential: {kind: default | managed | workload | environment | cli, clientId: ID, tenantId: ID,
    scope: https://cognitiveservices.azure.com/.default}`.
    """
    options = credential_options(settings, "kind", "clientId", "tenantId", "scope")
    kind = options.get("kind", Kind.DEFAULT)
    if kind not in set(Kind):
        raise CredentialError(f"options.credential.kind is one of {', '.join(Kind)}.")
    if settings.api_key:
        return KeyCredential("api-key", settings.api_key)
    need("azure.identity", extra="azure", purpose="Azure")
    return AzureChain(settings.name, Kind(kind), options)


class AzureChain:
    """One of azure-identity's credentials. It is made anew for each token, so that its own caches hide no failure."""

    def __init__(self, name: str, kind: Kind, options: Mapping[str, str]) -> None:
        self._keeper = Keeper(
            lambda: asyncio.to_thread(fetch, kind, options), name=name, explain=lambda error: explain(error, name, kind)
        )

    async def headers(self, *, method: str, path: str, body: bytes, deadline: float | None = None) -> bytes:
        """`authorization`."""
        return await self._keeper.get(deadline)

    async def close(self) -> None:
        """End what keeps the token fresh."""
        await self._keeper.close()


def fetch(kind: Kind, options: Mapping[str, str]) -> Held[bytes]:
    """A new token. Runs in a thread: it imports, reads files, may run `az`, and talks to whoever gives out tokens."""
    hush("azure", "msal", "urllib3")
    with made(kind, client=options.get("clientId"), tenant=options.get("tenantId")) as credential:
        token = credential.get_token_info(options.get("scope", SCOPE))
    return Held(
        value=header_line("authorization", f"Bearer {token.token}"),
        expires_unix=token.expires_on,
        renew_unix=token.refresh_on or math.inf,
    )


def made(kind: Kind, *, client: str | None, tenant: str | None) -> SupportsTokenInfo:
    """The credential to ask."""
    from azure import identity

    ids = {name: value for name, value in {"client_id": client, "tenant_id": tenant}.items() if value}
    match kind:
        case Kind.MANAGED:
            return identity.ManagedIdentityCredential(client_id=client, **PATIENCE)
        case Kind.WORKLOAD:
            return identity.WorkloadIdentityCredential(**ids, **PATIENCE)
        case Kind.ENVIRONMENT:
            return identity.EnvironmentCredential(**PATIENCE)
        case Kind.CLI:
            return identity.AzureCliCredential(tenant_id=tenant or "")
        case Kind.DEFAULT:
            named = {"managed_identity_client_id": client, "workload_identity_tenant_id": tenant}
            given = {name: value for name, value in named.items() if value}
            return identity.DefaultAzureCredential(**PATIENCE, **given)
        case _:
            assert_never(kind)


def explain(error: Exception, name: str, kind: Kind) -> FarmError:
    """What a failed fetch means, most specific first. azure-identity's words may quote what a token service said."""
    from azure.core.exceptions import AzureError, ClientAuthenticationError
    from azure.identity import CredentialUnavailableError

    match error:
        case CredentialUnavailableError() | ValueError():
            return UpstreamRefusedKey(f"{name} has no Azure credentials{reason_in(error)}: {HINTS[kind]}.")
        case ClientAuthenticationError():
            return UpstreamRefusedKey(f"{name} was given no Azure token{reason_in(error)}: {HINTS[kind]}.")
        case AzureError():
            return UpstreamUnreachable(f"{name} has no Azure token: the token service does not answer as it should.")
        case _:
            return UpstreamRefusedKey(f"{name} has no Azure token ({type(error).__name__}): {HINTS[kind]}.")
