#!/usr/bin/env python3
"""The official OpenAI client, unmodified, against a server that speaks its formats.

Takes OPENAI_BASE_URL and OPENAI_API_KEY, as the client itself does, and the model's name from MODEL; the model must be the
scripted model (tests/scripted-model). With DOOR=1 the server is NanoClaw's model door, which must refuse the tool that
REFUSED_TOOL names. Prints `ok NAME` for each check and ends with 1 at the first that fails.
"""

import json
import os
import sys
import traceback

import openai

MODEL = os.environ["MODEL"]
DOOR = os.environ.get("DOOR") == "1"
REFUSED_TOOL = os.environ.get("REFUSED_TOOL", "shell")
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
RESULTS = {"Zürich": "rain", "北京": "sun"}
TWO_CALLS = 'CALL weather {"city": "Zürich"}\nAND\nCALL weather {"city": "北京"}\nSPLIT 5'

client = openai.OpenAI()


def tool(name):
    return {"type": "function", "function": {"name": name, "description": "Tells.", "parameters": PARAMETERS}}


def ask(script, **more):
    return client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": script}], **more)


def raises(error, act):
    try:
        act()
    except error as raised:
        return raised
    raise AssertionError(f"no {error.__name__}")


def plain_answer():
    answer = ask("SAY Good day to you.\nTOKENS 21 7")
    assert answer.choices[0].message.content == "Good day to you.", answer
    assert answer.choices[0].finish_reason == "stop", answer
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (21, 7), answer.usage


def streamed_text():
    text, pieces, usage, finish = "", 0, None, None
    for chunk in ask("SAY Grüße, 世界! This is a text.\nTOKENS 21 7", stream=True, stream_options={"include_usage": True}):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            pieces += bool(choice.delta.content)
            finish = choice.finish_reason or finish
    assert text == "Grüße, 世界! This is a text.", text
    assert pieces > 1, "it came in one piece"
    assert finish == "stop", finish
    assert (usage.prompt_tokens, usage.completion_tokens) == (21, 7), usage


def streamed_call(messages):
    """The assistant's message of a streamed answer."""
    text, calls, finish = "", {}, None
    stream = client.chat.completions.create(model=MODEL, messages=messages, tools=[tool("weather")], stream=True)
    for chunk in stream:
        for choice in chunk.choices:
            finish = choice.finish_reason or finish
            text += choice.delta.content or ""
            for part in choice.delta.tool_calls or []:
                call = calls.setdefault(part.index, {"id": part.id, "name": part.function.name, "arguments": ""})
                call["arguments"] += part.function.arguments or ""
    assert finish == ("tool_calls" if calls else "stop"), finish
    made = [
        {"id": c["id"], "type": "function", "function": {"name": c["name"], "arguments": c["arguments"]}}
        for c in calls.values()
    ]
    return {"role": "assistant", "content": text or None, **({"tool_calls": made} if made else {})}


def tool_round(first):
    """Answers the calls of `first(messages)`, and gives the text that follows and the number of calls."""
    messages = [{"role": "user", "content": TWO_CALLS}]
    message = first(messages)
    messages.append(message)
    for call in message["tool_calls"]:
        assert call["function"]["name"] == "weather", call
        content = RESULTS[json.loads(call["function"]["arguments"])["city"]]
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": content})
    return streamed_call(messages)["content"], len({call["id"] for call in message["tool_calls"]})


def streamed_tool_calls():
    assert tool_round(streamed_call) == ("SCRIPT DONE\n[1] rain\n[2] sun", 2)


def parallel_tool_calls():
    def first(messages):
        answer = client.chat.completions.create(
            model=MODEL, messages=messages, tools=[tool("weather")], parallel_tool_calls=True
        )
        assert answer.choices[0].finish_reason == "tool_calls", answer
        return answer.choices[0].message.model_dump(exclude_none=True)

    assert tool_round(first) == ("SCRIPT DONE\n[1] rain\n[2] sun", 2)


def stream_helper():
    messages = [{"role": "user", "content": TWO_CALLS}]
    with client.chat.completions.stream(model=MODEL, messages=messages, tools=[tool("weather")]) as stream:
        message = stream.get_final_completion().choices[0].message
    assert [json.loads(c.function.arguments)["city"] for c in message.tool_calls] == list(RESULTS), message


def image_input():
    content = [
        {"type": "text", "text": "SAY I see a pixel."},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
    ]
    answer = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": content}])
    assert answer.choices[0].message.content == "I see a pixel.", answer


def json_schema():
    form = {"type": "json_schema", "json_schema": {"name": "weather", "schema": PARAMETERS, "strict": True}}
    answer = ask('SAY {"city": "Zürich"}', response_format=form)
    assert json.loads(answer.choices[0].message.content) == {"city": "Zürich"}, answer


