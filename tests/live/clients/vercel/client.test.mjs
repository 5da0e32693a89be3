// The Vercel AI SDK on its OpenAI-compatible provider, with Farmgate as `baseURL`.
import assert from "node:assert/strict";
import { test } from "node:test";

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, embedMany, generateText, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const settings = { name: "farmgate", baseURL: process.env.FARMGATE_URL, apiKey: process.env.FARMGATE_KEY };
const farmgate = createOpenAICompatible({ ...settings, includeUsage: true, supportsStructuredOutputs: true });
const model = farmgate("demo");
const common = { model, maxRetries: 0 };

const weather = tool({
  description: "The weather in a city.",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `It rains in ${city}.`,
});
const asked = { ...common, prompt: "What is the weather in Paris?", tools: { weather }, stopWhen: stepCountIs(4) };

test("a text is generated, and its usage told", async () => {
  const answer = await generateText({ ...common, prompt: "Hello there" });
  assert.match(answer.text, /beginning with "Hello there"/);
  assert.equal(answer.finishReason, "stop");
  assert.equal(answer.usage.inputTokens, 2);
});

test("a text is streamed, and its usage told", async () => {
  const answer = streamText({ ...common, prompt: "Hello there" });
  const pieces = [];
  for await (const piece of answer.textStream) pieces.push(piece);
  assert.ok(pieces.length > 10);
  assert.match(pieces.join(""), /beginning with "Hello there"/);
  assert.equal(await answer.finishReason, "stop");
  assert.ok((await answer.usage).outputTokens > 10);
});

function wentWell(steps) {
  assert.equal(steps.length, 2);
  assert.deepEqual(
    steps[0].toolCalls.map((call) => [call.toolName, call.input]),
    [["weather", { city: "Paris" }]],
  );
  assert.equal(steps[0].finishReason, "tool-calls");
  assert.equal(steps[0].toolResults[0].output, "It rains in Paris.");
  assert.match(steps[1].text, /It rains in Paris\./);
}

test("a tool is called and its result heard", async () => {
  wentWell((await generateText(asked)).steps);
});

test("a tool is called and its result heard in a stream", async () => {
  wentWell(await streamText(asked).steps);
});

test("an answer has the shape it was asked for", async () => {
  const schema = z.object({ name: z.string(), age: z.number().int() });
  const answer = await generateText({
    ...common,
    prompt: "A dog called Rex, 3 years old",
    output: Output.object({ schema }),
  });
  assert.deepEqual(answer.output, { name: "Rex", age: 3 });
});

test("texts become vectors", async () => {
  const { embeddings } = await embedMany({
    model: farmgate.textEmbeddingModel("demo"),
    values: ["a cat", "a dog", "a cat"],
    maxRetries: 0,
  });
  assert.equal(embeddings[0].length, 64);
  assert.deepEqual(embeddings[0], embeddings[2]);
  assert.notDeepEqual(embeddings[0], embeddings[1]);
});

test("a wrong key is the SDK's own error", async () => {
  const stranger = createOpenAICompatible({ ...settings, apiKey: "a-guess" });
  await assert.rejects(generateText({ ...common, model: stranger("demo"), prompt: "Hello" }), (error) => {
    assert.ok(APICallError.isInstance(error));
    assert.equal(error.statusCode, 401);
    return true;
  });
});
