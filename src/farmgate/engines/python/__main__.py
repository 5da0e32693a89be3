"""`python -m farmgate.engines.python`: load one class, say where it can be asked, and answer until told to die."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor

from farmgate.engines.child import bind_to_parent
from farmgate.engines.engine import Spec
from farmgate.engines.launching import announce, arguments, give_up, keep_output, read_spec
from farmgate.engines.python.code import CannotLoad, Code, load
from farmgate.engines.python.engine import MODULE
from farmgate.engines.python.model import Embedding, Predicting
from farmgate.engines.python.texts import TextDoor
from farmgate.engines.serving.app import App
from farmgate.engines.serving.running import run, serve
from farmgate.engines.serving.tensors import TensorDoor
from farmgate.engines.serving.vectors import VectorDoor

__all__ = ["app_of", "main"]


def main(argv: Sequence[str] | None = None) -> int:
    given = arguments(MODULE).parse_args(argv)
    spec = read_spec(given)
    key = bind_to_parent(given.parent)
    answer = keep_output()
    # Whatever the class holds that only the thread that made it may use stays with that thread.
    thread = ThreadPoolExecutor(1, thread_name_prefix="model")
    try:
        code = thread.submit(load, spec.path, spec.attribute, model=spec.model).result()
    except CannotLoad as error:
        return give_up(error)
    run(serve(lambda: app_of(spec, code, thread, key), lambda url: announce(answer, url)))
    return 0


def app_of(spec: Spec, code: Code, thread: Executor, key: str) -> App:
    """In the event loop."""
    predicting = Predicting(code, batch=spec.batch, thread=thread) if "predict" in code.can else None
    embedding = Embedding(code, batch=spec.batch, thread=thread) if "embed" in code.can else None
    tensors = TensorDoor(spec, predicting, platform="python", instead=code.told)
    vectors = VectorDoor(spec, embedding.embed if embedding is not None else None, instead=code.told)
    texts = TextDoor(spec, code, thread=thread)
    return App({**tensors.routes(), **vectors.routes(), **texts.routes()}, key=key)


if __name__ == "__main__":
    status = main()
    # Threads that the class began and left would keep the process.
    sys.stderr.flush()
    os._exit(status)
