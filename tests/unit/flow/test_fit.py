"""What a model certainly cannot serve is refused before it is sent; whatever might work goes on."""

from __future__ import annotations

import json

import pytest

from farmgate.core.errors import ContextLengthExceeded, FarmError, ModelNotCapable, UnsupportedParameter
from farmgate.core.event import Finish, Text
from farmgate.core.identity import ANONYMOUS
from farmgate.core.model import CHAT_CAPABILITIES, Capability, Facts
from farmgate.core.request import Kind, Request
from farmgate.core.words import (
    Ask,
    AudioPart,
    Chat,
    Complete,
    ContentPart,
    Embed,
    FilePart,
    FormatKind,
    HostedTool,
    ImagePart,
    Message,
    ResponseFormat,
    Role,
    TextPart,
    Tool,
    ToolChoice,
    ToolMode,
    ToolUse,
)
from farmgate.flow.attempt import Attempt
from farmgate.flow.fit import DOUBT, LARGE_BYTES, misfit
from farmgate.flow.route import Candidate, ProviderView, View
from farmgate.testing import FakeTarget, request_of
from farmgate.wire.openai.requests import decode_request
from farmgate.wire.openai.rules import ListLimits
from farmgate.wire.strictjson import JsonLimits

WHO = Candidate(provider="p", model="m")
PIXEL = "data:image/png;base64,iVBORw0KGgo="
IMAGE = ImagePart(url=PIXEL)
WEATHER = Tool(name="weather")
NOTHING = frozenset(CHAT_CAPABILITIES)
ENGLISH = "The quick brown fox jumps over the lazy dog while nobody is looking at it. "


def chat(*parts: ContentPart, **more: object) -> Chat:
    said = Message(role=Role.USER, content=(TextPart(text="look"), *parts))
    return Chat(messages=(Message(role=Role.SYSTEM, content="be brief"), said), **more)  # type: ignore[arg-type] # words


def openai(kind: Kind = Kind.CHAT, **fields: object) -> Request:
    """A request as it comes from a caller who speaks OpenAI."""
    raw = json.dumps({"model": "m", **fields}).encode()
    body = decode_request(raw, kind, json_limits=JsonLimits(), list_limits=ListLimits())
    return Request(id="r", kind=kind, body=body, principal=ANONYMOUS, deadline=0.0, started=0.0, model="m")


def lacking(*capabilities: Capability) -> Facts:
    return Facts(lacks=frozenset(capabilities))


def refused(request: Request, facts: Facts, *, doubt: int = 1) -> FarmError | None:
    return misfit(request, facts, WHO, doubt=doubt)


# ------------------------------------------------------------------------------------------------------ abilities


@pytest.mark.parametrize(
    ("words", "lacks", "param"),
    [
        (chat(IMAGE), Capability.VISION, "messages[1].content[1]"),
        (chat(TextPart(text="and"), AudioPart(data="AA", format="wav")), Capability.AUDIO, "messages[1].content[2]"),
        (chat(FilePart(data="AA")), Capability.FILES, "messages[1].content[1]"),
        (chat(tools=(WEATHER,)), Capability.TOOLS, "tools"),
        (chat(response_format=ResponseFormat(kind=FormatKind.SCHEMA)), Capability.STRUCTURED, "response_format"),
    ],
)
def test_what_a_model_lacks_is_refused_by_the_name_of_the_field(words: Chat, lacks: Capability, param: str) -> None:
    error = refused(request_of(words), lacking(lacks))
    assert isinstance(error, UnsupportedParameter)
    assert (error.status, error.code, error.param) == (400, "unsupported_parameter", param)
    assert error.message.startswith("m of p takes no ")
    assert refused(request_of(words), Facts(capabilities=frozenset({lacks}))) is None, "what it can is let through"
    assert refused(request_of(words), Facts()) is None, "and so is what nobody knows"
    assert refused(request_of(words), lacking(*NOTHING - {lacks})) is None, "and what something else lacks"


