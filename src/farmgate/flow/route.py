"""Which provider's model a name means, for the kind of answer that is wanted. Pure; `plan.py` asks for every target."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

from farmgate.core.errors import InvalidValue, ModelNotCapable, ModelNotFound
from farmgate.core.model import LONGEST_NAME, Capability, Facts
from farmgate.core.request import Kind
from farmgate.flow.routes import Route, matching, sorted_wildcards

__all__ = [
    "DEFAULT_NAMES",
    "Candidate",
    "Catalog",
    "ProviderView",
    "View",
    "at",
    "in_order",
    "names_provider",
    "not_in_use",
    "resolve",
    "shown",
    "who_gets",
    "written",
]

DEFAULT_NAMES = ("default", "")
CHAT = Capability.CHAT
VERSION_JOINTS = ("-", ":", "@")
UPSTREAM_CHOOSES = frozenset({Kind.MODERATION, Kind.IMAGE})
"""Kinds for which OpenAI's API lets the caller leave the model out."""

GUIDE = "guide"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One provider's model, in the provider's own words, and what limits it where somebody said so.

    `tier`: 0 for what was wanted, and the place in the list of fallbacks for what stands in for it. The rest is as
    `RouteTarget` has it.
    """

    provider: str
    model: str
    facts: Facts | None = field(default=None, compare=False)
    tier: int = 0
    weight: float = 1.0
    priority: int = 0
    region: str | None = None
    quota: str | None = None
    key: str = field(init=False, compare=False)
    """Names the target among all of the process."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", f"{self.provider}/{self.model}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderView:
    """What is known of one provider. `is_open`: it may have models it does not list.

    `kinds`: the answers it can give; None where nobody knows. `version_joint` stands between a model's name and its
    version there: `gpt-4o-2024-08-06`, `llama3.1:8b`, `gemini-2.5-pro@001`.
    """

    models: frozenset[str] = frozenset()
    default_model: str | None = None
    is_open: bool = False
    kinds: frozenset[str] | None = None
    version_joint: str = "-"

    def can(self, kind: str) -> bool:
        """Whether it gives this kind of answer."""
        return self.kinds is None or kind in self.kinds

    def own_name(self, name: str) -> str | None:
        """The provider's name for a model; Ollama's `:latest` goes without saying."""
        listed = self.listed(name)
        if listed is not None or not self.is_open:
            return listed
        base, at, version = name.rpartition("@")
        return f"{base}{self.version_joint}{version}" if at and base else name

    def listed(self, name: str) -> str | None:
        """The name of a model it lists; `name@version` is one of a model's versions, however they are written there."""
        return next((one for one in written(name) if one in self.models), None)


def written(name: str) -> tuple[str, ...]:
    """A model's name as providers write it, the likeliest first: `:latest` goes without saying, and `name@version` is
    written in three ways.
    """
    base, at, version = name.rpartition("@")
    versions = tuple(f"{base}{joint}{version}" for joint in VERSION_JOINTS) if at and base else ()
    return (name, f"{name}:latest", name.removesuffix(":latest"), *versions)


@dataclass(frozen=True, kw_only=True)
class View:
    """Everything one request's journey looks at, at one moment. `providers` is in order of preference; those `left_out`
    are configured and cannot be used, and `configured` are models that may lack their files."""

    providers: Mapping[str, ProviderView] = field(default_factory=dict)
    default_provider: str | None = None
    left_out: frozenset[str] = frozenset()
    configured: frozenset[str] = frozenset()
    facts: Mapping[tuple[str, str], Facts] = field(default_factory=dict)
    """What limits a provider's model, by both names, for models somebody said it of."""
    routes: Mapping[str, Route] = field(default_factory=dict)
    falls_back: bool = True
    """Whether another target is asked when one fails."""
    region: str | None = None
    """Where this gate is: targets there come before others."""
    remembered: dict[object, object] = field(default_factory=dict, compare=False, repr=False)
    """What was worked out once from the rest, by whoever works it out."""

    def routed(self, name: str) -> tuple[Route, str] | None:
        """The route of a name, and what its `*` stands for."""
        return matching(name, self.routes, self.wildcards) if self.routes else None

    @cached_property
    def wildcards(self) -> tuple[tuple[str, str, Route], ...]:
        return sorted_wildcards(self.routes)

    def candidate(self, provider: str, model: str) -> Candidate:
        """A provider's model, with what limits it."""
        return Candidate(provider=provider, model=model, facts=self.facts.get((provider, model)))

    def usual(self, provider: str) -> str | None:
        """The model to ask where nobody says which: the first by name of those that may chat, else of all. One that
        knows nothing but this project's documentation is asked where there is nothing else."""
        known = self.providers[provider].models
        # An adapter is a variant of what it stands behind: nobody gets one who did not name it.
        models = [model for model in known if model.rpartition(":")[0] not in known]
        chats = [
            model for model in models if (facts := self.facts.get((provider, model))) is None or CHAT not in facts.lacks
        ]
        return min(chats or models, default=None, key=lambda model: (model == GUIDE, model))

    @cached_property
    def by_name(self) -> Mapping[str, Candidate]:
        """Who answers to each plain name: the default provider before the others, in order."""
        found: dict[str, Candidate] = {}
        for name, known in in_order(self):
            for model in sorted(known.models):
                candidate = self.candidate(name, model)
                found.setdefault(model, candidate)
                found.setdefault(model.removesuffix(":latest"), candidate)
        return found


class Catalog(Protocol):
    """Where views come from."""

    def view(self) -> View: ...

    def published(self, provider: str, model: str) -> Facts:
        """What is publicly known of a model, with the price the operator states where there is one. The first time it
        is looked up in a table."""

    async def refresh(self) -> None:
        """Look again at what the providers have; asked for when a name is not known."""


