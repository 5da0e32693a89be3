"""The life of a model on this machine, as a literal table: what is not in it does not happen."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

__all__ = ["TRANSITIONS", "IllegalTransition", "State", "check_transition"]


class State(StrEnum):
    """Where one model is. It has a process while starting, warming, ready, draining, asleep and
    stopping.

    `warming`: the process is there and is asked for its first token. `draining`: it answers those who are at it and
    nobody new. `asleep`: its weights are in the memory of the machine, and it answers nobody until it has woken, which
    is `warming` too. `failed`: the process crashed, or never came up; it may be started again after a pause.
    """

    ABSENT = "absent"
    PULLING = "pulling"
    ON_DISK = "on_disk"
    STARTING = "starting"
    WARMING = "warming"
    READY = "ready"
    DRAINING = "draining"
    ASLEEP = "asleep"
    STOPPING = "stopping"
    FAILED = "failed"


TRANSITIONS: Mapping[State, frozenset[State]] = MappingProxyType(
    {
        State.ABSENT: frozenset({State.PULLING}),
        State.PULLING: frozenset({State.ON_DISK, State.ABSENT}),
        State.ON_DISK: frozenset({State.STARTING, State.ABSENT}),
        State.STARTING: frozenset({State.WARMING, State.FAILED, State.STOPPING}),
        State.WARMING: frozenset({State.READY, State.ASLEEP, State.FAILED, State.STOPPING}),
        State.READY: frozenset({State.DRAINING, State.FAILED, State.STOPPING}),
        State.DRAINING: frozenset({State.READY, State.ASLEEP, State.FAILED, State.STOPPING}),
        State.ASLEEP: frozenset({State.WARMING, State.FAILED, State.STOPPING}),
        State.STOPPING: frozenset({State.ON_DISK}),
        State.FAILED: frozenset({State.STARTING, State.STOPPING}),
    }
)


class IllegalTransition(Exception):
    """A mistake in this room: a model cannot go from the one state to the other."""


def check_transition(now: State, to: State) -> None:
    if to not in TRANSITIONS[now]:
        raise IllegalTransition(f"{now} -> {to}")
