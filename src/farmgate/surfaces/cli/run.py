"""`farmgate run`: ask a model by name, or a GGUF file by its path, through a running gate or one in this process."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from farmgate.core.errors import EngineUnavailable
from farmgate.core.locator import is_path, is_remote
from farmgate.core.words import Chat, Message, Role, Sampling
from farmgate.surfaces.cli.answer import Asker
from farmgate.surfaces.cli.exits import Exit, WrongUse
from farmgate.surfaces.cli.keyboard import is_there
from farmgate.surfaces.cli.loopthread import LoopThread
from farmgate.surfaces.cli.remote import RemoteGate, find
from farmgate.surfaces.cli.session import Session
from farmgate.surfaces.cli.starter import NEEDS_ENGINE, get_built_in, known_name
from farmgate.surfaces.cli.talk import talk

if TYPE_CHECKING:
    from farmgate.config import Config
    from farmgate.surfaces.cli.house import OpenGate

__all__ = ["Wish", "as_path", "chat_of", "run"]

SEEN_EVERY_S, SEEN_LOOKS = 0.1, 30
NUMBERS = ("temperature", "top_p", "presence_penalty", "frequency_penalty")
COUNTS = ("max_tokens", "seed")
SNAKE = {
    "topP": "top_p",
    "maxTokens": "max_tokens",
    "presencePenalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the command line asks for."""

    model: str
    prompt: Sequence[str] = ()
    system: str | None = None
    options: Sequence[str] = ()
    max_tokens: int | None = None
    stream: bool = True


def run(session: Session, wish: Wish) -> Exit:
    """One answer, or a conversation when there is no prompt and somebody is at the keyboard."""
    if is_remote(wish.model) or is_folder(wish.model):
        raise WrongUse("Get it first, it tells the name to run: farmgate pull, with the same words.", param="MODEL")
    chat = chat_of(wish)
    prompt = prompt_of(wish)
    if prompt == "":
        raise WrongUse("The prompt is empty: give one as an argument or on stdin.", param="PROMPT")
    with LoopThread() as loop, gate_for(session, wish, loop) as asker:
        if prompt is None:
            talk(asker, chat, loop.run, line_reader())
            return Exit.OK
        question = Message(role=Role.USER, content=prompt)
        loop.run(asker.ask(replace(chat, messages=(*chat.messages, question))))
    return Exit.OK


@contextlib.contextmanager
def gate_for(session: Session, wish: Wish, loop: LoopThread) -> Iterator[Asker]:
    """Somebody to ask: the running gate, unless a file was named, else a gate opened here."""
    config = session.load()
    path = as_path(wish.model)
    timeout_s = config.server.limits.request_timeout_s
    price_of = session.house.prices(config).price
    running = find(config) if path is None else None
    built_in = known_name(wish.model) if path is None else None
    if running is not None:
        if built_in is not None and not knows(running, built_in):
            loop.run(get_built_in(session, config, built_in))
            wait_until_seen(running, built_in)
        yield Asker(
            target=running,
            out=session.out,
            model=wish.model,
            stream=wish.stream,
            price_of=price_of,
            timeout_s=timeout_s,
        )
        return
    if built_in is not None:
        loop.run(get_built_in(session, config, built_in))
    name = register(session, config, path) if path is not None else wish.model
    gate = loop.hold(session.house.open(config))
    provider = provider_of(name, gate) if path is not None else None
    yield Asker(
        target=gate.target,
        out=session.out,
        model=name,
        provider=provider,
        stream=wish.stream,
        price_of=price_of,
        timeout_s=timeout_s,
    )


def knows(running: RemoteGate, name: str) -> bool:
    return any(model.name == name for model in running.models())


def wait_until_seen(running: RemoteGate, name: str, sleep: Callable[[float], None] = time.sleep) -> None:
    """A gate looks at what is on the machine now and then, not at each question. One that has its models elsewhere
    never sees it, and says so itself when it is asked."""
    for _ in range(SEEN_LOOKS):
        if knows(running, name):
            return
        sleep(SEEN_EVERY_S)


def register(session: Session, config: Config, path: Path) -> str:
    if not session.house.has_engine():
        raise EngineUnavailable(NEEDS_ENGINE)
    return session.house.register(config, path)


def provider_of(name: str, gate: OpenGate) -> str | None:
    """Who serves a file that was just registered: another provider may have a model of the same name."""
    providers = [model.provider for model in gate.models() if model.name == name]
    return "local" if "local" in providers else (providers[0] if providers else None)


def as_path(model: str) -> Path | None:
    """MODEL as a file: it ends in .gguf, or is written as a path to a file that exists."""
    path = Path(model).expanduser()
    is_file = model.endswith(".gguf") or (("/" in model or "\\" in model) and path.is_file())
    return path if is_file else None


def is_folder(model: str) -> bool:
    """Whether MODEL is written as the path of one: a checkpoint is served under a name, and has none yet."""
    return is_path(model) and Path(model).expanduser().is_dir()


def prompt_of(wish: Wish) -> str | None:
    """The prompt; None means a conversation. `-` among the words stands for what is on stdin."""
    if wish.prompt:
        return " ".join(piped() if word == "-" else word for word in wish.prompt).strip()
    return None if is_there() else piped().strip()


def piped() -> str:
    return sys.stdin.read() if sys.stdin is not None else ""


def line_reader() -> Callable[[str], str]:
    """Reads a line with editing and history where the system has them."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - importing it is what gives `input` its editing
    return input


# ------------------------------------------------------------------------------------------------ the words, pure


def chat_of(wish: Wish) -> Chat:
    """The system message and the options; the question is added to it. Raises WrongUse."""
    known, extra = options_of(wish.options)
    if wish.max_tokens is not None:
        known["max_tokens"] = wish.max_tokens
    system = (Message(role=Role.SYSTEM, content=wish.system),) if wish.system else ()
    return Chat(messages=system, sampling=sampling_of(known), extra=extra)


def options_of(given: Sequence[str]) -> tuple[dict[str, object], dict[str, object]]:
    """`name=value` texts as what Sampling has a word for, and the rest. Values are JSON where they can be."""
    known: dict[str, object] = {}
    extra: dict[str, object] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise WrongUse(f"-o takes name=value, such as -o temperature=0.2, not {text!r}.", param="-o")
        name = SNAKE.get(name.strip(), name.strip())
        (known if name in (*NUMBERS, *COUNTS, "stop") else extra)[name] = plain(value)
    return known, extra


def plain(value: str) -> object:
    try:
        return json.loads(value)
    except ValueError:
        return value


def sampling_of(known: Mapping[str, object]) -> Sampling:
    stop = known.get("stop", ())
    stops = (stop,) if isinstance(stop, str) else stop
    if not isinstance(stops, (list, tuple)) or not all(isinstance(one, str) for one in stops):
        raise WrongUse("-o stop takes a text or a list of texts.", param="-o")
    return Sampling(
        temperature=number(known, "temperature"),
        top_p=number(known, "top_p"),
        max_tokens=count(known, "max_tokens"),
        seed=count(known, "seed"),
        stop=tuple(stops),
        presence_penalty=number(known, "presence_penalty"),
        frequency_penalty=number(known, "frequency_penalty"),
    )


def number(known: Mapping[str, object], name: str) -> float | None:
    value = known.get(name)
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)):
        return None if value is None else float(value)
    raise WrongUse(f"-o {name} takes a number, not {value!r}.", param="-o")


def count(known: Mapping[str, object], name: str) -> int | None:
    value = known.get(name)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise WrongUse(f"-o {name} takes a whole number, not {value!r}.", param="-o")
