"""Models on this machine, as they are written, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.config.conftest import Folder

from farmgate.app.declaring import declared_models
from farmgate.config.changes import differences
from farmgate.engines.adapters import Adapter
from farmgate.engines.declared import Question
from farmgate.engines.hours import parse_hours
from farmgate.engines.surroundings import Keep


def test_a_source_alone_is_enough(folder: Folder) -> None:
    model = folder.load("models: {chat: starter}\n").models["chat"]
    assert (model.source, model.sources, model.current) == ("starter", {"1": "starter"}, "1")


def test_a_model_in_full_is_what_the_engines_are_told(folder: Folder) -> None:
    config = folder.load(
        """
models:
  chat:
    versions: {1: ./one.gguf, v2: /models/two}
    version: v2
    engine: transformers
    device: gpu1
    context: 4096
    parallel: 8
    threads: 3
    ttlS: 60
    pin: true
    priority: 5
    keptS: 0
    hours: [Mon-Fri 08:00-18:00]
    probe: {ask: Who are you?, expect: Farmgate}
"""
    )
    told = declared_models(config)["chat"]
    assert config.source is not None
    assert told.versions == {"1": str(config.source.parent / "one.gguf"), "v2": "/models/two"}
    assert (told.version, told.engine, told.device) == ("v2", "transformers", "gpu1")
    assert (told.context_tokens, told.parallel, told.threads) == (4096, 8, 3)
    assert told.keep == Keep(ttl_s=60, pinned=True, priority=5)
    assert (told.kept_s, told.prewarm) == (0, True)
    assert told.hours == (parse_hours("mon-fri 8:00-18:00"),)
    assert told.question == Question(ask="Who are you?", expect="Farmgate")


def test_what_is_not_said_is_left_to_the_machine(folder: Folder) -> None:
    told = declared_models(folder.load("models: {chat: {source: ~/m.gguf}, other: {versions: {a: x, b: y}}}\n"))
    assert told["chat"].versions == {"1": str(Path("~/m.gguf").expanduser())}
    assert (told["chat"].engine, told["chat"].context_tokens, told["chat"].keep) == (None, None, Keep())
    assert told["other"].version == "a", "the first of them"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{chat: {}}", "must have either `source` or `versions`"),
        ("{chat: {source: a, versions: {1: a}}}", "must have either `source` or `versions`"),
        ("{chat: {versions: {1: a}, version: 2}}", "must name in `version` one of its `versions`"),
        ("{chat: {source: a, engine: magic}}", "models.chat.engine must be 'llamacpp', 'transformers'"),
        ("{chat: {source: a, parallel: 0}}", "models.chat.parallel must be at least 1"),
        ("{chat: {source: a, ttl: 5}}", 'unknown key "ttl" in models.chat'),
        ("{chat: {source: a, ttlS: -1}}", "models.chat.ttlS must be at least 0"),
        ("{chat: {source: a, hours: [at night]}}", "must be hours such as 08:00-18:00"),
        ("{chat: {source: a, probe: {ask: x}}}", "models.chat.probe.expect is missing"),
        ("{a/b: x}", '"a/b" in models is not a name'),
        ("{chat: 3}", "models.chat must be a mapping"),
        ("{chat: hf:gpt2}", "must name a source that can be pulled: There is no owner in hf:gpt2"),
        ("{chat: {versions: {1: a, 2: 'http://host/x.gguf'}}}", "must name a source that can be pulled: Over http://"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(folder: Folder, text: str, said: str) -> None:
    problems = folder.problems(f"models: {text}\n")
    assert any(said in problem for problem in problems), problems
    assert all(problem.startswith("farm.config.yaml:") for problem in problems)


def test_where_a_model_is_pulled_from_is_no_path(folder: Folder) -> None:
    told = declared_models(folder.load("models: {a: 'hf:owner/name@v1:x.gguf', b: https://host/x.gguf}\n"))
    assert told["a"].versions == {"1": "hf:owner/name@v1:x.gguf"}
    assert told["b"].versions == {"1": "https://host/x.gguf"}


def test_one_that_comes_is_one_change_and_needs_no_restart(folder: Folder) -> None:
    before = folder.load("models: {a: x}\n")
    after = folder.load("models: {a: {source: x, pin: true}, b: y}\n")
    assert [str(change) for change in differences(before, after)] == ["models.a.pin: false → true", "models.b: added"]


def test_a_server_of_ones_own(folder: Folder) -> None:
    config = folder.load(
        """
models:
  big:
    source: /models/big
    engine: command
    command: [my-server, "--port", "{port}"]
    ready: /up
    arguments: [--fast]
    memoryMib: 3
