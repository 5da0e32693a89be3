"""Amazon's Bedrock and SageMaker, Cohere, and Triton."""

from __future__ import annotations

from dataclasses import replace

from tests.matrix.facts import Call, Fact, Tokens, Told
from tests.matrix.openai_rows import FILTERED, LENGTH, OPENAI_PLACES, THOUGHT, USAGE
from tests.matrix.provider import EVENT_STREAM, Provider, Recording
from tests.matrix.walking import Places

__all__ = ["BEDROCK", "COHERE", "SAGEMAKER", "TRITON"]

DAWN = "The gate opens at dawn. Ça va ?"
WHEN = "Dawn is when the gate opens."
OSLO = {"city": "Oslo"}


def events(file: str, told: Told) -> Recording:
    return Recording(file=file, told=told, kind=EVENT_STREAM)


CONTENT = r"messages\[\d+\]\.content"
BEDROCK_TOOL = r"toolConfig\.tools\[0\]\.toolSpec"
BEDROCK_PLACES: Places = {
    Fact.SYSTEM: r"system\[0\]\.text",
    Fact.USER: rf"{CONTENT}\[0\]\.text",
    Fact.FIRST_ID: rf"{CONTENT}\[0\]\.toolUse\.toolUseId",
    Fact.FIRST_NAME: rf"{CONTENT}\[0\]\.toolUse\.name",
    Fact.FIRST_ARGUMENTS: rf"{CONTENT}\[0\]\.toolUse\.input",
    Fact.SECOND_ID: rf"{CONTENT}\[1\]\.toolUse\.toolUseId",
    Fact.SECOND_NAME: rf"{CONTENT}\[1\]\.toolUse\.name",
    Fact.SECOND_ARGUMENTS: rf"{CONTENT}\[1\]\.toolUse\.input",
    Fact.FIRST_ANSWERED: rf"{CONTENT}\[0\]\.toolResult\.toolUseId",
    Fact.FIRST_RESULT: rf"{CONTENT}\[0\]\.toolResult\.content\[0\]\.text",
    Fact.SECOND_ANSWERED: rf"{CONTENT}\[1\]\.toolResult\.toolUseId",
    Fact.SECOND_RESULT: rf"{CONTENT}\[1\]\.toolResult\.content\[0\]\.text",
    Fact.QUESTION: rf"{CONTENT}\[\d\]\.text",
    Fact.IMAGE: rf"{CONTENT}\[\d\]\.image\.source\.bytes",
    Fact.IMAGE_TYPE: (rf"{CONTENT}\[\d\]\.image\.format", lambda told: told == "png"),
    Fact.TOOL_NAME: rf"{BEDROCK_TOOL}\.name",
    Fact.TOOL_DESCRIPTION: rf"{BEDROCK_TOOL}\.description",
    Fact.TOOL_SCHEMA: rf"{BEDROCK_TOOL}\.inputSchema\.json",
    Fact.SCHEMA: r"outputConfig\.textFormat\.structure\.jsonSchema\.schema",
    Fact.EFFORT: (
        r"additionalModelRequestFields\.(thinking\.budget_tokens|output_config\.effort)",
        lambda told: told == 16_384 or told == "high",
    ),
    Fact.TEMPERATURE: r"inferenceConfig\.temperature",
    Fact.MOST_TOKENS: r"inferenceConfig\.maxTokens",
    Fact.STOP: r"inferenceConfig\.stopSequences\[0\]",
    Fact.TOP_P: r"inferenceConfig\.topP",
    Fact.TOP_K: r"additionalModelRequestFields\.top_k",
    Fact.CHOICE: r"toolConfig\.toolChoice\.tool\.name",
}
BEDROCK_STREAMED = Told(
    text="I will look.",
    calls=(Call("weather", OSLO, "tooluse_a"), Call("clock", {}, "tooluse_b")),
    tokens=Tokens(prompt=413, completion=71),
    finish="tool_calls",
)
BEDROCK_USAGE = Told(text="Calm.", tokens=Tokens(prompt=1200, completion=70, cached=1024))
BEDROCK_THOUGHT = Told(text="At dawn. ", reasoning=WHEN, tokens=Tokens(prompt=46, completion=212))

