"""Texts as vectors, where a graph encodes texts and its tokenizer lies beside it: mean of the tokens, of length 1."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
from tokenizers import Tokenizer

from farmgate.core.errors import ContextLengthExceeded, InvalidValue
from farmgate.engines.engine import Batch
from farmgate.engines.folder import folder_context_tokens
from farmgate.engines.onnx.graph import CannotLoad, Graph
from farmgate.engines.serving.batching import Batcher
from farmgate.engines.serving.vectors import Vectors
from farmgate.wire.triton.tensors import Datatype, Form

__all__ = ["Embedding", "Encoder", "encoder_beside"]

IDS, MASK, KINDS = "input_ids", "attention_mask", "token_type_ids"
TOKENS = ("last_hidden_state", "token_embeddings", "hidden_states")
"""What exporters call the vectors of tokens, (texts, tokens, size)."""
POOLED = "sentence_embedding"
FLOATS = (Datatype.FP16, Datatype.FP32, Datatype.FP64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """A graph with its tokenizer. `output`: whose vectors count; `is_pooled`: they are of whole texts already."""

    graph: Graph
    tokenizer: Tokenizer
    output: str
    is_pooled: bool
    context_tokens: int


def encoder_beside(graph: Graph, path: Path, *, context_tokens: int) -> Encoder | None:
    """None where there is no tokenizer beside the graph, or in the folder above it as exporters lay them, or the graph
    is no encoder of texts. Raises CannotLoad for a tokenizer that cannot be read."""
    file = next((file for folder in path.parents[:2] if (file := folder / "tokenizer.json").is_file()), None)
    output = output_of(graph)
    if file is None or output is None:
        return None
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:
        raise CannotLoad(f"tokenizer.json cannot be read: {' '.join(str(error).split())[:300]}") from error
    # Nothing is cut off in silence, whatever was exported: what is too long is refused.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    trained = folder_context_tokens(file.parent)
    name, is_pooled = output
    return Encoder(
        graph=graph,
        tokenizer=tokenizer,
        output=name,
        is_pooled=is_pooled,
        context_tokens=min(context_tokens, trained or context_tokens),
    )


def output_of(graph: Graph) -> tuple[str, bool] | None:
    """The output that is a vector for each text, or for each token; None where the graph is for something else."""
    inputs = {one.name: one for one in graph.inputs}
    if not {IDS, MASK} <= inputs.keys() <= {IDS, MASK, KINDS} or not graph.batches:
        return None
    if any(one.datatype is not Datatype.INT64 or len(one.shape) != 2 for one in inputs.values()):
        return None
    floats = {one.name: one for one in graph.outputs if one.datatype in FLOATS}
    if POOLED in floats and len(floats[POOLED].shape) == 2:
        return POOLED, True
    of_tokens = [name for name, one in floats.items() if is_of_tokens(one)]
    return (of_tokens[0], False) if of_tokens else None


def is_of_tokens(form: Form) -> bool:
    # Logits have the same dimensions, and are no vectors to compare.
    return form.name in TOKENS and len(form.shape) == 3


class Embedding:
    """Made in the event loop."""

    def __init__(self, encoder: Encoder, *, batch: Batch, thread: Executor) -> None:
        self._encoder = encoder
        self._takes = [one.name for one in encoder.graph.inputs]
        self._thread = thread
        self._loop = asyncio.get_running_loop()
        self._batcher = Batcher[list[int], list[float]](self._compute, batch=batch, thread=thread)

    async def embed(self, texts: Sequence[str]) -> Vectors:
        every = await self._loop.run_in_executor(self._thread, self._ids, texts)
        vectors = await asyncio.gather(*(self._batcher.ask(ids, rows=1) for ids in every))
        return Vectors(vectors, sum(map(len, every)))

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Raises ContextLengthExceeded, and InvalidValue for a text without a token."""
        most = self._encoder.context_tokens
        every: list[list[int]] = [one.ids for one in self._encoder.tokenizer.encode_batch(list(texts))]
        for at, ids in enumerate(every):
            where = f"input[{at}]"
            if len(ids) > most:
                raise ContextLengthExceeded(f"`{where}` has {len(ids)} tokens, and the context is {most}.", param=where)
            if not ids:
                raise InvalidValue(f"`{where}` has no tokens.", param=where)
        return every

    def _compute(self, texts: Sequence[list[int]]) -> list[list[float]]:
        """Padded on the right with what the mask leaves out."""
        ids = numpy.zeros((len(texts), max(map(len, texts))), dtype="int64")
        mask = numpy.zeros_like(ids)
        for row, text in enumerate(texts):
            ids[row, : len(text)] = text
            mask[row, : len(text)] = 1
        every = {IDS: ids, MASK: mask, KINDS: numpy.zeros_like(ids)}
        encoder = self._encoder
        told = encoder.graph.run({name: every[name] for name in self._takes}, (encoder.output,))
        vectors = told[encoder.output].astype("float32")
        return normal(vectors if encoder.is_pooled else mean(vectors, mask))


def mean(vectors: Any, mask: Any) -> Any:
    """(texts, tokens, size) to (texts, size), over the tokens that are there."""
    shares = mask[:, :, None].astype("float32")
    return (vectors * shares).sum(axis=1) / shares.sum(axis=1)


def normal(vectors: Any) -> list[list[float]]:
    """Each as long as 1; what has no length stays as it is."""
    lengths = numpy.linalg.norm(vectors, axis=1, keepdims=True)
    told: list[list[float]] = (vectors / numpy.where(lengths == 0, 1, lengths)).tolist()
    return told
