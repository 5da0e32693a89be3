"""Providers from outside are found beside the configuration or among the packages, or it is said why not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from farmgate.core.answer import fold, gather
from farmgate.core.words import Chat, Message, Role
from farmgate.providers import custom
from farmgate.providers.custom import GROUP, CustomProviderError, entry_point_names, find
from farmgate.providers.provider import Provider
from farmgate.providers.settings import ProviderSettings
from farmgate.testing import request_of

SETTINGS = ProviderSettings(name="mine", options={"answer": 42})
SOURCE = """
from farmgate.core.model import Health, HealthStatus
from farmgate.providers.provider import ProviderBase

class Mine(ProviderBase):
    def __init__(self, settings):
        self.name = settings.name
        self.answer = settings.options["answer"]

    async def send(self, request):
        raise NotImplementedError

    async def models(self):
        return ()

    async def health(self):
        return Health(name=self.name, status=HealthStatus.HEALTHY)

number = 7
"""


@pytest.fixture(autouse=True)
def modules_as_before() -> Iterator[None]:
    modules, path = set(sys.modules), list(sys.path)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def offer(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    """Have installed packages offer providers."""
    points = tuple(EntryPoint(name=name, value=value, group=GROUP) for name, value in values.items())
    monkeypatch.setattr(custom, "entry_points", lambda *, group: points if group == GROUP else ())


async def test_a_class_beside_the_configuration_is_found_and_is_a_provider(tmp_path: Path) -> None:
    (tmp_path / "my_provider.py").write_text(SOURCE)
    make = find("my_provider:Mine", directory=tmp_path)
    assert make is not None
    provider = make(SETTINGS)
    assert isinstance(provider, Provider)
    assert (provider.name, vars(provider)["answer"]) == ("mine", 42)
    await provider.close()


def test_a_class_in_a_package_is_found(tmp_path: Path) -> None:
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package" / "__init__.py").touch()
    (tmp_path / "my_package" / "inner.py").write_text(SOURCE)
    assert find("my_package.inner:Mine", directory=tmp_path) is not None
    assert find("farmgate.providers.demo:DemoProvider", directory=tmp_path) is not None


@pytest.mark.parametrize(
    ("kind", "source", "said"),
    [
        ("not_there:Mine", SOURCE, "no module 'not_there'"),
        ("my_provider.inner:Mine", SOURCE, "no module 'my_provider.inner'"),
        ("my_provider:Yours", SOURCE, "no class 'Yours'"),
        ("my_provider:number", SOURCE, "no class 'number'"),
        ("my_provider:Mine", "import not_there", "no module 'not_there'"),
        ("my_provider:Mine", "from json import nothing", "ImportError"),
        ("my_provider:Mine", "def", "SyntaxError"),
        ("my_provider:Mine", "1 / 0", "ZeroDivisionError: division by zero"),
        (":Mine", SOURCE, "module:Class"),
        ("my_provider:", SOURCE, "module:Class"),
        ("my_provider:a:b", SOURCE, "module:Class"),
        (".my_provider:Mine", SOURCE, "module:Class"),
        ("../my_provider:Mine", SOURCE, "module:Class"),
        ("my provider:Mine", SOURCE, "module:Class"),
    ],
)
def test_what_cannot_be_used_is_told(tmp_path: Path, kind: str, source: str, said: str) -> None:
    (tmp_path / "my_provider.py").write_text(source)
    with pytest.raises(CustomProviderError) as refused:
        find(kind, directory=tmp_path)
    assert said in str(refused.value)
    assert kind in str(refused.value)


def test_a_package_can_offer_a_provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, theirs="farmgate.providers.demo:DemoProvider", another="json:loads")
    assert entry_point_names() == ["another", "theirs"]
    make = find("theirs", directory=tmp_path)
    assert make is not None
    assert make(SETTINGS).name == "mine"


@pytest.mark.parametrize("value", ["not_there:Mine", "json:nothing", "json:__name__"])
def test_a_package_that_does_not_hold_what_it_offers_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    offer(monkeypatch, theirs=value)
    with pytest.raises(CustomProviderError, match="theirs"):
        find("theirs", directory=tmp_path)


def test_a_name_nobody_offers_is_nothing(tmp_path: Path) -> None:
    assert find("nobody", directory=tmp_path) is None
    assert str(tmp_path) not in sys.path


async def test_the_example_in_the_docs_is_a_provider_that_answers(tmp_path: Path) -> None:
    docs = Path(__file__).parents[3] / "docs" / "providers.md"
    source = docs.read_text().split("```python\n")[1].split("```")[0]
    (tmp_path / "parrot_of_the_docs.py").write_text(source)
    make = find("parrot_of_the_docs:Parrot", directory=tmp_path)
    assert make is not None
    provider = make(ProviderSettings(name="parrot"))
    assert isinstance(provider, Provider)
    reply = await provider.send(request_of(Chat(messages=(Message(role=Role.USER, content="pretty bird"),))))
    assert fold(await gather(reply)).text == "pretty bird "
