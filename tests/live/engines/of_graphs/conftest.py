"""A gate with every graph there is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.journey.gate import KEY, RealGate

pytest.importorskip("onnxruntime", reason="the ONNX engine is not installed: make engines")


@pytest.fixture(scope="session")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealGate]:
    from tests.live.engines.of_graphs import graphs

    directory = tmp_path_factory.mktemp("graphs")
    broken = directory / "broken.onnx"
    broken.write_bytes(b"this is no graph")
    models: dict[str, object] = {
        "linear": {"source": str(graphs.linear(directory / "linear.onnx")), "maxBatch": 4, "maxWaitMs": 50},
        "fixed": str(graphs.fixed(directory / "fixed.onnx")),
        "joined": str(graphs.joined(directory / "joined.onnx")),
        "liar": {"source": str(graphs.liar(directory / "liar.onnx")), "maxBatch": 4, "maxWaitMs": 300},
        "cells": str(graphs.cells(directory / "cells.onnx")),
        "lists": str(graphs.lists(directory / "lists.onnx")),
        "encoder": {"engine": "onnx", "source": str(graphs.encoder(directory / "encoder"))},
        "logits": {"engine": "onnx", "source": str(graphs.encoder(directory / "logits", output="logits"))},
        "broken": str(broken),
    }
    config = {
        "keys": [{"name": "tests", "key": KEY}],
        "ai": {"providers": {"local": {"provider": "local"}}},
        "models": models,
    }
    with RealGate(directory, config=config).start() as gate:
        yield gate
