"""Models come from the Hugging Face hub, or from a mirror that speaks like it.

Sources: the hub's OpenAPI document at https://huggingface.co/.well-known/openapi.json, and for `X-Error-Code` its own
client, https://github.com/huggingface/huggingface_hub.
"""

from __future__ import annotations

import http
import urllib.error
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, urlsplit

from farmgate.core.locator import HubModel, Locator
from farmgate.core.ports import Progress, Report
from farmgate.engines.pulling.catalogue import HubFile, Item
from farmgate.engines.pulling.choosing import choose
from farmgate.engines.pulling.download import bring
from farmgate.engines.pulling.plan import Piece, Plan
from farmgate.engines.pulling.repository import Repository, RepositoryFile, read_repository
from farmgate.engines.pulling.sources import NotThere, SourceFailed, SourceRefused, Stop
from farmgate.engines.pulling.web import Token, Visit, Web, origin_of

__all__ = ["HUB_URL", "Hub"]

HUB_URL = "https://huggingface.co"
MAIN = "main"
MOST_ANSWER_BYTES = 32 << 20


class Hub:
    """`base_url` is the hub's own or a mirror's, and the one address that `token` is shown to."""

    name = "the Hugging Face hub"

    def __init__(
        self,
        base_url: str = HUB_URL,
        *,
        token: str | None = None,
        connect_s: float = 5.0,
        stall_s: float = 30.0,
        wait: Callable[[Stop, float], None] = Stop.wait,
    ) -> None:
        """Raises ValueError for an address that is none, or a token that no header can hold."""
        if urlsplit(base_url).scheme not in {"http", "https"}:
            raise ValueError(f"the hub's address must start with https:// or http://, not {base_url!r}")
        self._base_url = base_url.rstrip("/")
        self._token = Token(origin=origin_of(base_url), value=token) if token else None
        self._web = Web(token=self._token, connect_s=connect_s, stall_s=stall_s, wait=wait)

    # As a source of the catalogue

    def offers(self, item: Item) -> bool:
        return item.hub is not None

    def scratch_bytes(self, item: Item) -> int:
        return 0

    async def fetch(self, item: Item, into: Path, report: Report) -> None:
        assert item.hub is not None
        url = self._url(item.hub)
        piece = Piece(path=item.hub.file, url=url, shown=url, size_bytes=item.size_bytes, sha256=item.sha256)

        def tell(completed: int) -> None:
            report(Progress(status=f"downloading from {self.name}", completed=completed, total=item.size_bytes))

        await bring(self._web, piece, into, where=self._base_url, tell=tell)

    def _url(self, file: HubFile) -> str:
        return f"{self._base_url}/{file.repository}/resolve/{quote(file.revision, safe='')}/{quote(file.file)}"

    # As an origin of any model in it

    async def plan(self, locator: Locator, pausing: Callable[[float], object]) -> Plan:
        assert isinstance(locator, HubModel)
        repository = await self._repository(locator, pausing)
        choice = choose(repository, locator)
        return Plan(
            asked=str(locator),
            source=f"{repository.name} at {repository.commit[:7]}",
            pieces=tuple(self._piece(repository, file, flat=not choice.is_checkpoint) for file in choice.files),
            is_folder=choice.is_checkpoint or len(choice.files) > 1,
            description=repository.name if choice.is_checkpoint else f"{repository.name}: {choice.files[0].path}",
            licence=repository.licence,
            revision=repository.commit,
            told=choice.told,
        )

    async def _repository(self, model: HubModel, pausing: Callable[[float], object]) -> Repository:
        """Its files as they are now at the revision that is meant. Raises SourceFailed."""
        revision = quote(model.revision or MAIN, safe="")
        url = f"{self._base_url}/api/models/{model.repository}/revision/{revision}?blobs=true"
        refusal = self._refusal(model.repository, model.revision)

        def ask(visit: Visit) -> bytes:
            return visit.patiently(lambda: visit.read(url, MOST_ANSWER_BYTES), refusal)

        body = await self._web.run(ask, where=self._base_url, pausing=pausing)
        return read_repository(body, asked=model.repository)

    async def bring(
        self, piece: Piece, into: Path, tell: Callable[[int], object], pausing: Callable[[float], object]
    ) -> None:
        repository = "/".join(urlsplit(piece.url).path.rpartition("/resolve/")[0].split("/")[-2:])
        refusal = self._refusal(repository, None)
        await bring(self._web, piece, into, where=self._base_url, tell=tell, pausing=pausing, refusal=refusal)

    def _piece(self, repository: Repository, file: RepositoryFile, *, flat: bool) -> Piece:
        """`flat`: llama.cpp looks for the parts of a model beside the first, wherever the repository keeps them."""
        url = self._url(HubFile(repository=repository.name, revision=repository.commit, file=file.path))
        return Piece(
            path=file.path.rpartition("/")[2] if flat else file.path,
            url=url,
            shown=url,
            size_bytes=file.size_bytes,
            sha256=file.sha256,
            blob_sha1=file.blob_sha1,
        )

    def _refusal(self, repository: str, revision: str | None) -> Callable[[urllib.error.HTTPError], SourceFailed]:
        """What a status means, and what to do about it. None of the server's own words are repeated."""

        def told(error: urllib.error.HTTPError) -> SourceFailed:
            code = error.headers.get("X-Error-Code") or ""
            is_hubs_own = origin_of(error.geturl() or self._base_url) == origin_of(self._base_url)
            if error.code in {http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN} and is_hubs_own:
                return self._not_let_in(repository, error.code, is_gated=code == "GatedRepo")
            if error.code == http.HTTPStatus.NOT_FOUND and code == "RevisionNotFound":
                return NotThere(f"{repository} has no revision {revision or MAIN}")
            if error.code == http.HTTPStatus.NOT_FOUND and code == "EntryNotFound":
                return NotThere(f"{repository} does not have that file any more")
            if error.code == http.HTTPStatus.NOT_FOUND and is_hubs_own:
                return NotThere(f"{self._base_url} has no {repository}: check the name")
            return SourceFailed(f"{origin_of(error.geturl() or self._base_url)} answered {error.code}")

        return told

    def _not_let_in(self, repository: str, status: int, *, is_gated: bool) -> SourceFailed:
        page = f"{self._base_url}/{repository}"
        if self._token is not None and not self._token.is_safe:
            return SourceRefused(f"{self._base_url} wants a token, and HF_TOKEN is not sent over http://: use https://")
        if is_gated and self._token is None:
            return SourceRefused(
                f"{repository} is gated: accept its terms at {page} and set HF_TOKEN to a token of yours"
            )
        if is_gated:
            return SourceRefused(f"{repository} is gated, and HF_TOKEN may not read it: accept its terms at {page}")
        if self._token is not None:
            return SourceRefused(
                f"{self._base_url} refused HF_TOKEN for {repository} ({status}): is it valid, may it read?"
            )
        # The hub does not tell strangers whether there is a private repository of that name.
        return NotThere(f"{self._base_url} has no {repository}, or it is private: check the name, or set HF_TOKEN")
