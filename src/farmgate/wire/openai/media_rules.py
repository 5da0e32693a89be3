"""What each field of a moderation, image, speech or ranking request may hold."""

from __future__ import annotations

from farmgate.core.errors import InvalidType, InvalidValue, TooManyItems
from farmgate.wire.addresses import foreign_parts, public_address
from farmgate.wire.openai.rules import (
    ListLimits,
    Rule,
    boolean,
    integer,
    number,
    text,
    wrong_type,
)

__all__ = ["IMAGE", "MODERATION", "RERANK", "SPEECH"]


def documents(value: object, name: str, limits: ListLimits) -> None:
    """What to rank: texts, or objects with a `text`."""
    if type(value) is not list:
        raise wrong_type(name, "a list", value)
    if not value:
        raise InvalidValue(f"`{name}` is empty.", param=name)
    if len(value) > limits.inputs:
        raise TooManyItems(f"`{name}` holds more than {limits.inputs} documents.", param=name)
    for at, item in enumerate(value):
        if type(item) is not str and not (type(item) is dict and type(item.get("text")) is str):
            raise InvalidType(f"`{name}[{at}]` must be a string or an object with `text`.", param=f"{name}[{at}]")
        foreign_parts(item, f"{name}[{at}]")


def moderated(value: object, name: str, limits: ListLimits) -> None:
    """What to moderate: a text, or a list of texts or of parts."""
    if type(value) is not str and type(value) is not list:
        raise wrong_type(name, "a string or a list", value)
    if type(value) is list and len(value) > limits.inputs:
        raise TooManyItems(f"`{name}` holds more than {limits.inputs} items.", param=name)
    foreign_parts(value, name)


def media(value: object, name: str, _: ListLimits) -> None:
    """An image or a sound that some servers take whole or by its address. Its form is their business."""
    for told in value if type(value) is list else (value,):
        if type(told) is str and "://" in told and not told.startswith("data:"):
            public_address(told, name)


def voice(value: object, name: str, _: ListLimits) -> None:
    """A voice's name, or an object with its id."""
    if type(value) is not str and type(value) is not dict:
        raise wrong_type(name, "a string or an object", value)


RERANK: dict[str, Rule] = {
    "model": text,
    "query": text,
    "documents": documents,
    "top_n": integer(1),
    "return_documents": boolean,
}
MODERATION: dict[str, Rule] = {"model": text, "input": moderated}
IMAGE: dict[str, Rule] = {
    "model": text,
    "prompt": text,
    "n": integer(1, 10),
    "size": text,
    "image": media,
    "stream": boolean,
    "user": text,
}
SPEECH: dict[str, Rule] = {
    "model": text,
    "input": text,
    "voice": voice,
    "ref_audio": media,
    "response_format": text,
    "speed": number(0.25, 4),
}
