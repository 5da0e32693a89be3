"""scikit-learn and XGBoost: converted to ONNX, and as a class of one's own. What the gate says is what they say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.journey.gate import KEY, RealGate
from tests.live.engines.of_graphs.flowers import Flowers

pytest.importorskip("sklearn", reason="scikit-learn is not installed: make engines")


def iris() -> tuple[Any, Any]:
    from sklearn.datasets import load_iris

    rows, kinds = load_iris(return_X_y=True)
    return rows.astype("float32"), kinds


def linear(path: Path) -> Any:
    """A pipeline of scikit-learn, written to `path`."""
    from skl2onnx import to_onnx
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows, kinds = iris()
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(rows, kinds)
    path.write_bytes(to_onnx(model, rows[:1], options={"zipmap": False}).SerializeToString())
    return model


def boosted(path: Path) -> Any:
    """Trees of XGBoost, written to `path`."""
    from onnxmltools import convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType
    from xgboost import XGBClassifier

    model = XGBClassifier(n_estimators=20, max_depth=3).fit(*iris())
    inputs = [("X", FloatTensorType([None, 4]))]
    path.write_bytes(convert_xgboost(model, initial_types=inputs).SerializeToString())
    return model


MAKERS = {"linear": linear, "boosted": boosted}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RealGate, dict[str, Any]]]:
    directory = tmp_path_factory.mktemp("classic")
    models = {name: make(directory / f"{name}.onnx") for name, make in MAKERS.items()}
    sources = {name: str(directory / f"{name}.onnx") for name in models}
    config = {
        "keys": [{"name": "tests", "key": KEY}],
        "ai": {"providers": {"local": {"provider": "local"}}},
        "models": {**sources, "flowers": f"{Path(__file__).with_name('flowers.py')}:Flowers"},
    }
    with RealGate(directory, config=config).start() as gate:
        yield gate, models


def outputs(gate: RealGate, model: str, rows: Any, datatype: str) -> dict[str, Any]:
    tensor = {"name": "X", "shape": list(rows.shape), "datatype": datatype, "data": rows.ravel().tolist()}
    answer = gate.call("POST", f"/v2/models/{model}/infer", {"inputs": [tensor]})
    assert answer.status == 200, answer.body
    return {output["name"]: output for output in answer.json["outputs"]}


@pytest.mark.parametrize("name", MAKERS)
def test_a_converted_model_says_what_it_said_before(trained: tuple[RealGate, dict[str, Any]], name: str) -> None:
    gate, models = trained
    rows = iris()[0][::10]
    told = outputs(gate, name, rows, "FP32")
    assert (told["label"]["datatype"], told["label"]["data"]) == ("INT64", models[name].predict(rows).tolist())
    shares = models[name].predict_proba(rows)
    assert told["probabilities"]["shape"] == list(shares.shape)
    assert told["probabilities"]["data"] == pytest.approx(shares.ravel().tolist(), abs=1e-5)


def test_a_classifier_as_a_class_of_ones_own_is_served_with_its_shares(
    trained: tuple[RealGate, dict[str, Any]],
) -> None:
    gate, _ = trained
    rows = iris()[0][::10].astype("float64")
    flowers = Flowers()
    flowers.load()
    told = outputs(gate, "flowers", rows, "FP64")
    assert (told["kind"]["datatype"], told["kind"]["data"]) == ("INT64", flowers.model.predict(rows).tolist())
    assert (told["shares"]["datatype"], told["shares"]["shape"]) == ("FP64", [15, 3])
