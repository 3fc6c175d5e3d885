#!/usr/bin/env python3
"""The official Anthropic client, unmodified, against a server that speaks its format.

Takes ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY, as the client itself does, and the model's name from MODEL; the model must be
the scripted model (tests/scripted-model). With DOOR=1 the server is NanoClaw's model door, which must refuse the tool
that REFUSED_TOOL names. Prints `ok NAME` for each check and ends with 1 at the first that fails.
"""

import os
import sys
import traceback

import anthropic

MODEL = os.environ["MODEL"]
DOOR = os.environ.get("DOOR") == "1"
REFUSED_TOOL = os.environ.get("REFUSED_TOOL", "shell")
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
RESULTS = {"Zürich": "rain", "北京": "sun"}
TWO_CALLS = 'CALL weather {"city": "Zürich"}\nAND\nCALL weather {"city": "北京"}\nSPLIT 5'

client = anthropic.Anthropic()


def tool(name):
    return {"name": name, "description": "Tells.", "input_schema": SCHEMA}


def request(content, **more):
    return {"model": MODEL, "max_tokens": 500, "messages": [{"role": "user", "content": content}], **more}


def text_of(message):
    return "".join(block.text for block in message.content if block.type == "text")


def raises(error, act):
    try:
        act()
    except error as raised:
        return raised
    raise AssertionError(f"no {error.__name__}")


def plain_answer():
    answer = client.messages.create(**request("SAY Good day to you.\nTOKENS 21 7", system="Be short."))
    assert text_of(answer) == "Good day to you.", answer
    assert answer.stop_reason == "end_turn", answer
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (21, 7), answer.usage


def streamed_text():
    with client.messages.stream(**request("SAY Grüße, 世界! This is a text.\nTOKENS 21 7")) as stream:
        pieces = list(stream.text_stream)
        answer = stream.get_final_message()
    assert "".join(pieces) == text_of(answer) == "Grüße, 世界! This is a text.", pieces
    assert len(pieces) > 1, "it came in one piece"
    assert answer.stop_reason == "end_turn", answer
    assert answer.usage.output_tokens == 7, answer.usage


def raw_events():
    stream = client.messages.create(**request("SAY Good day to you."), stream=True)
    kinds = [event.type for event in stream]
    assert kinds[0] == "message_start" and kinds[-2:] == ["message_delta", "message_stop"], kinds
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 1, kinds


def tool_round(first):
    """Answers the calls of `first(request)`, and gives the text that follows and the number of calls."""
    asked = request(TWO_CALLS, tools=[tool("weather")])
    answer = first(asked)
    assert answer.stop_reason == "tool_use", answer
    calls = [block for block in answer.content if block.type == "tool_use"]
    results = [
        {"type": "tool_result", "tool_use_id": call.id, "content": RESULTS[call.input["city"]]} for call in calls
    ]
    content = [block.model_dump(exclude_none=True) for block in answer.content]
    asked["messages"] += [{"role": "assistant", "content": content}, {"role": "user", "content": results}]
    return text_of(client.messages.create(**asked)), len({call.id for call in calls})


def streamed_tool_calls():
    def first(asked):
        with client.messages.stream(**asked) as stream:
            return stream.get_final_message()

    assert tool_round(first) == ("SCRIPT DONE\n[1] rain\n[2] sun", 2)


def parallel_tool_calls():
    assert tool_round(lambda asked: client.messages.create(**asked)) == ("SCRIPT DONE\n[1] rain\n[2] sun", 2)


def image_input():
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    content = [{"type": "image", "source": source}, {"type": "text", "text": "SAY I see a pixel."}]
    assert text_of(client.messages.create(**request(content))) == "I see a pixel."


def counted_tokens():
    asked = request("How long is this?")
    del asked["max_tokens"]
    assert client.messages.count_tokens(**asked).input_tokens > 0


def model_list():
    names = [model.id for model in client.models.list()]
    assert (MODEL in names) if DOOR else names, names


def bad_request():
    raises(anthropic.BadRequestError, lambda: client.messages.create(model=MODEL, max_tokens=5, messages="no list"))


def rate_limit():
    asked = request("FAIL 429")
    error = raises(anthropic.RateLimitError, lambda: client.with_options(max_retries=0).messages.create(**asked))
    assert error.body["error"]["type"] == "rate_limit_error", error.body


def retried_after_an_overload():
    answer = client.messages.create(**request("FAIL 529 1\nSAY now it works (anthropic, python)"))
    assert text_of(answer) == "now it works (anthropic, python)", answer


def time_out():
    hurried = client.with_options(timeout=0.5, max_retries=0)
    raises(anthropic.APITimeoutError, lambda: hurried.messages.create(**request("LATENCY 5000")))


def unknown_model():
    for act in (
        lambda: client.messages.create(**{**request("hello"), "model": "no-such-model"}),
        lambda: client.models.retrieve("no-such-model"),
    ):
        error = raises(anthropic.NotFoundError, act)
        assert error.body["error"]["type"] == "not_found_error", error.body
        assert "no-such-model" in error.body["error"]["message"], error.body


def refused_tool_call():
    asked = request(f'CALL {REFUSED_TOOL} {{"city": "Zürich"}}', tools=[tool(REFUSED_TOOL)])
    with client.messages.stream(**asked) as stream:
        streamed = stream.get_final_message()
    for answer in (client.messages.create(**asked), streamed):
        assert all(block.type == "text" for block in answer.content), answer
        assert "refused" in text_of(answer) and REFUSED_TOOL in text_of(answer), answer
        assert answer.stop_reason == "end_turn", answer


CHECKS = [
    plain_answer,
    streamed_text,
    raw_events,
    streamed_tool_calls,
    parallel_tool_calls,
    image_input,
    counted_tokens,
    model_list,
    bad_request,
    time_out,
    retried_after_an_overload,
    *([unknown_model, refused_tool_call] if DOOR else [rate_limit]),
]

for check in CHECKS:
    try:
        check()
    except Exception:
        traceback.print_exc()
        sys.exit(f"failed {check.__name__}")
    print("ok", check.__name__, flush=True)
