"""From the name a caller uses to who answers."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farmgate.core.errors import InvalidValue, ModelNotCapable, ModelNotFound
from farmgate.core.model import LONGEST_NAME, Capability, Facts
from farmgate.core.request import Kind
from farmgate.flow.route import Candidate, ProviderView, View, resolve, who_gets

VIEW = View(
    default_provider="ollama",
    providers={
        "openai": ProviderView(models=frozenset({"gpt-4", "gpt-3.5-turbo", "llama3.1"}), default_model="gpt-3.5-turbo"),
        "ollama": ProviderView(
            models=frozenset({"llama3.1:latest", "phi3:mini", "qwen:latest", "qwen"}), default_model="llama3.1"
        ),
        "huggingface": ProviderView(
            models=frozenset({"microsoft/DialoGPT-medium", "openai/whisper", "ollama/phi3:mini"})
        ),
        "bare": ProviderView(),
    },
)
OPEN = View(
    default_provider="a",
    providers={
        "a": ProviderView(models=frozenset({"one"})),
        "b": ProviderView(models=frozenset({"two"}), is_open=True),
        "c": ProviderView(models=frozenset({"three"}), is_open=True),
    },
)
# The same model everywhere: the default provider first, then in the order of the configuration.
SAME = View(
    default_provider="z",
    providers={
        name: ProviderView(models=frozenset({"m", *more})) for name, more in (("b", "x"), ("a", "x"), ("z", ""))
    },
)

CASES = [
    # model, provider -> who answers
    (VIEW, "gpt-4", None, "openai", "gpt-4"),
    (VIEW, "phi3:mini", None, "ollama", "phi3:mini"),
    # the default provider comes before the others, and `:latest` goes without saying
    (VIEW, "llama3.1", None, "ollama", "llama3.1:latest"),
    (VIEW, "llama3.1:latest", None, "ollama", "llama3.1:latest"),
    (VIEW, "qwen", None, "ollama", "qwen"),
    (SAME, "m", None, "z", "m"),
    (SAME, "x", None, "b", "x"),
    # with the provider's name
    (VIEW, "openai/llama3.1", None, "openai", "llama3.1"),
    (VIEW, "ollama/llama3.1", None, "ollama", "llama3.1:latest"),
    (VIEW, "llama3.1", "openai", "openai", "llama3.1"),
    (VIEW, "openai/gpt-4", "openai", "openai", "gpt-4"),
    # slashes belong to a model's name where it has them
    (VIEW, "microsoft/DialoGPT-medium", None, "huggingface", "microsoft/DialoGPT-medium"),
    (VIEW, "huggingface/microsoft/DialoGPT-medium", None, "huggingface", "microsoft/DialoGPT-medium"),
    (VIEW, "microsoft/DialoGPT-medium", "huggingface", "huggingface", "microsoft/DialoGPT-medium"),
    # a model by the very name comes before a provider by its first word
    (VIEW, "openai/whisper", None, "huggingface", "openai/whisper"),
    (VIEW, "ollama/phi3:mini", None, "huggingface", "ollama/phi3:mini"),
    # no name
    (VIEW, None, None, "ollama", "llama3.1:latest"),
    (VIEW, "", None, "ollama", "llama3.1:latest"),
    (VIEW, "default", None, "ollama", "llama3.1:latest"),
    (VIEW, None, "openai", "openai", "gpt-3.5-turbo"),
    (VIEW, "openai/default", None, "openai", "gpt-3.5-turbo"),
    (VIEW, None, "huggingface", "huggingface", "microsoft/DialoGPT-medium"),
    # who may have models it does not list
    (OPEN, "one", None, "a", "one"),
    (OPEN, "three", None, "c", "three"),
    (OPEN, "four", None, "b", "four"),
    (OPEN, "x/y/z", None, "b", "x/y/z"),
    (OPEN, "c/four", None, "c", "four"),
    (OPEN, "four", "c", "c", "four"),
    (OPEN, "c/", None, "b", "c/"),
    (OPEN, "/four", None, "b", "/four"),
]


@pytest.mark.parametrize(("view", "model", "provider", "answers", "as_model"), CASES)
def test_who_answers(view: View, model: str | None, provider: str | None, answers: str, as_model: str) -> None:
    assert resolve(model, provider, view) == Candidate(provider=answers, model=as_model)


def test_one_version_of_a_model_is_found_however_the_provider_writes_it() -> None:
    view = View(
        default_provider="a",
        providers={
            "a": ProviderView(models=frozenset({"gpt-4o-2024-08-06", "gpt-4o"})),
            "b": ProviderView(models=frozenset({"llama3.1:8b", "gemini@001"})),
            "c": ProviderView(is_open=True),
        },
    )
    for model, provider, name in [
        ("gpt-4o@2024-08-06", "a", "gpt-4o-2024-08-06"),
        ("a/gpt-4o@2024-08-06", "a", "gpt-4o-2024-08-06"),
        ("llama3.1@8b", "b", "llama3.1:8b"),
        ("gemini@001", "b", "gemini@001"),
        ("x@1", "c", "x-1"),
    ]:
        assert resolve(model, None, view) == Candidate(provider=provider, model=name)
    with pytest.raises(ModelNotFound):
        resolve("gpt-4o@1999", "a", view)


ABLE = View(
    default_provider="chats",
    providers={
        "chats": ProviderView(models=frozenset({"m", "one"}), default_model="one", kinds=frozenset({"chat"})),
        "ranks": ProviderView(
            models=frozenset({"m", "two"}), default_model="two", kinds=frozenset({"rerank", "image"})
        ),
    },
)


def test_a_model_is_asked_of_a_provider_that_gives_the_kind_of_answer_wanted() -> None:
    assert resolve("m", None, ABLE, Kind.CHAT) == Candidate(provider="chats", model="m")
    assert resolve("m", None, ABLE, Kind.RERANK) == Candidate(provider="ranks", model="m")
    assert resolve(None, None, ABLE, Kind.RERANK) == Candidate(provider="ranks", model="two")


@pytest.mark.parametrize(("model", "provider"), [("one", None), ("m", "chats"), ("chats/one", None), ("chats/m", None)])
def test_what_a_model_cannot_do_is_told_with_who_can(model: str, provider: str | None) -> None:
    with pytest.raises(ModelNotCapable) as caught:
        resolve(model, provider, ABLE, Kind.RERANK)
    assert (caught.value.status, caught.value.code, caught.value.param) == (404, "model_not_capable", "model")
    assert "These can: ranks." in caught.value.message


def test_a_provider_chooses_the_model_where_the_api_lets_callers_leave_it_out() -> None:
    assert resolve(None, None, ABLE, Kind.IMAGE) == Candidate(provider="ranks", model="")
    with pytest.raises(ModelNotCapable):
        resolve(None, None, ABLE, Kind.MODERATION)


UNKNOWN = [
    (VIEW, "gpt-5", None, "There is no model 'gpt-5'. Did you mean 'gpt-4'?"),
    (VIEW, "gpt-4", "ollama", "ollama has no model 'gpt-4'."),
    (VIEW, "openai/gpt-44", None, "openai has no model 'gpt-44'. Did you mean 'gpt-4'?"),
    (VIEW, "zzz", "openai", "openai has no model 'zzz'. There is: gpt-3.5-turbo, gpt-4, llama3.1."),
    (VIEW, None, "bare", "bare has no default model"),
    (VIEW, "a", "bare", "bare has no model 'a'."),
    (OPEN, "four", "a", "a has no model 'four'."),
    (View(), None, None, "There is no default provider"),
    (View(), "a", None, "There is no model 'a'."),
    (View(default_provider="gone"), "default", None, "There is no default provider"),
]


@pytest.mark.parametrize(("view", "model", "provider", "message"), UNKNOWN)
def test_a_name_nobody_has_is_told_with_what_there_is(
    view: View, model: str | None, provider: str | None, message: str
) -> None:
    with pytest.raises(ModelNotFound) as caught:
        resolve(model, provider, view)
    assert caught.value.message.startswith(message)
    assert (caught.value.status, caught.value.code, caught.value.param) == (404, "model_not_found", "model")


def test_an_unknown_provider_is_told_with_those_there_are() -> None:
    with pytest.raises(InvalidValue) as caught:
        resolve("gpt-4", "opena", VIEW)
    assert caught.value.message == "There is no provider 'opena'. There is: openai, ollama, huggingface, bare."
    assert caught.value.param == "provider"


HOSTILE = [
    "../../etc/passwd",
    "a\0b",
    "x" * 10_000,
    "\n\r\x1b[31m" * 50,
    "\u202e" * 200,
    "'; DROP TABLE",
    "{}",
    "%s%n",
    "/",
    "//",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_an_unknown_one_and_is_told_short_and_harmless(name: str) -> None:
    with pytest.raises(ModelNotFound) as caught:
        resolve(name, None, VIEW)
    assert len(caught.value.message) <= 300
    assert caught.value.message.isprintable()
    with pytest.raises(InvalidValue) as other:
        resolve("gpt-4", name, VIEW)
    assert len(other.value.message) <= 300
    assert other.value.message.isprintable()


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(
    st.none() | st.text(max_size=20) | st.sampled_from([case[1] for case in CASES]),
    st.none() | st.text(max_size=5) | st.sampled_from([*VIEW.providers]),
)
def test_whoever_answers_is_there_and_no_name_does_more_harm_than_not_to_be_found(
    model: str | None, provider: str | None
) -> None:
    with contextlib.suppress(InvalidValue, ModelNotFound):
        found = resolve(model, provider, VIEW)
        assert found.model in VIEW.providers[found.provider].models


def test_a_provider_that_is_left_out_is_named_where_its_model_may_be_meant() -> None:
    view = View(providers={"local": ProviderView(models=frozenset({"starter"}))}, left_out=frozenset({"openai"}))
    for model, provider in (("gpt-4", None), ("openai/gpt-4", None), ("gpt-4", "openai")):
        with pytest.raises((ModelNotFound, InvalidValue), match=r"not in use: openai \(`farmgate doctor` says why\)"):
            resolve(model, provider, view)


def test_a_model_that_is_configured_and_not_there_is_told_so_and_not_taken_for_another() -> None:
    view = View(providers={"local": ProviderView(models=frozenset({"starter"}))}, configured=frozenset({"startler"}))
    with pytest.raises(ModelNotFound, match=r"startler is configured, and its files are not there: `farmgate doctor`"):
        resolve("startler", None, view)


WITH_CLOUD = View(
    default_provider="ollama",
    providers={
        "ollama": ProviderView(models=frozenset({"llama3.1:latest"})),
        "openai": ProviderView(is_open=True),
        "vllm": ProviderView(models=frozenset({"served"}), is_open=True),
    },
)


@pytest.mark.parametrize(
    ("model", "provider", "name", "own"),
    [
        # who has it
        ("llama3.1", None, "ollama", "llama3.1:latest"),
        ("served", None, "vllm", "served"),
        # nobody has it: the default one gets it, whatever a cloud may have
        ("qwen3", None, "ollama", "qwen3"),
        ("library/qwen3", None, "ollama", "library/qwen3"),
        # the one that is named gets it
        ("ollama/qwen3", None, "ollama", "qwen3"),
        ("ollama/qwen3", "ollama", "ollama", "qwen3"),
        ("openai/qwen3", None, "openai", "qwen3"),
        ("qwen3", "openai", "openai", "qwen3"),
    ],
)
def test_who_gets_a_model(model: str, provider: str | None, name: str, own: str) -> None:
    assert who_gets(model, provider, WITH_CLOUD) == Candidate(provider=name, model=own)


def test_nobody_gets_a_model_where_nobody_is() -> None:
    with pytest.raises(ModelNotFound):
        who_gets("qwen3", None, View())
    with pytest.raises(InvalidValue):
        who_gets("qwen3", "nobody", WITH_CLOUD)


def test_no_name_is_longer_than_what_is_kept_of_it() -> None:
    assert resolve("x" * LONGEST_NAME, None, OPEN).model == "x" * LONGEST_NAME
    for model, provider in (("x" * (LONGEST_NAME + 1), None), ("b/" + "x" * LONGEST_NAME, None), ("x" * 3000, "b")):
        with pytest.raises(ModelNotFound) as refused:
            resolve(model, provider, OPEN)
        assert (refused.value.param, len(refused.value.message) < 200) == ("model", True)


def test_where_nobody_says_which_model_one_that_may_chat_is_asked() -> None:
    names = frozenset({"a-classifier", "gopher", "zephyr"})
    facts = {("local", "a-classifier"): Facts(lacks=frozenset({Capability.CHAT})), ("local", "gopher"): Facts()}
    view = View(default_provider="local", providers={"local": ProviderView(models=names)}, facts=facts)
    assert resolve(None, None, view).model == "gopher"
    only = View(
        default_provider="local", providers={"local": ProviderView(models=frozenset({"a-classifier"}))}, facts=facts
    )
    assert resolve(None, None, only).model == "a-classifier"


@pytest.mark.parametrize(("models", "asked"), [({"guide", "starter"}, "starter"), ({"guide"}, "guide")])
def test_where_nobody_says_which_model_the_guide_is_asked_last(models: set[str], asked: str) -> None:
    view = View(providers={"local": ProviderView(models=frozenset(models))}, default_provider="local")
    assert resolve(None, None, view).model == asked


@pytest.mark.parametrize("model", ["chat", "guide"])
def test_nobody_gets_an_adapter_who_did_not_name_it(model: str) -> None:
    models = frozenset({model, f"{model}:a", f"{model}:b"})
    view = View(default_provider="local", providers={"local": ProviderView(models=models)})
    assert resolve(None, None, view).model == model
    assert resolve(f"{model}:a", None, view).model == f"{model}:a"
    assert resolve(f"local/{model}:b", None, view).model == f"{model}:b"
    with pytest.raises(ModelNotFound):
        resolve(f"{model}:none", None, view)
