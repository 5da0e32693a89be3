"""AWS: requests signed with SigV4, by what botocore's default chain finds."""

from __future__ import annotations

from typing import Literal

from farmgate.providers.credentials.credential import Credential
from farmgate.providers.settings import ProviderSettings

__all__ = ["aws_credential", "aws_region"]


def aws_credential(
    settings: ProviderSettings, *, service: Literal["bedrock", "sagemaker"], region: str, url: str
) -> Credential:
    """SigV4 with botocore's signer and chain: environment, profile, IRSA web identity, container, instance metadata.
    With an `apiKey`, and only for Bedrock, which has such keys: `authorization: Bearer`.
    Raises CredentialError when botocore is not installed (extra `aws`) or an option is wrong.

    `url`: the one its Upstream was made with; host and path are signed. Quote what stands in a path once
    (`/model/anthropic.claude-3%3A0/converse`).
    Options: `credential: {profile: NAME}`.
    """
    raise NotImplementedError


def aws_region(settings: ProviderSettings) -> str:
    """`options.region`, else AWS_REGION, AWS_DEFAULT_REGION or the profile's, as botocore reads them.
    Raises CredentialError where there is none."""
    raise NotImplementedError
