"""No identity of whoever runs the tests is found, and none is looked for outside loopback."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

CLOUDS = ("AWS_", "AZURE_", "GOOGLE_", "GCE_", "CLOUDSDK_", "IDENTITY_", "MSI_", "IMDS_", "NO_GCE_CHECK")
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "requests_ca_bundle", "curl_ca_bundle")
LIBRARIES = ("azure", "botocore", "google.auth", "google.oauth2", "msal", "urllib3")


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in tuple(os.environ):
        if name.startswith(CLOUDS) or name.lower() in PROXIES:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "aws-credentials"))
    # Metadata servers stand at fixed addresses, which no test may reach.
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.fixture(autouse=True)
def canaries(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a test does, no token is in the log, the libraries' own words included, at the level Farmgate sets."""
    levels = {name: logging.getLogger(name).level for name in LIBRARIES}
    caplog.set_level(logging.WARNING)
    caplog.set_level(logging.INFO, logger="farmgate")
    yield
    records = caplog.get_records("call")
    told = "\n".join(f"{record.getMessage()} {vars(record)}" for record in records)
    assert "CANARY" not in told, told
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
