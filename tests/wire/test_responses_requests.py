"""Responses requests: what their fields and items say in words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.wire.responses_bodies import CALL, OUTPUT, body_of, user

from farmgate.core.errors import BadRequest
from farmgate.core.identity import ANONYMOUS
from farmgate.core.request import Kind, Request
from farmgate.core.words import (
    AudioPart,
    CacheMark,
    Chat,
    FilePart,
    FormatKind,
    HostedTool,
    ImagePart,
    Message,
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
from farmgate.wire.openai.requests import encode_request as encode_chat
from farmgate.wire.openai.rules import ListLimits
from farmgate.wire.responses.items import with_ids
from farmgate.wire.responses.requests import Recalled


def words(**fields: Any) -> Chat:
    return body_of(**fields).ask()


def messages(*items: object) -> list[Message]:
    return list(words(input=list(items)).messages)


def part(**fields: object) -> object:
    """The one part of a message."""
    (message,) = messages(user([fields, {"type": "input_text", "text": "."}]))
    assert isinstance(message.content, tuple)
    return message.content[0]


def test_a_text_is_a_message_of_the_user_behind_the_instructions() -> None:
    assert words(instructions="Be brief.").messages == (
        Message(role=Role.SYSTEM, content="Be brief.", place="instructions"),
        Message(role=Role.USER, content="hi", place="input"),
    )


def test_every_field_has_its_word() -> None:
    told = words(
        temperature=0.5,
        top_p=1,
        top_logprobs=2,
        max_output_tokens=7.0,
        parallel_tool_calls=False,
        user="me",
        tools=[
            {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True},
            {"type": "web_search", "x": 1},
        ],
        tool_choice={"type": "function", "name": "f"},
        text={"format": {"type": "json_schema", "name": "n", "schema": {"a": 1}, "strict": True, "description": "d"}},
        reasoning={"effort": "low", "summary": "auto"},
        include=["message.output_text.logprobs", "reasoning.encrypted_content"],
        metadata={"a": "b"},
        store=True,
        stream=True,
    )
    assert told == Chat(
        messages=(Message(role=Role.USER, content="hi", place="input"),),
        sampling=Sampling(temperature=0.5, top_p=1, top_logprobs=2, max_tokens=7),
        tools=(
            Tool(name="f", description="d", parameters={"type": "object"}, strict=True),
            HostedTool(kind="web_search", data={"type": "web_search", "x": 1}),
        ),
        tool_choice=ToolChoice(mode=ToolMode.NAMED, name="f"),
        parallel_tools=False,
        response_format=ResponseFormat(kind=FormatKind.SCHEMA, schema={"a": 1}, name="n", description="d", strict=True),
        thinking=Thinking(is_enabled=True, effort="low", is_shown=True),
        user="me",
    )


def test_what_there_is_no_word_for_stays_under_its_own_name() -> None:
    told = words(
        service_tier="flex",
        truncation="auto",
        later={"a": 1},
        text={"verbosity": "low"},
        reasoning={"mode": "pro"},
        stream_options={"include_obfuscation": True},
        include=["web_search_call.action.sources", "reasoning.encrypted_content"],
        tools=[{"type": "function", "name": "f", "defer_loading": True}],
        input=[{**user("x"), "phase": "commentary"}],
    )
    assert told.extra == {
        "service_tier": "flex",
        "truncation": "auto",
        "later": {"a": 1},
        "verbosity": "low",
        "reasoning.mode": "pro",
        "stream_options.include_obfuscation": True,
        "include": ["web_search_call.action.sources"],
        "tools[0].defer_loading": True,
        "phase": "commentary",
    }


def test_a_chat_is_told_what_both_apis_call_the_same_and_the_rest_is_announced() -> None:
    body = body_of(service_tier="flex", truncation="auto", text={"verbosity": "low"}, prompt_cache_key="k", later=1)
    request = Request(id="r", kind=Kind.CHAT, body=body, principal=ANONYMOUS, deadline=0, started=0, model="m")
    outgoing = encode_chat(request, provider="p", ask_usage=True)
    assert json.loads(outgoing.body) == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "service_tier": "flex",
        "verbosity": "low",
        "prompt_cache_key": "k",
    }
    assert set(outgoing.dropped) == {"truncation", "later"}


@pytest.mark.parametrize(
    ("choice", "expected", "names"),
    [
        ("none", ToolChoice(mode=ToolMode.NONE), ["f", "g"]),
        ("required", ToolChoice(mode=ToolMode.REQUIRED), ["f", "g"]),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "g"}]},
            ToolChoice(mode=ToolMode.REQUIRED),
            ["g"],
        ),
    ],
)
def test_tools_are_chosen(choice: object, expected: ToolChoice, names: list[str]) -> None:
    told = words(tools=[{"type": "function", "name": name} for name in ("f", "g")], tool_choice=choice)
    assert told.tool_choice == expected
    assert [tool.name for tool in told.tools if isinstance(tool, Tool)] == names


def test_parts_of_a_message() -> None:
    mark = {"prompt_cache_breakpoint": {"mode": "explicit"}}
    png = "data:image/png;base64,AAAA"
    assert part(type="input_text", text="a", **mark) == TextPart(text="a", cache=CacheMark())
    assert part(type="input_image", image_url=png, detail="low") == ImagePart(url=png, detail="low")
    assert part(type="input_file", file_data="data:text/csv;base64,QQ==", filename="a.csv") == FilePart(
        data="QQ==", media_type="text/csv", name="a.csv"
    )
    assert part(type="input_file", file_id="file_1") == FilePart(id="file_1")
    assert part(type="input_file", file_url="https://a.example/b.pdf") == FilePart(url="https://a.example/b.pdf")
    sound = {"data": "AA", "format": "wav"}
    assert part(type="input_audio", input_audio=sound) == AudioPart(data="AA", format="wav")
    assert part(type="refusal", refusal="no") == TextPart(text="no")
    assert messages(user([{"type": "input_text", "text": "alone"}]))[0].content == "alone"


def test_what_an_assistant_did_in_a_row_is_one_message() -> None:
    told = messages(
        user("x"),
        {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a", "annotations": []}]},
        CALL,
        CALL | {"call_id": "d", "signature": "s"},
        OUTPUT,
        OUTPUT | {"call_id": "d", "output": [{"type": "input_image", "image_url": "https://a.example/b.png"}]},
        {"role": "assistant", "content": "b"},
        {"role": "assistant", "content": "c"},
    )
    assert told == [
        Message(role=Role.USER, content="x", place="input[0]"),
        Message(
            role=Role.ASSISTANT,
            content=(ThinkingPart(text="hm"), TextPart(text="a")),
            tool_uses=(
                ToolUse(id="c", name="f", arguments="{}"),
                ToolUse(id="d", name="f", arguments="{}", signature="s"),
            ),
            place="input[1]",
        ),
        Message(role=Role.TOOL, content="1", tool_call_id="c", place="input[5]"),
        Message(
            role=Role.TOOL, content=(ImagePart(url="https://a.example/b.png"),), tool_call_id="d", place="input[6]"
        ),
        Message(role=Role.ASSISTANT, content="b", place="input[7]"),
        Message(role=Role.ASSISTANT, content="c", place="input[8]"),
    ]


@pytest.mark.parametrize(
    ("encrypted", "expected"),
    [
        ("farmgate.1.s.proof.with.dots", ThinkingPart(text="hm", signature="proof.with.dots")),
        ("farmgate.1.r.opaque", ThinkingPart(redacted="opaque")),
        ("gAAAA-somebody-else's", ThinkingPart(text="hm")),
        ("other.gate.s.proof", ThinkingPart(text="hm")),
        ("farmgate.1.x.proof", ThinkingPart(text="hm")),
        (None, ThinkingPart(text="hm")),
    ],
)
def test_a_proof_is_given_back_only_where_it_came_through_us(encrypted: str | None, expected: ThinkingPart) -> None:
    summary = [{"type": "summary_text", "text": "hm"}]
    (message,) = messages({"type": "reasoning", "summary": summary, "encrypted_content": encrypted})
    assert message.content == (expected,)


def test_a_conversation_goes_on_behind_what_was_recalled() -> None:
    body = body_of(input=[{"type": "item_reference", "id": "msg_1"}, OUTPUT], previous_response_id="resp_1")
    assert body.references == {"msg_1": "input[0].id"}
    body.recall(Recalled(items=(user("before"), CALL), references={"msg_1": {"role": "assistant", "content": "a"}}))
    assert [(message.role, message.place) for message in body.ask().messages] == [
        (Role.USER, "previous_response_id"),
        (Role.ASSISTANT, "previous_response_id"),
        (Role.TOOL, "input[1]"),
    ]


def test_a_conversation_with_what_was_before_it_stays_within_the_limit() -> None:
    body = body_of(ListLimits(messages=3), previous_response_id="resp_1")
    body.recall(Recalled(items=(user("1"), user("2"))))
    with pytest.raises(BadRequest) as caught:
        body.recall(Recalled(items=(user("1"), user("2"), user("3"))))
    assert (caught.value.code, caught.value.param) == ("too_many_items", "previous_response_id")


def test_fields_are_called_by_the_caller_s_own_names() -> None:
    body = body_of(input=[user("a"), CALL, OUTPUT], instructions="i")
    assert body.own_name("max_tokens") == "max_output_tokens"
    assert body.own_name("response_format.json_schema") == "text.format.json_schema"
    assert body.own_name("messages") == "input"
    assert body.own_name("tools[3]") == "tools[3]"
    assert body.own_name("input[0].content[1]") == "input[0].content[1]"
    body.ask()
    assert body.own_name("messages[0].content") == "instructions.content"
    assert body.own_name("messages[3].content[1]") == "input[2].content[1]"
    assert body.own_name("messages[99]") == "input"
    assert body.own_name("\n???") == "\n???"


def test_an_input_is_kept_in_its_full_form_under_ids() -> None:
    assert with_ids("hi", "r") == [
        {
            "role": "user",
            "content": [{"type": "input_text", "text": "hi"}],
            "type": "message",
            "id": "msg_rf000",
            "status": "completed",
        }
    ]
    told = with_ids([{"role": "assistant", "content": "a"}, OUTPUT | {"id": "mine"}, {"type": "other"}], "r")
    assert told[0]["content"] == [{"type": "output_text", "text": "a", "annotations": []}]
    assert [item["id"] for item in told] == ["msg_rf000", "mine", "item_rf002"]
