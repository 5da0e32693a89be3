"""What Ollama calls options: how to pick tokens. What it cannot be told is refused by name, never dropped."""

from __future__ import annotations

from collections.abc import Mapping

from farmgate.core.errors import InvalidType, InvalidValue
from farmgate.core.words import Sampling
from farmgate.wire.fields import present
from farmgate.wire.losses import Losses

__all__ = ["encode_options"]

# Fields OpenAI does not have and Ollama does. Its load-time options (num_ctx, num_gpu, ...) and keep_alive are not
# among them: a caller who changes one makes Ollama load the model anew for everybody.
NUMBERS = frozenset({"min_p", "typical_p", "repeat_penalty"})
WHOLE_NUMBERS = frozenset({"repeat_last_n"})
LARGEST = (1 << 31) - 1


def encode_options(sampling: Sampling, extra: Mapping[str, object], losses: Losses) -> dict[str, object]:
    """Only what was asked for: anything else stays Ollama's or the model file's default.

    Without `max_tokens` that default is -1: the model may go on until its context is full. The request's deadline
    and the caller who leaves are what ends it then.
    """
    told: dict[str, object] = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": None if sampling.top_k is None else checked("top_k", sampling.top_k),
        "num_predict": sampling.max_tokens,
        "stop": list(sampling.stop) or None,
        "seed": sampling.seed,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
    }
    if sampling.count != 1:
        raise losses.refuse("n", "it gives one answer to a request")
    losses.leave(extra, known=NUMBERS | WHOLE_NUMBERS)
    told |= {name: checked(name, value) for name, value in extra.items() if name in NUMBERS | WHOLE_NUMBERS}
    return present(told)


def checked(name: str, value: object) -> object:
    """An option's value; Ollama would answer a wrong type with a server error."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidType(f"`{name}` must be a number.", param=name)
    if not abs(value) <= LARGEST:  # Said this way round, it is true of NaN too.
        raise InvalidValue(f"`{name}` must be between -{LARGEST} and {LARGEST}.", param=name)
    is_whole = name == "top_k" or name in WHOLE_NUMBERS
    if is_whole and value != int(value):
        raise InvalidValue(f"`{name}` must be a whole number.", param=name)
    return int(value) if is_whole else value
