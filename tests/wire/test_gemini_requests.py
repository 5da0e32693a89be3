"""Our words in Google's form: what goes out, what is announced, what is refused by name."""

from __future__ import annotations

import pytest

from farmgate.core.errors import BadRequest, InvalidMessages, UnsupportedParameter
from farmgate.core.words import (
    AudioPart,
    CacheMark,
    Chat,
    ContentPart,
    FilePart,
    FormatKind,
    HostedTool,
    ImagePart,
    Message,
    OtherPart,
    ResponseFormat,
    Role,
    Sampling,
    TextPart,
    Thinking,
    ThinkingPart,
    Tool,
    ToolChoice,
    ToolMode,
    ToolUse,
)
from farmgate.wire.gemini.calls import call_id
from farmgate.wire.gemini.contents import UNSIGNED
from farmgate.wire.gemini.flavors import GEMINI_API, VERTEX, Flavor
from farmgate.wire.gemini.requests import chat_path, encode_chat, quoted
from farmgate.wire.losses import Losses

OLD, NEW = "gemini-2.5-flash", "gemini-3-flash-preview"
HI = Message(role=Role.USER, content="hi")
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = Tool(name="get_weather", description="How it is outside.", parameters=SCHEMA)
CALL = ToolUse(id="call_1", name="get_weather", arguments='{"city": "Bern"}')


def written(words: Chat, *, model: str = OLD, flavor: Flavor = GEMINI_API) -> tuple[dict[str, object], tuple[str, ...]]:
    losses = Losses("google")
    return encode_chat(words, losses, model=model, flavor=flavor), losses.dropped


def contents(*messages: Message, model: str = OLD, flavor: Flavor = GEMINI_API) -> object:
    fields, dropped = written(Chat(messages=messages), model=model, flavor=flavor)
    assert dropped == ()
    return fields["contents"]


def config(words: Chat, model: str = OLD) -> object:
    fields, dropped = written(words, model=model)
    assert dropped == ()
    return fields.get("generationConfig")


def refused(words: Chat, *, flavor: Flavor = GEMINI_API) -> str | None:
    with pytest.raises(UnsupportedParameter) as failed:
        written(words, flavor=flavor)
    return failed.value.param


def part(given: ContentPart, flavor: Flavor = GEMINI_API) -> object:
    fields, dropped = written(Chat(messages=(Message(role=Role.USER, content=(given,)),)), flavor=flavor)
    assert dropped == ()
    contents = fields["contents"]
    assert isinstance(contents, list)
    (only,) = contents[0]["parts"]
    return only


# ------------------------------------------------------------------------------------------------ the conversation


def test_nothing_is_said_that_was_not_asked_for() -> None:
    fields, dropped = written(Chat(messages=(HI,)))
    assert (fields, dropped) == ({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}, ())


def test_instructions_stand_apart() -> None:
    system = Message(role=Role.SYSTEM, content="Be brief.")
    developer = Message(role=Role.DEVELOPER, content=(TextPart(text="In German."),))
    fields, dropped = written(Chat(messages=(system, developer, HI)))
    assert fields["systemInstruction"] == {"parts": [{"text": "Be brief."}, {"text": "In German."}]}
    assert fields["contents"] == [{"role": "user", "parts": [{"text": "hi"}]}]
    assert dropped == ()


