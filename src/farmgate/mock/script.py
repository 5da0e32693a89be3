"""An ordered list of steps decides what becomes of each request; the first one that matches and is live takes it."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TypeAlias

import msgspec

from farmgate.mock.arguments import WrongFault
from farmgate.mock.grammar import plan_of_model, read_plan
from farmgate.mock.plan import Plan
from farmgate.mock.reading import Request

__all__ = ["Chooser", "Rule", "Script", "read_script"]

MOST_NAMES = 1000
Do: TypeAlias = str | dict[str, str | int | float | bool | None]


class Match(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which requests: patterns with `*` and `?`. What is absent matches everything."""

    model: str | None = None
    path: str | None = None
    header: dict[str, str] = {}


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"during": "for"}):
    """One step as it is written. `do` without entries: a proper answer."""

    do: Do | list[Do] = []
    match: Match = Match()
    times: int | None = None
    after: int | None = None
    during: str | int | float | None = None
    share: str | float | None = None


class Told(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A script as it is written."""

    steps: list[Step] = []
    seed: int = 0


@dataclass(slots=True, kw_only=True)
class Rule:
    """A step under way. `seen`: calls that matched; `taken`: those it decided; `began`: when the first was seen."""

    plan: Plan
    random: random.Random
    match: Match = field(default_factory=Match)
    seen: int = 0
    taken: int = 0
    began: float | None = None

    @property
    def is_door(self) -> bool:
        """Whether it decides as soon as a connection is accepted, when nothing is known of a request."""
        return self.plan.refuse and self.match == Match()

    def matches(self, request: Request, model: str) -> bool:
        match = self.match
        return (
            (match.model is None or fnmatchcase(model, match.model))
            and (match.path is None or fnmatchcase(request.path, match.path))
            and all(fnmatchcase(request.headers.get(n.lower(), ""), value) for n, value in match.header.items())
        )

    def takes(self, now: float) -> bool:
        """Count a call that matches; whether it is this rule's. `now` is monotonic, in seconds."""
        plan = self.plan
        self.began = now if self.began is None else self.began
        self.seen += 1
        if (
            self.seen <= (plan.after or 0)
            or (plan.times is not None and self.taken >= plan.times)
            or (plan.during is not None and now - self.began >= plan.during)
            or (plan.share is not None and self.random.random() >= plan.share)
        ):
            return False
        self.taken += 1
        return True


@dataclass(frozen=True, slots=True)
class Script:
    """Rules in order, and the text they came from."""

    rules: tuple[Rule, ...] = ()
    told: object = None
    seed: int = 0


def read_script(told: object) -> Script:
    """A list of steps, or an object with `steps` and `seed`. Raises WrongFault."""
    whole = {"steps": told} if isinstance(told, list) else told
    try:
        script = msgspec.convert(whole, Told)
    except msgspec.ValidationError as error:
        raise WrongFault(f"The script cannot be read: {error}.") from error
    rules = [rule_of(step, at, script.seed) for at, step in enumerate(script.steps)]
    return Script(tuple(rules), whole, script.seed)


def rule_of(step: Step, at: int, seed: int) -> Rule:
    """Raises WrongFault, which says which step it is."""
    when = {"times": step.times, "after": step.after, "for": step.during, "share": step.share}
    conditions = {name: value for name, value in when.items() if value is not None}
    entries = step.do if isinstance(step.do, list) else [step.do]
    try:
        plan = read_plan([*entries, conditions])
    except WrongFault as error:
        raise WrongFault(f"Step {at + 1} of the script: {error.message}") from error
    own = plan.seed if plan.seed is not None else seed * 1_000_003 + at
    rule = Rule(plan=plan, match=step.match, random=random.Random(own))
    if rule.is_door and plan.times is None and plan.during is None:
        raise WrongFault(
            f"Step {at + 1} of the script refuses every connection, the one that could end it too: say times or for."
        )
    return rule


class Chooser:
    """Decides: the script first, then the model's name. Owns every count that decisions depend on."""

    def __init__(self, script: Script, *, seed: int = 0) -> None:
        self._seed = seed
        self._named: OrderedDict[str, Rule] = OrderedDict()
        self.script = script

    def refuses(self, now: float) -> bool:
        """Whether a connection that was just accepted is reset."""
        return any(rule.is_door and rule.takes(now) for rule in self.script.rules)

    def choose(self, request: Request, model: str, now: float) -> Plan:
        """What becomes of a request. Raises WrongFault for a model's name that cannot be understood."""
        for rule in self.script.rules:
            if not rule.is_door and rule.matches(request, model) and rule.takes(now):
                return rule.plan
        plan = plan_of_model(model)
        if not plan.has_condition:
            return plan
        return plan if self._rule(model, plan).takes(now) else plan.proper()

    def _rule(self, model: str, plan: Plan) -> Rule:
        rule = self._named.get(model)
        if rule is None:
            seed = self._seed if plan.seed is None else plan.seed
            rule = self._named[model] = Rule(plan=plan, random=random.Random(f"{seed} {model}"))
            if len(self._named) > MOST_NAMES:
                self._named.popitem(last=False)
        return rule

    def forget(self) -> None:
        """Every count of a model's name begins anew."""
        self._named.clear()

    def state(self) -> Sequence[Mapping[str, object]]:
        """What every step has seen and taken."""
        return [{"seen": rule.seen, "taken": rule.taken} for rule in self.script.rules]