@pytest.mark.parametrize(
    "words",
    [
        chat(FilePart(text="a page")),
        chat(tools=(WEATHER,), tool_choice=ToolChoice(mode=ToolMode.NONE)),
        chat(tools=(HostedTool(kind="web_search", data={}),)),
        chat(response_format=ResponseFormat(kind=FormatKind.JSON)),
        Chat(
            messages=(
                Message(role=Role.ASSISTANT, tool_uses=(ToolUse(id="1", name="f", arguments="{}"),)),
                Message(role=Role.TOOL, content="4", tool_call_id="1"),
            )
        ),
        Complete(prompt="an image of tools in a file"),
        Embed(inputs=("an image",)),
    ],
)
def test_what_may_work_without_an_ability_is_let_through(words: Ask) -> None:
    assert refused(request_of(words), lacking(*NOTHING)) is None


def test_the_place_a_caller_wrote_is_named() -> None:
    said = Message(role=Role.USER, content=(IMAGE,), place="input[4]")
    error = refused(request_of(Chat(messages=(said,))), lacking(Capability.VISION))
    assert error is not None
    assert error.param == "input[4].content[0]"


def test_a_model_that_does_not_chat_is_not_asked_to() -> None:
    error = refused(request_of(chat()), lacking(Capability.CHAT))
    assert isinstance(error, ModelNotCapable)
    assert refused(request_of(Embed(inputs=("a",))), lacking(Capability.CHAT)) is None


def test_an_openai_body_is_only_read_where_it_may_hold_what_is_lacking() -> None:
    plain = openai(messages=[{"role": "user", "content": "hello"}])
    assert refused(plain, lacking(Capability.VISION, Capability.TOOLS)) is None
    assert plain.body._words is None  # type: ignore[attr-defined] # what was not read
    parts = [{"type": "text", "text": "what is this"}, {"type": "image_url", "image_url": {"url": PIXEL}}]
    error = refused(openai(messages=[{"role": "user", "content": parts}]), lacking(Capability.VISION))
    assert error is not None
    assert error.param == "messages[0].content[1]"
    tools = [{"type": "function", "function": {"name": "f"}}]
    error = refused(openai(messages=[{"role": "user", "content": "a"}], tools=tools), lacking(Capability.TOOLS))
    assert error is not None
    assert error.param == "tools"


def test_a_body_without_words_of_ours_is_its_providers_business() -> None:
    request = openai(Kind.COMPLETION, prompt=[[1, 2], [3]] + ["image"] * 10)
    with pytest.raises(UnsupportedParameter):
        request.body.ask()
    assert refused(request, Facts(lacks=NOTHING, context_tokens=1)) is None


# --------------------------------------------------------------------------------------------------------- length


def prompt(text: str, **more: object) -> Request:
    return openai(Kind.CHAT, messages=[{"role": "user", "content": text}], **more)


def test_a_prompt_that_cannot_fit_is_refused_with_both_numbers() -> None:
    error = refused(prompt(ENGLISH * 1000), Facts(context_tokens=4096))
    assert isinstance(error, ContextLengthExceeded)
    assert (error.status, error.code, error.param) == (400, "context_length_exceeded", "messages")
    least = int(error.message.split()[5])
    assert 4096 < least <= 5000
    assert "the context of m is 4096" in error.message
    error = refused(openai(Kind.COMPLETION, prompt=ENGLISH * 1000), Facts(context_tokens=4096))
    assert error is not None
    assert error.param == "prompt"