def test_instructions_in_the_middle_are_moved_to_the_front_and_that_is_announced() -> None:
    fields, dropped = written(Chat(messages=(HI, Message(role=Role.SYSTEM, content="Be brief."))))
    assert fields["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    assert dropped == ("messages[1].role",)


def test_a_conversation_of_instructions_alone_is_refused_with_what_to_do() -> None:
    with pytest.raises(InvalidMessages) as failed:
        written(Chat(messages=(Message(role=Role.SYSTEM, content="Be brief."),)))
    assert failed.value.param == "messages"


def test_an_assistant_is_a_model_and_says_nothing_where_it_said_nothing() -> None:
    said = Message(role=Role.ASSISTANT, content="Hello.")
    silent = Message(role=Role.ASSISTANT, content="")
    assert contents(HI, said, HI, silent, HI) == [
        {"role": "user", "parts": [{"text": "hi"}]},
        {"role": "model", "parts": [{"text": "Hello."}]},
        {"role": "user", "parts": [{"text": "hi"}]},
        {"role": "user", "parts": [{"text": "hi"}]},
    ]


def test_answers_of_tools_are_one_turn_in_the_order_of_their_calls() -> None:
    calls = tuple(ToolUse(id=f"c{at}", name="look", arguments="{}") for at in range(3))
    answers = [Message(role=Role.TOOL, content=text, tool_call_id=call) for call, text in (("c2", "C"), ("c0", "A"))]
    middle = Message(role=Role.TOOL, content="no such place", tool_call_id="c1", is_error=True)
    told = contents(HI, Message(role=Role.ASSISTANT, tool_uses=calls), *answers, middle, HI, flavor=VERTEX)
    assert isinstance(told, list)
    assert told[2] == {
        "role": "user",
        "parts": [
            {"functionResponse": {"name": "look", "response": {"output": "A"}}},
            {"functionResponse": {"name": "look", "response": {"error": "no such place"}}},
            {"functionResponse": {"name": "look", "response": {"output": "C"}}},
        ],
    }
    assert told[3] == {"role": "user", "parts": [{"text": "hi"}]}


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ('{"degrees": 21}', {"degrees": 21}),
        (" [1, 2]", [1, 2]),
        ("21", "21"),
        ("{broken", "{broken"),
        ("[" * 5000, "[" * 5000),
        ("", ""),
    ],
)
def test_a_result_that_is_an_object_or_a_list_is_told_as_one(text: str, output: object) -> None:
    told = contents(
        HI,
        Message(role=Role.ASSISTANT, tool_uses=(CALL,)),
        Message(role=Role.TOOL, content=text, tool_call_id="call_1"),
    )
    assert isinstance(told, list)
    assert told[2]["parts"][0]["functionResponse"]["response"] == {"output": output}


def test_an_image_a_tool_gave_follows_its_answer() -> None:
    image = ImagePart(url="data:image/png;base64,aGk=")
    told = contents(
        HI,
        Message(role=Role.ASSISTANT, tool_uses=(CALL,)),
        Message(role=Role.TOOL, content=(TextPart(text="see"), image), tool_call_id="call_1"),
    )
    assert isinstance(told, list)
    assert told[2]["parts"][1] == {"inlineData": {"mimeType": "image/png", "data": "aGk="}}


def test_an_answer_to_no_call_is_refused_unless_it_names_its_tool() -> None:
    stray = Message(role=Role.TOOL, content="21", tool_call_id="nowhere")
    with pytest.raises(InvalidMessages) as failed:
        written(Chat(messages=(HI, stray)))
    assert failed.value.param == "messages[1].tool_call_id"
    named = Message(role=Role.TOOL, content="21", name="get_weather", tool_call_id="nowhere")
    assert written(Chat(messages=(HI, named)))[1] == ()


def test_ids_of_calls_go_where_they_are_known_and_only_those_the_model_has_seen() -> None:
    ours = ToolUse(id=call_id("0" * 32, 0, 1), name="get_time", arguments="")
    turn = Message(role=Role.ASSISTANT, tool_uses=(CALL, ours))
    answer = Message(role=Role.TOOL, content="ok", tool_call_id="call_1")
    theirs = {"name": "get_weather", "args": {"city": "Bern"}}
    assert contents(HI, turn, answer)[1:] == [  # type: ignore[index] # a list
        {
            "role": "model",
            "parts": [
                {"functionCall": theirs | {"id": "call_1"}},
                {"functionCall": {"name": "get_time", "args": {}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "get_weather", "response": {"output": "ok"}, "id": "call_1"}},
            ],
        },
    ]
    assert "call_1" not in str(contents(HI, turn, answer, flavor=VERTEX))


