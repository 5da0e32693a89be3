"""What answers on this machine without being configured: the usual ports, and keys in the environment."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from farmgate.core.errors import FarmError
from farmgate.providers.registry import key_variables
from farmgate.providers.transport import Timeouts, Upstream

__all__ = ["Found", "keys_found", "servers_found"]

PROBE = Timeouts(connect_s=0.3, first_byte_s=0.8, idle_s=0.8)
PROBE_S = 1.0

# What each server answers to nobody else does: two of them share a port.
SIGNS: tuple[tuple[str, str, str, bytes], ...] = (
    ("ollama", "http://127.0.0.1:11434", "/api/version", b'"version"'),
    ("lmstudio", "http://127.0.0.1:1234", "/v1/models", b'"data"'),
    ("llamacpp", "http://127.0.0.1:8080", "/props", b"default_generation_settings"),
    ("tgi", "http://127.0.0.1:8080", "/info", b'"model_id"'),
    ("vllm", "http://127.0.0.1:8001", "/version", b'"version"'),
    ("sglang", "http://127.0.0.1:30000", "/get_model_info", b"model_path"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A provider nobody configured: `url` for a server on this machine, `key_variable` for one in the cloud."""

    name: str
    url: str | None = None
    key_variable: str | None = None


async def servers_found() -> tuple[Found, ...]:
    """The servers that answer on their usual ports of this machine, within a second."""
    answers = await asyncio.gather(*(answers_like(url, path, sign) for _, url, path, sign in SIGNS))
    return tuple(
        Found(name=name, url=url if name == "ollama" else f"{url}/v1")
        for (name, url, _, _), answered in zip(SIGNS, answers, strict=True)
        if answered
    )


async def answers_like(url: str, path: str, sign: bytes) -> bool:
    """Whether a server is there and is what it should be."""
    upstream = Upstream(url, name="probe", timeouts=PROBE)
    try:
        async with asyncio.timeout(PROBE_S), await upstream.send("GET", path) as answer:
            return answer.status == 200 and sign in await answer.whole(1 << 20)
    except (FarmError, TimeoutError):
        return False
    finally:
        upstream.close()


def keys_found(variables: Mapping[str, str]) -> tuple[Found, ...]:
    """The cloud providers whose key is in the environment."""
    return tuple(
        Found(name=name, key_variable=variable) for name, variable in key_variables().items() if variables.get(variable)
    )
