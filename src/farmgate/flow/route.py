"""Who answers: from the name a caller uses to a provider and its own name for the model. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

from farmgate.core.errors import InvalidValue, ModelNotFound

__all__ = ["Candidate", "Catalog", "ProviderView", "View", "plan", "who_gets"]

DEFAULT_NAMES = ("default", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One provider's model, in the provider's own words."""

    provider: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderView:
    """What is known of one provider. `is_open`: it may have models it does not list."""

    models: frozenset[str] = frozenset()
    default_model: str | None = None
    is_open: bool = False

    def own_name(self, name: str) -> str | None:
        """The provider's name for a model; Ollama's `:latest` goes without saying."""
        if name in self.models:
            return name
        latest = f"{name}:latest"
        if latest in self.models:
            return latest
        return name if self.is_open else None


@dataclass(frozen=True, kw_only=True)
class View:
    """Everything routing looks at, at one moment. `providers` is in order of preference."""

    providers: Mapping[str, ProviderView] = field(default_factory=dict)
    default_provider: str | None = None

    @cached_property
    def by_name(self) -> Mapping[str, Candidate]:
        """Who answers to each plain name: the default provider before the others, in order."""
        found: dict[str, Candidate] = {}
        for name, known in in_order(self):
            for model in sorted(known.models):
                candidate = Candidate(provider=name, model=model)
                found.setdefault(model, candidate)
                found.setdefault(model.removesuffix(":latest"), candidate)
        return found


class Catalog(Protocol):
    """Where views come from."""

    def view(self) -> View: ...

    async def refresh(self) -> None:
        """Look again at what the providers have; asked for when a name is not known."""


def plan(model: str | None, provider: str | None, view: View) -> Candidate:
    """Who answers to this name. Raises ModelNotFound or InvalidValue, with what there is instead.

    `provider/model` names both; a plain name is looked for at the default provider, then at the others in order; no
    name, or `default`, is the default provider's default model.
    """
    if provider is not None:
        known = view.providers.get(provider)
        if known is None:
            raise InvalidValue(unknown_provider(provider, view), param="provider")
        return at(provider, known, model)
    if model is None or model in DEFAULT_NAMES:
        known = view.providers.get(view.default_provider or "")
        if known is None:
            raise ModelNotFound("There is no default provider: name a model, or run `farmgate doctor`.", param="model")
        return at(view.default_provider or "", known, None)
    candidate = view.by_name.get(model)
    if candidate is not None:
        return candidate
    head, slash, rest = model.partition("/")
    if slash and rest and head in view.providers:
        return at(head, view.providers[head], rest)
    for name, known in in_order(view):
        if known.is_open:
            return at(name, known, model)
    raise ModelNotFound(unknown_model(model, view), param="model")


def who_gets(model: str, provider: str | None, view: View) -> Candidate:
    """Who makes a model ready: whoever has it; else the provider named, or the default one, which may get it.

    Raises ModelNotFound or InvalidValue. One that may have models it does not list is not taken to have this one: that
    would keep a model from the provider that can get it.
    """
    listed = {name: replace(known, is_open=False) for name, known in view.providers.items()}
    try:
        return plan(model, provider, View(providers=listed, default_provider=view.default_provider))
    except ModelNotFound:
        head, slash, rest = model.partition("/")
        if provider is None and slash and rest and head in view.providers:
            return Candidate(provider=head, model=rest)
        name = provider or view.default_provider
        if name is None:
            raise
        return Candidate(provider=name, model=model.removeprefix(f"{name}/"))


def in_order(view: View) -> list[tuple[str, ProviderView]]:
    """The default provider, then the others."""
    return sorted(view.providers.items(), key=lambda item: item[0] != view.default_provider)


def at(name: str, known: ProviderView, model: str | None) -> Candidate:
    """A model of one provider."""
    if model is None or model in DEFAULT_NAMES:
        model = known.default_model or (min(known.models) if known.models else None)
        if model is None:
            raise ModelNotFound(f"{name} has no default model: name one, or set defaultModel.", param="model")
        return Candidate(provider=name, model=known.own_name(model) or model)
    own = known.own_name(model.removeprefix(f"{name}/") if model not in known.models else model)
    if own is None:
        raise ModelNotFound(f"{name} has no model {shown(model)}.{nearest(model, known.models)}", param="model")
    return Candidate(provider=name, model=own)


def shown(name: str) -> str:
    """A caller's word as it may stand in a message."""
    told = repr(name[:101])
    return told if len(told) <= 102 else f"{told[:100]}...'"


def unknown_model(model: str, view: View) -> str:
    every = {name for known in view.providers.values() for name in known.models}
    return f"There is no model {shown(model)}.{nearest(model, every)}"


def nearest(name: str, names: frozenset[str] | set[str]) -> str:
    """What to say instead of a name that is not known."""
    close = difflib.get_close_matches(name[:100], names, n=1)
    if close:
        return f" Did you mean {close[0]!r}?"
    some = ", ".join(sorted(names)[:5])
    return f" There is: {some}{', ...' if len(names) > 5 else ''}." if some else ""


def unknown_provider(provider: str, view: View) -> str:
    return f"There is no provider {shown(provider)}. There is: {', '.join(view.providers) or 'none'}."
