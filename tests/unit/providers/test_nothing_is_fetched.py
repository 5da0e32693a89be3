"""An address in a message is never fetched here: a provider is told it as it stands, or the message is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.fakes.asking import asking, use_keys
from tests.fakes.providers import PROVIDERS
from tests.fakes.upstream import FakeUpstream, say, whole

from farmgate.core.errors import BadRequest, FarmError
from farmgate.core.words import Chat, ContentPart, FilePart, ImagePart, Message, Role, TextPart

REFUSED = {"image": {"bedrock", "triton", "ollama"}, "document": set(PROVIDERS) - {"anthropic", "gemini", "vertex"}}


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_keys(monkeypatch, tmp_path)


def part_at(kind: str, url: str) -> ContentPart:
    return ImagePart(url=url) if kind == "image" else FilePart(url=url)


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("name", PROVIDERS)
async def test_an_address_is_told_or_refused_and_never_fetched(name: str, kind: str) -> None:
    async with FakeUpstream(say(whole(b"PNG"))) as elsewhere, FakeUpstream(say(whole({}, status=404))) as fake:
        url = f"{elsewhere.url}/picture.png"
        words = Chat(messages=(Message(role=Role.USER, content=(TextPart(text="what"), part_at(kind, url))),))
        provider = PROVIDERS[name](fake.url)
        with pytest.raises(FarmError) as failed:
            await provider.send(asking(words))
        await provider.close()
        assert elsewhere.connections == 0
    if name in REFUSED[kind]:
        assert isinstance(failed.value, BadRequest)
        assert (failed.value.param or "").startswith("messages[0].content")
        assert fake.asked == []
    else:
        assert [url.encode() in asked.body.replace(b"\\/", b"/") for asked in fake.asked] == [True]
