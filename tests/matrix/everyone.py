"""Who stands in the matrix: every surface of the gate, and every provider it knows by a kind of its own."""

from __future__ import annotations

from dataclasses import replace

from tests.matrix.anthropic import ANTHROPIC, AnthropicSurface
from tests.matrix.cloud_rows import AZURE, GEMINI, VERTEX
from tests.matrix.openai_rows import LOCAL, OPENAI
from tests.matrix.other_rows import BEDROCK, COHERE, SAGEMAKER, TRITON
from tests.matrix.own_rows import CUSTOM, DEMO, OLLAMA
from tests.matrix.provider import Provider
from tests.matrix.responses import NATIVE, ResponsesSurface
from tests.matrix.surface import Surface
from tests.matrix.surfaces import FarmSurface, OllamaSurface, OpenAISurface

__all__ = ["PROVIDERS", "SURFACES"]

SURFACES: tuple[Surface, ...] = (
    OpenAISurface(),
    ResponsesSurface(),
    AnthropicSurface(),
    OllamaSurface(),
    FarmSurface(),
)
PROVIDERS: tuple[Provider, ...] = (
    *(replace(OPENAI, natively={"responses": NATIVE}), AZURE, ANTHROPIC, GEMINI, VERTEX, BEDROCK, SAGEMAKER, COHERE),
    *(TRITON, OLLAMA, LOCAL, CUSTOM, DEMO),
)
