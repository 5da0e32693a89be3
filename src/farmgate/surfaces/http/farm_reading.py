"""What a caller of Farmgate's own API sent, as words; or the refusal that names the field as the caller wrote it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from farmgate.core.errors import (
    BadRequest,
    InvalidMessages,
    InvalidType,
    InvalidValue,
    MissingParameter,
    TooManyItems,
)
from farmgate.core.words import (
    Chat,
    Complete,
    Content,
    ContentPart,
    Embed,
    ImagePart,
    Message,
    Role,
    Sampling,
    TextPart,
)
from farmgate.surfaces.http.farm_requests import (
    Asked,
    ChatRequest,
    EmbedRequest,
    GenerateRequest,
    MessageRequest,
    SampledRequest,
    TextContent,
)
from farmgate.wire.addresses import image_url
from farmgate.wire.openai.rules import ListLimits
from farmgate.wire.strictjson import kind_of

__all__ = ["UnknownParameter", "chat_words", "embed_words", "generate_words", "prompt_words", "read"]

AskedT = TypeVar("AskedT", bound=Asked)


class UnknownParameter(BadRequest):
    """The request holds a field that is not known here."""

    code = "unknown_parameter"


def read(model: type[AskedT], fields: Mapping[str, object], limits: ListLimits) -> AskedT:
    """The fields as that model. Raises the BadRequest of the first that is wrong."""
    # Counted first: looking at each of too many is what the limit is there to spare us.
    for name, most in (("messages", limits.messages), ("input", limits.inputs)):
        told = fields.get(name)
        if isinstance(told, list) and len(told) > most:
            raise TooManyItems(f"`{name}` holds more than {most} items.", param=name)
    try:
        asked = model.model_validate(fields)
    except ValidationError as error:
        raise refusal(error.errors(include_url=False)[0]) from None
    asked.remember(fields)
    return asked


# --------------------------------------------------------------------------------------------- what is wrong with it


def refusal(wrong: ErrorDetails) -> BadRequest:
    """What to tell the caller about one finding of pydantic's. No text of the caller's but the name of a field."""
    kind, told, context = wrong["type"], wrong["input"], wrong.get("ctx", {})
    steps = [step for step in wrong["loc"] if not str(step).startswith("<")]
    if kind in ("unknown_parameter", "both_names"):
        name = place([*steps, str(context["key"])[:64]])
        if kind == "both_names":
            return InvalidValue(f"`{name}` {context['hint']}", param=name)
        return UnknownParameter(f"`{name}` is not known here: {context['hint']}", param=name)
    name = place(steps)
    in_message = len(steps) > 2 and steps[0] == "messages"
    if kind == "missing" or (told is None and len(steps) == 1):
        return (InvalidMessages if in_message else MissingParameter)(f"`{name}` is required.", param=name)
    sort, says = finding(kind, told, context)
    if in_message or (steps == ["messages"] and sort is InvalidValue):
        sort = InvalidMessages
    return sort(f"`{name}` {says}.", param=name)


def finding(kind: str, told: object, context: Mapping[str, Any]) -> tuple[type[BadRequest], str]:
    """The error and the rest of the sentence that begins with the field's name.

    Source of the kinds: https://docs.pydantic.dev/latest/errors/validation_errors/
    """
    match kind:
        case "greater_than_equal":
            return InvalidValue, f"must be at least {context['ge']:g}"
        case "less_than_equal":
            return InvalidValue, f"must be at most {context['le']:g}"
        case "too_short" | "string_too_short":
            return InvalidValue, "is empty"
        case "too_long":
            return TooManyItems, f"holds more than {context['max_length']} items"
        case "literal_error":
            return InvalidValue, f"must be {context['expected']}"
        case "int_type" | "int_from_float" if isinstance(told, float):
            return InvalidValue, "must be a whole number, without a decimal point"
        case _:
            return InvalidType, f"must be {WANTED.get(kind, 'of another type')}, not {kind_of(told)}"


WANTED = {
    "string_type": "a string",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "list_type": "a list",
    "model_type": "an object",
    "content_kind": "a string or a list of parts",
    "part_kind": "an object whose `type` is `text` or `image_url`",
    "input_kind": "a string or a list of strings",
}


def place(steps: Sequence[int | str]) -> str:
    """Where that is: `messages[0].content`. pydantic gives the names in the caller's spelling."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".")


# --------------------------------------------------------------------------------------------------- what it means


def chat_words(asked: ChatRequest) -> Chat:
    """Raises InvalidImage or UrlNotAllowed."""
    messages = tuple(message_words(message, f"messages[{at}]") for at, message in enumerate(asked.messages))
    return Chat(messages=messages, sampling=sampling_words(asked))


def message_words(message: MessageRequest, where: str) -> Message:
    return Message(role=Role(message.role), content=content_words(message, f"{where}.content"), name=message.name)


def content_words(message: MessageRequest, where: str) -> Content:
    if isinstance(message.content, str):
        return message.content
    parts: list[ContentPart] = []
    for at, part in enumerate(message.content):
        if isinstance(part, TextContent):
            parts.append(TextPart(text=part.text))
        else:
            image_url(part.image_url.url, f"{where}[{at}]")
            parts.append(ImagePart(url=part.image_url.url))
    return tuple(parts)


def prompt_words(asked: GenerateRequest) -> Chat:
    """A prompt as the only turn of a chat."""
    turn = Message(role=Role.USER, content=asked.prompt, place="prompt")
    return Chat(messages=(turn,), sampling=sampling_words(asked))


def generate_words(asked: GenerateRequest) -> Complete:
    return Complete(prompt=asked.prompt, sampling=sampling_words(asked))


def embed_words(asked: EmbedRequest) -> Embed:
    inputs = (asked.input,) if isinstance(asked.input, str) else tuple(asked.input)
    return Embed(inputs=inputs, dimensions=asked.dimensions)


def sampling_words(asked: SampledRequest) -> Sampling:
    return Sampling(
        temperature=asked.temperature,
        top_p=asked.top_p,
        max_tokens=asked.max_tokens,
        stop=tuple(asked.stop or ()),
        seed=asked.seed,
        presence_penalty=asked.presence_penalty,
        frequency_penalty=asked.frequency_penalty,
    )