"""
    )
    told = declared_models(config)["big"]
    assert (told.command, told.ready, told.arguments) == (("my-server", "--port", "{port}"), "/up", ("--fast",))
    assert told.memory_bytes == 3 * 1024 * 1024


def test_numbers_are_for_checkpoints_of_transformers(folder: Folder) -> None:
    config = folder.load("models: {m: {source: ./m, dtype: float16, quantize: 8bit}, n: {source: n, quantize: 4bit}}\n")
    told = declared_models(config)
    assert (told["m"].dtype, told["m"].quantize) == ("float16", "8bit")
    assert (told["n"].dtype, told["n"].quantize) == ("auto", "4bit"), "a pulled model may be a checkpoint"


@pytest.mark.parametrize(
    "text",
    [
        "source: ./m.gguf, quantize: 4bit",
        "source: ./m.onnx, dtype: float16",
        "source: './m.py:Model', dtype: float16",
        "source: ./m, engine: vllm, quantize: 4bit",
        "versions: {1: ./m, 2: ./m.gguf}, quantize: 4bit",
    ],
)
def test_who_has_no_use_for_such_numbers_refuses_them(folder: Folder, text: str) -> None:
    problems = folder.problems(f"models: {{m: {{{text}}}}}\n")
    assert any("must have `dtype` and `quantize` with folders of checkpoints" in one for one in problems), problems


def test_only_vllm_and_sglang_sleep(folder: Folder) -> None:
    for engine in ("vllm", "sglang"):
        told = declared_models(folder.load(f"models: {{m: {{source: ./m, engine: {engine}, sleep: true}}, n: n}}\n"))
        assert (told["m"].sleeps, told["n"].sleeps) == (True, False)
    for engine in ("", ", engine: tgi", ", engine: transformers"):
        problems = folder.problems(f"models: {{m: {{source: ./m, sleep: true{engine}}}}}\n")
        assert any("must have `sleep` with `engine: vllm` or `engine: sglang` alone" in one for one in problems), (
            problems
        )


@pytest.mark.parametrize("text", ["{engine: command}", "{command: [x]}", "{engine: vllm, command: [x]}"])
def test_a_command_and_its_engine_belong_together(folder: Folder, text: str) -> None:
    problems = folder.problems(f"models: {{m: {{source: a, {text[1:]}}}\n")
    assert any("must have a `command` with `engine: command`" in problem for problem in problems), problems


# ------------------------------------------------------------------------------------------------------------ adapters


def test_adapters_are_named_or_have_the_names_of_their_files(folder: Folder) -> None:
    config = folder.load(
        """
models:
  chat: {source: ./chat.gguf, adapters: {formal: ./lora-a.gguf, pirate: lora-b.gguf, far: /l/c.gguf}}
  other: {source: ./folder, adapters: [./law-v1.2, ~/lora/, plain]}
"""
    )
    assert config.source is not None
    here = config.source.parent
    told = declared_models(config)
    assert told["chat"].adapters == (
        Adapter("formal", here / "lora-a.gguf"),
        Adapter("pirate", here / "lora-b.gguf"),
        Adapter("far", Path("/l/c.gguf")),
    )
    assert told["other"].adapters == (
        Adapter("law-v1-2", here / "law-v1.2"),
        Adapter("lora", Path("~/lora").expanduser()),
        Adapter("plain", here / "plain"),
    )
    (setting,) = (one for one in config.settings if one.path == "models.other.adapters.plain")
    assert "farm.config.yaml:4" in str(setting.origin)


@pytest.mark.parametrize(
    ("adapters", "said"),
    [
        ("{a b: ./x.gguf}", "models.m.adapters must have names of letters, digits, - and _, 64 at most, and 'a b'"),
        (f"{{{'a' * 65}: ./x.gguf}}", "64 at most"),
        ("{latest: ./x.gguf}", "must have other names than `latest`"),
        ("[./a/x.gguf, ./b/x.gguf]", 'farm.config.yaml:2:48: models.m.adapters has two adapters called "x"'),
        ('["./a/x y.gguf"]', "'x y' is none: write `adapters: {name: path}`"),
        ("[.]", "must hold paths of folders or files"),
        ("[{a: b}]", "must hold paths of folders or files"),
        ("./x.gguf", "models.m.adapters must be a mapping"),
        ("{a: 'hf:owner/name'}", "must be folders or files on this machine: adapters are not pulled"),
        ("{a: ./folder}", "must have `adapters` that are GGUF files, which llama.cpp takes, and './folder' is none"),
        ("{a: ''}", "models.m.adapters.a must not be empty"),
    ],
)
def test_what_is_wrong_with_adapters_is_said(folder: Folder, adapters: str, said: str) -> None:
    problems = folder.problems(f"models:\n  m: {{source: ./m.gguf, adapters: {adapters}}}\n")
    assert any(said in problem for problem in problems), problems


@pytest.mark.parametrize("engine", ["python", "onnx", "command"])
def test_an_engine_that_takes_no_adapters_is_given_none(folder: Folder, engine: str) -> None:
    command = ", command: [x]" if engine == "command" else ""
    (problem,) = folder.problems(f"models: {{m: {{source: a, engine: {engine}{command}, adapters: [./x]}}}}\n")
    assert f"must have no `adapters`: {engine} takes none" in problem


@pytest.mark.parametrize("engine", ["transformers", "vllm", "sglang", "tgi"])
def test_an_engine_of_checkpoints_takes_folders(folder: Folder, engine: str) -> None:
    (problem,) = folder.problems(f"models: {{m: {{source: a, engine: {engine}, adapters: [./x.gguf]}}}}\n")
    assert "must have `adapters` that are folders as peft saves them, and './x.gguf' is none" in problem
    assert folder.load(f"models: {{m: {{source: a, engine: {engine}, adapters: [./x]}}}}\n").models["m"].adapters


def test_a_name_means_a_model_or_an_adapter_and_never_both(folder: Folder) -> None:
    (problem,) = folder.problems("models:\n  chat: {source: a, adapters: {formal: ./f}}\n  'chat:formal': b\n")
    assert problem.endswith(
        ':2:40: models.chat.adapters names "formal", and there is a model "chat:formal": call one of them otherwise'
    )


def test_an_overlay_adds_an_adapter_by_its_name(folder: Folder) -> None:
    folder.write("models: {chat: {adapters: {b: ./other}}}\n", "farm.config.production.yaml")
    config = folder.load("models: {chat: {source: a, adapters: [./a, ./b]}}\n", environment="production")
    assert config.models["chat"].adapters == {"a": "./a", "b": "./other"}
