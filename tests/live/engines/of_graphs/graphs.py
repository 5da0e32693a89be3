"""Graphs of a few hundred bytes, each for one thing that graphs do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy
import onnx
from onnx import TensorProto, helper

__all__ = ["TABLE", "WORDS", "cells", "encoder", "fixed", "joined", "liar", "linear", "lists"]

OPSET = 20
WORDS = {"[UNK]": 0, "good": 1, "bad": 2, "day": 3}
TABLE = numpy.array([[9, -9], [3, 4], [-3, -4], [4, 3]], dtype="float32")
"""A vector for each word."""


def saved(
    path: Path, nodes: Sequence[Any], inputs: Sequence[Any], outputs: Sequence[Any], held: Sequence[Any] = ()
) -> Path:
    graph = helper.make_graph(list(nodes), "test", list(inputs), list(outputs), list(held))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))
    return path


def floats(name: str, *shape: int | str) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def numbers(name: str, *shape: int | str) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.INT64, shape)


def constant(name: str, values: Any) -> Any:
    return onnx.numpy_helper.from_array(numpy.array(values), name)


def linear(path: Path) -> Path:
    """A classifier: x (any, 2) to the sums (any, 2) and the larger one's place (any)."""
    weights = numpy.array([[1, 0], [0, 1]], dtype="float32")
    nodes = [
        helper.make_node("MatMul", ["x", "weights"], ["scores"]),
        helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
    ]
    held = [constant("weights", weights)]
    return saved(path, nodes, [floats("x", "n", 2)], [floats("scores", "n", 2), numbers("label", "n")], held)


def fixed(path: Path) -> Path:
    """Twice what it is given, which is (1, 2) and nothing else."""
    return saved(path, [helper.make_node("Add", ["x", "x"], ["y"])], [floats("x", 1, 2)], [floats("y", 1, 2)])


def joined(path: Path) -> Path:
    """Each text with itself behind it."""
    texts = [helper.make_tensor_value_info(name, TensorProto.STRING, ["n"]) for name in ("text", "twice")]
    return saved(path, [helper.make_node("StringConcat", ["text", "text"], ["twice"])], texts[:1], texts[1:])


def liar(path: Path) -> Path:
    """Says that it gives a row for each, and gives the first alone."""
    node = helper.make_node("Compress", ["x", "which"], ["first"], axis=0)
    held = [constant("which", numpy.array([True]))]
    return saved(path, [node], [floats("x", "n", 1)], [floats("first", "n", 1)], held)


def cells(path: Path) -> Path:
    """Rows of a table of three, by their numbers."""
    node = helper.make_node("Gather", ["table", "number"], ["row"])
    held = [constant("table", TABLE[:3])]
    return saved(path, [node], [numbers("number", "n")], [floats("row", "n", 2)], held)


def lists(path: Path) -> Path:
    """Gives a sequence, and no tensor."""
    node = helper.make_node("SequenceConstruct", ["x"], ["list"])
    output = helper.make_tensor_sequence_value_info("list", TensorProto.FLOAT, ["n", 2])
    return saved(path, [node], [floats("x", "n", 2)], [output])


def encoder(folder: Path, *, output: str = "last_hidden_state") -> Path:
    """A folder as exporters write it: a graph that gives each token its vector, and its tokenizer, which would cut
    texts after two tokens if it were let."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["vectors"]),
        # It must take the mask, and not care: pooling is for who asks.
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["column"]),
        helper.make_node("Mul", ["column", "zero"], ["nothing"]),
        helper.make_node("Add", ["vectors", "nothing"], [output]),
    ]
    held = [
        constant("table", TABLE),
        constant("last", numpy.array([2], dtype="int64")),
        constant("zero", numpy.array(0, dtype="float32")),
    ]
    inputs = [numbers("input_ids", "n", "t"), numbers("attention_mask", "n", "t")]
    saved(folder / "onnx" / "model.onnx", nodes, inputs, [floats(output, "n", "t", 2)], held)
    tokenizer = Tokenizer(models.WordLevel(vocab=WORDS, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.enable_truncation(max_length=2)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps({"max_position_embeddings": 4}))
    return folder
