"""What the name of a GGUF file says of how it is quantised, and which of several is taken when nobody says."""

from __future__ import annotations

import re

__all__ = ["preference", "quantisation_in"]

LABEL = re.compile(
    r"(?:^|[-._/])((?:UD[-_])?(?:I?Q\d(?:_[A-Z0-9]{1,3})*|TQ\d_\d|MXFP\d(?:_MOE)?|BF16|FP?16|FP?32))(?=[-._/]|$)",
    re.IGNORECASE,
)

# Four bits and a little lose hardly anything and fit most machines; llama.cpp and Ollama begin with the first as well.
PREFERRED = (
    *("Q4_K_M", "Q4_K_S", "UD-Q4_K_XL", "Q4_K_L", "Q4_K_XL", "Q5_K_M", "Q5_K_S", "IQ4_NL", "IQ4_XS", "Q4_0", "Q4_1"),
    *("Q5_0", "Q5_1", "Q6_K", "Q8_0", "MXFP4", "MXFP4_MOE", "Q3_K_L", "Q3_K_M", "Q3_K_S", "IQ3_M", "Q2_K"),
    *("F16", "BF16", "F32"),
)


def quantisation_in(path: str) -> str | None:
    """`Q4_K_M` in `model-Q4_K_M.gguf`, in capitals; a file that does not say may lie in a folder that does."""
    folder, _, name = path.removesuffix(".gguf").rpartition("/")
    for part in (name, folder):
        found = LABEL.findall(part)
        if found:
            label = re.sub("^UD_", "UD-", found[-1].upper())
            return {"FP16": "F16", "FP32": "F32"}.get(label, label)
    return None


def preference(label: str | None) -> int:
    """The lower, the sooner it is taken."""
    return PREFERRED.index(label) if label in PREFERRED else len(PREFERRED)
