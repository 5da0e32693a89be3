"""A classifier of scikit-learn, served as it is."""

from __future__ import annotations

from typing import Any


class Flowers:
    """Which of three kinds of iris, and how likely each is."""

    def load(self) -> None:
        from sklearn.datasets import load_iris
        from sklearn.linear_model import LogisticRegression

        self.model = LogisticRegression(max_iter=500).fit(*load_iris(return_X_y=True))

    def predict(self, inputs: list[list[float]]) -> list[dict[str, Any]]:
        shares = self.model.predict_proba(inputs)
        return [{"kind": int(row.argmax()), "shares": row} for row in shares]
