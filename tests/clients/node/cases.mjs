// OpenAI's client for Node and the Vercel AI SDK. Arguments: the gateway's base URL with `/v1`, and
// the key. Prints a line for each case; exits 1 when one failed.

import assert from "node:assert/strict";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embedMany, generateText, streamText, tool } from "ai";
import OpenAI, { toFile } from "openai";
import { z } from "zod";

const [baseURL, apiKey] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const compatible = createOpenAICompatible({ name: "callgate", baseURL, apiKey, includeUsage: true });
const openai = createOpenAI({ baseURL, apiKey });
const anthropic = createAnthropic({ baseURL, apiKey });
const models = ["gpt", "llama", "gemma", "claude"];
const messages = [{ role: "user", content: "hi" }];
const weather = tool({
  description: "The weather in a city.",
  inputSchema: z.object({ city: z.string() }),
  execute: async () => "sunny",
});

const cases = {
  "openai for node: chat": async () => {
    for (const model of models) {
      const reply = await client.chat.completions.create({ model, messages });
      assert.match(reply.choices[0].message.content, /^Hello world/);
    }
  },
  "openai for node: stream": async () => {
    for (const model of models) {
      const stream = client.chat.completions.stream({ model, messages });
      assert.match(await stream.finalContent(), /^Hello world/);
    }
  },
  "openai for node: responses": async () => {
    const reply = await client.responses.create({ model: "gpt", input: "hi" });
    assert.equal(reply.output_text, "Hello world");
  },
  "openai for node: embeddings": async () => {
    const reply = await client.embeddings.create({ model: "gpt", input: ["a", "b"] });
    assert.deepEqual(reply.data[1].embedding, [0.5, -1]);
  },
  "openai for node: transcription": async () => {
    const file = await toFile(Buffer.from("RIFF"), "a.wav");
    const reply = await client.audio.transcriptions.create({ model: "gpt", file });
    assert.equal(reply.text, "Hello world");
  },
  "openai for node: errors": async () => {
    const failing = client.chat.completions.create({ model: "error-429", messages });
    await assert.rejects(failing, OpenAI.RateLimitError);
    const unknown = client.chat.completions.create({ model: "nope", messages });
    await assert.rejects(unknown, OpenAI.BadRequestError);
    const cut = async () => {
      const stream = await client.chat.completions.create({ model: "truncated", messages, stream: true });
      for await (const _ of stream);
    };
    await assert.rejects(cut, OpenAI.APIError);
  },
  "ai sdk: text": async () => {
    for (const model of models) {
      const { text, usage } = await generateText({ model: compatible(model), prompt: "hi" });
      assert.match(text, /^Hello world/);
      assert(usage.totalTokens > 0);
    }
  },
  "ai sdk: stream": async () => {
    for (const model of models) {
      const result = streamText({ model: compatible(model), prompt: "hi" });
      assert.match(await result.text, /^Hello world/);
      assert((await result.usage).totalTokens > 0);
    }
  },
  "ai sdk: tools": async () => {
    for (const model of models.slice(0, 3)) {
      const { toolResults } = await generateText({
        model: compatible(model), prompt: "hi", tools: { get_weather: weather },
      });
      assert.equal(toolResults[0].output, "sunny");
    }
  },
  "ai sdk: openai's chat and responses": async () => {
    for (const model of [openai.chat("gpt"), openai.responses("gpt")]) {
      const { text } = await generateText({ model, prompt: "hi" });
      assert.match(text, /^Hello world/);
      const streamed = streamText({ model, prompt: "hi" });
      assert.match(await streamed.text, /^Hello world/);
    }
  },
  "ai sdk: anthropic's messages": async () => {
    const { text } = await generateText({ model: anthropic("claude"), prompt: "hi" });
    assert.equal(text, "Hello world");
    assert.equal(await streamText({ model: anthropic("claude"), prompt: "hi" }).text, "Hello world");
  },
  "ai sdk: both at any provider": async () => {
    for (const model of [openai.responses("claude"), openai.responses("vllm"), anthropic("gpt")]) {
      const { text, usage } = await generateText({ model, prompt: "hi" });
      assert.match(text, /^Hello world/);
      assert(usage.totalTokens > 0);
      assert.match(await streamText({ model, prompt: "hi" }).text, /^Hello world/);
    }
    for (const model of [openai.responses("vllm"), anthropic("gpt")]) {
      const asked = { model, prompt: "hi", tools: { get_weather: weather } };
      const { toolResults } = await generateText(asked);
      assert.equal(toolResults[0].output, "sunny");
      assert.equal((await streamText(asked).toolResults)[0].output, "sunny");
    }
  },
  "ai sdk: embeddings": async () => {
    const model = compatible.textEmbeddingModel("gpt");
    const { embeddings } = await embedMany({ model, values: ["a", "b"] });
    assert.deepEqual(embeddings, [[0.5, -1], [0.5, -1]]);
  },
  "ai sdk: errors": async () => {
    const failing = generateText({ model: compatible("error-429"), prompt: "hi", maxRetries: 0 });
    await assert.rejects(failing, (error) => error.statusCode === 429 && /refused/.test(error.message));
  },
};

for (const [name, run] of Object.entries(cases)) {
  try {
    await run();
    console.log(`ok      ${name}`);
  } catch (error) {
    process.exitCode = 1;
    console.log(`FAILED  ${name}`);
    console.error(error);
  }
}
