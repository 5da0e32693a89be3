"""Converse's requests: what goes out is what Bedrock's own description allows, and nothing is lost in silence."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from botocore.session import Session
from botocore.validate import validate_parameters
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.words import PIXEL, chats

from farmgate.core.errors import BadRequest, InvalidMessages, InvalidType, UnsupportedParameter
from farmgate.core.identity import ANONYMOUS
from farmgate.core.request import Kind, Request, Typed
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
from farmgate.wire.bedrock.requests import Habits, encode_chat
from farmgate.wire.bedrock.thinking import Thinks

steady = settings(max_examples=100, deadline=None, derandomize=True, database=None)
CLAUDE = "eu.anthropic.claude-sonnet-4-20250514-v1:0"
LLAMA = "meta.llama3-3-70b-instruct-v1:0"
CONVERSE = Session().get_service_model("bedrock-runtime").operation_model("Converse").input_shape


def sent(words: Chat, *, model: str = CLAUDE, habits: Habits | None = None) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The body and what was dropped; every body is held against Bedrock's own description of the operation."""
    request = Request(
        id="r", kind=Kind.CHAT, body=Typed(words), principal=ANONYMOUS, deadline=0.0, started=0.0, model=model
    )
    outgoing = encode_chat(request, words, provider="aws", habits=habits or Habits())
    fields: dict[str, Any] = json.loads(outgoing.body)
    validate_parameters(fields | {"modelId": model}, CONVERSE)
    assert set(fields) <= set(CONVERSE.members), fields
    return fields, outgoing.dropped


def chat(*messages: Message, **more: Any) -> Chat:
    return Chat(messages=messages or (user("hi"),), **more)


def user(content: str | tuple[ContentPart, ...]) -> Message:
    return Message(role=Role.USER, content=content)


def refused(words: Chat, **more: Any) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        sent(words, **more)
    return caught.value


# ----------------------------------------------------------------------------------------- messages


def test_system_texts_stand_apart_and_turns_of_one_side_are_one() -> None:
    fields, dropped = sent(
        chat(
            Message(role=Role.SYSTEM, content="Be brief."),
            Message(role=Role.DEVELOPER, content=(TextPart(text="And kind.", cache=CacheMark()),)),
            user("a"),
            user("b"),
            Message(role=Role.ASSISTANT, content="c"),
        )
    )
    assert fields == {
        "system": [{"text": "Be brief."}, {"text": "And kind."}, {"cachePoint": {"type": "default"}}],
        "messages": [
            {"role": "user", "content": [{"text": "a"}, {"text": "b"}]},
            {"role": "assistant", "content": [{"text": "c"}]},
        ],
    }
    assert dropped == ()


def test_a_system_text_in_mid_conversation_is_moved_and_that_is_announced() -> None:
    fields, dropped = sent(chat(user("a"), Message(role=Role.SYSTEM, content="Now in French."), user("b")))
    assert fields["system"] == [{"text": "Now in French."}]
    assert dropped == ("messages[].role",)


def test_tool_calls_and_results_have_blocks_of_their_own() -> None:
    calls = (
        ToolUse(id="call_1", name="weather", arguments='{"city": "Oslo"}'),
        ToolUse(id="call_2", name="clock", arguments=""),
    )
    fields, _ = sent(
        chat(
            user("?"),
            Message(role=Role.ASSISTANT, content="I look.", tool_uses=calls),
            Message(role=Role.TOOL, content="rain", tool_call_id="call_1"),
            Message(role=Role.TOOL, content="no clock", tool_call_id="call_2", is_error=True),
            tools=(Tool(name="weather"), Tool(name="clock")),
        )
    )
    assert fields["messages"][1]["content"] == [
        {"text": "I look."},
        {"toolUse": {"toolUseId": "call_1", "name": "weather", "input": {"city": "Oslo"}}},
        {"toolUse": {"toolUseId": "call_2", "name": "clock", "input": {}}},
    ]
    assert fields["messages"][2] == {
        "role": "user",
        "content": [
            {"toolResult": {"toolUseId": "call_1", "content": [{"text": "rain"}]}},
            {"toolResult": {"toolUseId": "call_2", "content": [{"text": "no clock"}], "status": "error"}},
        ],
    }


