// The official OpenAI client for Node.js, unmodified, against a server that speaks its formats.
//
// Takes OPENAI_BASE_URL and OPENAI_API_KEY, as the client itself does, and the model's name from MODEL; the model must be
// the scripted model (tests/scripted-model). With DOOR=1 the server is NanoClaw's model door, which must refuse the tool
// that REFUSED_TOOL names. Prints `ok NAME` for each check and ends with 1 at the first that fails.

import assert from "node:assert/strict";
import OpenAI from "openai";

const { MODEL, EMBEDDING_MODEL = MODEL, REFUSED_TOOL = "shell" } = process.env;
const DOOR = process.env.DOOR === "1";
const PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=";
const PARAMETERS = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};
const RESULTS = { Zürich: "rain", 北京: "sun" };
const TWO_CALLS = 'CALL weather {"city": "Zürich"}\nAND\nCALL weather {"city": "北京"}\nSPLIT 5';
const TEXT = "Grüße, 世界! This is a text.";
const DONE = "SCRIPT DONE\n[1] rain\n[2] sun";

const client = new OpenAI();
const tool = (name) => ({ type: "function", function: { name, description: "Tells.", parameters: PARAMETERS } });
const ask = (content, more) =>
  client.chat.completions.create({ model: MODEL, messages: [{ role: "user", content }], ...more });
const resultOf = (text) => RESULTS[JSON.parse(text).city];

/** Answers the calls of `first(messages)`, and gives the text that follows. */
async function toolRound(first) {
  const messages = [{ role: "user", content: TWO_CALLS }];
  const message = await first(messages);
  assert.equal(new Set(message.tool_calls.map((call) => call.id)).size, 2);
  messages.push(message);
  for (const call of message.tool_calls) {
    assert.equal(call.function.name, "weather");
    messages.push({ role: "tool", tool_call_id: call.id, content: resultOf(call.function.arguments) });
  }
  const answer = await client.chat.completions.create({ model: MODEL, messages, tools: [tool("weather")] });
  return answer.choices[0].message.content;
}

