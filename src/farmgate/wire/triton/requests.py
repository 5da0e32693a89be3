"""Requests of the generate extension: what a field is called is the backend's business behind it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from farmgate.core.errors import InvalidValue
from farmgate.core.words import Chat, Complete, FormatKind, Sampling, ToolMode
from farmgate.wire.losses import Losses, Outgoing
from farmgate.wire.strictjson import encode
from farmgate.wire.triton.templates import Template, render

__all__ = ["Backend", "Generating", "encode_generate"]

MOST_TOKENS = 1_024


class Backend(StrEnum):
    """Whose inputs a model has: vLLM's, TensorRT-LLM's, or those of a model that takes everything as parameters."""

    VLLM = "vllm"
    TRTLLM = "trtllm"
    PARAMETERS = "parameters"


@dataclass(frozen=True, slots=True, kw_only=True)
class Generating:
    """How text is generated here. `max_tokens`: where a caller says nothing; vLLM's own default is 16."""

    backend: Backend = Backend.VLLM
    template: Template | None = None
    max_tokens: int = MOST_TOKENS


def encode_generate(words: Chat | Complete, generating: Generating, *, provider: str, stream: bool) -> Outgoing:
    """The body for `/generate` and `/generate_stream`. Raises a BadRequest for what the backend cannot be told."""
    losses = Losses(provider)
    stops: tuple[str, ...] = ()
    match words:
        case Chat():
            template = generating.template
            assert template is not None, "a chat is refused before, where there is no template"
            refuse_of_chat(words, losses)
            text, stops = render(words.messages, template, losses), template.stops
        case Complete():
            if not words.prompt:
                raise InvalidValue("`prompt` is empty: there is nothing to continue.", param="prompt")
            if words.suffix:
                raise losses.refuse("suffix")
            text = words.prompt
        case _:
            assert_never(words)
    losses.drop_if(words.user, "user")
    losses.leave(words.extra)
    sampling = encode_sampling(words.sampling, generating, stops, losses)
    return Outgoing(body=encode({"text_input": text} | sampling | {"stream": stream}), dropped=losses.dropped)


def refuse_of_chat(words: Chat, losses: Losses) -> None:
    """A text has no tools, no form and no thoughts apart."""
    if words.tools and (words.tool_choice is None or words.tool_choice.mode is not ToolMode.NONE):
        raise losses.refuse("tools", "its template has no tools")
    if words.response_format is not None and words.response_format.kind is not FormatKind.TEXT:
        raise losses.refuse("response_format")
    if words.thinking is not None and words.thinking.is_enabled is not False:
        losses.drop("reasoning_effort")


def encode_sampling(
    sampling: Sampling, generating: Generating, stops: tuple[str, ...], losses: Losses
) -> dict[str, object]:
    """How to pick tokens, under the backend's names."""
    if sampling.count != 1:
        raise losses.refuse("n", "it gives one answer to a request")
    if sampling.top_logprobs is not None:
        raise losses.refuse("logprobs")
    backend = generating.backend
    stop = [*stops, *(text for text in sampling.stop if text and text not in stops)]
    told: dict[str, object | None] = {
        "max_tokens": sampling.max_tokens or generating.max_tokens,
        "temperature": sampling.temperature,
        "top_k": sampling.top_k,
        "top_p": sampling.top_p,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
    }
    match backend:
        case Backend.VLLM:
            return vllm(told | {"stop": stop or None, "seed": sampling.seed})
        case Backend.TRTLLM:
            # An empty list of stop words is wanted: the tensor is not optional in every version.
            return present(told | {"random_seed": sampling.seed, "stop_words": stop, "bad_words": []}) | {
                "exclude_input_in_output": True
            }
        case Backend.PARAMETERS:
            if len(stop) > 1:
                raise losses.refuse("stop", "its parameters are single values: one text at most")
            told |= {"seed": sampling.seed, "stop": stop[0] if stop else None}
            return {"parameters": present(told)}
        case _:
            assert_never(backend)


def vllm(told: dict[str, object | None]) -> dict[str, object]:
    """vLLM's backend takes its sampling parameters as one JSON text, and says more only where asked."""
    return {
        "sampling_parameters": encode(present(told)).decode(),
        "exclude_input_in_output": True,
        "return_finish_reason": True,
        "return_num_input_tokens": True,
        "return_num_output_tokens": True,
    }


def present(told: dict[str, object | None]) -> dict[str, object]:
    return {name: value for name, value in told.items() if value is not None}
