"""Azure's identities, with the real azure-identity, against token services on loopback."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.fakes.clouds import FakeClouds, form_of
from tests.fakes.upstream import AUTHORITY, closed_port, whole
from tests.unit.providers.credentials.support import headers_of, settings_of

from farmgate.core.errors import UpstreamRefusedKey, UpstreamUnreachable
from farmgate.providers.credentials import CredentialError, azure, azure_credential

RESOURCE = "https://cognitiveservices.azure.com"


def near(clouds: FakeClouds, monkeypatch: pytest.MonkeyPatch) -> None:
    """A virtual machine's metadata server is this one."""
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", clouds.url)


def in_a_pod(clouds: FakeClouds, monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    """What the workload identity webhook puts into a pod. Entra is only ever spoken to by TLS."""
    (directory / "token").write_text("CANARY-of-the-cluster")
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", clouds.url)
    monkeypatch.setenv("AZURE_TENANT_ID", "tenant")
    monkeypatch.setenv("AZURE_CLIENT_ID", "client-of-the-pod")
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(directory / "token"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(AUTHORITY))


def query_of(path: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(path).query)


async def test_an_api_key_goes_in_its_own_header_and_nothing_is_fetched() -> None:
    credential = azure_credential(settings_of("CANARY-key"))
    assert await headers_of(credential) == {"api-key": "CANARY-key"}
    assert "CANARY" not in repr(credential)
    await credential.close()


@pytest.mark.parametrize("kind", ["managed", "default"])
async def test_a_machines_managed_identity_gives_a_token(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    async with FakeClouds() as clouds:
        near(clouds, monkeypatch)
        credential = azure_credential(settings_of(credential={"kind": kind}))
        first = await headers_of(credential)
        assert first["authorization"].startswith("Bearer CANARY-")
        count = len(clouds.asked)
        assert await headers_of(credential) == first
        assert len(clouds.asked) == count, "the second request waits for nothing"
        assert clouds.asked[0].header("metadata") == "true"
        assert query_of(clouds.asked[0].path)["resource"] == [RESOURCE]
        await credential.close()


async def test_a_user_assigned_identity_is_named_and_so_is_another_scope(monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakeClouds() as clouds:
        near(clouds, monkeypatch)
        told = {"kind": "managed", "clientId": "mine", "scope": "https://ai.azure.com/.default"}
        credential = azure_credential(settings_of(credential=told))
        await headers_of(credential)
        query = query_of(clouds.asked[0].path)
        assert query["client_id"] == ["mine"]
        assert query["resource"] == ["https://ai.azure.com"]
        await credential.close()


async def test_an_app_service_or_container_app_gives_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakeClouds() as clouds:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{clouds.url}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", "CANARY-of-the-app")
        credential = azure_credential(settings_of(credential={"kind": "managed"}))
        assert await headers_of(credential) == {"authorization": "Bearer CANARY-1"}
        assert clouds.asked[0].header("x-identity-header") == "CANARY-of-the-app"
        await credential.close()


@pytest.mark.parametrize("kind", ["workload", "default"])
async def test_a_pods_own_token_is_exchanged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str) -> None:
    async with FakeClouds(certificate="here") as clouds:
        in_a_pod(clouds, monkeypatch, tmp_path)
        credential = azure_credential(settings_of(credential={"kind": kind}))
        assert await headers_of(credential) == {"authorization": "Bearer CANARY-1"}
        form = form_of(clouds.asked[0])
        assert form["client_assertion"] == "CANARY-of-the-cluster"
        assert form["client_id"] == "client-of-the-pod"
        assert form["scope"] == f"{RESOURCE}/.default"
        assert clouds.asked[0].path == "/tenant/oauth2/v2.0/token"
        await credential.close()


async def test_the_login_of_a_developer_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "az"
    answer = {"accessToken": "CANARY-of-az", "expiresOn": "2099-01-01 00:00:00.000000", "expires_on": 4070908800}
    program.write_text(f"#!/bin/sh\necho '{json.dumps(answer)}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    credential = azure_credential(settings_of(credential={"kind": "cli"}))
    assert await headers_of(credential) == {"authorization": "Bearer CANARY-of-az"}
    await credential.close()


async def test_a_token_is_renewed_when_azure_would_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakeClouds() as clouds:
        near(clouds, monkeypatch)
        clouds.lifetime_s = 86_400
        held = await asyncio.to_thread(azure.fetch, azure.Kind.MANAGED, {})
        assert held.renew_unix == pytest.approx(held.expires_unix - 43_200, abs=5)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("workload", r"label the pod azure\.workload\.identity/use"),
        ("environment", "set AZURE_TENANT_ID"),
        ("cli", "run `az login`"),
        ("default", "on a laptop run `az login`"),
    ],
)
async def test_where_nothing_is_found_the_reader_learns_what_to_do(
    monkeypatch: pytest.MonkeyPatch, kind: str, told: str
) -> None:
    # A port at which nobody is, instead of the address of every metadata server.
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{closed_port()}/token")
    monkeypatch.setenv("IDENTITY_HEADER", "CANARY-of-the-app")
    monkeypatch.setattr(azure, "PATIENCE", {**azure.PATIENCE, "retry_total": 0})
    credential = azure_credential(settings_of(credential={"kind": kind}))
    with pytest.raises(UpstreamRefusedKey, match=told) as refused:
        await headers_of(credential)
    assert refused.value.status == 502
    assert "CANARY" not in refused.value.message
    await credential.close()


async def test_a_machine_without_an_identity_is_told_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakeClouds() as clouds:
        near(clouds, monkeypatch)
        clouds.refuses = whole({"error": "invalid_request", "error_description": "Identity not found"}, status=400)
        credential = azure_credential(settings_of(credential={"kind": "managed"}))
        with pytest.raises(UpstreamRefusedKey, match=r"\(invalid_request\): give this machine a managed identity"):
            await headers_of(credential)
        await credential.close()


async def test_a_token_service_that_cannot_be_reached_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{closed_port()}/token")
    monkeypatch.setenv("IDENTITY_HEADER", "CANARY-of-the-app")
    monkeypatch.setattr(azure, "PATIENCE", {**azure.PATIENCE, "retry_total": 0})
    credential = azure_credential(settings_of(credential={"kind": "managed"}))
    with pytest.raises(UpstreamUnreachable, match="does not answer"):
        await headers_of(credential)
    await credential.close()


async def test_a_refusal_tells_its_code_and_nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with FakeClouds(certificate="here") as clouds:
        in_a_pod(clouds, monkeypatch, tmp_path)
        words = "AADSTS70021: No matching federated identity record found. Subject: CANARY-of-the-cluster"
        clouds.refuses = whole({"error": "invalid_client", "error_description": words}, status=401)
        credential = azure_credential(settings_of(credential={"kind": "workload"}))
        with pytest.raises(UpstreamRefusedKey, match=r"given no Azure token \(AADSTS70021\)") as refused:
            await headers_of(credential)
        assert "CANARY" not in refused.value.message
        await credential.close()


@pytest.mark.parametrize(
    ("credential", "told"),
    [
        ({"kind": "magic"}, "one of default, managed, workload, environment, cli"),
        ({"client_id": "x"}, "no 'client_id': it has kind, clientId, tenantId, scope"),
        ([], r"write \{kind: \.\.\.\}"),
    ],
)
def test_an_option_that_is_wrong_is_told_at_once(credential: object, told: str) -> None:
    with pytest.raises(CredentialError, match=told):
        azure_credential(settings_of(credential=credential))
