"""What stands in the way of a credential is told in words that say what to do; what is a secret is not told."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.providers.credentials.support import settings_of

from farmgate.app.entries import make_provider
from farmgate.config import ConfigError, load
from farmgate.core.errors import UpstreamInvalidResponse
from farmgate.core.ports import Lender, Weights
from farmgate.providers.credentials import (
    CredentialError,
    aws_credential,
    aws_region,
    azure_credential,
    google_credential,
)
from farmgate.providers.credentials.lines import header_line
from farmgate.providers.credentials.reasons import reason_in

CLOUD = """
from farmgate.providers.credentials import azure_credential
from farmgate.providers.provider import ProviderBase

class Cloud(ProviderBase):
    def __init__(self, settings):
        self.credential = azure_credential(settings)
"""


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No library of any cloud is installed."""

    def find_spec(name: str) -> None:
        if "." in name:
            raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)


@pytest.fixture
def modules_as_before() -> Iterator[None]:
    path = list(sys.path)
    yield
    sys.path[:] = path
    sys.modules.pop("my_cloud", None)


@pytest.mark.usefixtures("bare")
def test_a_library_that_is_not_installed_is_named_with_the_command_that_installs_it() -> None:
    settings = settings_of()
    with pytest.raises(CredentialError, match=r"google-auth, which is not installed: pip install 'farmgate\[vertex\]'"):
        google_credential(settings)
    with pytest.raises(CredentialError, match=r"azure-identity, which is not .*: pip install 'farmgate\[azure\]'"):
        azure_credential(settings)
    with pytest.raises(CredentialError, match=r"botocore, which is not installed: pip install 'farmgate\[aws\]'"):
        aws_credential(settings, service="bedrock", region="r", url="https://there")
    with pytest.raises(CredentialError, match=r"pip install 'farmgate\[aws\]'"):
        aws_region(settings)


@pytest.mark.usefixtures("bare")
async def test_an_api_key_needs_no_library() -> None:
    settings = settings_of("key", region="r")
    assert aws_region(settings) == "r"
    for credential in (
        google_credential(settings),
        azure_credential(settings),
        aws_credential(settings, service="bedrock", region="r", url="https://there"),
    ):
        assert b"key" in await credential.headers(method="GET", path="/", body=b"")


@pytest.mark.usefixtures("modules_as_before")
def test_it_is_told_as_a_mistake_in_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "my_cloud.py").write_text(CLOUD)
    (tmp_path / "farm.config.yaml").write_text(
        "ai:\n  providers:\n    mine: {provider: 'my_cloud:Cloud', options: {credential: {kind: magic}}}\n"
    )
    config = load(tmp_path / "farm.config.yaml", cwd=tmp_path, environ={})
    with pytest.raises(ConfigError, match=r"ai\.providers\.mine: options\.credential\.kind is one of default, managed"):
        make_provider("mine", config.ai.providers["mine"], config, lender=no_lender(), weights=no_weights())


def no_lender() -> Lender:
    """Nobody asks it."""
    return None  # type: ignore[return-value]


def no_weights() -> Weights:
    """Nobody asks them."""
    return None  # type: ignore[return-value]


@pytest.mark.parametrize("value", ["", "CANARY\r\nx: y", "CANARY\n", " CANARY", "CANARY\x00", "CANARÄ", "CANARY\x7f"])
def test_what_would_not_stay_one_header_line_is_refused_and_not_told(value: str) -> None:
    with pytest.raises(UpstreamInvalidResponse, match="'authorization'") as refused:
        header_line("authorization", value)
    assert "CANAR" not in refused.value.message


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("('invalid_grant: Bad Request', {'error': 'invalid_grant'})", " (invalid_grant)"),
        ("invalid_client: AADSTS7000215: Invalid client secret provided: CANARY", " (AADSTS7000215)"),
        ("An error occurred (ExpiredTokenException) when calling", " (ExpiredTokenException)"),
        ("An error occurred (ExpiredToken) when calling", " (ExpiredToken)"),
        ("CANARY", ""),
        ("not_invalid_grant_at_all", ""),
        ("", ""),
    ],
)
def test_only_codes_that_are_known_are_told(words: str, told: str) -> None:
    assert reason_in(RuntimeError(words)) == told