@pytest.mark.parametrize("arguments", ["[]", "{", "3", "\ud800"])
def test_arguments_that_are_no_object_are_refused_by_their_place(arguments: str) -> None:
    call = ToolUse(id="c", name="look", arguments=arguments)
    with pytest.raises(InvalidMessages) as failed:
        written(Chat(messages=(HI, Message(role=Role.ASSISTANT, tool_uses=(call,), place="messages[7]"))))
    assert failed.value.param == "messages[7].tool_calls[0].function.arguments"


# ------------------------------------------------------------------------------------------------ thoughts and proofs


def test_a_proof_goes_back_on_the_part_it_was_given_for() -> None:
    thought = ThinkingPart(text="Hm.", signature="proof")
    told = contents(HI, Message(role=Role.ASSISTANT, content=(thought, TextPart(text="Yes."))))
    assert told[1]["parts"] == [  # type: ignore[index] # a list
        {"text": "Hm.", "thought": True},
        {"text": "Yes.", "thoughtSignature": "proof"},
    ]


def test_the_proof_of_a_call_goes_back_on_the_call() -> None:
    signed = ToolUse(id="c", name="look", arguments="{}", signature="proof")
    second = ToolUse(id="d", name="look", arguments="{}")
    told = contents(HI, Message(role=Role.ASSISTANT, tool_uses=(signed, second)), model=NEW, flavor=VERTEX)
    assert told[1]["parts"] == [  # type: ignore[index] # a list
        {"functionCall": {"name": "look", "args": {}}, "thoughtSignature": "proof"},
        {"functionCall": {"name": "look", "args": {}}},
    ]


def test_a_proof_told_beside_the_thoughts_belongs_to_the_call_that_has_none() -> None:
    turn = Message(role=Role.ASSISTANT, content=(ThinkingPart(signature="proof"),), tool_uses=(CALL,))
    told = contents(HI, turn, model=NEW)
    assert told[1]["parts"][0]["thoughtSignature"] == "proof"  # type: ignore[index] # a list


def test_a_proof_told_with_the_call_and_with_the_thoughts_goes_back_once() -> None:
    signed = ToolUse(id="c", name="look", arguments="{}", signature="proof")
    content = (TextPart(text="Let me look."), ThinkingPart(signature="proof"))
    told = contents(HI, Message(role=Role.ASSISTANT, content=content, tool_uses=(signed,)), flavor=VERTEX)
    assert told[1]["parts"] == [  # type: ignore[index] # a list
        {"text": "Let me look."},
        {"functionCall": {"name": "look", "args": {}}, "thoughtSignature": "proof"},
    ]


def test_of_two_proofs_the_last_is_the_calls() -> None:
    content = (ThinkingPart(signature="1"), TextPart(text="Let me look."), ThinkingPart(signature="2"))
    told = contents(HI, Message(role=Role.ASSISTANT, content=content, tool_uses=(CALL,)), flavor=VERTEX)
    marks = [one["thoughtSignature"] for one in told[1]["parts"]]  # type: ignore[index] # a list
    assert marks == ["1", "2"]


def test_a_proof_of_nothing_said_travels_in_an_empty_text() -> None:
    told = contents(HI, Message(role=Role.ASSISTANT, content=(ThinkingPart(text="Hm.", signature="proof"),)))
    assert told[1]["parts"] == [  # type: ignore[index] # a list
        {"text": "Hm.", "thought": True},
        {"text": "", "thoughtSignature": "proof"},
    ]


@pytest.mark.parametrize("model", [NEW, "gemini-3.1-pro", "gemini-4-argon", "gemini-flash-latest"])
def test_a_call_that_lost_its_proof_says_so_where_the_model_would_refuse_it(model: str) -> None:
    turn = Message(role=Role.ASSISTANT, tool_uses=(CALL, CALL))
    told = contents(HI, turn, model=model)
    marks = [one.get("thoughtSignature") for one in told[1]["parts"]]  # type: ignore[index] # a list
    assert marks == [UNSIGNED, None]


@pytest.mark.parametrize("model", [OLD, "gemini-2.0-flash", "gemma-3-27b-it"])
def test_a_model_that_asks_for_no_proof_gets_none(model: str) -> None:
    assert UNSIGNED not in str(contents(HI, Message(role=Role.ASSISTANT, tool_uses=(CALL,)), model=model))


