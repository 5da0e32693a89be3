"""A stream of events folded into one answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from farmgate.core.event import (
    Annotation,
    Event,
    Finish,
    FinishReason,
    Logprobs,
    Ranked,
    Reasoning,
    Refusal,
    Said,
    Text,
    ToolDelta,
    Usage,
    Vector,
)
from farmgate.core.reply import Reply
from farmgate.core.words import ToolUse

__all__ = ["Answer", "Choice", "add", "fold", "gather"]


@dataclass(slots=True)
class Choice:
    """One of the answers asked for."""

    texts: list[str] = field(default_factory=list)
    reasonings: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    tools: dict[int, ToolUse] = field(default_factory=dict)
    logprobs: list[Mapping[str, object]] = field(default_factory=list)
    annotations: list[Mapping[str, object]] = field(default_factory=list)
    signature: str | None = None
    redacted: list[str] = field(default_factory=list)
    finish: FinishReason | None = None
    stop: str | None = None

    @property
    def text(self) -> str:
        return "".join(self.texts)

    @property
    def reasoning(self) -> str:
        return "".join(self.reasonings)

    @property
    def refusal(self) -> str:
        return "".join(self.refusals)


@dataclass(slots=True)
class Answer:
    """A whole answer. `choices` and `vectors` are keyed by their index; `ranking` is in the provider's order."""

    choices: dict[int, Choice] = field(default_factory=dict)
    vectors: dict[int, tuple[float, ...]] = field(default_factory=dict)
    ranking: list[Ranked] = field(default_factory=list)
    usage: Usage | None = None

    @property
    def text(self) -> str:
        """The first answer's text."""
        return self.choices[0].text if 0 in self.choices else ""


def fold(events: list[Event]) -> Answer:
    """All that these events say, in one answer."""
    answer = Answer()
    for event in events:
        for part in event.parts:
            match part:
                case Usage():
                    answer.usage = part
                case Vector():
                    answer.vectors[part.index] = part.values
                case Ranked():
                    answer.ranking.append(part)
                case _:
                    add(answer.choices.setdefault(part.choice, Choice()), part)
    return answer


def add(choice: Choice, part: Said) -> None:
    """Fold one part into its choice."""
    match part:
        case Text():
            choice.texts.append(part.text)
        case Reasoning():
            choice.reasonings.append(part.text)
            choice.signature = part.signature or choice.signature
            if part.redacted is not None:
                choice.redacted.append(part.redacted)
        case Refusal():
            choice.refusals.append(part.text)
        case Finish():
            choice.finish = part.reason
            choice.stop = part.stop
        case Logprobs():
            choice.logprobs.extend(part.tokens)
        case Annotation():
            choice.annotations.append(part.data)
        case ToolDelta():
            begun = choice.tools.get(part.index) or ToolUse(id="", name="", arguments="")
            choice.tools[part.index] = ToolUse(
                id=part.id or begun.id,
                name=part.name or begun.name,
                arguments=begun.arguments + part.arguments,
                signature=part.signature or begun.signature,
            )


async def gather(reply: Reply) -> list[Event]:
    """Every event of a reply; closes it. Raises what broke the answer."""
    with reply:
        if reply.event is not None:
            return [reply.event]
        return [event async for event in reply]
