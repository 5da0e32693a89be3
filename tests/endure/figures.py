"""What is made of many measurements: percentiles, windows that slide, and a slope with its uncertainty."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Slope", "back_to_normal_s", "percentile", "slope"]

MOST_SAMPLES = 400
Z_95 = 1.959964


class Slope(NamedTuple):
    """Per unit of time: the median of all slopes between two samples, and the ends of its 95 % interval."""

    median: float
    low: float
    high: float


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of all do not exceed; NaN of none."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def slope(samples: Sequence[tuple[float, float]]) -> Slope:
    """Theil-Sen with Sen's interval. Takes samples to be independent, which those of a memory are not quite.

    Source: https://en.wikipedia.org/wiki/Theil%E2%80%93Sen_estimator
    """
    step = max(1, len(samples) // MOST_SAMPLES)
    kept = samples[::step]
    count = len(kept)
    slopes = sorted(
        (later - sooner) / (end - begin)
        for at, (begin, sooner) in enumerate(kept)
        for end, later in kept[at + 1 :]
        if end > begin
    )
    if not slopes:
        return Slope(0.0, -math.inf, math.inf)
    spread = Z_95 * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    low = max(0, math.floor((len(slopes) - spread) / 2))
    high = min(len(slopes) - 1, math.ceil((len(slopes) + spread) / 2))
    return Slope(statistics.median(slopes), slopes[low], slopes[high])


def back_to_normal_s(
    samples: Sequence[tuple[float, float]], *, begin: float, end: float, most: float, window: float = 1.0
) -> float:
    """How long after `begin` the last window was left whose median is above `most`; 0 where there was none.

    `samples`: when each request began, and its value. Windows slide by a tenth of their length.
    """
    last = begin
    steps = int((end - begin - window) / (window / 10))
    for step in range(max(0, steps) + 1):
        start = begin + step * window / 10
        seen = [value for at, value in samples if start <= at < start + window]
        if seen and statistics.median(seen) > most:
            last = start + window
    return last - begin