def test_an_id_bedrock_would_refuse_is_another_in_the_call_and_in_its_answer_alike() -> None:
    odd = "call/" + "x" * 90
    fields, _ = sent(
        chat(
            user("?"),
            Message(role=Role.ASSISTANT, tool_uses=(ToolUse(id=odd, name="f", arguments="{}"),)),
            Message(role=Role.TOOL, content="y", tool_call_id=odd),
            tools=(Tool(name="f"),),
        )
    )
    told = fields["messages"][1]["content"][0]["toolUse"]["toolUseId"]
    assert told.startswith("call_")
    assert len(told) <= 64
    assert fields["messages"][2]["content"][0]["toolResult"]["toolUseId"] == told


def test_images_sounds_and_documents_go_out_whole() -> None:
    fields, dropped = sent(
        chat(
            user(
                (
                    TextPart(text="Look."),
                    ImagePart(url=PIXEL, detail="high", cache=CacheMark(ttl="1h")),
                    AudioPart(data="UklGRg==", format="wav"),
                    FilePart(data="JVBERi0=", name="Rules of the gate_v2.pdf"),
                    FilePart(text="plain", name="Rules of the gate_v2.pdf"),
                )
            )
        )
    )
    assert fields["messages"][0]["content"] == [
        {"text": "Look."},
        {"image": {"format": "png", "source": {"bytes": "iVBORw0KGgo="}}},
        {"cachePoint": {"type": "default", "ttl": "1h"}},
        {"audio": {"format": "wav", "source": {"bytes": "UklGRg=="}}},
        {"document": {"format": "pdf", "name": "Rules of the gate v2 pdf", "source": {"bytes": "JVBERi0="}}},
        {"document": {"format": "txt", "name": "Rules of the gate v2 pdf (2)", "source": {"bytes": "cGxhaW4="}}},
    ]
    assert dropped == ("image_url.detail",)


@pytest.mark.parametrize(
    "part",
    [
        ImagePart(url="https://images.example/a.png"),
        ImagePart(url="s3://secret/a.png"),
        ImagePart(url="data:image/tiff;base64,AAAA"),
        ImagePart(url="data:image/png,plain"),
        AudioPart(data="AAAA", format="midi"),
        FilePart(url="https://files.example/a.pdf"),
        FilePart(id="file-1"),
        FilePart(data="AAAA", media_type="application/zip"),
        OtherPart(kind="video", data={}),
    ],
)
def test_what_has_no_form_is_refused_by_its_place(part: ContentPart) -> None:
    error = refused(chat(user("a"), user((TextPart(text="b"), part))))
    assert isinstance(error, UnsupportedParameter)
    assert error.param == "messages[1].content[1]"


def test_thoughts_go_back_with_their_proof_and_not_without() -> None:
    fields, dropped = sent(
        chat(
            user("?"),
            Message(
                role=Role.ASSISTANT,
                content=(
                    ThinkingPart(text="hm", signature="c2ln"),
                    ThinkingPart(redacted="cmVk"),
                    ThinkingPart(text="of another"),
                    TextPart(text="!"),
                ),
            ),
            user("??"),
        )
    )
    assert fields["messages"][1]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "c2ln"}}},
        {"reasoningContent": {"redactedContent": "cmVk"}},
        {"text": "!"},
    ]
    assert dropped == ("thinking",)


def test_blank_texts_are_left_out_and_an_empty_turn_of_the_users_is_refused() -> None:
    fields, _ = sent(
        chat(user((TextPart(text=" "), TextPart(text="a"))), Message(role=Role.ASSISTANT, content=""), user("b"))
    )
    assert fields["messages"] == [{"role": "user", "content": [{"text": "a"}, {"text": "b"}]}]
    error = refused(chat(user("a"), user("")))
    assert (type(error), error.param) == (InvalidMessages, "messages[1]")


def test_the_place_of_a_message_is_the_callers() -> None:
    error = refused(chat(Message(role=Role.USER, content=(OtherPart(kind="x", data={}),), place="input[3]")))
    assert error.param == "input[3].content[0]"


# ----------------------------------------------------------------------------------------- sampling and the rest


