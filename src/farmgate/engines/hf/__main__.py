"""`python -m farmgate.engines.hf`: load one model, say where it can be asked, and answer until told to die."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import get_args

from farmgate.core.ports import Purpose
from farmgate.engines.child import bind_to_parent
from farmgate.engines.engine import Dtype, Quantize, Spec
from farmgate.engines.hf.folder import CannotLoad
from farmgate.engines.hf.house import House
from farmgate.engines.hf.loading import Loaded, load, log
from farmgate.engines.hf.server import app_of
from farmgate.engines.hf.tokens import Tokens
from farmgate.engines.launching import announce, arguments, give_up, keep_output, read_spec
from farmgate.engines.serving.running import run, serve
from farmgate.engines.transformers import MODULE

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    parser = arguments(MODULE)
    parser.add_argument("--dtype", choices=get_args(Dtype), default="auto")
    parser.add_argument("--quantize", choices=get_args(Quantize), default="none")
    given = parser.parse_args(argv)
    spec = read_spec(given)
    key = bind_to_parent(given.parent)
    answer = keep_output()
    try:
        loaded = load(spec, dtype=given.dtype, quantize=given.quantize)
        make = prepare(spec, loaded)
    except CannotLoad as error:
        return give_up(error.message)
    run(serve(lambda: app_of(make(), key=key), lambda url: announce(answer, url)))
    return 0


def prepare(spec: Spec, loaded: Loaded) -> Callable[[], House]:
    """All that takes time; what comes back makes the rest, in the event loop. Raises CannotLoad."""
    tokens = Tokens(loaded.tokenizer)
    if spec.purpose is Purpose.EMBED:
        return prepare_vectors(spec, loaded, tokens)
    return prepare_texts(spec, loaded, tokens)


def prepare_vectors(spec: Spec, loaded: Loaded, tokens: Tokens) -> Callable[[], House]:
    from farmgate.engines.hf.embedding import Embedder
    from farmgate.engines.hf.folder import pooling_of
    from farmgate.engines.hf.vectors import VectorHouse

    embedder = Embedder(loaded.model, device=loaded.device, pooling=pooling_of(spec.path))
    return lambda: VectorHouse(spec, tokens, embedder, context_tokens=loaded.context_tokens)


def prepare_texts(spec: Spec, loaded: Loaded, tokens: Tokens) -> Callable[[], House]:
    from farmgate.engines.hf.adapters import Adapters
    from farmgate.engines.hf.rows import Rows, why_alone
    from farmgate.engines.hf.solo import Solo
    from farmgate.engines.hf.texts import TextHouse
    from farmgate.engines.hf.worker import Steps

    adapters = Adapters(loaded.model)
    steps: Steps
    if (why := why_alone(loaded.model, loaded.device)) is None:
        steps = Rows(loaded.model, device=loaded.device, most=spec.parallel, use=adapters.use)
    else:
        log(f"{spec.model} writes one answer at a time: {why}")
        steps = Solo(loaded.model, device=loaded.device, use=adapters.use)
    return lambda: TextHouse(
        spec,
        tokens,
        steps,
        adapters,
        context_tokens=loaded.context_tokens,
        end_ids=loaded.end_ids,
        habits=loaded.habits,
        die=lambda: os._exit(1),
    )


if __name__ == "__main__":
    sys.exit(main())
