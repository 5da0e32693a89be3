"""Azure: an API key, or managed identity, workload identity and the rest of azure-identity's chain."""

from __future__ import annotations

from farmgate.providers.credentials.credential import Credential
from farmgate.providers.settings import ProviderSettings

__all__ = ["azure_credential"]


def azure_credential(settings: ProviderSettings) -> Credential:
    """`api-key` when there is an `apiKey`, else `authorization: Bearer` from azure-identity.
    Raises CredentialError when azure-identity is not installed (extra `azure`) or an option is wrong.

    Options: `credential: {kind: default | managed | workload | environment | cli, clientId: ID, tenantId: ID,
    scope: https://cognitiveservices.azure.com/.default}`.
    """
    raise NotImplementedError
