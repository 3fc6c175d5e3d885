// The official Anthropic client for Node.js, unmodified, against a server that speaks its format.
//
// Takes ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY, as the client itself does, and the model's name from MODEL; the model must
// be the scripted model (tests/scripted-model). With DOOR=1 the server is NanoClaw's model door, which must refuse the
// tool that REFUSED_TOOL names. Prints `ok NAME` for each check and ends with 1 at the first that fails.

import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";

const { MODEL, REFUSED_TOOL = "shell" } = process.env;
const DOOR = process.env.DOOR === "1";
const PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=";
const SCHEMA = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};
const RESULTS = { Zürich: "rain", 北京: "sun" };
const TWO_CALLS = 'CALL weather {"city": "Zürich"}\nAND\nCALL weather {"city": "北京"}\nSPLIT 5';
const TEXT = "Grüße, 世界! This is a text.";
const DONE = "SCRIPT DONE\n[1] rain\n[2] sun";

const client = new Anthropic();
const tool = (name) => ({ name, description: "Tells.", input_schema: SCHEMA });
const request = (content, more) => ({ model: MODEL, max_tokens: 500, messages: [{ role: "user", content }], ...more });
const textOf = (message) => message.content.filter((b) => b.type === "text").map((b) => b.text).join("");

/** Answers the calls of `first(request)`, and gives the text that follows. */
async function toolRound(first) {
  const asked = request(TWO_CALLS, { tools: [tool("weather")] });
  const answer = await first(asked);
  assert.equal(answer.stop_reason, "tool_use");
  const calls = answer.content.filter((block) => block.type === "tool_use");
  assert.equal(new Set(calls.map((call) => call.id)).size, 2);
  const result = ({ id, input }) => ({ type: "tool_result", tool_use_id: id, content: RESULTS[input.city] });
  asked.messages.push({ role: "assistant", content: answer.content });
  asked.messages.push({ role: "user", content: calls.map(result) });
  return textOf(await client.messages.create(asked));
}

const checks = {
  async plain_answer() {
    const answer = await client.messages.create(request("SAY Good day to you.\nTOKENS 21 7", { system: "Be short." }));
    assert.equal(textOf(answer), "Good day to you.");
    assert.equal(answer.stop_reason, "end_turn");
    assert.deepEqual([answer.usage.input_tokens, answer.usage.output_tokens], [21, 7]);
  },

  async streamed_text() {
    const pieces = [];
    const stream = client.messages.stream(request(`SAY ${TEXT}\nTOKENS 21 7`)).on("text", (text) => pieces.push(text));
    const answer = await stream.finalMessage();
    assert.equal(pieces.join(""), TEXT);
    assert.equal(textOf(answer), TEXT);
    assert(pieces.length > 1, "it came in one piece");
    assert.deepEqual([answer.stop_reason, answer.usage.output_tokens], ["end_turn", 7]);
  },

  async streamed_tool_calls() {
    assert.equal(await toolRound((asked) => client.messages.stream(asked).finalMessage()), DONE);
  },

  async parallel_tool_calls() {
    assert.equal(await toolRound((asked) => client.messages.create(asked)), DONE);
  },

  async image_input() {
    const source = { type: "base64", media_type: "image/png", data: PIXEL };
    const content = [{ type: "image", source }, { type: "text", text: "SAY I see a pixel." }];
    assert.equal(textOf(await client.messages.create(request(content))), "I see a pixel.");
  },

  async counted_tokens() {
    const { model, messages } = request("How long is this?");
    assert((await client.messages.countTokens({ model, messages })).input_tokens > 0);
  },

  async model_list() {
    const names = [];
    for await (const model of client.models.list()) names.push(model.id);
    assert(DOOR ? names.includes(MODEL) : names.length > 0, names.join());
  },

  async bad_request() {
    const asked = { model: MODEL, max_tokens: 5, messages: "no list" };
    await assert.rejects(client.messages.create(asked), Anthropic.BadRequestError);
  },

  async time_out() {
    const hurried = client.withOptions({ timeout: 500, maxRetries: 0 });
    await assert.rejects(hurried.messages.create(request("LATENCY 5000")), Anthropic.APIConnectionTimeoutError);
  },

  async retried_after_an_overload() {
    const answer = await client.messages.create(request("FAIL 529 1\nSAY now it works (anthropic, node)"));
    assert.equal(textOf(answer), "now it works (anthropic, node)");
  },
};

const onlyProvider = {
  async rate_limit() {
    const ending = client.withOptions({ maxRetries: 0 });
    await assert.rejects(ending.messages.create(request("FAIL 429")), Anthropic.RateLimitError);
  },
};

const onlyDoor = {
  async unknown_model() {
    const known = (error) =>
      error instanceof Anthropic.NotFoundError && error.error.error.type === "not_found_error";
    await assert.rejects(client.messages.create({ ...request("hello"), model: "no-such-model" }), known);
  },

  async refused_tool_call() {
    const asked = request(`CALL ${REFUSED_TOOL} {"city": "Zürich"}`, { tools: [tool(REFUSED_TOOL)] });
    for (const answer of [await client.messages.create(asked), await client.messages.stream(asked).finalMessage()]) {
      assert(answer.content.every((block) => block.type === "text"), JSON.stringify(answer.content));
      assert.match(textOf(answer), /refused/);
      assert.equal(answer.stop_reason, "end_turn");
    }
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
