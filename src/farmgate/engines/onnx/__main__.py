"""`python -m farmgate.engines.onnx`: load one graph, say where it can be asked, and answer until told to die."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor

from farmgate.engines.child import bind_to_parent
from farmgate.engines.engine import Spec
from farmgate.engines.launching import announce, arguments, give_up, keep_output, read_spec
from farmgate.engines.onnx.engine import MODULE
from farmgate.engines.onnx.graph import CannotLoad, Graph, Inferring
from farmgate.engines.onnx.texts import Embedding, Encoder, encoder_beside
from farmgate.engines.serving.app import App
from farmgate.engines.serving.running import run, serve
from farmgate.engines.serving.tensors import TensorDoor
from farmgate.engines.serving.vectors import VectorDoor

__all__ = ["main"]

NO_TEXTS = "it is no encoder of texts with a tokenizer.json beside it"


def main(argv: Sequence[str] | None = None) -> int:
    given = arguments(MODULE).parse_args(argv)
    spec = read_spec(given)
    key = bind_to_parent(given.parent)
    answer = keep_output()
    try:
        graph = Graph(spec.path, threads=spec.threads)
        encoder = encoder_beside(graph, spec.path, context_tokens=spec.context_tokens)
    except CannotLoad as error:
        return give_up(error)
    thread = ThreadPoolExecutor(1, thread_name_prefix="graph")
    run(serve(lambda: app_of(spec, graph, encoder, thread, key), lambda url: announce(answer, url)))
    return 0


def app_of(spec: Spec, graph: Graph, encoder: Encoder | None, thread: Executor, key: str) -> App:
    """In the event loop."""
    inferring = Inferring(graph, model=spec.model, batch=spec.batch, thread=thread)
    embedding = Embedding(encoder, batch=spec.batch, thread=thread) if encoder is not None else None
    tensors = TensorDoor(spec, inferring, platform=inferring.platform)
    vectors = VectorDoor(spec, embedding.embed if embedding is not None else None, instead=NO_TEXTS)
    return App({**tensors.routes(), **vectors.routes()}, key=key)


if __name__ == "__main__":
    sys.exit(main())