def test_proofs_and_thoughts_that_cannot_go_back_are_announced() -> None:
    twice = (ThinkingPart(text="a", signature="1"), ThinkingPart(text="b", signature="2"), TextPart(text="c"))
    assert written(Chat(messages=(HI, Message(role=Role.ASSISTANT, content=twice))))[1] == ("thinking.signature",)
    hidden = (ThinkingPart(redacted="xyz"), TextPart(text="c"))
    assert written(Chat(messages=(HI, Message(role=Role.ASSISTANT, content=hidden))))[1] == ("thinking",)


@pytest.mark.parametrize(
    ("thinking", "model", "told"),
    [
        (Thinking(effort="low", is_enabled=True), OLD, {"thinkingBudget": 2048, "includeThoughts": True}),
        (Thinking(effort="max"), OLD, {"thinkingBudget": 24576}),
        (Thinking(budget_tokens=30_000), "gemini-2.5-pro", {"thinkingBudget": 30_000}),
        (Thinking(budget_tokens=1), OLD, {"thinkingBudget": 512}),
        (Thinking(is_enabled=False), OLD, {"thinkingBudget": 0}),
        (Thinking(is_enabled=True), OLD, {"includeThoughts": True}),
        (Thinking(is_enabled=True, is_shown=False), OLD, {"includeThoughts": False}),
        (Thinking(is_shown=True), NEW, {"includeThoughts": True}),
        (Thinking(effort="medium"), NEW, {"thinkingLevel": "medium"}),
        (Thinking(effort="xhigh"), NEW, {"thinkingLevel": "high"}),
        (Thinking(effort="odd"), NEW, {"thinkingLevel": "medium"}),
        (Thinking(budget_tokens=2048), NEW, {"thinkingLevel": "low"}),
        (Thinking(effort="minimal"), "gemini-3.1-pro-preview", {"thinkingLevel": "low"}),
        (Thinking(effort="medium"), "gemini-3-pro-preview", {"thinkingLevel": "high"}),
        (Thinking(effort="medium"), "gemini-3.1-pro-preview", {"thinkingLevel": "medium"}),
        (Thinking(), NEW, None),
        (Thinking(is_enabled=False), "gemini-2.0-flash", None),
    ],
)
def test_thought_is_asked_for_as_the_model_takes_it(thinking: Thinking, model: str, told: object) -> None:
    asked = config(Chat(messages=(HI,), thinking=thinking), model)
    assert asked == (None if told is None else {"thinkingConfig": told})


@pytest.mark.parametrize(
    ("thinking", "model", "told"),
    [
        (Thinking(is_enabled=False), "gemini-2.5-pro", {"thinkingConfig": {"thinkingBudget": 128}}),
        (Thinking(effort="none"), NEW, {"thinkingConfig": {"thinkingLevel": "minimal"}}),
        (Thinking(budget_tokens=0), "gemini-3.1-pro", {"thinkingConfig": {"thinkingLevel": "low"}}),
        (Thinking(effort="high"), "gemini-2.0-flash", None),
    ],
)
def test_a_wish_about_thought_the_model_cannot_meet_is_announced(thinking: Thinking, model: str, told: object) -> None:
    fields, dropped = written(Chat(messages=(HI,), thinking=thinking), model=model)
    assert (fields.get("generationConfig"), dropped) == (told, ("reasoning_effort",))


# ------------------------------------------------------------------------------------------------ what parts hold


