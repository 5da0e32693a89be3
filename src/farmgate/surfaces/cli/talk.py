"""A conversation at the keyboard: every question goes with what was said before."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from farmgate.core.errors import FarmError
from farmgate.core.words import Chat, Message, Role
from farmgate.surfaces.cli.answer import Asker

__all__ = ["talk"]

HELP = "/bye or Ctrl-D ends, /clear forgets what was said, Ctrl-C stops an answer"


def talk(
    asker: Asker, opening: Chat, run: Callable[[Coroutine[Any, Any, Any]], Any], read: Callable[[str], str]
) -> None:
    """Until /bye or the end of input. `opening` holds the system message and the options; `read` asks for a line.

    `run` waits for a coroutine and raises KeyboardInterrupt when Ctrl-C stopped it.
    """
    out = asker.out
    out.say(out.paint(f"{asker.model} · {HELP}", "dim"))
    said = opening.messages
    while True:
        try:
            line = read(">>> ").strip()
        except EOFError:
            out.say()
            return
        except KeyboardInterrupt:
            out.say(f"\n{HELP}")
            continue
        match line:
            case "":
                continue
            case "/bye" | "/exit" | "/quit":
                return
            case "/clear":
                said = opening.messages
                out.say("forgotten")
            case "/help" | "/?":
                out.say(HELP)
            case _ if line.startswith("/") and " " not in line:
                out.say(f"there is no command {line}: {HELP}")
            case _:
                said = turn(asker, replace(opening, messages=(*said, message(Role.USER, line))), run)


def turn(asker: Asker, chat: Chat, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> tuple[Message, ...]:
    """Ask, and give what the conversation is now. A question that failed is as if it was not asked."""
    pieces: list[str] = []
    try:
        run(asker.ask(chat, kept=pieces.append))
    except KeyboardInterrupt:
        asker.out.say("stopped")
    except FarmError as error:
        asker.out.fail(error.message)
        return chat.messages[:-1]
    return (*chat.messages, message(Role.ASSISTANT, "".join(pieces)))


def message(role: Role, text: str) -> Message:
    return Message(role=role, content=text)