@pytest.mark.parametrize(
    "text",
    [
        # Sixteen letters a token is more than any tokenizer manages; a prompt that may fit goes on.
        ENGLISH * (4096 * 4 // len(ENGLISH)),
        "x" * 16 * 4096,
        "naturally " * 6000,
        # A tokenizer may have a token for a hundred blanks or dashes.
        " " * 1_000_000,
        ("-" * 100 + "\n") * 10_000,
    ],
)
def test_what_may_fit_by_any_tokenizer_is_let_through(text: str) -> None:
    assert refused(prompt(text), Facts(context_tokens=4096)) is None
    assert refused(request_of(Complete(prompt=text)), Facts(context_tokens=4096)) is None


def test_words_that_were_never_bytes_are_counted_too() -> None:
    long = Message(role=Role.USER, content=(TextPart(text=ENGLISH * 500), TextPart(text=ENGLISH * 500)))
    assert isinstance(refused(request_of(Chat(messages=(long,))), Facts(context_tokens=4096)), ContextLengthExceeded)


def test_only_text_is_counted() -> None:
    picture = "data:image/png;base64," + "iVBORw0KGgoA" * 50_000
    parts = [{"type": "text", "text": "what is this"}, {"type": "image_url", "image_url": {"url": picture}}]
    assert refused(openai(messages=[{"role": "user", "content": parts}]), Facts(context_tokens=4096)) is None


def test_a_long_answer_wanted_is_no_reason() -> None:
    assert refused(prompt("hello", max_tokens=1_000_000), Facts(context_tokens=512)) is None


@pytest.mark.parametrize("field", ["transforms", "truncation", "truncate_prompt_tokens"])
def test_a_prompt_that_is_to_be_shortened_is_let_through(field: str) -> None:
    assert refused(prompt(ENGLISH * 1000, **{field: 1}), Facts(context_tokens=4096)) is None


def test_texts_to_embed_are_shortened_by_many_and_let_through() -> None:
    assert refused(openai(Kind.EMBEDDING, input=ENGLISH * 1000), Facts(context_tokens=512)) is None


def test_of_a_published_figure_twice_as_much_is_believed() -> None:
    text = ENGLISH * (4096 * 16 * 3 // 2 // len(ENGLISH))
    assert refused(prompt(text), Facts(context_tokens=4096)) is not None
    assert refused(prompt(text), Facts(context_tokens=4096), doubt=DOUBT) is None
    assert refused(prompt(text * 2), Facts(context_tokens=4096), doubt=DOUBT) is not None


# ----------------------------------------------------------------------------------------------------- in the flow


class FakeCatalog:
    """Knows `p`, its model `m`, and these facts of it."""

    def __init__(self, facts: Facts | None = None, published: Facts | None = None) -> None:
        self.facts = {("p", "m"): facts} if facts else {}
        self.public = published or Facts()
        self.looked_up = 0

    def view(self) -> View:
        providers = {"p": ProviderView(models=frozenset({"m"}))}
        return View(default_provider="p", providers=providers, facts=self.facts)

    def published(self, provider: str, model: str) -> Facts:
        self.looked_up += 1
        return self.public

    async def refresh(self) -> None: ...


async def sent(request: Request, catalog: FakeCatalog) -> FakeTarget:
    target = FakeTarget(Text("a"), Finish())
    (await Attempt({"p": target}, catalog).send(request)).close()
    return target


async def test_what_cannot_fit_reaches_no_provider() -> None:
    target = FakeTarget(Text("a"), Finish())
    request = request_of(chat(IMAGE), model="m", provider="p")
    with pytest.raises(UnsupportedParameter):
        await Attempt({"p": target}, FakeCatalog(lacking(Capability.VISION))).send(request)
    assert target.calls == 0
    assert (await sent(request, FakeCatalog())).calls == 1


async def test_the_table_is_only_looked_into_for_large_bodies() -> None:
    catalog = FakeCatalog(published=Facts(context_tokens=4096))
    await sent(prompt(ENGLISH), catalog)
    assert catalog.looked_up == 0
    with pytest.raises(ContextLengthExceeded):
        await sent(prompt(ENGLISH * (2 * LARGE_BYTES // len(ENGLISH))), catalog)
    assert catalog.looked_up == 1