BEDROCK = Provider(
    name="bedrock",
    title="Bedrock",
    form="Converse and ConverseStream of a Claude",
    dialect="bedrock",
    model="eu.anthropic.claude-sonnet-4-20250514-v1:0",
    entry={"apiKey": "bedrock-canary-0123456789", "options": {"region": "eu-west-1"}},
    whole_at=b"messageStop",
    places=BEDROCK_PLACES,
    recordings={
        "text": Recording(file="bedrock/text.json", told=Told(text=DAWN, tokens=Tokens(prompt=17, completion=11))),
        "stream": events("bedrock/stream.jsonl", Told(text=DAWN, tokens=Tokens(prompt=137, completion=11, cached=100))),
        "tools": Recording(
            file="bedrock/tools.json",
            told=Told(
                text="I will look.",
                calls=(Call("weather", OSLO | {"days": 2}, "tooluse_kZJMlvQmRJ6eAyJE5GIl7Q"),),
                tokens=Tokens(prompt=413, completion=71),
                finish="tool_calls",
            ),
        ),
        "tools_stream": events("bedrock/tools_stream.jsonl", BEDROCK_STREAMED),
        "parallel_tools": Recording(
            file="bedrock/parallel_tools.json",
            told=Told(calls=BEDROCK_STREAMED.calls, tokens=Tokens(prompt=420, completion=98), finish="tool_calls"),
        ),
        "parallel_tools_stream": events("bedrock/tools_stream.jsonl", BEDROCK_STREAMED),
        "structured": Recording(
            file="bedrock/structured.json", told=Told(text='{"opens":"dawn"}', tokens=Tokens(prompt=58, completion=9))
        ),
        "reasoning": Recording(file="bedrock/reasoning.json", told=BEDROCK_THOUGHT),
        "reasoning_stream": events("bedrock/reasoning_stream.jsonl", BEDROCK_THOUGHT),
        "usage": Recording(file="bedrock/usage.json", told=BEDROCK_USAGE),
        "usage_stream": events("bedrock/usage_stream.jsonl", BEDROCK_USAGE),
        "length": Recording(file="bedrock/length.json", told=LENGTH),
        "length_stream": events("bedrock/length_stream.jsonl", LENGTH),
        "filtered": Recording(file="bedrock/filtered.json", told=FILTERED),
        "filtered_stream": events("bedrock/filtered_stream.jsonl", FILTERED),
        "error_429": Recording(file="bedrock/error_429.json", status=429, error="Too many requests"),
        "error_400": Recording(file="bedrock/error_400.json", status=400, error="expected minimum item count"),
    },
)

SAGEMAKER_ONE = Call("weather", OSLO, "chatcmpl-tool-a")
SAGEMAKER_TWO = Told(
    calls=(SAGEMAKER_ONE, Call("clock", {}, "chatcmpl-tool-b")),
    tokens=Tokens(prompt=160, completion=33),
    finish="tool_calls",
)
SAGEMAKER_USAGE = replace(USAGE, tokens=Tokens(prompt=1200, completion=70, cached=1024))

SAGEMAKER = Provider(
    name="sagemaker",
    title="SageMaker",
    form="InvokeEndpoint and InvokeEndpointWithResponseStream around Chat Completions",
    dialect="openai in an event stream",
    model="farm-endpoint",
    entry={"options": {"region": "eu-west-1"}},
    whole_at=b'"finish_reason":"',
    places=OPENAI_PLACES,
    recordings={
        "text": Recording(
            file="sagemaker/text.json",
            told=Told(text="The gate opens at dawn.", tokens=Tokens(prompt=17, completion=7)),
        ),
        "stream": events("sagemaker/stream.jsonl", Told(text=DAWN, tokens=Tokens(prompt=17, completion=11))),
        "tools": Recording(
            file="sagemaker/tools.json",
            told=Told(calls=(SAGEMAKER_ONE,), tokens=Tokens(prompt=160, completion=21), finish="tool_calls"),
        ),
        "tools_stream": events("sagemaker/tools_stream.jsonl", SAGEMAKER_TWO),
        "parallel_tools": Recording(file="sagemaker/parallel_tools.json", told=SAGEMAKER_TWO),
        "parallel_tools_stream": events("sagemaker/tools_stream.jsonl", SAGEMAKER_TWO),
        "structured": Recording(
            file="sagemaker/structured.json",
            told=Told(text='{"opens":"dawn"}', tokens=Tokens(prompt=58, completion=9)),
        ),
        "reasoning": Recording(
            file="sagemaker/reasoning.json",
            told=Told(text="At dawn.", reasoning=WHEN, tokens=Tokens(prompt=30, completion=40)),
        ),
        "reasoning_stream": events(
            "sagemaker/reasoning_stream.jsonl", replace(THOUGHT, tokens=Tokens(prompt=31, completion=80))
        ),
        "usage": Recording(file="sagemaker/usage.json", told=SAGEMAKER_USAGE),
        "usage_stream": events("sagemaker/usage_stream.jsonl", SAGEMAKER_USAGE),
        "length": Recording(file="sagemaker/length.json", told=LENGTH),
        "length_stream": events("sagemaker/length_stream.jsonl", LENGTH),
        "error_429": Recording(
            file="sagemaker/error_429.json", status=424, heard_status=429, error="too many requests"
        ),
        "error_400": Recording(
            file="sagemaker/error_424.json", status=424, heard_status=400, error="temperature must be non-negative"
        ),
    },
)

