"""Google's chain, with the real google-auth, against token services on loopback."""

from __future__ import annotations

import base64
import importlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from google.auth.compute_engine import _metadata
from google.oauth2 import credentials as logins
from tests.fakes.clouds import FakeClouds, form_of
from tests.fakes.upstream import closed_port, whole
from tests.unit.providers.credentials.support import headers_of, settings_of

from farmgate.core.errors import UpstreamRefusedKey, UpstreamUnreachable
from farmgate.providers.credentials import CredentialError, google_credential

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def service_account(clouds: FakeClouds) -> dict[str, str]:
    pem = KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return {
        "type": "service_account",
        "project_id": "project-of-the-account",
        "private_key_id": "1",
        "private_key": pem.decode(),
        "client_email": "farm@project.iam.gserviceaccount.com",
        "token_uri": f"{clouds.url}/google/token",
    }


def user(clouds: FakeClouds, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A login. google-auth asks for its token at one address only, whatever a file says."""
    monkeypatch.setattr(logins, "_GOOGLE_OAUTH2_TOKEN_ENDPOINT", f"{clouds.url}/google/token")
    return {
        "type": "authorized_user",
        "client_id": "client",
        "client_secret": "CANARY-client",
        "refresh_token": "CANARY-refresh",
        "quota_project_id": "who-pays",
    }


def federated(clouds: FakeClouds, source: dict[str, object], **more: object) -> dict[str, object]:
    return {
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/cluster",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{clouds.url}/google/sts",
        "credential_source": source,
        **more,
    }


def written(directory: Path, what: object) -> str:
    path = directory / "credential.json"
    path.write_text(json.dumps(what))
    return str(path)


@contextmanager
def near(clouds: FakeClouds) -> Iterator[None]:
    """The metadata server is this one. google-auth reads where it is when it is imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GCE_METADATA_HOST", f"127.0.0.1:{clouds.port}")
        patch.setenv("GCE_METADATA_IP", f"127.0.0.1:{clouds.port}")
        importlib.reload(_metadata)
        yield
    importlib.reload(_metadata)


def part_of(token: str, at: int) -> dict[str, object]:
    piece = token.split(".")[at]
    part: dict[str, object] = json.loads(base64.urlsafe_b64decode(piece + "=" * (-len(piece) % 4)))
    return part


async def test_an_api_key_goes_in_its_own_header_and_nothing_is_fetched() -> None:
    credential = google_credential(settings_of("CANARY-key", project="mine"))
    assert await headers_of(credential) == {"x-goog-api-key": "CANARY-key"}
    assert await credential.project() == "mine"
    assert "CANARY" not in repr(credential)
    await credential.close()


async def test_the_metadata_server_of_a_machine_or_a_pod_gives_a_token() -> None:
    async with FakeClouds() as clouds:
        with near(clouds):
            credential = google_credential(settings_of())
            assert await headers_of(credential) == {"authorization": "Bearer CANARY-1"}
            assert await headers_of(credential) == {"authorization": "Bearer CANARY-1"}
            assert await credential.project() == "metadata-project"
            asked = clouds.asked_for("/token")
            assert len(asked) == 1
            assert asked[0].header("metadata-flavor") == "Google"
            assert "cloud-platform" in asked[0].path
            await credential.close()


async def test_the_file_the_environment_names_is_a_service_account(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with FakeClouds() as clouds:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", written(tmp_path, service_account(clouds)))
        credential = google_credential(settings_of())
        assert await headers_of(credential) == {"authorization": "Bearer CANARY-1"}
        assert await credential.project() == "project-of-the-account"
        assertion = form_of(clouds.asked[0])["assertion"]
        claims = part_of(assertion, 1)
        assert claims["scope"] == SCOPE
        assert claims["iss"] == "farm@project.iam.gserviceaccount.com"
        signed, signature = assertion.rsplit(".", 1)
        KEY.public_key().verify(
            base64.urlsafe_b64decode(signature + "=="), signed.encode(), padding.PKCS1v15(), hashes.SHA256()
        )
        await credential.close()


async def test_a_login_of_gcloud_is_found_and_names_who_pays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with FakeClouds() as clouds:
        (tmp_path / "gcloud").mkdir()
        (tmp_path / "gcloud" / "application_default_credentials.json").write_text(json.dumps(user(clouds, monkeypatch)))
        credential = google_credential(settings_of())
        assert await headers_of(credential) == {
            "authorization": "Bearer CANARY-1",
            "x-goog-user-project": "who-pays",
        }
        assert form_of(clouds.asked[0])["refresh_token"] == "CANARY-refresh"
        with pytest.raises(UpstreamRefusedKey, match=r"set options\.project"):
            await credential.project()
        await credential.close()


async def test_a_pods_own_token_is_exchanged(tmp_path: Path) -> None:
    async with FakeClouds() as clouds:
        (tmp_path / "token").write_text("CANARY-subject")
        file = written(tmp_path, federated(clouds, {"file": str(tmp_path / "token")}))
        credential = google_credential(settings_of(credential={"file": file}))
        assert await headers_of(credential) == {"authorization": "Bearer CANARY-1"}
        form = form_of(clouds.asked[0])
        assert form["subject_token"] == "CANARY-subject"
        assert form["scope"] == SCOPE
        await credential.close()


async def test_a_token_from_an_address_is_exchanged_and_speaks_for_a_service_account(tmp_path: Path) -> None:
    async with FakeClouds() as clouds:
        source: dict[str, object] = {
            "url": f"{clouds.url}/google/subject",
            "headers": {"metadata": "true"},
            "format": {"type": "json", "subject_token_field_name": "id_token"},
        }
        impersonated = f"{clouds.url}/google/impersonated:generateAccessToken"
        file = written(tmp_path, federated(clouds, source, service_account_impersonation_url=impersonated))
        credential = google_credential(settings_of(credential={"file": file}, project="mine"))
        assert await headers_of(credential) == {"authorization": "Bearer CANARY-2"}
        assert form_of(clouds.asked_for("/sts")[0])["subject_token"] == "CANARY-subject-of-a-url"
        assert clouds.asked_for("impersonated")[0].header("authorization") == "Bearer CANARY-1"
        assert await credential.project() == "mine"
        await credential.close()


async def test_the_environment_may_name_a_federation_file_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with FakeClouds() as clouds:
        (tmp_path / "token").write_text("CANARY-subject")
        file = written(tmp_path, federated(clouds, {"file": str(tmp_path / "token")}))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
        monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "of-the-environment")
        credential = google_credential(settings_of())
        assert await headers_of(credential) == {"authorization": "Bearer CANARY-1"}
        assert await credential.project() == "of-the-environment"
        await credential.close()


async def test_where_nothing_is_found_the_reader_learns_what_to_do(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_metadata, "is_on_gce", lambda request: False)
    credential = google_credential(settings_of())
    with pytest.raises(UpstreamRefusedKey, match="gcloud auth application-default login") as refused:
        await headers_of(credential)
    assert refused.value.status == 502
    assert not caplog.records, "google-auth keeps its words to itself"
    await credential.close()


async def test_a_refusal_tells_its_code_and_nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with FakeClouds() as clouds:
        clouds.refuses = whole({"error": "invalid_grant", "error_description": "CANARY-refresh is over"}, status=400)
        credential = google_credential(settings_of(credential={"file": written(tmp_path, user(clouds, monkeypatch))}))
        with pytest.raises(UpstreamRefusedKey, match=r"\(invalid_grant\): log in again") as refused:
            await headers_of(credential)
        assert "CANARY" not in refused.value.message
        await credential.close()


async def test_a_token_service_that_cannot_be_reached_is_told_as_such(tmp_path: Path) -> None:
    async with FakeClouds() as clouds:
        broken = service_account(clouds) | {"token_uri": f"http://127.0.0.1:{closed_port()}/token"}
        credential = google_credential(settings_of(credential={"file": written(tmp_path, broken)}))
        with pytest.raises(UpstreamUnreachable, match="does not answer"):
            await headers_of(credential)
        await credential.close()


async def test_a_token_service_sends_nobody_elsewhere(tmp_path: Path) -> None:
    async with FakeClouds() as clouds:
        clouds.answers["/google/token"] = whole(
            b"", status=307, headers=b"location: %b/elsewhere\r\n" % clouds.url.encode()
        )
        credential = google_credential(settings_of(credential={"file": written(tmp_path, service_account(clouds))}))
        with pytest.raises(UpstreamRefusedKey):
            await headers_of(credential)
        assert not clouds.asked_for("elsewhere")
        await credential.close()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"type": "service_account"}', '{"type": "CANARY"}', "\udcff"])
