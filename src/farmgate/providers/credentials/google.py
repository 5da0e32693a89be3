"""Google: an API key, or Application Default Credentials and Workload Identity through google-auth."""

from __future__ import annotations

from farmgate.providers.credentials.credential import GoogleCredential
from farmgate.providers.settings import ProviderSettings

__all__ = ["google_credential"]


def google_credential(settings: ProviderSettings) -> GoogleCredential:
    """`x-goog-api-key` when there is an `apiKey`, else `authorization: Bearer` from google-auth's own chain:
    GOOGLE_APPLICATION_CREDENTIALS (service account, workload identity federation, user), gcloud's login, the metadata
    server. Raises CredentialError when google-auth is not installed (extra `vertex`) or an option is wrong.

    Options: `project`; `credential: {file: PATH, scope: URL}`.
    """
    raise NotImplementedError