def resolve(model: str | None, provider: str | None, view: View, kind: Kind = Kind.CHAT) -> Candidate:
    """Who answers to this name. Raises ModelNotFound, ModelNotCapable or InvalidValue, with what there is instead.

    `provider/model` names both; a plain name is looked for at the default provider, then at the others in order; no
    name, or `default`, is the default provider's default model; `name@version` is one version of a model.
    """
    if kind in UPSTREAM_CHOOSES and not model:
        return unnamed(provider, view, kind)
    if model is not None and len(model) > LONGEST_NAME:
        # A name is kept: in the journal, in metrics, by caches.
        raise ModelNotFound(f"There is no model with a name of more than {LONGEST_NAME} characters.", param="model")
    candidate = named(model, provider, view)
    if view.providers[candidate.provider].can(kind):
        return candidate
    if provider is None and not names_provider(model, candidate):
        for name, known in in_order(view):
            own = known.listed(candidate.model) if known.can(kind) else None
            if own is not None:
                return view.candidate(name, own)
        if model is None or model in DEFAULT_NAMES:
            for name, known in in_order(view):
                if known.can(kind) and (known.default_model or known.models):
                    return at(name, view, None)
    raise ModelNotCapable(incapable(candidate, kind, view), param="model")


def names_provider(model: str | None, candidate: Candidate) -> bool:
    """Whether a name says who is to answer: nobody else will do then."""
    return model is not None and model != candidate.model and model.startswith(f"{candidate.provider}/")


def unnamed(provider: str | None, view: View, kind: Kind) -> Candidate:
    """Whoever gives this kind of answer, with a model of its own choice."""
    for name, known in in_order(view):
        if known.can(kind) and provider in (None, name):
            return Candidate(provider=name, model="")
    raise ModelNotCapable(f"No provider here gives {kind} answers.", param="model")


def named(model: str | None, provider: str | None, view: View) -> Candidate:
    """Who answers to this name, whatever is wanted of them."""
    if provider is not None:
        known = view.providers.get(provider)
        if known is None:
            raise InvalidValue(unknown_provider(provider, view), param="provider")
        return at(provider, view, model)
    if model is None or model in DEFAULT_NAMES:
        known = view.providers.get(view.default_provider or "")
        if known is None:
            raise ModelNotFound("There is no default provider: name a model, or run `farmgate doctor`.", param="model")
        return at(view.default_provider or "", view, None)
    candidate = view.by_name.get(model)
    if candidate is not None:
        return candidate
    head, slash, rest = model.partition("/")
    if slash and rest and head in view.providers:
        return at(head, view, rest)
    for name, known in in_order(view):
        if known.is_open or known.listed(model) is not None:
            return at(name, view, model)
    raise ModelNotFound(unknown_model(model, view), param="model")


def who_gets(model: str, provider: str | None, view: View) -> Candidate:
    """Who makes a model ready: whoever has it; else the provider named, or the default one, which may get it.

    Raises ModelNotFound or InvalidValue. One that may have models it does not list is not taken to have this one: that
    would keep a model from the provider that can get it.
    """
    routed = view.routed(model) if provider is None else None
    if routed is not None:
        route, matched = routed
        target = route.targets[0]
        return Candidate(provider=target.provider, model=target.model.replace("*", matched))
    listed = {name: replace(known, is_open=False) for name, known in view.providers.items()}
    try:
        return named(model, provider, View(providers=listed, default_provider=view.default_provider))
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


def at(name: str, view: View, model: str | None) -> Candidate:
    """A model of one provider."""
    known = view.providers[name]
    if model is None or model in DEFAULT_NAMES:
        model = known.default_model or view.usual(name)
        if model is None:
            raise ModelNotFound(f"{name} has no default model: name one, or set defaultModel.", param="model")
        return view.candidate(name, known.own_name(model) or model)
    own = known.own_name(model.removeprefix(f"{name}/") if model not in known.models else model)
    if own is None:
        raise ModelNotFound(f"{name} has no model {shown(model)}.{nearest(model, known.models)}", param="model")
    return view.candidate(name, own)


def shown(name: str) -> str:
    """A caller's word as it may stand in a message."""
    told = repr(name[:101])
    return told if len(told) <= 102 else f"{told[:100]}...'"


def incapable(candidate: Candidate, kind: Kind, view: View) -> str:
    able = [name for name, known in in_order(view) if known.can(kind)]
    there = f"These can: {', '.join(able)}." if able else "No provider here can."
    return f"{candidate.provider} gives no {kind} answers, so {shown(candidate.model)} cannot. {there}"


def unknown_model(model: str, view: View) -> str:
    if model in view.configured:
        return f"{model} is configured, and its files are not there: `farmgate doctor` says why."
    every = {name for known in view.providers.values() for name in known.models}
    return f"There is no model {shown(model)}.{nearest(model, every)}{not_in_use(view)}"


def nearest(name: str, names: frozenset[str] | set[str]) -> str:
    """What to say instead of a name that is not known."""
    close = difflib.get_close_matches(name[:100], names, n=1)
    if close:
        return f" Did you mean {close[0]!r}?"
    some = ", ".join(sorted(names)[:5])
    return f" There is: {some}{', ...' if len(names) > 5 else ''}." if some else ""


def unknown_provider(provider: str, view: View) -> str:
    there = ", ".join(view.providers) or "none"
    return f"There is no provider {shown(provider)}. There is: {there}.{not_in_use(view)}"


def not_in_use(view: View) -> str:
    """Providers that would answer if they could: their models are not known, so the name may be one of theirs."""
    names = ", ".join(sorted(view.left_out))
    return f" Configured and not in use: {names} (`farmgate doctor` says why)." if names else ""
