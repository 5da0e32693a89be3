"""scikit-learn, as a class of one's own: where it is installed beside the rest, which `make engines` leaves to whoever
wants it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.journey.gate import KEY, RealGate
from tests.live.engines.of_graphs.flowers import Flowers

datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed")


def test_a_classifier_is_served_with_its_shares(tmp_path: Path) -> None:
    config = {
        "keys": [{"name": "tests", "key": KEY}],
        "ai": {"providers": {"local": {"provider": "local"}}},
        "models": {"flowers": f"{Path(__file__).with_name('flowers.py')}:Flowers"},
    }
    rows, _ = datasets.load_iris(return_X_y=True)
    flowers = Flowers()
    flowers.load()
    known = [int(kind) for kind in flowers.model.predict(rows[::10])]
    tensor = {"name": "x", "shape": [15, 4], "datatype": "FP64", "data": rows[::10].tolist()}
    with RealGate(tmp_path, config=config).start() as gate:
        answer = gate.call("POST", "/v2/models/flowers/infer", {"inputs": [tensor]})
    assert answer.status == 200, answer.body
    kind, shares = answer.json["outputs"]
    assert (kind["datatype"], kind["data"]) == ("INT64", known)
    assert (shares["datatype"], shares["shape"]) == ("FP64", [15, 3])
