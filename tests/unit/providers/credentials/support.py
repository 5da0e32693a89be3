"""Words the tests of the three clouds share."""

from __future__ import annotations

from farmgate.providers.credentials import Credential
from farmgate.providers.settings import ProviderSettings

__all__ = ["headers_of", "settings_of"]


def settings_of(api_key: str | None = None, /, **options: object) -> ProviderSettings:
    return ProviderSettings(name="cloud", api_key=api_key, options=options)


async def headers_of(
    credential: Credential, *, method: str = "POST", path: str = "/chat", body: bytes = b"{}"
) -> dict[str, str]:
    """The header lines for one request, taken apart."""
    lines = await credential.headers(method=method, path=path, body=body)
    assert lines.endswith(b"\r\n")
    pairs = [line.split(": ", 1) for line in lines.decode("ascii").removesuffix("\r\n").split("\r\n")]
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)
