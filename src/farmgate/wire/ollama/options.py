"""What Ollama calls options: how to pick tokens. What it cannot be told is refused by name, never dropped."""

from __future__ import annotations

from collections.abc import Mapping

from farmgate.core.errors import InvalidType, InvalidValue, UnsupportedParameter
from farmgate.core.request import Sampling

__all__ = ["encode_options", "refuse_unsayable"]

# Fields OpenAI does not have and Ollama does. Its load-time options (num_ctx, num_gpu, ...) and keep_alive are not
# among them: a caller who changes one makes Ollama load the model anew for everybody.
NUMBERS = frozenset({"min_p", "typical_p", "repeat_penalty"})
WHOLE_NUMBERS = frozenset({"top_k", "repeat_last_n"})
LARGEST = (1 << 31) - 1

# Fields that change the answer and have no word in Ollama's API, each with the values that ask for nothing.
UNSAYABLE: Mapping[str, tuple[object, ...]] = {
    "audio": (),
    "best_of": (1,),
    "echo": (False,),
    "function_call": ("auto", "none"),
    "functions": ([],),
    "grammar": ("",),
    "guided_choice": (),
    "guided_grammar": (),
    "guided_json": (),
    "guided_regex": (),
    "logit_bias": ({},),
    "logprobs": (False,),
    "modalities": (["text"],),
    "n": (1,),
    "parallel_tool_calls": (True,),
    "structured_outputs": (),
    "top_logprobs": (0,),
    "verbosity": ("medium",),
    "web_search_options": (),
}


def refuse_unsayable(extra: Mapping[str, object]) -> None:
    """Raise UnsupportedParameter for a field that would change the answer. Other unknown fields are passed over."""
    for name, value in extra.items():
        if name in UNSAYABLE and value is not None and not any(same(value, idle) for idle in UNSAYABLE[name]):
            raise UnsupportedParameter(f"Ollama's API cannot be told `{name}`: leave it out.", param=name)


def same(value: object, other: object) -> bool:
    """Equality in JSON's sense: false is not 0."""
    return value == other and isinstance(value, bool) == isinstance(other, bool)


def encode_options(sampling: Sampling, extra: Mapping[str, object]) -> dict[str, object]:
    """Only what was asked for: anything else stays Ollama's or the model file's default.

    Without `max_tokens` that default is -1: the model may go on until its context is full. The request's deadline
    and the caller who leaves are what ends it then.
    """
    told: dict[str, object | None] = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "num_predict": sampling.max_tokens,
        "stop": list(sampling.stop) or None,
        "seed": sampling.seed,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
    }
    told |= {name: checked(name, value) for name, value in extra.items() if name in NUMBERS | WHOLE_NUMBERS}
    return {name: value for name, value in told.items() if value is not None}


def checked(name: str, value: object) -> object:
    """An option's value; Ollama would answer a wrong type with a server error."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidType(f"`{name}` must be a number.", param=name)
    if not abs(value) <= LARGEST:  # Said this way round, it is true of NaN too.
        raise InvalidValue(f"`{name}` must be between -{LARGEST} and {LARGEST}.", param=name)
    if name in WHOLE_NUMBERS and value != int(value):
        raise InvalidValue(f"`{name}` must be a whole number.", param=name)
    return int(value) if name in WHOLE_NUMBERS else value