def test_sampling_has_converse_s_names() -> None:
    sampling = Sampling(temperature=0.5, top_p=0.9, top_k=40, max_tokens=100, stop=("END", ""), seed=7)
    fields, dropped = sent(chat(sampling=sampling))
    assert fields["inferenceConfig"] == {"maxTokens": 100, "temperature": 0.5, "topP": 0.9, "stopSequences": ["END"]}
    assert fields["additionalModelRequestFields"] == {"top_k": 40}
    assert fields["additionalModelResponseFieldPaths"] == ["/stop_sequence"]
    assert dropped == ("seed",)


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("amazon.nova-pro-v1:0", {"inferenceConfig": {"topK": 40}}),
        ("cohere.command-r-v1:0", {"k": 40}),
        ("mistral.mistral-large-2407-v1:0", {"top_k": 40}),
    ],
)
def test_top_k_has_each_maker_s_own_name(model: str, told: object) -> None:
    fields, _ = sent(chat(sampling=Sampling(top_k=40)), model=model)
    assert fields["additionalModelRequestFields"] == told
    assert "additionalModelResponseFieldPaths" not in fields


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"sampling": Sampling(count=2)}, "n"),
        ({"sampling": Sampling(top_logprobs=0)}, "logprobs"),
        ({"sampling": Sampling(presence_penalty=0.5)}, "presence_penalty"),
        ({"sampling": Sampling(frequency_penalty=-0.5)}, "frequency_penalty"),
        ({"sampling": Sampling(temperature=1.5)}, "temperature"),
        ({"sampling": Sampling(top_k=3)}, "top_k"),
        ({"tools": (HostedTool(kind="web_search", data={}),)}, "tools[0]"),
        ({"tools": (Tool(name="f"),), "parallel_tools": False}, "parallel_tool_calls"),
        ({"response_format": ResponseFormat(kind=FormatKind.JSON)}, "response_format"),
        ({"extra": {"guardrailConfig": {}}}, "guardrailConfig"),
        ({"extra": {"logit_bias": {"1": 2}}}, "logit_bias"),
    ],
)
def test_what_would_make_another_answer_is_refused_by_name(more: dict[str, Any], param: str) -> None:
    error = refused(chat(**more), model=LLAMA)
    assert (type(error), error.param) == (UnsupportedParameter, param)
    assert error.message.startswith("aws cannot be told")


def test_tools_and_what_must_be_called() -> None:
    tool = Tool(
        name="weather", description="How it is.", parameters={"type": "object"}, strict=True, cache=CacheMark(ttl="5m")
    )
    spec = {"name": "weather", "description": "How it is.", "inputSchema": {"json": {"type": "object"}}, "strict": True}
    for choice, told in [
        (ToolChoice(mode=ToolMode.AUTO), {"auto": {}}),
        (ToolChoice(mode=ToolMode.REQUIRED), {"any": {}}),
        (ToolChoice(mode=ToolMode.NAMED, name="weather"), {"tool": {"name": "weather"}}),
    ]:
        fields, _ = sent(chat(tools=(tool,), tool_choice=choice))
        assert fields["toolConfig"] == {
            "tools": [{"toolSpec": spec}, {"cachePoint": {"type": "default"}}],
            "toolChoice": told,
        }


def test_no_tool_may_be_called_is_said_by_offering_none_or_refused() -> None:
    off = ToolChoice(mode=ToolMode.NONE)
    fields, _ = sent(chat(tools=(Tool(name="f"),), tool_choice=off))
    assert "toolConfig" not in fields
    used = (
        user("?"),
        Message(role=Role.ASSISTANT, tool_uses=(ToolUse(id="a", name="f", arguments="{}"),)),
        Message(role=Role.TOOL, content="y", tool_call_id="a"),
    )
    assert refused(chat(*used, tools=(Tool(name="f"),), tool_choice=off)).param == "tool_choice"
    assert refused(chat(*used)).param == "tools"


def test_a_schema_is_converse_s_text_format() -> None:
    wanted = ResponseFormat(
        kind=FormatKind.SCHEMA, schema={"type": "object"}, name="gate", description="d", strict=True
    )
    fields, dropped = sent(chat(response_format=wanted))
    schema = {"schema": '{"type":"object"}', "name": "gate", "description": "d"}
    assert fields["outputConfig"] == {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}}}
    assert dropped == ()
    fields, _ = sent(chat(response_format=ResponseFormat(kind=FormatKind.TEXT)))
    assert "outputConfig" not in fields