COHERE_TOOL = r"tools\[0\]\.function"
COHERE_CALL = r"messages\[\d+\]\.tool_calls"
COHERE_RESULT = r"messages\[\d+\]\.content(\[\d+\](\.text|\.document\.data(\.\w+)?))?"
COHERE_PLACES: Places = {
    Fact.SYSTEM: r"messages\[0\]\.content(\[0\]\.text)?",
    Fact.USER: rf"{CONTENT}(\[0\]\.text)?",
    Fact.FIRST_ID: rf"{COHERE_CALL}\[0\]\.id",
    Fact.FIRST_NAME: rf"{COHERE_CALL}\[0\]\.function\.name",
    Fact.FIRST_ARGUMENTS: rf"{COHERE_CALL}\[0\]\.function\.arguments",
    Fact.SECOND_ID: rf"{COHERE_CALL}\[1\]\.id",
    Fact.SECOND_NAME: rf"{COHERE_CALL}\[1\]\.function\.name",
    Fact.SECOND_ARGUMENTS: rf"{COHERE_CALL}\[1\]\.function\.arguments",
    Fact.FIRST_ANSWERED: r"messages\[\d+\]\.tool_call_id",
    Fact.FIRST_RESULT: COHERE_RESULT,
    Fact.SECOND_ANSWERED: r"messages\[\d+\]\.tool_call_id",
    Fact.SECOND_RESULT: COHERE_RESULT,
    Fact.QUESTION: rf"{CONTENT}(\[\d\]\.text)?",
    Fact.IMAGE: rf"{CONTENT}\[\d\]\.image_url\.url",
    Fact.IMAGE_TYPE: rf"{CONTENT}\[\d\]\.image_url\.url",
    Fact.TOOL_NAME: rf"{COHERE_TOOL}\.name",
    Fact.TOOL_DESCRIPTION: rf"{COHERE_TOOL}\.description",
    Fact.TOOL_SCHEMA: rf"{COHERE_TOOL}\.parameters",
    Fact.SCHEMA: r"response_format\.json_schema",
    Fact.EFFORT: (r"thinking\.token_budget", lambda told: told == 16_384),
    Fact.TEMPERATURE: r"temperature",
    Fact.MOST_TOKENS: r"max_tokens",
    Fact.STOP: r"stop_sequences\[0\]",
    Fact.TOP_P: r"p",
    Fact.TOP_K: r"k",
    Fact.SEED: r"seed",
    Fact.PRESENCE: r"presence_penalty",
    Fact.FREQUENCY: r"frequency_penalty",
    # Cohere takes no name: the tool is offered alone, and one has to be called.
    Fact.CHOICE: (r"tool_choice", lambda told: told == "REQUIRED"),
}
COHERE_TOKENS = Tokens(prompt=71, completion=13, cached=64)
COHERE_TWO = (Call("weather", OSLO, "weather_7k"), Call("clock", {}, "clock_8m"))
COHERE_STREAMED = Told(
    text="I will look.", calls=COHERE_TWO, tokens=Tokens(prompt=913, completion=61), finish="tool_calls"
)

