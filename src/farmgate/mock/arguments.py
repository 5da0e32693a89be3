"""What stands behind the `=` of a fault: numbers, sizes, spans of time, and waits that are drawn at random."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from farmgate.core.errors import BadRequest

__all__ = [
    "Delay",
    "Span",
    "WrongFault",
    "one_of",
    "read_delay",
    "read_header",
    "read_share",
    "read_span",
    "read_text",
    "size_up_to",
    "whole_number",
]

SPAN = re.compile(r"(\d+(?:\.\d+)?|\.\d+)(ms|s|m|)")
SECONDS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0}
SIZE = re.compile(r"(\d{1,15})([kmg]?)b?", re.IGNORECASE)
BYTES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
LONGEST_S = 3600.0

Span: TypeAlias = float
"""Seconds."""


class WrongFault(BadRequest):
    """The fault cannot be understood."""

    code = "wrong_fault"


@dataclass(frozen=True, slots=True)
class Delay:
    """A wait. What `first` and `second` are depends on the kind: see `read_delay`."""

    kind: Literal["fixed", "uniform", "normal", "lognormal", "exponential"]
    first: float
    second: float = 0.0

    def draw(self, random: random.Random) -> Span:
        """One wait in seconds, never below 0 nor above an hour."""
        match self.kind:
            case "fixed":
                drawn = self.first
            case "uniform":
                drawn = random.uniform(self.first, self.second)
            case "normal":
                drawn = random.gauss(self.first, self.second)
            case "lognormal":
                drawn = self.first * math.exp(random.gauss(0.0, self.second))
            case "exponential":
                drawn = random.expovariate(1 / self.first) if self.first else 0.0
        return min(max(drawn, 0.0), LONGEST_S)


def read_span(text: str) -> Span:
    """`200ms`, `1.5s`, `2m`; a number alone is seconds."""
    found = SPAN.fullmatch(text)
    if found is None or (span := float(found[1]) * SECONDS[found[2]]) > LONGEST_S:
        raise ValueError("a time such as 200ms, 1.5s or 2m, an hour at most")
    return span


def read_delay(text: str) -> Delay:
    """`200ms`, `uniform:LOW:HIGH`, `normal:MEAN:SPREAD`, `lognormal:MEDIAN:SIGMA` or `exponential:MEAN`."""
    kind, *rest = text.split(":")
    try:
        match kind, rest:
            case (("uniform" | "normal"), [first, second]):
                return Delay(kind, read_span(first), read_span(second))
            case "lognormal", [median, sigma]:
                return Delay(kind, read_span(median), float(sigma))
            case "exponential", [mean]:
                return Delay(kind, read_span(mean))
            case _, []:
                return Delay("fixed", read_span(text))
    except ValueError:
        pass
    raise ValueError(
        "200ms, uniform:100ms:300ms, normal:200ms:50ms, lognormal:200ms:0.5 or exponential:200ms (an hour at most)"
    )


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """Reads a number within bounds."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return number

    return read


def size_up_to(most: int) -> Callable[[str], int]:
    """Reads bytes: `4096`, `8m`, `10g`, in powers of 1024."""

    def read(text: str) -> int:
        found = SIZE.fullmatch(text)
        if found is None or (size := int(found[1]) * BYTES[found[2].lower()]) > most:
            raise ValueError(f"a size in bytes such as 4096, 64k or 8m, {most >> 20}m at most")
        return size

    return read


def read_share(text: str) -> float:
    """`0.5` or `50%`."""
    try:
        share = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ValueError("a share such as 0.5 or 50%")
    return share


def read_text(text: str) -> str:
    """Anything that may stand in a header."""
    if not text.isprintable():
        raise ValueError("printable text")
    return text


def read_header(text: str) -> str:
    """A header's name and value."""
    name, found, _ = read_text(text).partition(":")
    if not found or not HEADER_NAME.fullmatch(name):
        raise ValueError("a header such as x-name:value")
    return text


def one_of(*values: str) -> Callable[[str], str]:
    """Reads one of these words."""

    def read(text: str) -> str:
        if text not in values:
            raise ValueError(" or ".join(values))
        return text

    return read
