"""What every credential can do: give the header lines that make a cloud answer one request."""

from __future__ import annotations

from typing import Protocol

from farmgate.providers.settings import CredentialError

__all__ = ["Credential", "CredentialError", "GoogleCredential"]


class Credential(Protocol):
    """One provider's proof of who it is. Its provider makes it, asks it before every request, and closes it.

        self._credential = azure_credential(settings)
        ...
        lines = await self._credential.headers(method="POST", path=path, body=body, deadline=request.deadline)
        answer = await self._upstream.send("POST", path, body=body, headers=lines, deadline=request.deadline)
        ...
        await self._credential.close()

    Nothing is fetched before the first request; that one waits, later ones find a token that is kept fresh behind them.
    """

    async def headers(self, *, method: str, path: str, body: bytes, deadline: float | None = None) -> bytes:
        """Header lines, each ended by CRLF, for exactly this request.

        `path`: as given to `Upstream.send`, quoted, with its query. `deadline`: on the event loop's clock.
        More header lines may go out beside these. Raises UpstreamRefusedKey, UpstreamUnreachable or UpstreamTimeout
        with a message that says what the operator has to do; no secret is in it.
        """

    async def close(self) -> None:
        """End what keeps the token fresh. May be called again, and before `headers`."""


class GoogleCredential(Credential, Protocol):
    """A Credential that may know its project too."""

    async def project(self, *, deadline: float | None = None) -> str:
        """`options.project`, else the project of the credentials found. Raises UpstreamRefusedKey where neither is."""
