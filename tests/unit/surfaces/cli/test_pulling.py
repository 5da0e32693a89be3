"""`farmgate pull`, as far as the command line: which words mean whose model, and what is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.surfaces.cli.fakes import FakeHouse, Shell

from farmgate.core.errors import InvalidValue, ModelNotFound, UpstreamRefusedKey


@pytest.mark.parametrize(
    "source", ["hf:owner/name", "hf:owner/name@v1:Q4_0", "https://host/x.gguf", "./x.gguf", "../folder"]
)
def test_what_says_where_it_comes_from_goes_to_this_machines_store(shell: Shell, house: FakeHouse, source: str) -> None:
    ran = shell("pull", source)
    assert (ran.code, ran.out) == (0, "")
    assert (house.store.pulls, house.store.names) == ([source], [None])
    assert "made-from-it is in /weights/made-from-it.gguf: farmgate run made-from-it" in ran.err
    assert house.opened == []


def test_a_model_is_called_as_its_owner_says(shell: Shell, house: FakeHouse) -> None:
    ran = shell("pull", "hf:owner/name", "--as", "chat", "--json")
    assert [json.loads(line) for line in ran.out.splitlines()][-1] == {"status": "success", "name": "chat"}
    assert house.store.names == ["chat"]


@pytest.mark.parametrize("source", ["ollama:llama3.1:8b", "ollama/llama3.1:8b"])
def test_both_ways_of_writing_a_providers_model_are_one(shell: Shell, house: FakeHouse, source: str) -> None:
    assert shell("pull", source).code == 0
    assert house.gate.loads == [("llama3.1:8b", "ollama")]
    assert house.store.pulls == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("hf:gpt2",), "no owner in hf:gpt2: write hf:owner/name"),
        (("hf.co/owner/name",), "write hf:owner/name"),
        (("s3://bucket/x.gguf",), "models come from https://"),
        (("https://host/x.bin",), "only a .gguf file is taken"),
        (("ollama/llama3.1", "--as", "chat"), "ollama names its models itself"),
    ],
)
def test_what_cannot_be_pulled_is_wrong_use(
    shell: Shell, house: FakeHouse, arguments: tuple[str, ...], told: str
) -> None:
    ran = shell("pull", *arguments)
    assert ran.code == 2
    assert told in ran.err
    assert (house.store.pulls, house.gate.loads) == ([], [])


def test_a_name_of_the_configuration_gets_all_it_names(shell: Shell, house: FakeHouse) -> None:
    Path("farm.config.yaml").write_text(
        "models:\n  chat: {versions: {1: 'hf:owner/name@v1', 2: https://host/x.gguf, 3: ./here.gguf, 4: starter}}\n"
        "  files: ./x.gguf\n"
    )
    assert shell("pull", "chat").code == 0
    assert house.store.pulls == ["hf:owner/name@v1", "https://host/x.gguf", "starter"]
    ran = shell("pull", "files")
    assert ran.code == 2
    assert "models.files names files on this machine" in ran.err
    assert shell("pull", "chat", "--as", "other").code == 2


def test_a_provider_that_there_is_not_may_have_been_meant_for_the_hub(shell: Shell, house: FakeHouse) -> None:
    house.gate.error = InvalidValue("There is no provider 'owner'.", param="provider")
    ran = shell("pull", "owner/name")
    assert ran.code == 5
    assert "A model of the hub is hf:owner/name, a file ./owner/name." in ran.err


@pytest.mark.parametrize(
    ("error", "code"),
    [(ModelNotFound("no such"), 5), (UpstreamRefusedKey("it is gated"), 4), (InvalidValue("taken", param="name"), 1)],
)
def test_what_went_wrong_is_told_by_the_exit_code(shell: Shell, house: FakeHouse, error: Exception, code: int) -> None:
    house.store.error = error  # type: ignore[assignment]  # all of them are FarmErrors
    ran = shell("pull", "hf:owner/name")
    assert (ran.code, str(error) in ran.err) == (code, True)


def test_a_name_that_somebody_chose_and_cannot_be_had_is_wrong_use(shell: Shell, house: FakeHouse) -> None:
    house.store.error = InvalidValue("'../x' cannot be the name of a model", param="name")
    ran = shell("pull", "hf:owner/name", "--as", "../x")
    assert ran.code == 2
    assert "'../x' cannot be the name of a model" in ran.err


def test_a_signature_in_an_address_is_not_shown(shell: Shell, house: FakeHouse) -> None:
    ran = shell("pull", "https://host/x.gguf?signature=secret", "--json")
    assert house.store.pulls == ["https://host/x.gguf?signature=secret"]
    assert "secret" not in ran.out + ran.err


def test_run_says_that_pull_comes_first(shell: Shell, house: FakeHouse) -> None:
    ran = shell("run", "hf:owner/name:x.gguf", "hello")
    assert ran.code == 2
    assert "farmgate pull" in ran.err
