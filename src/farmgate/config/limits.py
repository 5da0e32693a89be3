"""What one caller may send or hold, and how the server stops."""

from __future__ import annotations

from pydantic import Field

from farmgate.config.sections import MIB, Pause, Seconds, Section, Whole

__all__ = ["Drain", "Limits"]


class Limits(Section):
    """What one caller may send or hold. Sizes are in bytes, times in seconds."""

    body_bytes: Whole = Field(20 * MIB, ge=1024, le=1024 * MIB, description="Largest request body.")
    header_bytes: Whole = Field(32 * 1024, ge=1024, le=MIB, description="Largest request head: line and headers.")
    headers: Whole = Field(100, ge=8, le=1000, description="Most headers in one request.")
    json_depth: Whole = Field(64, ge=4, le=256, description="Deepest nesting of a JSON body.")
    json_nodes: Whole = Field(100_000, ge=100, le=10_000_000, description="Most values in a JSON body.")
    messages: Whole = Field(2048, ge=1, le=100_000, description="Most messages in one conversation.")
    tools: Whole = Field(256, ge=0, le=10_000, description="Most tools in one request.")
    embed_inputs: Whole = Field(2048, ge=1, le=100_000, description="Most texts in one embedding request.")
    in_flight: Whole = Field(4096, ge=1, le=1_000_000, description="Most requests at the same time.")
    queue: Whole = Field(1024, ge=0, le=1_000_000, description="Most requests that wait while so many are in flight.")
    queue_timeout_s: Seconds = Field(2, description="Time a request waits for its turn.")
    answer_bytes: Whole = Field(64 * MIB, ge=1024, le=1024 * MIB, description="Largest whole answer of a provider.")
    frame_bytes: Whole = Field(8 * MIB, ge=1024, le=256 * MIB, description="Largest single frame of a stream.")
    body_timeout_s: Seconds = Field(60, description="Time for a request body to arrive.")
    header_timeout_s: Seconds = Field(30, description="Time for a request head to arrive.")
    request_timeout_s: Seconds = Field(600, description="Time for a whole request, its answer included.")
    client_stall_s: Seconds = Field(30, description="Time a client may read nothing of what it is sent.")
    keep_alive_s: Seconds = Field(
        15, description="Silence before the first content of a stream after which comments keep its connection open."
    )


class Drain(Section):
    """How the server stops. Times are in seconds."""

    pre_stop_s: Pause = Field(0, description="Time between saying 'not ready' and closing the door.")
    timeout_s: Pause = Field(600, description="Time for requests in flight to finish.")
