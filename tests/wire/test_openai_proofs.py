"""The proof of the thinking behind a call, in the place Google's own OpenAI API has for it."""

from __future__ import annotations

import pytest

from farmgate.core.answer import fold
from farmgate.core.event import Event, Finish, FinishReason, Reasoning, ToolDelta
from farmgate.core.request import Kind
from farmgate.core.words import ToolUse
from farmgate.wire.losses import Losses
from farmgate.wire.openai.answers import decode_whole, encode_answer
from farmgate.wire.openai.reading import decode_chat
from farmgate.wire.openai.stream import StreamWriter
from farmgate.wire.openai.words import chunk_parts
from farmgate.wire.openai.writing import encode_words
from farmgate.wire.strictjson import encode

PROVED = {"google": {"thought_signature": "proof"}}


def test_the_proof_of_a_call_is_written_where_googles_own_openai_has_it_and_read_there() -> None:
    delta = ToolDelta(index=0, id="c", name="look", arguments="{}", signature="proof")
    whole = fold([Event((Reasoning("", signature="proof"), delta, Finish(FinishReason.TOOL_CALLS)))])
    told = encode_answer(whole, id="1", kind=Kind.CHAT, model="m", created_unix=0)
    message = told["choices"][0]["message"]  # type: ignore[index] # a chat completion
    assert message["tool_calls"][0]["extra_content"] == PROVED
    assert "reasoning_content" not in message
    assert fold([decode_whole(encode(told), kind=Kind.CHAT, provider="p")]).choices[0].tools == {
        0: ToolUse(id="c", name="look", arguments="{}", signature="proof")
    }
    writer = StreamWriter(id="1", kind=Kind.CHAT, model="m", created_unix=0)
    written = writer.write(Event((Reasoning("", signature="proof"), delta)))
    assert written.count(b"data: ") == 1
    assert chunk_parts(written.removeprefix(b"data: ").strip()) == [delta]
    asked = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}, "extra_content": PROVED}
    chat = decode_chat({"messages": [{"role": "assistant", "tool_calls": [asked]}]})
    assert chat.messages[0].tool_uses[0].signature == "proof"
    losses = Losses("p")
    assert "extra_content" not in str(encode_words(chat, losses))
    assert losses.dropped == ("thinking.signature",)


@pytest.mark.parametrize("odd", [None, "x", {}, {"google": None}, {"google": 3}, {"google": {"thought_signature": 3}}])
def test_any_other_extra_content_is_nobodys_proof(odd: object) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}, "extra_content": odd}
    chat = decode_chat({"messages": [{"role": "assistant", "tool_calls": [call]}]})
    assert chat.messages[0].tool_uses[0].signature is None
    chunk = {"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}
    (part,) = chunk_parts(encode(chunk))
    assert isinstance(part, ToolDelta)
    assert part.signature is None
