"""Triton's generate extension and KServe's infer: each backend's names, streams without an end, talk as text."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.reading import cuts, read, said_before
from tests.fakes.recordings import recording
from tests.fakes.upstream import event
from tests.fakes.words import chats

from farmgate.core.answer import fold
from farmgate.core.errors import (
    BadRequest,
    ContextLengthExceeded,
    FarmError,
    InvalidMessages,
    InvalidValue,
    ModelNotFound,
    Unavailable,
    UnsupportedParameter,
    UpstreamError,
    UpstreamInvalidResponse,
    UpstreamRateLimited,
    UpstreamRefusedKey,
    UpstreamRejected,
    UpstreamStreamTruncated,
    UpstreamTimeout,
)
from farmgate.core.event import FinishReason, Usage
from farmgate.core.words import (
    Chat,
    Complete,
    Embed,
    FilePart,
    FormatKind,
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
from farmgate.wire.losses import Losses
from farmgate.wire.triton.errors import decode_error
from farmgate.wire.triton.infer import Tensors, decode_index, decode_infer, encode_infer
from farmgate.wire.triton.requests import Backend, Generating, encode_generate
from farmgate.wire.triton.stream import StreamReader, decode_whole
from farmgate.wire.triton.templates import TEMPLATES, render

steady = settings(max_examples=100, deadline=None, derandomize=True, database=None)
USER = Message(role=Role.USER, content="hi")
TALK = (
    Message(role=Role.SYSTEM, content="Be brief."),
    USER,
    Message(role=Role.ASSISTANT, content="Hello."),
    Message(role=Role.USER, content=(TextPart(text="And"), FilePart(text="this"))),
)


def sent(
    words: Chat | Complete, *, backend: Backend = Backend.VLLM, template: str | None = None, stream: bool = False
) -> tuple[dict[str, Any], tuple[str, ...]]:
    generating = Generating(backend=backend, template=TEMPLATES[template] if template else None)
    outgoing = encode_generate(words, generating, provider="tri", stream=stream)
    return json.loads(outgoing.body), outgoing.dropped


# ----------------------------------------------------------------------------------------- requests

SAMPLING = Sampling(temperature=0.5, top_k=40, top_p=0.9, max_tokens=9, stop=("END", ""), seed=7, presence_penalty=0.1)


def test_vllm_s_backend_takes_its_parameters_as_one_text() -> None:
    fields, dropped = sent(Complete(prompt="Once", sampling=SAMPLING, user="u"), stream=True)
    assert json.loads(fields.pop("sampling_parameters")) == {
        "max_tokens": 9,
        "temperature": 0.5,
        "top_k": 40,
        "top_p": 0.9,
        "presence_penalty": 0.1,
        "stop": ["END"],
        "seed": 7,
    }
    assert fields == {
        "text_input": "Once",
        "exclude_input_in_output": True,
        "return_finish_reason": True,
        "return_num_input_tokens": True,
        "return_num_output_tokens": True,
        "stream": True,
    }
    assert dropped == ("user",)


def test_tensorrt_s_backend_has_a_tensor_for_each() -> None:
    fields, _ = sent(Complete(prompt="Once", sampling=SAMPLING), backend=Backend.TRTLLM)
    assert fields == {
        "text_input": "Once",
        "max_tokens": 9,
        "temperature": 0.5,
        "top_k": 40,
        "top_p": 0.9,
        "presence_penalty": 0.1,
        "random_seed": 7,
        "stop_words": ["END"],
        "bad_words": [],
        "exclude_input_in_output": True,
        "stream": False,
    }


def test_other_models_take_parameters() -> None:
    fields, _ = sent(Complete(prompt="Once", sampling=SAMPLING), backend=Backend.PARAMETERS)
    assert fields["parameters"]["stop"] == "END"
    assert fields["parameters"]["seed"] == 7
    with pytest.raises(UnsupportedParameter) as caught:
        sent(Complete(prompt="Once", sampling=Sampling(stop=("a", "b"))), backend=Backend.PARAMETERS)
    assert caught.value.param == "stop"


def test_a_length_is_always_told_because_vllm_stops_after_sixteen_tokens_by_itself() -> None:
    fields, _ = sent(Complete(prompt="Once"))
    assert json.loads(fields["sampling_parameters"]) == {"max_tokens": 1024}


@pytest.mark.parametrize(
    ("words", "kind", "param"),
    [
        (Complete(prompt=""), InvalidValue, "prompt"),
        (Complete(prompt="a", suffix="b"), UnsupportedParameter, "suffix"),
        (Complete(prompt="a", sampling=Sampling(count=2)), UnsupportedParameter, "n"),
        (Complete(prompt="a", sampling=Sampling(top_logprobs=1)), UnsupportedParameter, "logprobs"),
        (Complete(prompt="a", extra={"echo": True}), UnsupportedParameter, "echo"),
        (Chat(messages=(USER,), tools=(Tool(name="f"),)), UnsupportedParameter, "tools"),
        (
            Chat(messages=(USER,), response_format=ResponseFormat(kind=FormatKind.JSON)),
            UnsupportedParameter,
            "response_format",
        ),
    ],
)
def test_what_would_make_another_answer_is_refused_by_name(
    words: Chat | Complete, kind: type[BadRequest], param: str
) -> None:
    with pytest.raises(BadRequest) as caught:
        sent(words, template="chatml")
    assert (type(caught.value), caught.value.param) == (kind, param)


def test_tools_nobody_may_call_and_wishes_to_think_do_no_harm() -> None:
    words = Chat(
        messages=(USER,),
        tools=(Tool(name="f"),),
        tool_choice=ToolChoice(mode=ToolMode.NONE),
        thinking=Thinking(effort="low"),
    )
    assert sent(words, template="chatml")[1] == ("reasoning_effort",)


# ----------------------------------------------------------------------------------------- templates

RENDERED = {
    "chatml": (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n"
        "<|im_start|>assistant\nHello.<|im_end|>\n"
        "<|im_start|>user\nAnd\nthis<|im_end|>\n<|im_start|>assistant\n"
    ),
    "llama3": (
        "<|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nHello.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nAnd\nthis<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    ),
    "gemma": (
        "<start_of_turn>user\nBe brief.\n\nhi<end_of_turn>\n<start_of_turn>model\nHello.<end_of_turn>\n"
        "<start_of_turn>user\nAnd\nthis<end_of_turn>\n<start_of_turn>model\n"
    ),
}


@pytest.mark.parametrize("name", list(TEMPLATES))
def test_a_conversation_is_written_as_the_model_learned_it(name: str) -> None:
    assert render(TALK, TEMPLATES[name], Losses("tri")) == RENDERED[name]


@pytest.mark.parametrize("name", list(TEMPLATES))
def test_nobody_speaks_as_somebody_else(name: str) -> None:
    template = TEMPLATES[name]
    for sign in template.signs:
        forged = Message(role=Role.USER, content=(TextPart(text="a " + sign[:3]), TextPart(text=f"b{sign}")))
        with pytest.raises(InvalidMessages) as caught:
            render((USER, forged), template, Losses("tri"))
        assert caught.value.param == "messages[1]"
    assert "{text}{role}" in render((Message(role=Role.USER, content="{text}{role}"),), template, Losses("tri"))


def test_the_end_of_a_turn_ends_the_answer() -> None:
    fields, _ = sent(Chat(messages=TALK, sampling=Sampling(stop=("END", "<|im_end|>"))), template="chatml")
    assert fields["text_input"] == RENDERED["chatml"]
    assert json.loads(fields["sampling_parameters"])["stop"] == ["<|im_end|>", "END"]


@pytest.mark.parametrize(
    ("message", "param"),
    [
        (Message(role=Role.USER, content=(ImagePart(url="data:image/png;base64,AA"),)), "messages[0].content[0]"),
        (Message(role=Role.TOOL, content="x", tool_call_id="a"), "messages[0]"),
        (
            Message(role=Role.ASSISTANT, tool_uses=(ToolUse(id="a", name="f", arguments=""),), place="input[4]"),
            "input[4]",
        ),
    ],
)
def test_what_is_no_text_is_refused_by_its_place(message: Message, param: str) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        render((message,), TEMPLATES["chatml"], Losses("tri"))
    assert caught.value.param == param


def test_what_is_left_out_of_a_text_is_announced() -> None:
    losses = Losses("tri")
    message = Message(role=Role.ASSISTANT, name="a", content=(ThinkingPart(text="hm"), TextPart(text="b")))
    render((message,), TEMPLATES["chatml"], losses)
    assert losses.dropped == ("messages[].name", "thinking")


@steady
@given(chats(), st.sampled_from(list(TEMPLATES)), st.sampled_from(list(Backend)))
def test_any_conversation_is_a_text_or_a_bad_request(words: Chat, template: str, backend: Backend) -> None:
    try:
        fields, _ = sent(words, template=template, backend=backend)
    except BadRequest:
        return
    assert fields["text_input"].endswith(TEMPLATES[template].opening)


# ----------------------------------------------------------------------------------------- answers


def reader() -> StreamReader:
    return StreamReader(provider="tri", model="farm")


def test_a_whole_answer_tells_why_it_ended_and_what_it_cost() -> None:
    answer = fold([decode_whole(recording("triton/text.json"), provider="tri")])
    assert (answer.text, answer.choices[0].finish) == ("The gate opens at dawn. Ça va ?", FinishReason.STOP)
    assert answer.usage == Usage(prompt_tokens=9, completion_tokens=7)
    plain = fold([decode_whole(recording("triton/text_trtllm.json"), provider="tri")])
    assert (plain.text, plain.usage) == ("The gate opens at dawn.", None)


def test_any_cut_of_a_stream_gives_the_same_answer() -> None:
    for pieces in cuts(recording("triton/stream.sse")):
        answer = read(reader, pieces)
        assert answer.text == "The gate opens at dawn. Ça va ?"
        assert (answer.choices[0].finish, answer.usage) == (
            FinishReason.LENGTH,
            Usage(prompt_tokens=9, completion_tokens=7),
        )


def test_where_the_backend_tells_why_it_finished_nothing_less_is_whole() -> None:
    data = recording("triton/stream.sse")
    for at in range(len(data) - 1):
        cut = reader()
        cut.feed(data[:at])
        with pytest.raises(UpstreamStreamTruncated):
            cut.end()
    aborted = event({"text_output": "a", "finish_reason": "abort"})
    with pytest.raises(UpstreamStreamTruncated):
        read(reader, [aborted])


def test_where_it_does_not_an_answer_is_whole_when_its_body_is_and_it_said_something() -> None:
    for pieces in cuts(recording("triton/stream_trtllm.sse")):
        answer = read(reader, pieces)
        assert (answer.text, answer.usage) == ("The gate opens at dawn.", None)
    with pytest.raises(UpstreamStreamTruncated):
        read(reader, [])


def test_tensors_may_be_arrays_of_one() -> None:
    told = {"text_output": ["a"], "finish_reason": ["stop"], "num_input_tokens": [3], "num_output_tokens": [1]}
    answer = read(reader, [event(told)])
    assert (answer.text, answer.usage) == ("a", Usage(prompt_tokens=3, completion_tokens=1))


def test_an_error_under_200_is_told_behind_what_came_before() -> None:
    text, error = said_before(reader, recording("triton/broken_stream.sse"))
    assert text == "The gate"
    assert type(error) is UpstreamError
    assert "the engine was lost" in str(error)


@pytest.mark.parametrize("payload", [b"no json", b"[]", b"{}", b'{"text_output":1}', b'{"text_output":"\xff"}'])
def test_nonsense_is_the_provider_s_fault(payload: bytes) -> None:
    with pytest.raises(UpstreamInvalidResponse):
        reader().feed(event(payload))
    with pytest.raises(UpstreamInvalidResponse):
        decode_whole(payload, provider="tri")


@steady
@given(
    st.dictionaries(
        st.sampled_from(["text_output", "finish_reason", "num_input_tokens", "num_output_tokens", "error"]),
        st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.lists(st.integers() | st.text(max_size=2)),
    )
)
def test_any_object_is_words_or_a_fault_of_the_provider_s(told: dict[str, object]) -> None:
    try:
        decode_whole(msgspec.json.encode(told), provider="tri")
    except FarmError:
        return


# ----------------------------------------------------------------------------------------- infer


@pytest.mark.parametrize(("is_batched", "shape"), [(True, [2, 1]), (False, [2])])
def test_texts_are_one_tensor(is_batched: bool, shape: list[int]) -> None:
    tensors = Tensors(input="TEXT", output="EMBEDDING", is_batched=is_batched)
    outgoing = encode_infer(Embed(inputs=("a", "b"), user="u"), tensors, provider="tri")
    assert json.loads(outgoing.body) == {
        "inputs": [{"name": "TEXT", "shape": shape, "datatype": "BYTES", "data": ["a", "b"]}],
        "outputs": [{"name": "EMBEDDING"}],
    }
    assert outgoing.dropped == ("user",)
    with pytest.raises(UnsupportedParameter):
        encode_infer(Embed(inputs=("a",), dimensions=5), tensors, provider="tri")


def test_vectors_are_cut_out_of_the_tensor_flat_or_nested() -> None:
    flat = recording("triton/infer.json")
    nested = flat.replace(b"[0.5, -0.25, 1.0, 0.0]", b"[[0.5,-0.25],[1,0]]")
    assert flat != nested
    for body in (flat, nested):
        got = fold([decode_infer(body, Tensors(), texts=2, provider="tri")])
        assert got.vectors == {0: (0.5, -0.25), 1: (1.0, 0.0)}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"outputs":[{"name":"other","data":[1,2]}]}',
        b'{"outputs":[{"name":"embedding","data":[1,2,3]}]}',
        b'{"outputs":[{"name":"embedding","data":["a","b"]}]}',
        b'{"outputs":[{"name":"embedding","data":[true,false]}]}',
        b'{"outputs":[{"name":"embedding"}]}',
    ],
)
def test_what_is_no_vector_a_text_is_not_taken_for_one(body: bytes) -> None:
    with pytest.raises(UpstreamInvalidResponse):
        decode_infer(body, Tensors(), texts=2, provider="tri")


def test_an_error_in_an_inference_is_told() -> None:
    with pytest.raises(UpstreamError, match="lost"):
        decode_infer(b'{"error":"lost"}', Tensors(), texts=1, provider="tri")


def test_a_repository_is_listed_by_name_and_version() -> None:
    listed = decode_index(recording("triton/index.json"), provider="tri")
    assert [(one.name, one.version, one.state) for one in listed][1] == ("farm", "2", "UNAVAILABLE")
    with pytest.raises(UpstreamInvalidResponse):
        decode_index(b"{}", provider="tri")


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (404, recording("triton/error_404.json"), ModelNotFound),
        (400, recording("triton/error_404.json"), ModelNotFound),
        (400, recording("triton/error_400.json"), UpstreamRejected),
        (400, recording("triton/error_503.json"), Unavailable),
        (503, b"", Unavailable),
        (500, b'{"error":"prompt length (9000) exceeds maximum input length (8192)"}', ContextLengthExceeded),
        (401, b"", UpstreamRefusedKey),
        (429, b"", UpstreamRateLimited),
        (504, b"", UpstreamTimeout),
        (500, b"<html>", UpstreamError),
    ],
)
def test_each_error_is_what_it_means(status: int, body: bytes, kind: type[FarmError]) -> None:
    assert type(decode_error(status, body, provider="tri", model="nothing")) is kind
