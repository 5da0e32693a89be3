"""A model's name comes from a caller: whatever is in it, it never changes which address a provider is asked at."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.fakes.asking import asking, hi, use_keys
from tests.fakes.providers import PROJECT, PROVIDERS
from tests.fakes.upstream import FakeUpstream, say, whole

from farmgate.core.errors import FarmError
from farmgate.core.ports import Progress
from farmgate.core.request import Kind
from farmgate.core.words import Complete, Embed
from farmgate.providers.anthropic import AnthropicProvider
from farmgate.providers.gemini import GeminiProvider
from farmgate.providers.provider import Provider
from farmgate.providers.triton import TritonProvider
from farmgate.providers.vertex import VertexProvider

PLAIN = "plain-1"
NAMES = [
    *("..", ".", "../x", "a/../../b", "a/..", "./a", "/a", "a/", "a//b", "..\\x", "a\\..\\b", "a/..;/b"),
    *("m?key=1", "m#f", "m;v=1", "m&alt=x", "m:streamGenerateContent", "m:predict?x=", "m/converse", "m b", " "),
    *(
        "m\r\nx: y",
        "m\nGET / HTTP/1.1\n",
        "m\0",
        "m\t",
        "m\x7f",
        "m\x85",
        "m\u2028",
        "m\u202e",
        "ü/模型",
        "🐄",
    ),
    *("%2e%2e%2f", "%2E%2E/x", "%252e%252e%252f", "%00", "%0d%0aX: y", "a%2f..%2fb", "%c0%ae%c0%ae/"),
    *("m@../x", "m@2/../3", "m@..", "m@?x", "m@%2e%2e", "@..", "..@1", "m@", "models/../x", "models/.."),
    *("http://169.254.169.254/", "//evil.example/x", "x@evil.example", "google/../x", "anthropic/../x", "meta/../x"),
    *("projects/other/locations/us/publishers/google/models/m", "arn:aws:bedrock:eu-west-1:1:prompt/x", "-m", "--"),
    *("a" * 10_000, "../" * 3_000, "é" * 3_000, "a/" * 5_000),
]

Ask = Callable[[Provider, str], Awaitable[object]]


async def chat(provider: Provider, model: str) -> None:
    (await provider.send(asking(hi(), model=model))).close()


async def stream(provider: Provider, model: str) -> None:
    (await provider.send(asking(hi(), model=model, stream=True))).close()


async def complete(provider: Provider, model: str) -> None:
    (await provider.send(asking(Complete(prompt="hi"), kind=Kind.COMPLETION, model=model))).close()


async def embed(provider: Provider, model: str) -> None:
    (await provider.send(asking(Embed(inputs=("hi",)), kind=Kind.EMBEDDING, model=model))).close()


async def count(provider: Provider, model: str) -> None:
    assert isinstance(provider, GeminiProvider | VertexProvider | AnthropicProvider)
    await provider.count_tokens(asking(hi(), model=model))


async def load(provider: Provider, model: str) -> None:
    assert isinstance(provider, TritonProvider)
    reports: list[Progress] = []
    await provider.load(model, reports.append)


def whatever_version(name: str) -> str:
    """Where one of Triton's models is loaded, in the versions its repository says."""
    return f"/v2/repository/models/{quote(name.rpartition('@')[0], safe='')}/load"


@dataclass(frozen=True)
class Way:
    """One way a name goes out. `before` stands in front of every name; `also` tells what else may be asked for then."""

    provider: str
    ask: Ask
    before: str = ""
    also: Callable[[str], str] | None = None


def of_version(action: str) -> Callable[[str], str]:
    """Where a version of one of Triton's models is asked."""

    def path(name: str) -> str:
        base, _, version = name.rpartition("@")
        return f"/v2/models/{quote(base, safe='')}/versions/{quote(version, safe='')}/{action}"

    return path


WAYS = {
    "gemini chat": Way("gemini", chat),
    "gemini stream": Way("gemini", stream),
    "gemini embed": Way("gemini", embed),
    "gemini count": Way("gemini", count),
    "vertex chat": Way("vertex", chat, also=lambda _: f"{PROJECT}/endpoints/openapi/chat/completions"),
    "vertex embed": Way("vertex", embed),
    "vertex count": Way("vertex", count),
    "vertex claude": Way("vertex", stream, "anthropic/"),
    "vertex claude count": Way("vertex", count, "anthropic/"),
    "vertex open": Way("vertex", chat, "meta/"),
    "bedrock chat": Way("bedrock", chat),
    "bedrock stream": Way("bedrock", stream),
    "bedrock embed": Way("bedrock", embed, "amazon.titan-embed-text-v2"),
    "sagemaker": Way("sagemaker", chat),
    "sagemaker stream": Way("sagemaker", stream),
    "azure": Way("azure", chat),
    "azure dated": Way("azure dated", chat),
    "triton": Way("triton", complete, also=of_version("generate")),
    "triton stream": Way("triton", stream, also=of_version("generate_stream")),
    "triton embed": Way("triton", embed, also=of_version("infer")),
    "triton load": Way("triton", load, also=whatever_version),
    "openai": Way("openai", chat),
    "anthropic": Way("anthropic", chat),
    "anthropic count": Way("anthropic", count),
    "cohere": Way("cohere", chat),
    "ollama": Way("ollama", chat),
}


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_keys(monkeypatch, tmp_path)


async def refusal(asking: Awaitable[object]) -> FarmError | None:
    try:
        await asking
    except FarmError as error:
        return error
    return None


@pytest.mark.parametrize("way", WAYS)
async def test_a_name_is_one_step_of_the_path_or_is_refused_by_name(way: str) -> None:
    ask, before, also = WAYS[way].ask, WAYS[way].before, WAYS[way].also
    async with FakeUpstream(say(whole({"error": "no"}, status=404))) as fake:
        provider = PROVIDERS[WAYS[way].provider](fake.url)
        with pytest.raises(FarmError):
            await ask(provider, before + PLAIN)
        plain = fake.asked[-1].path
        for name in NAMES:
            had, refused = len(fake.asked), await refusal(ask(provider, before + name))
            if len(fake.asked) > had:
                (asked,) = fake.asked[had:]
                assert asked.path in (plain.replace(PLAIN, quote(name, safe="")), also and also(name)), name
            elif refused is not None:
                assert (refused.status, refused.param) in ((404, "model"), (400, "model")), name
                assert refused.message.isprintable()
                assert len(refused.message) < 300
        await provider.close()
