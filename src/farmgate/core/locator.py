"""Where a model comes from, as its owner writes it: the hub, an address, a path, another provider, or a known name."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import SplitResult, unquote, urlsplit

from farmgate.core.errors import InvalidValue

__all__ = [
    "HubModel",
    "LocalFiles",
    "Locator",
    "NamedModel",
    "ProviderModel",
    "WebFile",
    "is_path",
    "is_remote",
    "parse_locator",
]

GGUF = ".gguf"
HUB_HOSTS = frozenset({"huggingface.co", "www.huggingface.co", "hf.co"})
LOOKS_LIKE_THE_HUB = ("huggingface:", "huggingface/", "huggingface.co/", "hf.co/", "hf/")
LONGEST = 2048

# What the hub allows in a name, and git in the name of a branch or tag.
OWNER_OR_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,95}")
REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")
QUANTISATION = re.compile(r"[A-Za-z0-9]+(?:[_-][A-Za-z0-9]+)*")
SHA256 = re.compile(r"sha256=([0-9A-Fa-f]{64})")

HOW_TO_WRITE_HUB = "write hf:owner/name, hf:owner/name:file.gguf or hf:owner/name@revision"


@dataclass(frozen=True, slots=True, kw_only=True)
class HubModel:
    """A repository of the Hugging Face hub. `revision`: a branch, tag or commit; None: its main branch.

    `file`: one GGUF file by its path there, or what its name says of how it is quantised, such as `Q4_K_M`.
    """

    repository: str
    revision: str | None = None
    file: str | None = None

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        return f"hf:{self.repository}{revision}" + (f":{self.file}" if self.file else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class WebFile:
    """A GGUF file at an address. `sha256`: in hexadecimal, where its owner wrote it behind the address."""

    url: str
    sha256: str | None = None

    def __str__(self) -> str:
        """Without the query, which may hold a credential."""
        return self.url.partition("?")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalFiles:
    """A GGUF file, or the folder of a checkpoint, on this machine."""

    path: str

    def __str__(self) -> str:
        return self.path


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderModel:
    """A model that a provider gets by itself."""

    provider: str
    model: str

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedModel:
    """A name: of the catalogue, or of the configuration."""

    name: str

    def __str__(self) -> str:
        return self.name


Locator: TypeAlias = HubModel | WebFile | LocalFiles | ProviderModel | NamedModel


def is_remote(text: str) -> bool:
    """Whether a text means something that is fetched over the network from where it says, well written or not."""
    return text[:3].lower() == "hf:" or "://" in text


def is_path(text: str) -> bool:
    """Whether a text means files on this machine."""
    return not is_remote(text) and (text.startswith((".", "/", "~")) or text.lower().endswith(GGUF) or "\\" in text)


def parse_locator(text: str) -> Locator:
    """What a text means. Raises InvalidValue, with what to write instead."""
    if not text or text != text.strip() or not text.isprintable() or len(text) > LONGEST:
        raise wrong(f"{shown(text)} names no model: write its name without spaces around it")
    lower = text.lower()
    if lower.startswith("hf:"):
        return hub_model(text[len("hf:") :].removeprefix("//"))
    if lower.startswith(("https://", "http://")):
        return at_address(text)
    if "://" in text:
        raise wrong(
            f"{shown(text)}: models come from https:// and from the hub (hf:owner/name); name a file by its path"
        )
    if lower.startswith("ollama:"):
        return provider_model("ollama", text[len("ollama:") :])
    if is_path(text):
        return LocalFiles(path=text)
    if lower.startswith(LOOKS_LIKE_THE_HUB):
        raise wrong(f"{shown(text)}: for a model of the hub, {HOW_TO_WRITE_HUB}")
    provider, slash, model = text.partition("/")
    return provider_model(provider, model) if slash else NamedModel(name=text)


def provider_model(provider: str, model: str) -> ProviderModel:
    if not provider or not model:
        raise wrong("name both the provider and its model, such as ollama/llama3.1")
    return ProviderModel(provider=provider, model=model)


# ----------------------------------------------------------------------------------------------------------- the hub


def hub_model(text: str) -> HubModel:
    """What stands behind `hf:`."""
    before, colon, file = text.partition(":")
    repository, at, revision = before.partition("@")
    if (colon and not file) or (at and not revision):
        raise wrong(f"something is missing in hf:{text[:200]}: {HOW_TO_WRITE_HUB}")
    if "@" in file:
        path, _, late = file.rpartition("@")
        raise wrong(f"the revision stands before the file: hf:{repository}@{late}:{path}")
    return checked(repository, revision or None, file or None)


def checked(repository: str, revision: str | None, file: str | None) -> HubModel:
    owner, slash, name = repository.partition("/")
    if not slash:
        raise wrong(f"there is no owner in hf:{repository[:100]}: {HOW_TO_WRITE_HUB}")
    if "/" in name:
        name, _, rest = name.partition("/")
        raise wrong(f"a file of the hub stands behind a colon: hf:{owner}/{name}:{rest[:200]}")
    if not all(OWNER_OR_NAME.fullmatch(part) and ".." not in part and "--" not in part for part in (owner, name)):
        raise wrong(f"{shown(repository)} is not the name of a repository on the hub: {HOW_TO_WRITE_HUB}")
    if revision is not None and (not REVISION.fullmatch(revision) or ".." in revision or "//" in revision):
        raise wrong(f"{shown(revision)} is no revision: name a branch, a tag or a commit")
    if file is not None:
        check_file(repository, file)
    return HubModel(repository=repository, revision=None if revision == "main" else revision, file=file)


def check_file(repository: str, file: str) -> None:
    if file.lower().endswith(GGUF):
        if any(part in ("", ".", "..") or part.startswith(".") for part in file.split("/")) or "\\" in file:
            raise wrong(f"{shown(file)} is not the path of a file in a repository")
    elif not QUANTISATION.fullmatch(file):
        raise wrong(
            "only a .gguf file can be named, or a quantisation such as Q4_K_M: a checkpoint in safetensors comes "
            f"whole, by hf:{repository}"
        )


def hub_page(parts: SplitResult) -> HubModel:
    """A page of the hub, as it stands in a browser."""
    match [unquote(step) for step in parts.path.split("/") if step]:
        case ["datasets" | "spaces" | "api" | "docs" | "collections" | "papers", *_]:
            pass
        case [owner, name]:
            return checked(f"{owner}/{name}", None, None)
        case [owner, name, "tree", revision]:
            return checked(f"{owner}/{name}", revision, None)
        case [owner, name, "blob" | "resolve", revision, *file] if file:
            return checked(f"{owner}/{name}", revision, "/".join(file))
    raise wrong(f"this page of the hub is not a model's: {HOW_TO_WRITE_HUB}")


# ---------------------------------------------------------------------------------------------------------- addresses


def at_address(text: str) -> HubModel | WebFile:
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise wrong("the host or port of that address is not valid") from None
    if not host or not text.isascii() or " " in text or "\\" in text:
        raise wrong("an address is https://host/path/model.gguf, in plain letters, without spaces")
    if "@" in parts.netloc:
        raise wrong("an address must not hold a user name or password: they would be kept with the model")
    if host.lower() in HUB_HOSTS:
        return hub_page(parts)
    if not unquote(parts.path).lower().endswith(GGUF):
        raise wrong(
            "from an address only a .gguf file is taken: a checkpoint comes from hf:owner/name or from a folder"
        )
    told = SHA256.fullmatch(parts.fragment)
    if parts.fragment and told is None:
        raise wrong("behind # only the file's hash may stand: #sha256= with 64 hexadecimal digits")
    if parts.scheme.lower() == "http" and told is None and not is_loopback(host):
        raise wrong(
            "over http:// anybody on the way can change a file: write https://, or its hash behind it: #sha256=..."
        )
    return WebFile(url=text.partition("#")[0], sha256=told[1].lower() if told else None)


def is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def wrong(message: str) -> InvalidValue:
    return InvalidValue(f"{message[:1].upper()}{message[1:]}.", param="model")


def shown(text: str) -> str:
    """A user's word as it may stand in a message."""
    return repr(text if len(text) <= 100 else f"{text[:100]}...")
