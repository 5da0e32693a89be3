"""AWS's chain, with the real botocore, against metadata servers and a token service on loopback."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.fakes.clouds import FakeClouds, form_of
from tests.fakes.upstream import closed_port, whole
from tests.unit.providers.credentials.support import headers_of, settings_of

from farmgate.core.errors import UpstreamRefusedKey, UpstreamUnreachable
from farmgate.providers.credentials import Credential, CredentialError, aws_credential, aws_region

URL = "https://bedrock-runtime.eu-west-1.amazonaws.com"


def credential_of(**options: object) -> Credential:
    return aws_credential(settings_of(**options), service="bedrock", region="eu-west-1", url=URL)


async def access_key_of(credential: Credential) -> str:
    """The key a request was signed by."""
    signed = (await headers_of(credential))["authorization"]
    return signed.split("Credential=")[1].split("/")[0]


def in_a_pod(clouds: FakeClouds, monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    """What EKS puts into a pod whose service account has a role (IRSA)."""
    (directory / "token").write_text("CANARY-of-the-cluster")
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/farm")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(directory / "token"))
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", clouds.url)


async def test_bedrocks_own_keys_are_bearers_and_nothing_is_fetched() -> None:
    settings = settings_of("CANARY-key")
    credential = aws_credential(settings, service="bedrock", region="eu-west-1", url=URL)
    assert await headers_of(credential) == {"authorization": "Bearer CANARY-key"}
    assert "CANARY" not in repr(credential)
    await credential.close()


def test_sagemaker_has_no_keys() -> None:
    with pytest.raises(CredentialError, match="leave apiKey out"):
        aws_credential(settings_of("CANARY-key"), service="sagemaker", region="eu-west-1", url=URL)


async def test_keys_of_the_environment_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "CANARY-secret")
    credential = credential_of()
    headers = await headers_of(credential)
    assert set(headers) == {"authorization", "x-amz-date"}
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
    assert "/eu-west-1/bedrock/aws4_request, SignedHeaders=host;x-amz-date, " in headers["authorization"]
    await credential.close()


async def test_a_profile_is_named_in_the_options_or_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "aws-credentials").write_text(
        "[default]\naws_access_key_id = DEFAULT\naws_secret_access_key = CANARY-1\n"
        "[work]\naws_access_key_id = WORK\naws_secret_access_key = CANARY-2\n"
    )
    default, named = credential_of(), credential_of(credential={"profile": "work"})
    assert await access_key_of(default) == "DEFAULT"
    assert await access_key_of(named) == "WORK"
    monkeypatch.setenv("AWS_PROFILE", "work")
    by_environment = credential_of()
    assert await access_key_of(by_environment) == "WORK"
    for credential in (default, named, by_environment):
        await credential.close()


async def test_a_pods_own_token_is_exchanged_for_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with FakeClouds() as clouds:
        in_a_pod(clouds, monkeypatch, tmp_path)
        credential = credential_of()
        headers = await headers_of(credential)
        assert headers["x-amz-security-token"] == "CANARY-1-token"
        assert "SignedHeaders=host;x-amz-date;x-amz-security-token" in headers["authorization"]
        assert await access_key_of(credential) == "ASIA0000000000000001"
        assert len(clouds.asked) == 1
        form = form_of(clouds.asked[0])
        assert form["WebIdentityToken"] == "CANARY-of-the-cluster"
        assert form["RoleArn"] == "arn:aws:iam::123456789012:role/farm"
        await credential.close()


async def test_a_tasks_or_a_pods_agent_gives_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with FakeClouds() as clouds:
        (tmp_path / "token").write_text("CANARY-of-the-pod")
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{clouds.url}/container")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))
        credential = credential_of()
        assert (await headers_of(credential))["x-amz-security-token"] == "CANARY-1-token"
        assert clouds.asked[0].header("authorization") == "CANARY-of-the-pod"
        await credential.close()


async def test_an_instances_metadata_server_gives_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakeClouds() as clouds:
        monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", clouds.url)
        credential = credential_of()
        assert (await headers_of(credential))["x-amz-security-token"] == "CANARY-1-token"
        assert clouds.asked[0].method == "PUT", "IMDSv2: a session first"
        assert clouds.asked[-1].header("x-aws-ec2-metadata-token") == "CANARY-session-of-metadata"
        await credential.close()


async def test_where_nothing_is_found_the_reader_learns_what_to_do() -> None:
    credential = credential_of()
    with pytest.raises(UpstreamRefusedKey, match="aws sso login") as refused:
        await headers_of(credential)
    assert refused.value.status == 502
    await credential.close()


async def test_a_profile_that_is_not_there_is_told() -> None:
    credential = credential_of(credential={"profile": "CANARY"})
    with pytest.raises(UpstreamRefusedKey, match="no AWS profile of that name") as refused:
        await headers_of(credential)
    assert "CANARY" not in refused.value.message
    await credential.close()


async def test_half_a_key_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    credential = credential_of()
    with pytest.raises(UpstreamRefusedKey, match="PartialCredentialsError"):
        await headers_of(credential)
    await credential.close()


async def test_a_refusal_tells_its_code_and_nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with FakeClouds() as clouds:
        in_a_pod(clouds, monkeypatch, tmp_path)
        error = b"<Error><Type>Sender</Type><Code>InvalidIdentityToken</Code><Message>CANARY</Message></Error>"
        clouds.refuses = whole(b"<ErrorResponse>" + error + b"</ErrorResponse>", status=400)
        credential = credential_of()
        with pytest.raises(UpstreamRefusedKey, match=r"\(InvalidIdentityToken\): look at the role") as refused:
            await headers_of(credential)
        assert "CANARY" not in refused.value.message
        await credential.close()


async def test_an_agent_that_cannot_be_reached_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{closed_port()}/container")
    monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.SLEEP_TIME", 0)
    credential = credential_of()
    with pytest.raises(UpstreamUnreachable, match="does not answer"):
        await headers_of(credential)
    await credential.close()


async def test_keys_that_would_be_two_header_lines_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakeClouds() as clouds:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{clouds.url}/container")
        keys = {
            "AccessKeyId": "A",
            "SecretAccessKey": "B",
            "Token": "CANARY\r\nx: y",
            "Expiration": "2099-01-01T00:00:00Z",
        }
        clouds.answers["/container"] = whole(keys)
        credential = credential_of()
        with pytest.raises(Exception, match="cannot stand in the header") as refused:
            await headers_of(credential)
        assert "CANARY" not in str(refused.value)
        await credential.close()


def test_the_region_is_the_options_or_the_environments_or_the_profiles(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(CredentialError, match=r"set options\.region"):
        aws_region(settings_of())
    (tmp_path / "aws-config").write_text("[default]\nregion = of-the-file\n[profile work]\nregion = of-work\n")
    assert aws_region(settings_of()) == "of-the-file"
    assert aws_region(settings_of(credential={"profile": "work"})) == "of-work"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "of-botocore")
    assert aws_region(settings_of()) == "of-botocore"
    monkeypatch.setenv("AWS_REGION", "of-everybody")
    assert aws_region(settings_of()) == "of-everybody"
    assert aws_region(settings_of(region="mine")) == "mine"
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(CredentialError, match="ProfileNotFound"):
        aws_region(settings_of(credential={"profile": "nobody"}))
