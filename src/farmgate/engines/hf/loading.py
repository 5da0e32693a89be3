"""A checkpoint becomes a model in memory: from a local folder, without code of its own, on what it was given."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from farmgate.core.ports import Purpose
from farmgate.engines.engine import Dtype, Quantize, Spec
from farmgate.engines.hf.choosing import Habits
from farmgate.engines.hf.folder import CannotLoad, check_checkpoint

__all__ = ["Loaded", "load"]

GPU_NAME = re.compile(r"(?:gpu|cuda):?(\d*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """`context_tokens`: the smaller of what was asked for and what the model was made for."""

    model: Any
    tokenizer: Any
    device: str
    context_tokens: int
    end_ids: frozenset[int]
    habits: Habits


def load(spec: Spec, *, dtype: Dtype, quantize: Quantize) -> Loaded:
    """Takes as long as reading the weights; says in the log how long. Raises CannotLoad."""
    check_checkpoint(spec.path)
    import torch
    import transformers

    began = time.monotonic()
    torch.set_num_threads(spec.threads)
    transformers.logging.set_verbosity_error()
    device = device_of(spec.device, torch)
    kind = transformers.AutoModel if spec.purpose is Purpose.EMBED else transformers.AutoModelForCausalLM
    told: dict[str, Any] = {
        "local_files_only": True,
        "trust_remote_code": False,
        "use_safetensors": True,
        "dtype": dtype_of(dtype, device, torch),
        # Layers are dealt out evenly over the GPUs that this process sees: those it was given.
        "device_map": "balanced" if spec.gpus.count > 1 else {"": device},
    }
    if quantize != "none":
        told["quantization_config"] = quantization(quantize, device, torch, transformers)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            spec.path, local_files_only=True, trust_remote_code=False
        )
        model = kind.from_pretrained(spec.path, **told).eval()
    except Exception as error:
        # A library of hundreds of models raises what it likes.
        raise CannotLoad(reason(error)) from error
    if spec.gpus.count > 1:
        # Where all of it is on one of them there is no map.
        check_placed(getattr(model, "hf_device_map", {}))
    if getattr(model.config, "is_encoder_decoder", False):
        raise CannotLoad(f"{spec.path} holds a model of two halves, which reads and writes apart: not one of ours")
    model.requires_grad_(requires_grad=False)
    log(f"loaded {spec.model} on {device} as {model.dtype} in {time.monotonic() - began:.1f} s")
    return Loaded(
        model=model,
        tokenizer=tokenizer,
        device=device,
        context_tokens=min([spec.context_tokens, *trained_context(model.config, tokenizer, spec.purpose)]),
        end_ids=end_ids(model, tokenizer),
        habits=habits(model),
    )


def device_of(wanted: str, torch: Any) -> str:
    """`cpu`, or `cuda:N`. Raises CannotLoad for a device that there is not.

    A GPU that is named is the first one where all others are hidden from this process, whatever its number is outside.
    """
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted == "cpu" or (wanted == "auto" and not there):
        return "cpu"
    named = GPU_NAME.fullmatch(wanted)
    if wanted != "auto" and named is None:
        raise CannotLoad(f"there is no device {wanted!r}: auto, cpu, gpu or gpu1")
    if not there:
        raise CannotLoad(f"there is no device {wanted!r}: torch sees no GPU here. Choose auto or cpu")
    number = int(named[1] or 0) if named is not None else 0
    return f"cuda:{number if number < there else 0}"


def check_placed(places: Mapping[str, object]) -> None:
    """Raises CannotLoad where some layers found no room on the GPUs: from memory or disk they would take minutes."""
    if left := [layer for layer, place in places.items() if place in ("cpu", "disk")]:
        raise CannotLoad(f"{len(left)} of {len(places)} parts of the model have no room on its GPUs: say `memoryMib`")


def dtype_of(wanted: Dtype, device: str, torch: Any) -> Any:
    """On a processor 16 bits are slow, and sums differ from one batch to another: 32 unless somebody asks."""
    if wanted == "auto":
        return torch.float32 if device == "cpu" else "auto"
    return getattr(torch, wanted)


def quantization(wanted: Quantize, device: str, torch: Any, transformers: Any) -> Any:
    """Raises CannotLoad where it cannot be done."""
    if device == "cpu":
        raise CannotLoad(f"weights of {wanted} need a GPU: leave `quantize` out, or choose a smaller model")
    try:
        import bitsandbytes  # noqa: F401 - only to see whether it can be
    except Exception as error:
        # It looks for the GPU while it is imported, and raises what it likes.
        why = f"weights of {wanted} need bitsandbytes: pip install bitsandbytes ({reason(error)})"
        raise CannotLoad(why) from error
    if wanted == "8bit":
        return transformers.BitsAndBytesConfig(load_in_8bit=True)
    return transformers.BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


def trained_context(config: Any, tokenizer: Any, purpose: Purpose) -> list[int]:
    """How many tokens a model was made for, by all who say so.

    Of models for vectors the tokenizer knows better: some have a few positions more than they can use.
    """
    text = config.get_text_config()
    names = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")
    told = [getattr(text, name, None) for name in names]
    if purpose is Purpose.EMBED:
        told.append(tokenizer.model_max_length)
    return [number for number in told if isinstance(number, int) and number > 0]


def end_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    """Tokens that end an answer: those its makers name for `generate`, and the tokenizer's own, which ends a turn."""
    generation = getattr(model, "generation_config", None)
    told = getattr(generation, "eos_token_id", None)
    ids = [told] if isinstance(told, int) else list(told) if isinstance(told, Sequence) else []
    return frozenset(each for each in (*ids, tokenizer.eos_token_id) if isinstance(each, int))


def habits(model: Any) -> Habits:
    """Only where they say `do_sample`: else the numbers are a library's, not theirs."""
    told = getattr(model, "generation_config", None)
    if told is None or not told.do_sample:
        return Habits()
    plain = Habits()
    return Habits(
        temperature=plain.temperature if told.temperature is None else float(told.temperature),
        top_p=plain.top_p if told.top_p is None else float(told.top_p),
        top_k=plain.top_k if told.top_k is None else int(told.top_k),
    )


def reason(error: BaseException) -> str:
    """In one line, as much as fits an error message."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:297]}..."


def log(text: str) -> None:
    sys.stderr.write(f"{text}\n")
