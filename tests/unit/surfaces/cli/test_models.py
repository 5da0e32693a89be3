"""`ls`, `pull`, `rm` and `usage`; `ps` and a running gate are in test_remote.py."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from tests.unit.surfaces.cli.fake_server import FakeServer
from tests.unit.surfaces.cli.fakes import STARTER, FakeHouse, Shell

from farmgate.admin.prices import Beside
from farmgate.core.errors import InvalidValue, Unavailable
from farmgate.core.model import Facts, ModelInfo
from farmgate.core.money import Price, Rates
from farmgate.core.usage import Call, Outcome
from farmgate.surfaces.cli.exits import WrongUse
from farmgate.surfaces.cli.used import seconds


def test_ls_is_a_table(shell: Shell, house: FakeHouse) -> None:
    house.gate.known = [STARTER, ModelInfo(name="gpt-4", provider="openai")]
    ran = shell("ls")
    assert ran.out.splitlines() == [
        "NAME     PROVIDER  SIZE     CONTEXT  STATE",
        "starter  local     98.4 MB  8k       ready",
        "gpt-4    openai    -        -        -",
    ]
    first = json.loads(shell("ls", "--json").out.splitlines()[0])
    assert first["name"] == "starter"
    assert first["size"] == 98_362_432


def test_ls_without_models_says_what_to_do(shell: Shell, house: FakeHouse) -> None:
    house.gate.known = []
    ran = shell("ls")
    assert (ran.code, ran.out) == (0, "")
    assert "farmgate pull starter" in ran.err


def test_pull_shows_progress_and_what_is_next(shell: Shell, house: FakeHouse) -> None:
    ran = shell("pull", "starter")
    assert (ran.code, ran.out) == (0, "")
    assert "starter: downloading 50 %" in ran.err
    assert "farmgate run starter" in ran.err
    assert house.store.pulls == ["starter"]


def test_pull_for_programs_is_a_line_per_report(shell: Shell) -> None:
    told = [json.loads(line) for line in shell("pull", "local/starter", "--json").out.splitlines()]
    assert told[0] == {"status": "downloading", "completed": 0, "total": 100_000_000}
    assert told[-1] == {"status": "success", "name": "starter"}


def test_pull_from_another_provider_is_a_load_there(shell: Shell, house: FakeHouse) -> None:
    assert shell("pull", "ollama/library/llama3.1").code == 0
    assert house.gate.loads == [("library/llama3.1", "ollama")]


def test_a_pull_that_fails_tells_what_was_tried(shell: Shell, house: FakeHouse) -> None:
    house.store.error = Unavailable("starter could not be fetched. Tried a and b.")
    ran = shell("pull", "starter")
    assert ran.code == 6
    assert ran.err.endswith("error: starter could not be fetched. Tried a and b.\n")
    assert shell("pull", "nothing").code == 6


def test_rm_asks_first(shell: Shell, house: FakeHouse) -> None:
    house.store.known["starter"] = STARTER
    ran = shell("rm", "starter", stdin="n\n", is_terminal=True)
    assert ran.code == 1
    assert "delete starter (98.4 MB)? [y/N]" in ran.err
    assert "starter" in house.store.known
    ran = shell("rm", "starter")
    assert ran.code == 2, "nobody is there to be asked"
    assert "add --yes" in ran.err
    assert "starter" in house.store.known
    assert shell("rm", "starter", stdin="y\n", is_terminal=True).code == 0
    assert "starter" not in house.store.known


def test_rm_with_yes_does_not_ask(shell: Shell, house: FakeHouse) -> None:
    house.store.known["starter"] = STARTER
    assert json.loads(shell("rm", "local/starter", "--yes", "--json").out) == {"deleted": "starter"}
    ran = shell("rm", "starter", "--yes")
    assert ran.code == 5
    assert "On this machine: none" in ran.err


def test_rm_tells_who_has_it_in_memory_still(shell: Shell, house: FakeHouse, server: FakeServer) -> None:
    told = f"note: the Farmgate at http://127.0.0.1:{server.port} has it in memory still: farmgate unload starter\n"
    for processes, code, note in (
        ([{"name": "other", "pid": 7}, {"name": "starter", "pid": 8}], 200, told),
        ([{"name": "starter", "pid": None}], 200, ""),
        ([], 403, ""),
    ):
        server.routes["/api/ai/processes"] = [(code, {"processes": processes})]
        house.store.known["starter"] = STARTER
        assert shell("rm", "starter", "--yes").err == f"deleted starter\n{note}"


def test_rm_takes_what_an_unfinished_pull_left(shell: Shell, house: FakeHouse) -> None:
    house.store.begun.add("owner--name")
    ran = shell("rm", "owner--name")
    assert (ran.code, ran.err) == (0, "deleted what an unfinished pull of owner--name left\n")
    assert shell("rm", "owner--name").code == 5


# ------------------------------------------------------------------------------------------------------ usage


def call(model: str, began_unix: float, tokens: int, outcome: Outcome = Outcome.OK) -> Call:
    return Call(
        id="1",
        key_name="team",
        kind="chat",
        provider="local",
        model=model,
        stream=True,
        began_unix=began_unix,
        outcome=outcome,
        prompt_tokens=tokens,
        completion_tokens=1,
    )


def test_usage_sums_up_by_key_provider_and_model(
    shell: Shell, house: FakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 100_000.0)
    house.journal = [call("a", 99_000, 10), call("a", 99_500, 5, Outcome.ERROR), call("b", 1_000, 100)]
    ran = shell("usage")
    assert ran.out.splitlines()[1].split() == ["team", "local", "a", "2", "1", "15", "2", "17", "-"]
    assert len(ran.out.splitlines()) == 2
    assert "2 calls, 17 tokens in the last 24h" in ran.err
    assert len(shell("usage", "--since", "all").out.splitlines()) == 3
    assert json.loads(shell("usage", "--json").out)["promptTokens"] == 15


def test_usage_tells_costs_as_far_as_prices_are_known(
    shell: Shell, house: FakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 100_000.0)
    price = Price(rates=Rates(input_usd=Decimal(1), output_usd=Decimal(1)))
    house.beside = Beside(stated={("local", "a"): Facts(price=price)})
    house.journal = [call("a", 99_000, 999_999), call("a", 99_500, 999_999), call("b", 99_000, 1)]
    ran = shell("usage")
    assert [line.split()[-1] for line in ran.out.splitlines()] == ["COST", "$2.00", "-"]
    assert "; $2.00 and 1 at a price that is not known" in ran.err
    first, second = map(json.loads, shell("usage", "--json").out.splitlines())
    assert (first["costUsd"], first["unpricedCalls"]) == (2.0, 0)
    assert (second["costUsd"], second["unpricedCalls"]) == (None, 1)


def test_usage_of_nothing_says_so(shell: Shell) -> None:
    ran = shell("usage", "--since", "30m")
    assert (ran.code, ran.out, ran.err) == (0, "", "no calls in the last 30m\n")


def test_spans() -> None:
    assert [seconds(text) for text in ("30m", "24h", "7d", "2w", "all")] == [1800, 86_400, 604_800, 1_209_600, None]
    for text in ("", "7", "d", "7y", "-1d", "1.5h"):
        with pytest.raises(WrongUse):
            seconds(text)


def test_a_wrong_span_is_wrong_use(shell: Shell) -> None:
    ran = shell("usage", "--since", "xyz")
    assert ran.code == 2
    assert "--since takes 30m, 24h" in ran.err


def test_a_provider_that_is_not_there_is_told_apart_from_other_failures(shell: Shell, house: FakeHouse) -> None:
    house.gate.error = InvalidValue("There is no provider 'ollama'. There is: local.", param="provider")
    assert shell("pull", "ollama/llama3.1").code == 5


def test_pull_without_an_engine_says_what_is_still_missing(shell: Shell, house: FakeHouse) -> None:
    house.engine = False
    ran = shell("pull", "starter")
    assert ran.code == 0
    assert "pip install 'farmgate[local]'" in ran.err
    assert "farmgate run starter" not in ran.err