const checks = {
  async plain_answer() {
    const answer = await ask("SAY Good day to you.\nTOKENS 21 7");
    assert.equal(answer.choices[0].message.content, "Good day to you.");
    assert.equal(answer.choices[0].finish_reason, "stop");
    assert.deepEqual([answer.usage.prompt_tokens, answer.usage.completion_tokens], [21, 7]);
  },

  async streamed_text() {
    const pieces = [];
    let usage;
    for await (const chunk of await ask(`SAY ${TEXT}\nTOKENS 21 7`, {
      stream: true,
      stream_options: { include_usage: true },
    })) {
      usage = chunk.usage ?? usage;
      if (chunk.choices[0]?.delta.content) pieces.push(chunk.choices[0].delta.content);
    }
    assert.equal(pieces.join(""), TEXT);
    assert(pieces.length > 1, "it came in one piece");
    assert.deepEqual([usage.prompt_tokens, usage.completion_tokens], [21, 7]);
  },

  async streamed_tool_calls() {
    const first = async (messages) => {
      const stream = client.chat.completions.stream({ model: MODEL, messages, tools: [tool("weather")] });
      const answer = await stream.finalChatCompletion();
      assert.equal(answer.choices[0].finish_reason, "tool_calls");
      return answer.choices[0].message;
    };
    assert.equal(await toolRound(first), DONE);
  },

  async parallel_tool_calls() {
    const first = async (messages) => {
      const tools = [tool("weather")];
      const answer = await client.chat.completions.create({ model: MODEL, messages, tools, parallel_tool_calls: true });
      assert.equal(answer.choices[0].finish_reason, "tool_calls");
      return answer.choices[0].message;
    };
    assert.equal(await toolRound(first), DONE);
  },

  async image_input() {
    const url = `data:image/png;base64,${PIXEL}`;
    const answer = await ask([{ type: "text", text: "SAY I see a pixel." }, { type: "image_url", image_url: { url } }]);
    assert.equal(answer.choices[0].message.content, "I see a pixel.");
  },

  async responses_plain() {
    const answer = await client.responses.create({ model: MODEL, input: "SAY Good day to you.\nTOKENS 21 7" });
    assert.deepEqual([answer.status, answer.output_text], ["completed", "Good day to you."]);
    assert.deepEqual([answer.usage.input_tokens, answer.usage.output_tokens], [21, 7]);
  },

  async responses_streamed_text() {
    const [kinds, pieces] = [[], []];
    for await (const event of await client.responses.create({ model: MODEL, input: `SAY ${TEXT}`, stream: true })) {
      kinds.push(event.type);
      if (event.type === "response.output_text.delta") pieces.push(event.delta);
    }
    assert.equal(pieces.join(""), TEXT);
    assert(pieces.length > 1, "it came in one piece");
    assert.deepEqual([kinds.at(0), kinds.at(-1)], ["response.created", "response.completed"]);
  },

  async responses_streamed_tool_calls() {
    const tools = [{ type: "function", name: "weather", parameters: PARAMETERS, strict: true }];
    const input = [{ role: "user", content: TWO_CALLS }];
    const answer = await client.responses.stream({ model: MODEL, input, tools }).finalResponse();
    const calls = answer.output.filter((item) => item.type === "function_call");
    assert.equal(new Set(calls.map((call) => call.call_id)).size, 2);
    input.push(...answer.output.map(({ parsed_arguments: _, ...item }) => item));
    for (const { call_id, arguments: text } of calls) {
      input.push({ type: "function_call_output", call_id, output: resultOf(text) });
    }
    assert.equal((await client.responses.create({ model: MODEL, input, tools })).output_text, DONE);
  },

  async embeddings() {
    const answer = await client.embeddings.create({ model: EMBEDDING_MODEL, input: ["one", "two", "one"] });
    const [one, two, again] = answer.data.map((item) => item.embedding);
    assert(one.length > 1);
    assert.deepEqual(one, again);
    assert.notDeepEqual(one, two);
  },

  async model_list() {
    const names = [];
    for await (const model of client.models.list()) names.push(model.id);
    assert(DOOR ? names.includes(MODEL) : names.length > 0, names.join());
  },

  async bad_request() {
    await assert.rejects(client.chat.completions.create({ model: MODEL, messages: "no list" }), OpenAI.BadRequestError);
  },

  async time_out() {
    const hurried = client.withOptions({ timeout: 500, maxRetries: 0 });
    const messages = [{ role: "user", content: "LATENCY 5000" }];
    const timedOut = OpenAI.APIConnectionTimeoutError;
    await assert.rejects(hurried.chat.completions.create({ model: MODEL, messages }), timedOut);
  },

  async retried_after_a_rate_limit() {
    const answer = await ask("FAIL 429 1\nSAY now it works (openai, node)");
    assert.equal(answer.choices[0].message.content, "now it works (openai, node)");
  },
};

const onlyProvider = {
  async rate_limit() {
    const ending = client.withOptions({ maxRetries: 0 });
    const messages = [{ role: "user", content: "FAIL 429" }];
    await assert.rejects(ending.chat.completions.create({ model: MODEL, messages }), OpenAI.RateLimitError);
  },
};

const onlyDoor = {
  async unknown_model() {
    const model = "no-such-model";
    const known = (error) => error instanceof OpenAI.NotFoundError && error.message.includes(model);
    await assert.rejects(client.chat.completions.create({ model, messages: [{ role: "user", content: "hi" }] }), known);
    await assert.rejects(client.responses.create({ model, input: "hi" }), known);
  },

  async refused_tool_call() {
    const script = `CALL ${REFUSED_TOOL} {"city": "Zürich"}`;
    const tools = [tool(REFUSED_TOOL)];
    const messages = [{ role: "user", content: script }];
    const streamed = await client.chat.completions.stream({ model: MODEL, messages, tools }).finalChatCompletion();
    for (const { choices } of [await ask(script, { tools }), streamed]) {
      assert(!choices[0].message.tool_calls?.length, JSON.stringify(choices));
      assert.match(choices[0].message.content, /refused/);
      assert.equal(choices[0].finish_reason, "stop");
    }
    const flat = [{ type: "function", name: REFUSED_TOOL, parameters: PARAMETERS, strict: true }];
    const answer = await client.responses.stream({ model: MODEL, input: script, tools: flat }).finalResponse();
    assert(answer.output.every((item) => item.type === "message"), JSON.stringify(answer.output));
    assert.match(answer.output_text, /refused/);
  },
};

for (const [name, check] of Object.entries({ ...checks, ...(DOOR ? onlyDoor : onlyProvider) })) {
  try {
    await check();
  } catch (error) {
    console.error(error);
    console.error(`failed ${name}`);
    process.exit(1);
  }
  console.log(`ok ${name}`);
}
