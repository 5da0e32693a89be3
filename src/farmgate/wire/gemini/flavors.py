"""What differs between the two places that speak this dialect, and between generations of their models."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["GEMINI_API", "VERTEX", "Flavor", "is_pro", "needs_proofs", "version_of"]

NUMBERED = re.compile(r"gemini-(\d{1,3})(?:\.(\d{1,3}))?")
NEWEST = (99, 0)
FIRST_WITH_PROOFS = (3, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flavor:
    """`has_call_ids`: calls of functions carry ids; without them they are matched by name and order.
    `has_labels`: a request may carry labels. `has_file_names`: inline data may carry a name. `files_url`: where the
    files that were uploaded to it live, if anywhere. `counts_whole_requests`: what countTokens takes is a request, not
    its fields."""

    has_call_ids: bool
    has_labels: bool
    has_file_names: bool
    files_url: str | None
    counts_whole_requests: bool


GEMINI_API = Flavor(
    has_call_ids=True,
    has_labels=False,
    has_file_names=False,
    files_url="https://generativelanguage.googleapis.com/v1beta/",
    counts_whole_requests=True,
)
VERTEX = Flavor(has_call_ids=False, has_labels=True, has_file_names=True, files_url=None, counts_whole_requests=False)


def version_of(model: str) -> tuple[int, int]:
    """The version in a model's name; a name without one (`gemini-flash-latest`) is of the newest."""
    found = NUMBERED.search(model)
    return (int(found[1]), int(found[2] or 0)) if found else NEWEST


def is_pro(model: str) -> bool:
    """Whether it is of the large ones, which always think."""
    return "-pro" in model


def needs_proofs(model: str) -> bool:
    """Whether it refuses a call of a tool, in the conversation so far, without the proof of its thinking."""
    return "gemini" in model and version_of(model) >= FIRST_WITH_PROOFS