async def test_a_file_that_is_none_is_told_without_its_words(tmp_path: Path, content: str) -> None:
    path = tmp_path / "credential.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    credential = google_credential(settings_of(credential={"file": str(path)}))
    with pytest.raises(UpstreamRefusedKey, match=r"options\.credential\.file names cannot be used") as refused:
        await headers_of(credential)
    assert "CANARY" not in refused.value.message
    await credential.close()


async def test_a_token_that_would_be_two_header_lines_is_not_used(tmp_path: Path) -> None:
    async with FakeClouds() as clouds:
        clouds.answers["/google/token"] = whole({"access_token": "CANARY\r\nx: y", "expires_in": 3600})
        credential = google_credential(settings_of(credential={"file": written(tmp_path, service_account(clouds))}))
        with pytest.raises(Exception, match="cannot stand in the header") as refused:
            await headers_of(credential)
        assert "CANARY" not in str(refused.value)
        await credential.close()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"credential": {"flie": "x"}}, r"no 'flie': it has file, scope"),
        ({"credential": "x"}, r"write \{file: \.\.\.\}"),
        ({"credential": {"file": 1}}, r"options\.credential\.file has to be a text"),
        ({"project": 1}, r"options\.project has to be a text"),
    ],
)
def test_an_option_that_is_wrong_is_told_at_once(options: dict[str, object], told: str) -> None:
    with pytest.raises(CredentialError, match=told):
        google_credential(settings_of(**options))
