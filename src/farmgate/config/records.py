"""What is kept of what happened: the journal of calls, answers of the Responses API, the log."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from farmgate.config.sections import MIB, Section, Whole

__all__ = ["Journal", "Log", "Responses"]


class Journal(Section):
    """The local record of every call: who, which model, how many tokens. Never prompts."""

    enabled: bool = Field(True, description="Keep the journal.")
    segment_bytes: Whole = Field(64 * MIB, ge=4096, le=4096 * MIB, description="Size at which a new file is begun.")
    keep_segments: Whole = Field(16, ge=1, le=100_000, description="Most files kept; the oldest go first.")


class Responses(Section):
    """Where answers of the Responses API are kept, with what was asked: for `previous_response_id` and for GET."""

    store: Literal["memory", "disk", "off"] = Field(
        "memory", description="Where: memory is lost at a restart; disk is the data directory; off keeps none."
    )
    keep_days: Whole = Field(30, ge=1, le=3650, description="Days after which one is deleted.")
    keep_bytes: Whole = Field(
        64 * MIB, ge=MIB, le=1024 * 1024 * MIB, description="Most bytes of all together; the longest unused go first."
    )


class Log(Section):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least important event logged.")
    format: Literal["text", "json"] = Field("text", description="One line of text, or of JSON, per event.")
