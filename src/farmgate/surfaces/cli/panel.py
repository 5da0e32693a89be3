"""What a person sees when Farmgate has started. Pure: facts in, lines out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from farmgate.surfaces.cli.house import Finding

__all__ = ["Facts", "advice", "keys_line", "panel", "ready_line", "record"]

PULL = "  farmgate pull starter            a small model on this machine"
INSTALL = "  pip install 'farmgate[local]'    a small model on this machine (or: uvx 'farmgate[local]' dev)"
CURL = """curl {url}/v1/chat/completions -H 'content-type: application/json'{key} \\
       -d '{{"model": "default", "messages": [{{"role": "user", "content": "Hello"}}]}}'"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the start panel tells. `default` is provider and model; `source` and `home` are as people write them."""

    version: str
    environment: str
    url: str
    ready_s: float
    needs_key: bool
    findings: Sequence[Finding]
    default: tuple[str, str | None] | None
    is_demo: bool
    home: str
    source: str | None
    notices: Sequence[str] = ()
    has_engine: bool = False


def panel(facts: Facts, keys: Mapping[str, str] | None = None) -> Iterator[str]:
    """Lines, without colours. `keys`: what each key does, where there is a keyboard."""
    width = max(9, *(len(finding.name) + 1 for finding in facts.findings), 0)

    def row(name: str, text: str) -> str:
        return f"  {name:<{width}} {text}"

    yield ""
    yield f"  farmgate {facts.version}  {facts.environment}  ready in {facts.ready_s:.1f} s"
    access = "every call needs an API key" if facts.needs_key else "no key needed on this machine"
    yield row("API", f"{facts.url}/v1   (OpenAI-compatible; {access})")
    for finding in facts.findings:
        yield row(finding.name, f"{'ok' if finding.is_there else '-':<4} {finding.text}")
    silent = {finding.name for finding in facts.findings if not finding.is_there}
    is_silent = facts.default is not None and facts.default[0] in silent
    yield row("default", default_text(facts.default) + (", which cannot answer now" if is_silent else ""))
    config = facts.source or "none (farmgate config init writes one)"
    yield row("data", f"{facts.home}   config {config}")
    for notice in facts.notices:
        yield row("note", notice)
    if facts.is_demo:
        yield from (row("demo" if at == 0 else "", line) for at, line in enumerate(advice(facts)))
    yield ""
    key = " -H 'authorization: Bearer YOUR_KEY'" if facts.needs_key else ""
    yield row("try", CURL.format(url=facts.url, key=key))
    openai_key = "YOUR_KEY" if facts.needs_key else "none"
    yield row("or", f"export OPENAI_BASE_URL={facts.url}/v1 OPENAI_API_KEY={openai_key}")
    if keys:
        yield row("keys", keys_line(keys))
    yield ""


def advice(facts: Facts) -> tuple[str, ...]:
    """What to do where nothing but the demo can answer."""
    return (
        "nothing but the demo can answer yet. For a real model, any of:",
        PULL if facts.has_engine else INSTALL,
        "  ollama serve                     the models of an Ollama on this machine",
        "  export OPENAI_API_KEY=...        a cloud provider",
    )


def keys_line(keys: Mapping[str, str]) -> str:
    return "   ".join(f"{key} {what}" for key, what in keys.items())


def default_text(default: tuple[str, str | None] | None) -> str:
    match default:
        case None:
            return "none: name a model in every request"
        case provider, None:
            return f"{provider} (no default model: name one in every request)"
        case provider, model:
            return f"{model} ({provider})"


def ready_line(facts: Facts) -> str:
    """The same in one line, for a log."""
    there = sum(finding.is_there for finding in facts.findings)
    providers = f"{there} provider{'' if there == 1 else 's'}"
    return (
        f"farmgate {facts.version} ready on {facts.url} ({facts.environment}, {providers}, "
        f"default {default_text(facts.default)})"
    )


def record(facts: Facts, event: str) -> dict[str, object]:
    """The same for programs."""
    provider, model = facts.default or (None, None)
    return {
        "event": event,
        "version": facts.version,
        "environment": facts.environment,
        "url": facts.url,
        "apiBase": f"{facts.url}/v1",
        "readyS": round(facts.ready_s, 2),
        "needsKey": facts.needs_key,
        "findings": [{"name": one.name, "isThere": one.is_there, "text": one.text} for one in facts.findings],
        "defaultProvider": provider,
        "defaultModel": model,
        "isDemo": facts.is_demo,
        "home": facts.home,
        "config": facts.source,
        "notices": list(facts.notices),
    }
