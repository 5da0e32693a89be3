"""What Google's answers say, in our words: whole answers and pieces of a stream have one form.

Fields that are left out or null are tolerated; anything of another kind than it should be is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

import msgspec

from farmgate.core.errors import UpstreamInvalidResponse
from farmgate.core.event import Finish, FinishReason, Logprobs, Part, Reasoning, Refusal, Text, ToolDelta, Usage
from farmgate.wire.gemini.calls import call_id
from farmgate.wire.gemini.errors import decode_told_error
from farmgate.wire.gemini.usage import decode_usage
from farmgate.wire.upstream import proved

__all__ = ["Reading"]

NONE = msgspec.Raw(b"")
NOTHING = (b"", b"null", b"{}")


class Blob(msgspec.Struct, rename="camel"):
    """Data in an answer."""

    mime_type: str | None = None


class Call(msgspec.Struct):
    """A call of a function. Its arguments always come whole."""

    name: str | None = None
    args: msgspec.Raw = NONE
    id: str | None = None


class ToldPart(msgspec.Struct, rename="camel"):
    """One part of a turn."""

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: Call | None = None
    inline_data: Blob | None = None


class Content(msgspec.Struct):
    """One turn."""

    parts: list[ToldPart] | None = None


class Token(msgspec.Struct, rename="camel"):
    """One token and how likely it was."""

    token: str | None = None
    log_probability: float | None = None


class Alternatives(msgspec.Struct):
    """The likeliest tokens at one place."""

    candidates: list[Token] | None = None


class ToldLogprobs(msgspec.Struct, rename="camel"):
    """How likely the tokens of an answer were."""

    chosen_candidates: list[Token] | None = None
    top_candidates: list[Alternatives] | None = None


class Candidate(msgspec.Struct, rename="camel"):
    """One of the answers asked for, or a piece of it."""

    index: int | None = None
    content: Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    logprobs_result: ToldLogprobs | None = None


class Feedback(msgspec.Struct, rename="camel"):
    """Why a prompt was not answered at all."""

    block_reason: str | None = None
    block_reason_message: str | None = None


class Told(msgspec.Struct, rename="camel"):
    """A whole answer, or a piece of a stream."""

    candidates: list[Candidate] | None = None
    prompt_feedback: Feedback | None = None
    usage_metadata: msgspec.Raw = NONE
    error: msgspec.Raw = NONE


decode_told = msgspec.json.Decoder(Told).decode

FINISHES: Mapping[str, FinishReason] = {
    "STOP": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    **dict.fromkeys(
        (
            *("SAFETY", "RECITATION", "LANGUAGE", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR"),
            *("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"),
        ),
        FinishReason.CONTENT_FILTER,
    ),
}
"""`OTHER` is what a filter says that does not tell its name. A word that is not here means that the answer ended."""
FAILURES: Mapping[str, str] = {
    "MALFORMED_FUNCTION_CALL": "its model wrote a tool call that cannot be read",
    "UNEXPECTED_TOOL_CALL": "its model called a tool it was not given",
    "TOO_MANY_TOOL_CALLS": "its model called too many tools in a row",
    "MISSING_THOUGHT_SIGNATURE": "a tool call in the conversation lacks the proof of its thinking",
    "MALFORMED_RESPONSE": "its model wrote something that cannot be read",
    "NO_IMAGE": "its model was to draw an image and drew none",
    "IMAGE_OTHER": "its model could not draw the image",
}


class Reading:
    """Reads the pieces of one answer in their order."""

    __slots__ = ("_calls", "_model", "_provider", "_request_id", "finished", "is_blocked", "seen", "usage")

    def __init__(self, *, provider: str, model: str, request_id: str) -> None:
        self._provider = provider
        self._model = model
        self._request_id = request_id
        self._calls: dict[int, int] = {}
        self.seen: set[int] = set()
        self.finished: set[int] = set()
        self.is_blocked = False
        """The prompt was not answered at all."""
        self.usage: Usage | None = None
        """The latest figures: each piece tells those up to itself."""

    def read(self, payload: bytes) -> list[Part]:
        """The words of one piece, its usage left out. Raises FarmError for the error in it, or nonsense."""
        told = self._look(payload)
        self.usage = decode_usage(bytes(told.usage_metadata)) or self.usage
        parts: list[Part] = []
        for at, candidate in enumerate(told.candidates or ()):
            parts += self._candidate(candidate, at if candidate.index is None else candidate.index)
        feedback = told.prompt_feedback
        if feedback is not None and feedback.block_reason and not self.seen:
            parts += self._blocked(feedback)
        return parts

    def _look(self, payload: bytes) -> Told:
        told = proved(payload, decode_told, self._provider, "sent something that is not a piece of an answer")
        if bytes(told.error) not in NOTHING:
            raise decode_told_error(payload, provider=self._provider, model=self._model)
        return told

    def _candidate(self, candidate: Candidate, choice: int) -> list[Part]:
        self.seen.add(choice)
        parts: list[Part] = []
        for part in (candidate.content.parts if candidate.content else None) or ():
            parts += self._part(part, choice)
        if candidate.logprobs_result is not None and (tokens := logprobs(candidate.logprobs_result)):
            parts.append(Logprobs(tokens, choice))
        if candidate.finish_reason and candidate.finish_reason != "FINISH_REASON_UNSPECIFIED":
            parts.append(Finish(self._reason(candidate, choice), choice))
            self.finished.add(choice)
        return parts

    def _part(self, part: ToldPart, choice: int) -> list[Part]:
        proof = [Reasoning("", choice, signature=part.thought_signature)] if part.thought_signature else []
        if part.function_call is not None:
            # Told as the thoughts' proof too: most dialects have no place for one in a call.
            return [*proof, self._call(part.function_call, part.thought_signature, choice)]
        if part.inline_data is not None:
            kind = (part.inline_data.mime_type or "data")[:60]
            raise UpstreamInvalidResponse(
                f"{self._provider} answered with {kind}, which a chat cannot pass on: ask a model that answers in text."
            )
        if not part.text:
            return [*proof]
        return [Reasoning(part.text, choice) if part.thought else Text(part.text, choice), *proof]

    def _call(self, call: Call, signature: str | None, choice: int) -> ToolDelta:
        index = self._calls.get(choice, 0)
        self._calls[choice] = index + 1
        args = bytes(call.args)
        if not call.name or not (args in NOTHING or args.startswith(b"{")):
            raise UpstreamInvalidResponse(f"{self._provider} sent a tool call that cannot be read.")
        return ToolDelta(
            index=index,
            id=call.id or call_id(self._request_id, choice, index),
            name=call.name,
            # Whole answers come indented, their arguments too.
            arguments="{}" if args in NOTHING else msgspec.json.format(args, indent=-1).decode(),
            choice=choice,
            signature=signature or None,
        )

    def _reason(self, candidate: Candidate, choice: int) -> FinishReason:
        told = candidate.finish_reason or ""
        if told in FAILURES:
            self._fail(told, candidate.finish_message)
        reason = FINISHES.get(told, FinishReason.STOP)
        return FinishReason.TOOL_CALLS if reason is FinishReason.STOP and self._calls.get(choice) else reason

    def _fail(self, reason: str, message: str | None) -> NoReturn:
        more = f" {message[:300]}" if message else ""
        raise UpstreamInvalidResponse(f"{self._provider} broke off ({reason}): {FAILURES[reason]}.{more}")

    def _blocked(self, feedback: Feedback) -> list[Part]:
        self.is_blocked = True
        self.seen.add(0)
        self.finished.add(0)
        why = f" {feedback.block_reason_message[:500]}" if feedback.block_reason_message else ""
        told = (
            f"{self._provider} does not answer this prompt: its filter says {(feedback.block_reason or '')[:60]}.{why}"
        )
        return [Refusal(told), Finish(FinishReason.CONTENT_FILTER)]


def logprobs(told: ToldLogprobs) -> tuple[Mapping[str, object], ...]:
    """The tokens of a piece, as OpenAI writes them."""
    others = [alternatives.candidates or [] for alternatives in told.top_candidates or ()]
    chosen = told.chosen_candidates or []
    return tuple(
        token_of(token) | {"top_logprobs": [token_of(other) for other in (others[at] if at < len(others) else ())]}
        for at, token in enumerate(chosen)
    )


def token_of(token: Token) -> dict[str, object]:
    text = token.token or ""
    logprob = -9999.0 if token.log_probability is None else token.log_probability
    return {"token": text, "logprob": logprob, "bytes": list(text.encode())}
