"""Every provider Farmgate has a module for, at an address of the test's."""

from __future__ import annotations

from collections.abc import Callable

from tests.fakes.asking import REGION

from farmgate.providers.anthropic import AnthropicProvider
from farmgate.providers.azure import AzureProvider
from farmgate.providers.bedrock import BedrockProvider
from farmgate.providers.cohere import CohereProvider
from farmgate.providers.gemini import GeminiProvider
from farmgate.providers.ollama import OllamaProvider
from farmgate.providers.openai import OpenAIProvider
from farmgate.providers.provider import Provider
from farmgate.providers.registry import ROWS
from farmgate.providers.sagemaker import SageMakerProvider
from farmgate.providers.settings import ProviderSettings
from farmgate.providers.triton import TritonProvider
from farmgate.providers.vertex import VertexProvider

__all__ = ["PROJECT", "PROVIDERS"]

PROJECT = "/v1/projects/farm-project/locations/europe-west1"


def settings(url: str, *, key: str | None = "CANARY-key", **options: object) -> ProviderSettings:
    return ProviderSettings(name="up", url=url, api_key=key, options=options)


PROVIDERS: dict[str, Callable[[str], Provider]] = {
    "openai": lambda url: OpenAIProvider(settings(url), ROWS["openai"]),
    "azure": lambda url: AzureProvider(settings(url)),
    "azure dated": lambda url: AzureProvider(settings(url, apiVersion="2024-10-21")),
    "anthropic": lambda url: AnthropicProvider(settings(url)),
    "gemini": lambda url: GeminiProvider(settings(url)),
    "vertex": lambda url: VertexProvider(settings(url, project="farm-project", location="europe-west1")),
    "bedrock": lambda url: BedrockProvider(settings(url, key=None, region=REGION)),
    "sagemaker": lambda url: SageMakerProvider(settings(url, key=None, region=REGION)),
    "cohere": lambda url: CohereProvider(settings(url)),
    "triton": lambda url: TritonProvider(settings(url, template="chatml")),
    "ollama": lambda url: OllamaProvider(settings(url)),
}
"""Those of AWS sign with the keys of `use_keys`."""
