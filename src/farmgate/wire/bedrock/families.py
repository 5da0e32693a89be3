"""Whose model an id of Bedrock's names: Converse is one API, but not everything in it means the same to each."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Family", "family_of"]


class Family(StrEnum):
    """Makers whose models take fields of their own, by what stands in a model's id."""

    ANTHROPIC = "anthropic"
    NOVA = "amazon.nova"
    COHERE = "cohere"
    MISTRAL = "mistral"
    OPENAI = "openai"
    OTHER = ""


def family_of(model: str) -> Family:
    """`model` is an id, an inference profile or an ARN of either. A name an account gave itself tells nothing."""
    return next(family for family in Family if f"{family}" in model)
