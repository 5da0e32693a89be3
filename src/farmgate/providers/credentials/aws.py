"""AWS: requests signed with SigV4, by what botocore's default chain finds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from farmgate.core.errors import FarmError, UpstreamRefusedKey, UpstreamUnreachable
from farmgate.providers.credentials.credential import Credential, CredentialError
from farmgate.providers.credentials.keeper import Held, Keeper
from farmgate.providers.credentials.lines import KeyCredential, header_line
from farmgate.providers.credentials.options import credential_options, need, text_option
from farmgate.providers.credentials.reasons import hush, reason_in
from farmgate.providers.credentials.signer import AwsKeys, Signer
from farmgate.providers.settings import ProviderSettings

if TYPE_CHECKING:
    from botocore.session import Session

__all__ = ["aws_credential", "aws_region"]

LOOK_AGAIN_S = 300.0
"""Keys without an end may be replaced in their file: they are read again after this time."""
THREAD_BYTES = 1 << 20
"""A body of this size takes half a millisecond to hash: larger ones are signed in a thread."""


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
    profile = credential_options(settings, "profile").get("profile")
    if settings.api_key:
        if service != "bedrock":
            raise CredentialError(f"{service} has no API keys: leave apiKey out, requests are signed with AWS's own.")
        return KeyCredential("authorization", f"Bearer {settings.api_key}")
    need("botocore", extra="aws", purpose="AWS")

    def signer() -> Held[Signer]:
        held = fetch(profile, region)
        made = Signer(held.value, service=service, region=region, url=url)
        return Held(value=made, expires_unix=held.expires_unix, renew_unix=held.renew_unix)

    return AwsChain(settings.name, signer)


def aws_region(settings: ProviderSettings) -> str:
    """`options.region`, else AWS_REGION, AWS_DEFAULT_REGION or the profile's, as botocore reads them.
    Raises CredentialError where there is none."""
    named = text_option(settings, "region")
    if named is not None:
        return named
    need("botocore", extra="aws", purpose="AWS")
    from botocore.exceptions import BotoCoreError

    try:
        found = session(credential_options(settings, "profile").get("profile")).get_config_variable("region")
    except BotoCoreError as error:
        raise CredentialError(f"the AWS configuration cannot be used ({type(error).__name__}).") from error
    if not isinstance(found, str) or not found:
        raise CredentialError("no AWS region is known: set options.region, or AWS_REGION in the environment.")
    return found


class AwsChain:
    """Whatever botocore finds. The chain is walked anew for each set of keys, so that its own caches hide no failure
    and changed files are seen."""

    def __init__(self, name: str, signer: Callable[[], Held[Signer]]) -> None:
        self._keeper = Keeper(lambda: asyncio.to_thread(signer), name=name, explain=lambda error: explain(error, name))

    async def headers(self, *, method: str, path: str, body: bytes, deadline: float | None = None) -> bytes:
        """`authorization`, `x-amz-date` and `x-amz-security-token`, for this request alone."""
        signer = await self._keeper.get(deadline)
        if len(body) > THREAD_BYTES:
            return await asyncio.to_thread(signer.lines, method=method, path=path, body=body)
        return signer.lines(method=method, path=path, body=body)

    async def close(self) -> None:
        """End what keeps the keys fresh."""
        await self._keeper.close()


def session(profile: str | None) -> Session:
    """A botocore session that also knows AWS_REGION, which other SDKs and AWS's own platforms set."""
    from botocore.config import Config
    from botocore.session import Session

    variables = {"region": ("region", ["AWS_REGION", "AWS_DEFAULT_REGION"], None, None)}
    made = Session(profile=profile, session_vars=variables)
    made.set_default_client_config(Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 2}))
    return made


def fetch(profile: str | None, region: str) -> Held[AwsKeys]:
    """New keys. Runs in a thread: it imports, reads files and talks to whoever gives out keys."""
    from botocore.exceptions import NoCredentialsError

    hush("botocore", "urllib3")
    aws = session(profile)
    # AWS's token service is asked in the region the requests go to, unless the environment names another.
    if not aws.get_config_variable("region"):
        aws.set_config_variable("region", region)
    credentials = aws.get_credentials()
    if credentials is None:
        raise NoCredentialsError
    frozen = credentials.get_frozen_credentials()
    # botocore tells nobody when keys end; it asks itself by this attribute.
    expiry = getattr(credentials, "_expiry_time", None)
    keys = AwsKeys(access_key=frozen.access_key, secret_key=frozen.secret_key, token=frozen.token)
    header_line("authorization", keys.access_key)
    if keys.token:
        header_line("x-amz-security-token", keys.token)
    if not isinstance(expiry, datetime):
        return Held(value=keys, renew_unix=time.time() + LOOK_AGAIN_S)
    return Held(value=keys, expires_unix=expiry.timestamp())


def explain(error: Exception, name: str) -> FarmError:
    """What a failed fetch means, most specific first. botocore's words may quote what a token service said."""
    from botocore import exceptions

    match error:
        case exceptions.NoCredentialsError():
            return UpstreamRefusedKey(
                f"{name} has no AWS credentials: none were found. On a laptop run `aws configure sso` and `aws sso "
                "login`, or name a profile in options.credential.profile; on AWS give the instance, task or pod "
                "(IRSA, Pod Identity) a role that may invoke the model."
            )
        case exceptions.ProfileNotFound():
            return UpstreamRefusedKey(f"{name}: there is no AWS profile of that name in the AWS configuration.")
        case exceptions.UnauthorizedSSOTokenError() | exceptions.SSOTokenLoadError() | exceptions.TokenRetrievalError():
            return UpstreamRefusedKey(f"{name}: the AWS login is over. Run `aws sso login` again.")
        case exceptions.ClientError():
            return UpstreamRefusedKey(
                f"{name} was given no AWS credentials{reason_in(error)}: look at the role, its trust policy, and the "
                "service account or profile that assumes it."
            )
        case exceptions.HTTPClientError() | exceptions.ConnectionError():
            return UpstreamUnreachable(f"{name} has no AWS credentials: AWS's token service does not answer.")
        case exceptions.MetadataRetrievalError() | exceptions.CredentialRetrievalError():
            return UpstreamUnreachable(f"{name} has no AWS credentials: whoever gives them out here does not answer.")
        case _:
            return UpstreamRefusedKey(
                f"{name}: the AWS credentials cannot be used ({type(error).__name__}): look at the AWS configuration."
            )
