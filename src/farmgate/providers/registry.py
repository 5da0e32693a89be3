"""The providers Farmgate knows by name. One that speaks OpenAI is a row here."""

from __future__ import annotations

from dataclasses import dataclass

from farmgate.core.model import Capability

__all__ = [
    "CODED",
    "LOCAL",
    "ROWS",
    "Coded",
    "Row",
    "is_cloud",
    "key_variable",
    "key_variables",
    "tells",
    "version_joint",
]

ALL = frozenset({Capability.CHAT, Capability.COMPLETION, Capability.EMBEDDING, Capability.TOOLS})
MEDIA = frozenset({Capability.IMAGE, Capability.SPEECH, Capability.TRANSCRIPTION})
AUDIO = frozenset({Capability.SPEECH, Capability.TRANSCRIPTION})
CHAT_ONLY = frozenset({Capability.CHAT, Capability.TOOLS})
NO_EMBEDDINGS = frozenset({Capability.CHAT, Capability.COMPLETION, Capability.TOOLS})
NO_COMPLETIONS = frozenset({Capability.CHAT, Capability.EMBEDDING, Capability.TOOLS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One OpenAI-compatible provider. Capabilities say what its API has, not what each of its models can.

    `url` includes the version path; `key_variable` is the environment variable its key is read from; `asks_usage`:
    it knows `stream_options.include_usage`; `is_local`: its usual address is on this machine and needs no key; `tells`:
    its list of models says more than their names.
    """

    url: str
    key_variable: str | None = None
    capabilities: frozenset[Capability] = ALL
    asks_usage: bool = True
    is_local: bool = False
    tells: bool = False


ROWS: dict[str, Row] = {
    "openai": Row(
        url="https://api.openai.com/v1",
        key_variable="OPENAI_API_KEY",
        capabilities=ALL | MEDIA | {Capability.MODERATION},
    ),
    # Engines on this machine or in the cluster, at the port each uses by itself.
    "vllm": Row(
        url="http://127.0.0.1:8001/v1",
        key_variable="VLLM_API_KEY",
        is_local=True,
        tells=True,
        capabilities=ALL | {Capability.RERANK, Capability.TRANSCRIPTION},
    ),
    "tgi": Row(url="http://127.0.0.1:8080/v1", is_local=True, capabilities=CHAT_ONLY),
    "trtllm": Row(url="http://127.0.0.1:8002/v1", is_local=True, capabilities=NO_EMBEDDINGS),
    "sglang": Row(url="http://127.0.0.1:30000/v1", is_local=True, tells=True),
    "llamacpp": Row(
        url="http://127.0.0.1:8080/v1",
        key_variable="LLAMA_API_KEY",
        is_local=True,
        tells=True,
        capabilities=ALL | {Capability.RERANK},
    ),
    "lmstudio": Row(url="http://127.0.0.1:1234/v1", is_local=True),
    # In the cloud.
    "openrouter": Row(
        url="https://openrouter.ai/api/v1", key_variable="OPENROUTER_API_KEY", capabilities=NO_EMBEDDINGS, tells=True
    ),
    "groq": Row(
        url="https://api.groq.com/openai/v1", key_variable="GROQ_API_KEY", capabilities=CHAT_ONLY | AUDIO, tells=True
    ),
    "mistral": Row(
        url="https://api.mistral.ai/v1",
        key_variable="MISTRAL_API_KEY",
        tells=True,
        capabilities=NO_COMPLETIONS | {Capability.MODERATION, Capability.TRANSCRIPTION},
    ),
    "deepseek": Row(url="https://api.deepseek.com/v1", key_variable="DEEPSEEK_API_KEY", capabilities=CHAT_ONLY),
    "together": Row(
        url="https://api.together.xyz/v1",
        key_variable="TOGETHER_API_KEY",
        tells=True,
        capabilities=ALL | MEDIA | {Capability.RERANK},
    ),
    "fireworks": Row(url="https://api.fireworks.ai/inference/v1", key_variable="FIREWORKS_API_KEY", tells=True),
    "huggingface": Row(
        url="https://router.huggingface.co/v1", key_variable="HUGGINGFACE_TOKEN", capabilities=CHAT_ONLY
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Coded:
    """A provider with a module of its own: `make` is its class, imported when one is configured.

    `key_variable` is the environment variable its key is read from. `is_cloud`: it may be asked for models nobody
    listed, and its own list is not fetched just to route. `version_joint` stands between a model and its version.
    `learns`: it can find out more of its models than it takes to list them.
    """

    make: str
    key_variable: str | None = None
    is_cloud: bool = False
    version_joint: str = "-"
    learns: bool = False


CODED: dict[str, Coded] = {
    "demo": Coded(make="farmgate.providers.demo:DemoProvider"),
    "ollama": Coded(make="farmgate.providers.ollama:OllamaProvider", version_joint=":", learns=True),
}

LOCAL = "local"
"""The embedded engines: a provider that is made of more than its settings."""


def version_joint(kind: str) -> str:
    """What stands between a model's name and its version."""
    return CODED[kind].version_joint if kind in CODED else "-"


def key_variable(kind: str) -> str | None:
    """The environment variable a provider's key is read from."""
    known = ROWS.get(kind) or CODED.get(kind)
    return known.key_variable if known else None


def key_variables() -> dict[str, str]:
    """The providers in the cloud that have one, each with its variable."""
    rows = {name: row.key_variable for name, row in ROWS.items() if not row.is_local}
    coded = {name: one.key_variable for name, one in CODED.items() if one.is_cloud}
    return {name: variable for name, variable in (rows | coded).items() if variable}


def tells(kind: str, *, is_asked: bool) -> bool:
    """Whether there is more to learn of its models than routing needs. `is_asked`: its list is fetched to route."""
    if kind in ROWS:
        return ROWS[kind].tells and not is_asked
    return kind in CODED and CODED[kind].learns


def is_cloud(kind: str) -> bool:
    """Whether it has models by the hundred that nobody lists just to route."""
    return not ROWS[kind].is_local if kind in ROWS else kind in CODED and CODED[kind].is_cloud
