"""`farmgate run`: one answer, or a conversation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from tests.unit.surfaces.cli.fakes import STARTER, FakeHouse, Shell

from farmgate.admin.prices import Beside
from farmgate.core.errors import Overloaded, UpstreamStreamTruncated
from farmgate.core.event import Finish, FinishReason, Reasoning, Text, Usage
from farmgate.core.model import Facts
from farmgate.core.money import Price, Rates
from farmgate.core.words import Role
from farmgate.surfaces.cli.answer import Took, status_line
from farmgate.surfaces.cli.exits import WrongUse
from farmgate.surfaces.cli.program import program
from farmgate.surfaces.cli.run import Wish, as_path, chat_of


@pytest.fixture(autouse=True)
def starter_is_here(house: FakeHouse) -> None:
    house.store.known["starter"] = STARTER


def keyboard(monkeypatch: pytest.MonkeyPatch, *lines: str | type[BaseException]) -> None:
    """Somebody who types these lines; a class of exception is what happens instead."""
    left: Iterator[str | type[BaseException]] = iter(lines)

    def read(prompt: str) -> str:
        line = next(left, EOFError)
        if isinstance(line, str):
            return line
        raise line

    monkeypatch.setattr("farmgate.surfaces.cli.run.line_reader", lambda: read)


def test_the_answer_is_data_and_what_it_took_is_not(shell: Shell, house: FakeHouse) -> None:
    ran = shell("run", "starter", "say", "hello")
    assert (ran.code, ran.out) == (0, "Hello\n")
    assert ran.err.startswith("starter · 2 tok · ")
    assert "first token" in ran.err
    (request,) = house.gate.target.asked
    assert request.model == "starter"
    assert request.stream
    assert request.principal.key_name == "cli"
    assert [(m.role, m.content) for m in house.gate.target.chat.messages] == [(Role.USER, "say hello")]


def test_the_prompt_may_come_from_a_pipe(shell: Shell, house: FakeHouse) -> None:
    assert shell("run", "starter", stdin="from a pipe\n").code == 0
    assert house.gate.target.chat.messages[-1].content == "from a pipe"


def test_a_dash_among_the_words_stands_for_the_pipe(shell: Shell, house: FakeHouse) -> None:
    shell("run", "starter", "Summarise:", "-", stdin="long text")
    assert house.gate.target.chat.messages[-1].content == "Summarise: long text"


def test_without_any_standard_input_there_is_no_prompt(
    shell: Shell, house: FakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", None)
    assert program(["run", "starter"], lambda: house) == 2
    assert program(["run", "starter", "hi"], lambda: house) == 0


@pytest.mark.parametrize("model", ["./checkpoint", "hf:owner/name"])
def test_what_has_no_name_here_yet_is_to_be_pulled_first(shell: Shell, house: FakeHouse, model: str) -> None:
    Path("checkpoint").mkdir()
    ran = shell("run", model, "hi")
    assert (ran.code, house.gate.target.asked) == (2, [])
    assert "farmgate pull, with the same words" in ran.err


def test_an_empty_prompt_is_refused(shell: Shell, house: FakeHouse) -> None:
    ran = shell("run", "starter", stdin="")
    assert ran.code == 2
    assert "prompt is empty" in ran.err
    assert house.gate.target.asked == []


def test_options_reach_the_model(shell: Shell, house: FakeHouse) -> None:
    options = ("-s", "be brief", "-o", "temperature=0.2", "-o", "top_k", "5", "--max-tokens", "7")
    assert shell("run", "starter", "hi", *options).code == 0
    chat = house.gate.target.chat
    assert chat.messages[0].role is Role.SYSTEM
    assert (chat.sampling.temperature, chat.sampling.max_tokens) == (0.2, 7)
    assert chat.extra == {"top_k": 5}


def test_no_stream_asks_for_a_whole_answer(shell: Shell, house: FakeHouse) -> None:
    assert shell("run", "starter", "hi", "--no-stream").out == "Hello\n"
    assert not house.gate.target.asked[0].stream


def test_for_programs_pieces_are_lines_and_the_last_tells_what_it_took(shell: Shell) -> None:
    ran = shell("run", "starter", "hi", "--json")
    *pieces, last = [json.loads(line) for line in ran.out.splitlines()]
    assert pieces == [{"content": "Hel"}, {"content": "lo"}]
    assert last["done"] is True
    assert last["usage"]["completionTokens"] == 2
    whole = json.loads(shell("run", "starter", "hi", "--json", "--no-stream").out)
    assert whole["response"] == "Hello"


def test_an_answer_that_breaks_is_an_error_after_what_came(shell: Shell, house: FakeHouse) -> None:
    house.gate.target.parts = (Text("Hel"),)
    house.gate.target.breaks = UpstreamStreamTruncated()
    ran = shell("run", "starter", "hi")
    assert (ran.code, ran.out) == (6, "Hel\n")
    assert "not the whole answer" in ran.err


def test_thinking_is_not_the_answer(shell: Shell, house: FakeHouse) -> None:
    house.gate.target.parts = (Reasoning("hm"), Text("yes"), Finish())
    assert shell("run", "starter", "hi").out == "yes\n"
    assert '{"reasoning": "hm"}' in shell("run", "starter", "hi", "--json").out


def test_a_full_gate_ends_with_7(shell: Shell, house: FakeHouse) -> None:
    house.gate.target.error = Overloaded()
    assert shell("run", "starter", "hi").code == 7


def test_the_starter_is_pulled_when_it_is_missing(shell: Shell, house: FakeHouse) -> None:
    house.store.known.clear()
    ran = shell("run", "starter", "hi")
    assert house.store.pulls == ["starter"]
    assert "SmolLM2-135M-Instruct, 93 MB" in ran.err
    assert ran.out == "Hello\n"


def test_the_guide_is_taken_from_the_package_when_it_is_missing(shell: Shell, house: FakeHouse) -> None:
    house.store.shipped = frozenset({"guide"})
    ran = shell("run", "guide", "hi")
    assert house.store.pulls == ["guide"]
    assert "it comes with Farmgate and knows its documentation" in ran.err
    assert ran.code == 0
    shell("run", "local/guide", "hi")
    assert house.store.pulls == ["guide"], "once"


def test_without_an_engine_it_says_how_to_get_one(shell: Shell, house: FakeHouse) -> None:
    house.store.known.clear()
    house.engine = False
    ran = shell("run", "starter", "hi")
    assert ran.code == 6
    assert "pip install 'farmgate[local]'" in ran.err
    Path("m.gguf").write_bytes(b"GGUF")
    assert shell("run", "./m.gguf", "hi").code == 6


def test_a_file_is_registered_and_asked_for_at_the_local_provider(shell: Shell, house: FakeHouse) -> None:
    other = house.gate.known[0]
    house.gate.known = [type(other)(name="m", provider="ollama"), type(other)(name="m", provider="local")]
    assert shell("run", "./m.gguf", "hi").code == 0
    assert house.registered == [Path("m.gguf")]
    request = house.gate.target.asked[0]
    assert (request.model, request.provider) == ("m", "local")


def test_what_is_a_path(tmp_path: Path) -> None:
    there = tmp_path / "weights.bin"
    there.write_bytes(b"GGUF")
    assert as_path("model.gguf") == Path("model.gguf")
    assert as_path(str(there)) == there
    assert as_path("starter") is None
    assert as_path("ollama/llama3.1") is None
    assert as_path("hf.co/nobody/nothing") is None


# ---------------------------------------------------------------------------------------------- conversations


def test_a_conversation_remembers(shell: Shell, house: FakeHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    keyboard(monkeypatch, "one", "two", "/bye", "never")
    assert shell("run", "starter", "-s", "be brief", is_terminal=True).code == 0
    said = [(message.role.value, message.content) for message in house.gate.target.chat.messages]
    assert said == [("system", "be brief"), ("user", "one"), ("assistant", "Hello"), ("user", "two")]
    assert len(house.gate.target.asked) == 2


def test_clear_forgets_all_but_the_system_message(
    shell: Shell, house: FakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyboard(monkeypatch, "one", "/clear", "", "two")
    assert shell("run", "starter", "-s", "be brief", is_terminal=True).code == 0
    said = [(message.role.value, message.content) for message in house.gate.target.chat.messages]
    assert said == [("system", "be brief"), ("user", "two")]


def test_an_unknown_command_is_not_sent_to_the_model(
    shell: Shell, house: FakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyboard(monkeypatch, "/quti", KeyboardInterrupt, "/help")
    ran = shell("run", "starter", is_terminal=True)
    assert ran.code == 0
    assert house.gate.target.asked == []
    assert "there is no command /quti" in ran.err


def test_a_failed_question_is_as_if_never_asked(
    shell: Shell, house: FakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = house.gate.target
    target.error = Overloaded()

    lines = iter(("one", "two"))

    def then(prompt: str) -> str:
        line = next(lines, None)
        if line is None:
            raise EOFError
        if line == "two":
            target.error = None
        return line

    monkeypatch.setattr("farmgate.surfaces.cli.run.line_reader", lambda: then)
    ran = shell("run", "starter", is_terminal=True)
    assert ran.code == 0
    assert "error:" in ran.err
    assert [message.content for message in target.chat.messages] == ["two"]


# ------------------------------------------------------------------------------------------------------ words


def test_the_status_line_tells_what_is_known() -> None:
    took = Took(
        model="starter",
        provider="local",
        usage=Usage(completion_tokens=142),
        finish=FinishReason.STOP,
        first_token_s=0.41,
        duration_s=0.41 + 141 / 31.2,
    )
    assert status_line(took) == "starter · 142 tok · 31.2 tok/s · first token 0.41 s"
    took.cost_usd = Decimal("0.0000852")
    assert status_line(took).endswith(" · $0.000085")
    assert status_line(Took(model="m", provider="p")) == "m"
    cut = Took(model="m", provider="p", usage=Usage(completion_tokens=1, estimated=True), finish="length")
    assert status_line(cut) == "m · ~1 tok · cut at the token limit"
    cut.cost_usd = Decimal(2)
    assert "~$2.00" in status_line(cut), "tokens nobody counted cost about so much"


def test_an_answer_tells_its_cost_where_the_price_is_known(shell: Shell, house: FakeHouse) -> None:
    price = Price(rates=Rates(input_usd=Decimal(1000), output_usd=Decimal(5000)))
    house.beside = Beside(stated={(None, "starter"): Facts(price=price)})
    assert "$0.013" in shell("run", "starter", "hi").err
    assert json.loads(shell("run", "starter", "hi", "--no-stream", "--json").out)["costUsd"] == 0.013
    assert json.loads(shell("run", "other", "hi", "--no-stream", "--json").out)["costUsd"] is None


@pytest.mark.parametrize(
    "option", ["temperature", "=1", "temperature=hot", "temperature=NaN", "max_tokens=1.5", "seed=true", "stop=7"]
)
def test_an_option_that_makes_no_sense_is_refused(option: str) -> None:
    with pytest.raises(WrongUse):
        chat_of(Wish(model="m", options=(option,)))


def test_options_are_json_where_they_can_be() -> None:
    options = ("topP=0.5", 'stop=["a","b"]', "seed=7", "reasoning=high", "grammar={}")
    chat = chat_of(Wish(model="m", options=options))
    assert (chat.sampling.top_p, chat.sampling.stop, chat.sampling.seed) == (0.5, ("a", "b"), 7)
    assert chat.extra == {"reasoning": "high", "grammar": {}}


def test_an_answer_that_comes_whole_has_no_rate(shell: Shell) -> None:
    told = json.loads(shell("run", "starter", "hi", "--no-stream", "--json").out)
    assert told["response"] == "Hello"
    assert told["tokensPerS"] is None


def test_a_pulled_starter_is_no_use_without_the_engine(shell: Shell, house: FakeHouse) -> None:
    house.engine = False
    ran = shell("run", "starter", "hi")
    assert ran.code == 6
    assert "pip install 'farmgate[local]'" in ran.err