def responses_plain():
    answer = client.responses.create(model=MODEL, input="SAY Good day to you.\nTOKENS 21 7", instructions="Be short.")
    assert (answer.status, answer.output_text) == ("completed", "Good day to you."), answer
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (21, 7), answer.usage


def responses_streamed_text():
    text, kinds, numbers = "", [], []
    for event in client.responses.create(model=MODEL, input="SAY Grüße, 世界! This is a text.", stream=True):
        kinds.append(event.type)
        numbers.append(event.sequence_number)
        if event.type == "response.output_text.delta":
            text += event.delta
    assert text == "Grüße, 世界! This is a text.", text
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed"), kinds
    assert kinds.count("response.output_text.delta") > 1, "it came in one piece"
    assert numbers == sorted(set(numbers)), numbers


def responses_streamed_tool_calls():
    tools = [{"type": "function", "name": "weather", "parameters": PARAMETERS, "strict": True}]
    items = [{"role": "user", "content": TWO_CALLS}]
    with client.responses.stream(model=MODEL, input=items, tools=tools) as stream:
        for _ in stream:
            pass
        answer = stream.get_final_response()
    calls = [item for item in answer.output if item.type == "function_call"]
    assert len({call.call_id for call in calls}) == 2, answer
    items += [item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in answer.output]
    for call in calls:
        output = RESULTS[json.loads(call.arguments)["city"]]
        items.append({"type": "function_call_output", "call_id": call.call_id, "output": output})
    answer = client.responses.create(model=MODEL, input=items, tools=tools)
    assert answer.output_text == "SCRIPT DONE\n[1] rain\n[2] sun", answer


def embeddings():
    answer = client.embeddings.create(model=os.environ.get("EMBEDDING_MODEL", MODEL), input=["one", "two", "one"])
    one, two, again = (item.embedding for item in answer.data)
    assert len(one) == len(two) > 1, answer
    assert one == again != two, answer


def model_list():
    names = [model.id for model in client.models.list()]
    assert (MODEL in names) if DOOR else names, names


def bad_request():
    raises(openai.BadRequestError, lambda: client.chat.completions.create(model=MODEL, messages="no list"))


def retried_after_a_rate_limit():
    answer = ask("FAIL 429 1\nSAY now it works (openai, python)")
    assert answer.choices[0].message.content == "now it works (openai, python)", answer


def rate_limit():
    error = raises(openai.RateLimitError, lambda: client.with_options(max_retries=0).chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "FAIL 429"}]
    ))
    assert error.status_code == 429 and error.code, error


def time_out():
    hurried = client.with_options(timeout=0.5, max_retries=0)
    messages = [{"role": "user", "content": "LATENCY 5000"}]
    raises(openai.APITimeoutError, lambda: hurried.chat.completions.create(model=MODEL, messages=messages))
    raises(openai.APITimeoutError, lambda: hurried.responses.create(model=MODEL, input="LATENCY 5000"))


def unknown_model():
    for act in (
        lambda: client.chat.completions.create(model="no-such-model", messages=[{"role": "user", "content": "hello"}]),
        lambda: client.responses.create(model="no-such-model", input="hello"),
        lambda: client.models.retrieve("no-such-model"),
    ):
        error = raises(openai.NotFoundError, act)
        assert "no-such-model" in error.message, error.message


def refused_tool_call():
    script = f'CALL {REFUSED_TOOL} {{"city": "Zürich"}}'
    message = ask(script, tools=[tool(REFUSED_TOOL)]).choices[0].message
    assert not message.tool_calls, message
    assert "refused" in message.content and REFUSED_TOOL in message.content, message

    text, finish = "", None
    for chunk in ask(script, tools=[tool(REFUSED_TOOL)], stream=True):
        for choice in chunk.choices:
            assert not choice.delta.tool_calls, chunk
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
    assert ("refused" in text, finish) == (True, "stop"), (text, finish)

    tools = [{"type": "function", "name": REFUSED_TOOL, "parameters": PARAMETERS}]
    with client.responses.stream(model=MODEL, input=script, tools=tools) as stream:
        for _ in stream:
            pass
        answer = stream.get_final_response()
    assert all(item.type == "message" for item in answer.output), answer
    assert "refused" in answer.output_text, answer


CHECKS = [
    plain_answer,
    streamed_text,
    streamed_tool_calls,
    parallel_tool_calls,
    stream_helper,
    image_input,
    json_schema,
    responses_plain,
    responses_streamed_text,
    responses_streamed_tool_calls,
    embeddings,
    model_list,
    bad_request,
    time_out,
    retried_after_a_rate_limit,
    *([unknown_model, refused_tool_call] if DOOR else [rate_limit]),
]

for check in CHECKS:
    try:
        check()
    except Exception:
        traceback.print_exc()
        sys.exit(f"failed {check.__name__}")
    print("ok", check.__name__, flush=True)