@pytest.mark.parametrize(
    ("given", "flavor", "told"),
    [
        (
            ImagePart(url="data:IMAGE/PNG;base64,aGk="),
            GEMINI_API,
            {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
        ),
        (
            ImagePart(url="https://example.com/a.JPG?x=1", detail="auto"),
            VERTEX,
            {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://example.com/a.JPG?x=1"}},
        ),
        (ImagePart(url="https://example.com/a"), GEMINI_API, {"fileData": {"fileUri": "https://example.com/a"}}),
        (ImagePart(url="gs://b/a.webp"), VERTEX, {"fileData": {"mimeType": "image/webp", "fileUri": "gs://b/a.webp"}}),
        (AudioPart(data="aGk=", format="wav"), VERTEX, {"inlineData": {"mimeType": "audio/wav", "data": "aGk="}}),
        (FilePart(data="aGk="), GEMINI_API, {"inlineData": {"mimeType": "application/pdf", "data": "aGk="}}),
        (
            FilePart(data="aGk=", name="a.pdf"),
            VERTEX,
            {"inlineData": {"mimeType": "application/pdf", "data": "aGk=", "displayName": "a.pdf"}},
        ),
        (
            FilePart(url="https://example.com/report"),
            VERTEX,
            {"fileData": {"mimeType": "application/pdf", "fileUri": "https://example.com/report"}},
        ),
        (
            FilePart(id="files/abc-123"),
            GEMINI_API,
            {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc-123"}},
        ),
        (FilePart(text="plain"), GEMINI_API, {"text": "plain"}),
    ],
)
def test_each_kind_of_part_has_its_form(given: ContentPart, flavor: Flavor, told: object) -> None:
    assert part(given, flavor) == told


@pytest.mark.parametrize(
    ("given", "flavor"),
    [
        (ImagePart(url="data:image/png,raw"), GEMINI_API),
        (ImagePart(url="data:;base64,aGk="), GEMINI_API),
        (ImagePart(url="ftp://example.com/a.png"), GEMINI_API),
        (ImagePart(url="https://[broken/a.png"), GEMINI_API),
        (ImagePart(url="a.png"), GEMINI_API),
        (AudioPart(data="aGk=", format="exe"), GEMINI_API),
        (FilePart(id="file-abc123"), GEMINI_API),
        (FilePart(id="files/abc"), VERTEX),
        (OtherPart(kind="video_url", data={}), GEMINI_API),
    ],
)
def test_what_has_no_form_is_refused_by_its_place(given: ContentPart, flavor: Flavor) -> None:
    message = Message(role=Role.USER, content=(TextPart(text="see"), given))
    assert refused(Chat(messages=(HI, message)), flavor=flavor) == "messages[1].content[1]"


def test_hints_that_have_no_form_are_announced_once_each() -> None:
    mark = CacheMark(ttl="1h")
    parts: tuple[ContentPart, ...] = (
        TextPart(text="a", cache=mark),
        ImagePart(url="https://example.com/a.png", detail="low", cache=mark),
        FilePart(data="aGk=", name="a.pdf", cache=mark),
    )
    tool = Tool(name="t", strict=True, cache=mark)
    words = Chat(
        messages=(Message(role=Role.USER, content=parts, name="ann"),),
        tools=(tool,),
        user="u-1",
        extra={"service_tier": "flex", "metadata": {"team": "a"}, "store": True},
    )
    assert written(words)[1] == (
        "service_tier",
        "metadata",
        "store",
        "user",
        "messages[0].name",
        "cache_control",
        "messages[0].content[1].image_url.detail",
        "messages[0].content[2].file.filename",
        "tools[].function.strict",
    )


@pytest.mark.parametrize("extra", [{"logit_bias": {"1": 2}}, {"audio": {"voice": "x"}}, {"modalities": ["audio"]}])
def test_fields_that_would_change_the_answer_are_refused(extra: dict[str, object]) -> None:
    assert refused(Chat(messages=(HI,), extra=extra)) == next(iter(extra))


@pytest.mark.parametrize(
    ("metadata", "labels"),
    [
        ({"team": "herd-1", "env_2": ""}, {"team": "herd-1", "env_2": ""}),
        ({"Team": "herd"}, None),
        ({"team": "Herd One"}, None),
        ({"team": 1}, None),
        ("herd", None),
    ],
)
def test_metadata_are_labels_where_they_can_be(metadata: object, labels: object) -> None:
    fields, dropped = written(Chat(messages=(HI,), extra={"metadata": metadata}), flavor=VERTEX)
    assert fields.get("labels") == labels
    assert dropped == (() if labels else ("metadata",))


# ------------------------------------------------------------------------------------------------ how to answer


def test_every_wish_about_tokens_has_its_field() -> None:
    sampling = Sampling(
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        max_tokens=100,
        stop=("END",),
        seed=7,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        count=2,
        top_logprobs=3,
    )
    assert config(Chat(messages=(HI,), sampling=sampling)) == {
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 40,
        "maxOutputTokens": 100,
        "stopSequences": ["END"],
        "seed": 7,
        "presencePenalty": 0.1,
        "frequencyPenalty": 0.2,
        "candidateCount": 2,
        "responseLogprobs": True,
        "logprobs": 3,
    }
    assert config(Chat(messages=(HI,), sampling=Sampling(top_logprobs=0))) == {"responseLogprobs": True}


@pytest.mark.parametrize(
    ("sampling", "param"),
    [(Sampling(stop=tuple("abcdef")), "stop"), (Sampling(seed=1 << 31), "seed"), (Sampling(seed=-(1 << 40)), "seed")],
)
def test_what_is_out_of_googles_range_is_refused(sampling: Sampling, param: str) -> None:
    assert refused(Chat(messages=(HI,), sampling=sampling)) == param


def test_an_answer_can_be_bound_to_a_form() -> None:
    def told(kind: FormatKind, description: str | None = None) -> object:
        form = ResponseFormat(kind=kind, schema=SCHEMA, strict=True, description=description)
        return config(Chat(messages=(HI,), response_format=form))

    assert told(FormatKind.TEXT) is None
    assert told(FormatKind.JSON) == {"responseMimeType": "application/json"}
    bound = {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}
    assert told(FormatKind.SCHEMA) == bound
    assert told(FormatKind.SCHEMA, "A city.") == bound | {"responseJsonSchema": SCHEMA | {"description": "A city."}}


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        (ToolChoice(mode=ToolMode.AUTO), {"mode": "AUTO"}),
        (ToolChoice(mode=ToolMode.NONE), {"mode": "NONE"}),
        (ToolChoice(mode=ToolMode.REQUIRED), {"mode": "ANY"}),
        (ToolChoice(mode=ToolMode.NAMED, name="t"), {"mode": "ANY", "allowedFunctionNames": ["t"]}),
    ],
)
def test_tools_may_must_or_must_not_be_called(choice: ToolChoice, told: object) -> None:
    fields, _ = written(Chat(messages=(HI,), tools=(TOOL, Tool(name="t")), tool_choice=choice))
    declared = {"name": "get_weather", "description": "How it is outside.", "parametersJsonSchema": SCHEMA}
    assert fields["tools"] == [{"functionDeclarations": [declared, {"name": "t"}]}]
    assert fields["toolConfig"] == {"functionCallingConfig": told}


def test_one_call_at_a_time_cannot_be_promised() -> None:
    assert refused(Chat(messages=(HI,), tools=(TOOL,), parallel_tools=False)) == "parallel_tool_calls"
    off = ToolChoice(mode=ToolMode.NONE)
    for harmless in (
        Chat(messages=(HI,), parallel_tools=False),
        Chat(messages=(HI,), tools=(TOOL,), parallel_tools=True),
        Chat(messages=(HI,), tools=(TOOL,), parallel_tools=False, tool_choice=off),
    ):
        assert written(harmless)[1] == ()


def test_a_tool_of_somebody_elses_is_refused() -> None:
    assert refused(Chat(messages=(HI,), tools=(HostedTool(kind="web_search", data={}),))) == "tools[0]"


@pytest.mark.parametrize("model", ["../../v1/files", "a/b?alt=x", "m\r\nx: y", "ü", "a b#c%"])
def test_a_model_is_one_segment_of_a_path_whatever_is_in_its_name(model: str) -> None:
    path = chat_path(f"/models/{quoted(model)}", stream=True)
    assert path.isascii()
    assert path.count("/") == 2
    assert not set(path) & set("\r\n #")
    assert path.endswith(":streamGenerateContent?alt=sse")


def test_only_a_bad_request_is_ever_raised() -> None:
    odd = Message(role=Role.ASSISTANT, content=(OtherPart(kind="x" * 900, data={}),))
    with pytest.raises(BadRequest) as failed:
        written(Chat(messages=(odd,)))
    assert len(failed.value.message) < 200
