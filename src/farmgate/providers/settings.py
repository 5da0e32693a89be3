"""What a provider is told when it is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from farmgate.core.model import ModelInfo
from farmgate.providers.transport import Timeouts

__all__ = ["CredentialError", "ProviderSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """One entry of `ai.providers`. `repr` never shows what may be a key, in headers and options too."""

    name: str
    url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    models: tuple[str, ...] = ()
    default_model: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeouts: Timeouts = field(default_factory=Timeouts)
    answer_bytes: int = 64 << 20
    frame_bytes: int = 8 << 20
    options: Mapping[str, object] = field(default_factory=dict, repr=False)

    @property
    def named(self) -> tuple[ModelInfo, ...]:
        """The models it names, of which no more is known."""
        return tuple(ModelInfo(name=name, provider=self.name) for name in self.models)


class CredentialError(Exception):
    """A credential cannot be made from these settings, or a library it needs is missing. The message says what to do
    and reads well behind `ai.providers.NAME: `."""
