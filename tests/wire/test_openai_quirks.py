"""What a provider takes otherwise than OpenAI: written so from words, never into what an OpenAI caller wrote."""

from __future__ import annotations

import json

import pytest
from tests.fakes.recordings import request_for

from farmgate.core.errors import UnsupportedParameter
from farmgate.core.request import Kind
from farmgate.core.words import Chat, Complete, Message, Role, Sampling, Tool
from farmgate.wire.openai.quirks import PLAIN, Quirks
from farmgate.wire.openai.requests import decode_request, encode_request
from farmgate.wire.openai.rules import ListLimits
from farmgate.wire.strictjson import JsonLimits

ODD = Quirks(
    unknown=frozenset({"top_k", "logprobs"}),
    unknown_in_messages=frozenset({"name"}),
    renamed={"seed": "random_seed", "max_tokens": "max_completion_tokens"},
)
SAMPLING = Sampling(top_k=3, seed=7, max_tokens=5, top_logprobs=0)
MESSAGES = (
    Message(role=Role.DEVELOPER, content="Be brief."),
    Message(role=Role.USER, content="hi", name="ann"),
)


async def sent(words: Chat | Complete, quirks: Quirks) -> tuple[dict[str, object], tuple[str, ...]]:
    kind = Kind.CHAT if isinstance(words, Chat) else Kind.COMPLETION
    outgoing = encode_request(request_for(words, kind=kind), provider="p", ask_usage=False, quirks=quirks)
    return json.loads(outgoing.body), outgoing.dropped


async def test_fields_it_does_not_know_are_dropped_and_announced_and_others_renamed() -> None:
    told, dropped = await sent(Chat(messages=MESSAGES, sampling=SAMPLING), ODD)
    assert told == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
        "random_seed": 7,
        "max_completion_tokens": 5,
    }
    assert dropped == ("top_k", "logprobs", "messages[1].name")


async def test_names_differ_in_chats_only() -> None:
    told, dropped = await sent(Complete(prompt="a", sampling=SAMPLING), ODD)
    assert told == {"model": "m", "prompt": "a", "seed": 7, "max_tokens": 5}
    assert dropped == ("top_k", "logprobs")


async def test_what_it_would_pass_over_in_silence_is_refused_where_the_answer_depends_on_it() -> None:
    words = Chat(messages=MESSAGES, tools=(Tool(name="look"),))
    with pytest.raises(UnsupportedParameter) as failed:
        await sent(words, Quirks(refused=frozenset({"tools"})))
    assert failed.value.param == "tools"


@pytest.mark.parametrize(("quirks", "role"), [(PLAIN, "system"), (Quirks(has_developer=True), "developer")])
async def test_a_developer_is_a_system_where_that_role_is_not_known(quirks: Quirks, role: str) -> None:
    told, _ = await sent(Chat(messages=MESSAGES), quirks)
    assert told["messages"] == [
        {"role": role, "content": "Be brief."},
        {"role": "user", "content": "hi", "name": "ann"},
    ]


async def test_what_an_openai_caller_wrote_is_never_touched() -> None:
    raw = b'{"model":"m","messages":[{"role":"developer","content":"x","name":"a"}],"top_k":3,"seed":1}'
    body = decode_request(raw, Kind.CHAT, json_limits=JsonLimits(), list_limits=ListLimits())
    outgoing = encode_request(request_for(body), provider="p", ask_usage=False, quirks=ODD)
    assert (outgoing.body, outgoing.dropped) == (raw, ())
