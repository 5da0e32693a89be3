"""`farmgate usage`: what the journal says was used, by key, provider and model."""

from __future__ import annotations

import re
import time
from decimal import Decimal

from farmgate.admin.usage import Line, summarise
from farmgate.surfaces.cli.exits import Exit, WrongUse
from farmgate.surfaces.cli.session import Session
from farmgate.surfaces.cli.words import dollars

__all__ = ["seconds", "usage"]

HEAD = ("KEY", "PROVIDER", "MODEL", "CALLS", "UNFINISHED", "PROMPT", "COMPLETION", "TOKENS", "COST")
UNITS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def seconds(since: str) -> float | None:
    """`24h`, `7d`, `30m`, `2w` in seconds; None for `all`. Raises WrongUse."""
    if since == "all":
        return None
    match = re.fullmatch(r"([0-9]{1,6})([mhdw])", since)
    if match is None:
        raise WrongUse(f"--since takes 30m, 24h, 7d, 2w or all, not {since!r}.", param="--since")
    return int(match[1]) * UNITS[match[2]]


def usage(session: Session, since: str) -> Exit:
    """One line per key, provider and model, and the sum."""
    span_s = seconds(since)
    config = session.load()
    since_unix = time.time() - span_s if span_s is not None else 0.0
    prices = session.house.prices(config)
    lines = summarise(session.house.calls(config), since_unix=since_unix, price_of=prices.price)
    out = session.out
    if out.json:
        for line in lines:
            out.record(record(line))
        return Exit.OK
    when = "at all" if span_s is None else f"in the last {since}"
    if not lines:
        out.say(f"no calls {when}")
        return Exit.OK
    out.table(HEAD, [row(line) for line in lines])
    total = sum(line.prompt_tokens + line.completion_tokens for line in lines)
    estimated = sum(line.estimated_calls for line in lines)
    note = f"; {estimated} of them with estimated tokens" if estimated else ""
    calls = sum(line.calls for line in lines)
    out.say(f"{calls} call{'' if calls == 1 else 's'}, {total} tokens {when}{note}{cost_of(lines)}")
    return Exit.OK


def cost_of(lines: list[Line]) -> str:
    """What is known of the whole cost; nothing where no price is."""
    costs = [line.cost_usd for line in lines if line.cost_usd is not None]
    if not costs:
        return ""
    unpriced = sum(line.unpriced_calls for line in lines)
    rest = f" and {unpriced} at a price that is not known" if unpriced else ""
    return f"; {dollars(sum(costs, Decimal(0)))}{rest}"


def row(line: Line) -> tuple[str, ...]:
    unfinished = line.errors + line.cancelled + line.lost
    total = line.prompt_tokens + line.completion_tokens
    counts = (line.calls, unfinished, line.prompt_tokens, line.completion_tokens, total)
    return (line.key_name, line.provider, line.model, *map(str, counts), dollars(line.cost_usd))


def record(line: Line) -> dict[str, object]:
    return {
        "key": line.key_name,
        "provider": line.provider,
        "model": line.model,
        "calls": line.calls,
        "errors": line.errors,
        "cancelled": line.cancelled,
        "lost": line.lost,
        "promptTokens": line.prompt_tokens,
        "completionTokens": line.completion_tokens,
        "estimatedCalls": line.estimated_calls,
        "costUsd": None if line.cost_usd is None else float(line.cost_usd),
        "unpricedCalls": line.unpriced_calls,
    }
