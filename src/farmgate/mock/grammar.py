"""A list of faults, as it stands in a model's name or a script, is read into a Plan: `status=503,retry-after=2`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from farmgate.mock.arguments import WrongFault
from farmgate.mock.plan import FAULTS, Plan

__all__ = ["MARK", "plan_of_model", "read_plan", "show_faults"]

MARK = "mock:"
BETWEEN = re.compile(r"[,;]")
"""There are gateways that read a comma in a model's name as several models."""
FIELDS = {"for": "during"}
ALONE = ("stall", "end", "fin", "rst", "half", "short_chunk", "bad_chunk", "cut", "cut_end", "cut_rst")
APART = {
    "bomb": (*ALONE, "length", "endless"),
    # What is told must be counted first, and a chunk is no part of a body whose length is told.
    "length": ("endless", "end", "cut_end", "short_chunk", "bad_chunk"),
    "http09": ("end", "cut_end", "short_chunk", "bad_chunk", "cl_te", "length"),
}
MOST_TEXT = 1 << 28
PLAIN = Plan()


@lru_cache(maxsize=1024)
def plan_of_model(model: str) -> Plan:
    """`mock:<fault>[=<argument>][,...]`; any other name is answered properly. Raises WrongFault."""
    # A name may come with its provider's before it: `up/mock:status=503`.
    _, found, faults = ("/" + model).partition("/" + MARK)
    if not found:
        return PLAIN
    # Ollama's clients and servers give a name without a tag this one.
    return read_plan([faults.removesuffix(":latest")])


def read_plan(entries: Iterable[str | Mapping[str, object]]) -> Plan:
    """Faults: each entry one or several, commas or semicolons between, or names with arguments. Raises WrongFault."""
    values: dict[str, Any] = {}
    for name, argument in (one for entry in entries for one in said_in(entry)):
        if name_field(name) in values:
            raise WrongFault(f'"{name}" is said twice.')
        values[name_field(name)] = read_value(name, argument)
    check(values)
    return replace(PLAIN, **values)


def said_in(entry: str | Mapping[str, object]) -> Iterator[tuple[str, str | None]]:
    """Names and arguments; None where a fault stands without one."""
    if not isinstance(entry, str):
        for name, value in entry.items():
            yield name, None if value is None or value is True else str(value)
        return
    for part in BETWEEN.split(entry) if entry.strip() else ():
        name, told, argument = part.strip().partition("=")
        yield name, argument if told else None


def name_field(name: str) -> str:
    """The field of Plan that a fault is."""
    return FIELDS.get(name, name.replace("-", "_"))


def read_value(name: str, argument: str | None) -> object:
    """What a fault's field becomes."""
    fault = FAULTS.get(name)
    if fault is None:
        near = difflib.get_close_matches(name, FAULTS, 1)
        hint = f' Did you mean "{near[0]}"?' if near else ""
        raise WrongFault(f'There is no fault "{name}".{hint} farmgate mock --faults lists them.')
    if argument is None and not fault.argument:
        return True
    argument = fault.bare if argument is None else argument
    if not argument and fault.argument:
        raise WrongFault(f'"{name}" needs an argument: {name}={fault.argument} ({fault.help}).')
    try:
        return fault.read(argument or "")
    except ValueError as error:
        raise WrongFault(f'"{name}={argument}" cannot be: it takes {error}.') from error


def check(values: Mapping[str, Any]) -> None:
    """Faults that cannot both happen, or would take all memory. Raises WrongFault."""
    ends = [name for name in ALONE if name in values]
    if len(ends) > 1:
        first, second = (name.replace("_", "-") for name in ends[:2])
        raise WrongFault(f'"{first}" and "{second}" both break the answer: choose one.')
    for one, others in APART.items():
        if one in values and (other := next((name for name in others if name in values), None)):
            raise WrongFault(f'"{one}" goes with no "{other.replace("_", "-")}".')
    if values.get("frames", 1) * values.get("size", 1) > MOST_TEXT:
        raise WrongFault(f'"frames" times "size" is more than {MOST_TEXT} characters: "endless" is for that.')


def show_faults() -> list[tuple[str, list[tuple[str, str]]]]:
    """Every fault for people: groups of `name[=ARGUMENT]` and what it does."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for fault in FAULTS.values():
        argument = f"={fault.argument}" if fault.argument else ""
        shown = f"{fault.name}[{argument}]" if fault.bare is not None else f"{fault.name}{argument}"
        default = f" (default {fault.bare})" if fault.bare is not None and len(fault.bare) < 8 else ""
        groups.setdefault(fault.group, []).append((shown, fault.help + default))
    return list(groups.items())