THINKING = [
    (CLAUDE, Thinking(effort="high"), {"thinking": {"type": "enabled", "budget_tokens": 16_384}}, ()),
    (
        CLAUDE,
        Thinking(is_enabled=True, budget_tokens=2_000),
        {"thinking": {"type": "enabled", "budget_tokens": 2_000}},
        (),
    ),
    (CLAUDE, Thinking(is_enabled=False), None, ()),
    (CLAUDE, Thinking(effort="none"), None, ()),
    (CLAUDE, Thinking(), None, ()),
    (
        CLAUDE,
        Thinking(effort="low", is_shown=False),
        {"thinking": {"type": "enabled", "budget_tokens": 2_048}},
        ("thinking.display",),
    ),
    (
        "amazon.nova-2-lite-v1:0",
        Thinking(effort="xhigh"),
        {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}},
        (),
    ),
    ("openai.gpt-oss-120b-1:0", Thinking(effort="minimal"), {"reasoning_effort": "low"}, ()),
    ("openai.gpt-oss-120b-1:0", Thinking(effort="none"), None, ("reasoning_effort",)),
    (LLAMA, Thinking(effort="high"), None, ("reasoning_effort",)),
    (LLAMA, Thinking(is_enabled=False), None, ()),
]


@pytest.mark.parametrize(("model", "wanted", "told", "lost"), THINKING)
def test_how_much_to_think_is_told_as_each_maker_wants_it(
    model: str, wanted: Thinking, told: object, lost: tuple[str, ...]
) -> None:
    fields, dropped = sent(chat(thinking=wanted), model=model)
    assert fields.get("additionalModelRequestFields") == told
    assert dropped == lost


def test_a_wish_to_think_gives_way_to_the_answer_s_length() -> None:
    fields, dropped = sent(chat(thinking=Thinking(effort="high"), sampling=Sampling(max_tokens=8_000)))
    assert fields["additionalModelRequestFields"] == {"thinking": {"type": "enabled", "budget_tokens": 4_000}}
    assert dropped == ()
    fields, dropped = sent(chat(thinking=Thinking(effort="high"), sampling=Sampling(max_tokens=500)))
    assert "additionalModelRequestFields" not in fields
    assert dropped == ("reasoning_effort",)


def test_later_models_are_told_an_effort() -> None:
    fields, _ = sent(chat(thinking=Thinking(effort="minimal")), habits=Habits(thinks=Thinks.ADAPTIVE))
    assert fields["additionalModelRequestFields"] == {"thinking": {"type": "adaptive"}}
    assert fields["outputConfig"] == {"effort": "low"}
    fields, _ = sent(chat(thinking=Thinking()), habits=Habits(thinks=Thinks.ADAPTIVE))
    assert "additionalModelRequestFields" not in fields


def test_converse_s_own_fields_go_by_their_own_names() -> None:
    extra = {
        "additionalModelRequestFields": {"top_k": 5},
        "performanceConfig": {"latency": "optimized"},
        "requestMetadata": {"team": "gate"},
        "serviceTier": {"type": "flex"},
        "store": True,
    }
    fields, dropped = sent(chat(extra=extra, user="u1"), habits=Habits(guardrail={"guardrailIdentifier": "g1"}))
    assert {name: fields[name] for name in extra if name != "store"} == {k: v for k, v in extra.items() if k != "store"}
    assert fields["guardrailConfig"] == {"guardrailIdentifier": "g1"}
    assert dropped == ("user", "store")
    assert refused(chat(extra={"serviceTier": "flex"})).param == "serviceTier"
    with pytest.raises(InvalidType):
        sent(chat(extra={"additionalModelRequestFields": [1]}))


def test_openai_s_marks_and_tiers_are_converse_s() -> None:
    fields, dropped = sent(chat(extra={"metadata": {"team": "gate-1"}, "service_tier": "priority"}))
    assert fields["requestMetadata"] == {"team": "gate-1"}
    assert fields["serviceTier"] == {"type": "priority"}
    assert dropped == ()
    fields, dropped = sent(chat(extra={"metadata": {"a": "é"}, "service_tier": "scale"}))
    assert "requestMetadata" not in fields
    assert dropped == ("metadata", "service_tier")


# ----------------------------------------------------------------------------------------- anything


@steady
@given(chats(), st.sampled_from([CLAUDE, LLAMA, "amazon.nova-pro-v1:0"]))
def test_any_conversation_is_one_bedrock_describes_or_a_bad_request(words: Chat, model: str) -> None:
    try:
        fields, _ = sent(words, model=model)
    except BadRequest:
        return
    roles = [message["role"] for message in fields["messages"]]
    assert all(one != other for one, other in pairwise(roles))
