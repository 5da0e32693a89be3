"""Every model as Ollama's clients expect to see one: in lists, in memory, and shown."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from datetime import UTC, datetime

from farmgate.core.model import Capability, ModelInfo
from farmgate.wire.strictjson import encode

__all__ = ["OLLAMA_VERSION", "encode_ps", "encode_show", "encode_tags"]

OLLAMA_VERSION = "0.31.1"
"""The version whose API this is: clients refuse to talk to one that is too old for what they need."""
FOR_EVER, LAST_UNIX = "9999-12-31T23:59:59Z", 253402300799
CAPABILITIES = {
    Capability.CHAT: "completion",
    Capability.TOOLS: "tools",
    Capability.VISION: "vision",
    Capability.REASONING: "thinking",
    Capability.EMBEDDING: "embedding",
}


def encode_tags(named: list[tuple[str, ModelInfo]]) -> bytes:
    """The answer of /api/tags: every model under the name it is called by."""
    return encode({"models": [entry(name, model) | {"modified_at": modified(model)} for name, model in named]})


def encode_ps(named: list[tuple[str, ModelInfo]], *, now_unix: float) -> bytes:
    """The answer of /api/ps: the models that are in memory, as far as their providers tell."""
    return encode(
        {
            "models": [
                entry(name, model)
                | {"expires_at": expires(model, now_unix), "size_vram": 0, "context_length": model.window_tokens or 0}
                for name, model in named
                if model.loaded
            ]
        }
    )


def encode_show(name: str, model: ModelInfo, kinds: Collection[str] | None) -> bytes:
    """The answer of /api/show. What only Ollama knows (template, parameters, licence) is empty.

    `kinds` is what the provider can; it counts where nothing is known of the model.
    """

    def can(capability: Capability) -> bool:
        if capability in model.capabilities or capability in model.lacks:
            return capability in model.capabilities
        return kinds is None or capability in kinds

    able = [word for capability, word in CAPABILITIES.items() if can(capability)]
    context = {"farmgate.context_length": model.context_tokens} if model.context_tokens else {}
    return encode(
        {
            "license": "",
            "modelfile": f"# {name} is served by {model.provider} through Farmgate",
            "parameters": "",
            "template": "",
            "details": details(model),
            "model_info": {"general.architecture": "farmgate", "general.basename": name, **context},
            "capabilities": able,
            "modified_at": modified(model),
        }
    )


def entry(name: str, model: ModelInfo) -> dict[str, object]:
    return {
        "name": name,
        "model": name,
        "size": model.size_bytes or 0,
        # Clients tell models apart by it.
        "digest": hashlib.sha256(f"{model.provider}/{model.name}".encode()).hexdigest(),
        "details": details(model),
    }


def details(model: ModelInfo) -> dict[str, object]:
    return {
        "parent_model": model.parent or "",
        "format": "",
        "family": model.provider,
        "families": [model.provider],
        "parameter_size": "",
        "quantization_level": "",
    }


def expires(model: ModelInfo, now_unix: float) -> str:
    return FOR_EVER if model.leaves_s is None else moment(int(now_unix + model.leaves_s))


def modified(model: ModelInfo) -> str:
    return moment(model.created_unix)


def moment(unix: int) -> str:
    return datetime.fromtimestamp(min(unix, LAST_UNIX), UTC).isoformat().replace("+00:00", "Z")
