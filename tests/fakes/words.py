"""Conversations of every kind, sensible or not, to write in any dialect."""

from __future__ import annotations

from hypothesis import strategies as st

from farmgate.core.words import (
    AudioPart,
    CacheMark,
    Chat,
    FilePart,
    FormatKind,
    HostedTool,
    ImagePart,
    Message,
    OtherPart,
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

__all__ = ["PIXEL", "chats"]

PIXEL = "data:image/png;base64,iVBORw0KGgo="
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
NAMES = st.text(st.sampled_from("abcdefghij_-"), min_size=1, max_size=8)
CACHES = st.none() | st.builds(CacheMark, ttl=st.sampled_from([None, "5m", "1h", "9d"]))
PARTS = st.one_of(
    st.builds(TextPart, text=TEXTS, cache=CACHES),
    st.builds(ImagePart, url=st.just(PIXEL) | TEXTS, cache=CACHES, detail=st.sampled_from([None, "auto", "low"])),
    st.builds(AudioPart, data=st.just("AAAA"), format=st.sampled_from(["wav", "x"])),
    st.builds(FilePart, text=TEXTS, name=st.none() | TEXTS, cache=CACHES),
    st.builds(FilePart, data=st.just("AAAA"), name=st.none() | TEXTS),
    st.builds(ThinkingPart, text=TEXTS, signature=st.none() | TEXTS),
    st.builds(ThinkingPart, redacted=st.just("AAAA")),
    st.builds(OtherPart, kind=TEXTS, data=st.just({})),
)
USES = st.builds(ToolUse, id=TEXTS, name=NAMES, arguments=st.sampled_from(["{}", '{"a":1}', "", "[1]", "{"]))
MESSAGES = st.builds(
    Message,
    role=st.sampled_from(list(Role)),
    content=st.none() | TEXTS | st.lists(PARTS, max_size=3).map(tuple),
    name=st.none() | NAMES,
    tool_uses=st.lists(USES, max_size=2).map(tuple),
    tool_call_id=st.none() | TEXTS,
    is_error=st.booleans(),
)
CHATS: st.SearchStrategy[Chat] = st.builds(
    Chat,
    messages=st.lists(MESSAGES, min_size=1, max_size=4).map(tuple),
    sampling=st.builds(
        Sampling,
        temperature=st.none() | st.floats(0, 1.2),
        top_k=st.none() | st.integers(1, 99),
        max_tokens=st.none() | st.integers(1, 1 << 30),
        stop=st.lists(TEXTS, max_size=2).map(tuple),
    ),
    tools=st.lists(
        st.builds(Tool, name=NAMES, cache=CACHES, strict=st.none() | st.booleans())
        | st.builds(HostedTool, kind=NAMES, data=st.just({})),
        max_size=2,
    ).map(tuple),
    response_format=st.none() | st.builds(ResponseFormat, kind=st.sampled_from(list(FormatKind))),
    tool_choice=st.none() | st.builds(ToolChoice, mode=st.sampled_from(list(ToolMode)), name=NAMES),
    thinking=st.none() | st.builds(Thinking, effort=st.sampled_from([None, "none", "low", "max"])),
    extra=st.dictionaries(st.sampled_from(["metadata", "service_tier", "x_y"]), TEXTS, max_size=2),
)


def chats() -> st.SearchStrategy[Chat]:
    """Any chat a caller could have asked for."""
    return CHATS