COHERE = Provider(
    name="cohere",
    title="Cohere",
    form="`/v2/chat`",
    dialect="cohere",
    model="command-a-03-2025",
    entry={"apiKey": "cohere-canary-0123456789"},
    whole_at=b"event: message-end",
    places=COHERE_PLACES,
    recordings={
        "text": Recording(file="cohere/text.json", told=Told(text=DAWN, tokens=COHERE_TOKENS)),
        "stream": Recording(file="cohere/stream.sse", told=Told(text=DAWN, tokens=COHERE_TOKENS)),
        "tools": Recording(
            file="cohere/tools.json",
            told=Told(
                text="I will look.",
                calls=COHERE_TWO[:1],
                tokens=Tokens(prompt=913, completion=61),
                finish="tool_calls",
            ),
        ),
        "tools_stream": Recording(file="cohere/tools_stream.sse", told=COHERE_STREAMED),
        "parallel_tools": Recording(
            file="cohere/parallel_tools.json",
            told=Told(text="Both.", calls=COHERE_TWO, tokens=Tokens(prompt=913, completion=80), finish="tool_calls"),
        ),
        "parallel_tools_stream": Recording(file="cohere/tools_stream.sse", told=COHERE_STREAMED),
        "structured": Recording(
            file="cohere/structured.json", told=Told(text='{"opens":"dawn"}', tokens=COHERE_TOKENS)
        ),
        "reasoning": Recording(
            file="cohere/reasoning.json",
            told=Told(text="At dawn.", reasoning=WHEN, tokens=COHERE_TOKENS, finish="length"),
        ),
        "reasoning_stream": Recording(
            file="cohere/reasoning_stream.sse", told=Told(text="At dawn.", reasoning=WHEN, tokens=COHERE_TOKENS)
        ),
        "usage": Recording(file="cohere/text.json", told=Told(text=DAWN, tokens=COHERE_TOKENS)),
        "usage_stream": Recording(file="cohere/stream.sse", told=Told(text=DAWN, tokens=COHERE_TOKENS)),
        "length": Recording(file="cohere/length.json", told=LENGTH),
        "length_stream": Recording(file="cohere/length_stream.sse", told=LENGTH),
        "error_429": Recording(file="cohere/error_429.json", status=429, error="limited to 20 API calls"),
        "error_400": Recording(file="cohere/error_400.json", status=400, error="temperature must be between"),
    },
)

SAMPLED = r"sampling_parameters"

TRITON_PLACES: Places = {
    Fact.SYSTEM: r"text_input",
    Fact.QUESTION: r"text_input",
    Fact.TEMPERATURE: (SAMPLED, lambda told: '"temperature":0.5' in str(told)),
    Fact.MOST_TOKENS: (SAMPLED, lambda told: '"max_tokens":640' in str(told)),
    Fact.STOP: (SAMPLED, lambda told: '"END OF LOG"]' in str(told)),
    Fact.TOP_P: (SAMPLED, lambda told: '"top_p":0.875' in str(told)),
    Fact.TOP_K: (SAMPLED, lambda told: '"top_k":40' in str(told)),
    Fact.SEED: (SAMPLED, lambda told: '"seed":20260301' in str(told)),
    Fact.PRESENCE: (SAMPLED, lambda told: '"presence_penalty":0.25' in str(told)),
    Fact.FREQUENCY: (SAMPLED, lambda told: '"frequency_penalty":0.75' in str(told)),
}
TRITON_TOLD = Told(text=DAWN, tokens=Tokens(prompt=9, completion=7))

TRITON = Provider(
    name="triton",
    title="Triton",
    form="`generate` and `generate_stream` with the inputs of the vLLM backend and a template for chats",
    dialect="triton",
    model="farm",
    entry={"options": {"template": "chatml"}},
    whole_at=b'"finish_reason":"',
    places=TRITON_PLACES,
    recordings={
        "text": Recording(file="triton/text.json", told=TRITON_TOLD),
        "stream": Recording(file="triton/stop_stream.sse", told=TRITON_TOLD),
        # A text has no thoughts apart: what is asked for is dropped, and so nothing of it is heard.
        "reasoning": Recording(file="triton/text.json", told=TRITON_TOLD),
        "reasoning_stream": Recording(file="triton/stop_stream.sse", told=TRITON_TOLD),
        "tools_stream": Recording(file="triton/stop_stream.sse", told=TRITON_TOLD),
        "usage": Recording(file="triton/text.json", told=TRITON_TOLD),
        "usage_stream": Recording(file="triton/stop_stream.sse", told=TRITON_TOLD),
        "length": Recording(file="triton/length.json", told=LENGTH),
        "length_stream": Recording(file="triton/stream.sse", told=replace(TRITON_TOLD, finish="length")),
        "error_429": Recording(file="triton/error_429.json", status=429, error="the harbour is full"),
        "error_400": Recording(file="triton/error_400.json", status=400, error="expected 4 inputs but got 3"),
    },
)
