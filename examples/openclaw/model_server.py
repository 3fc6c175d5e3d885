#!/usr/bin/env python3
"""Scripted model server: a mock of a model, for running an agent without one.

Speaks OpenAI chat completions (POST /v1/chat/completions), as one JSON answer or as server-sent events, and
GET /v1/models. It understands nothing. The first user message of a request is its script: every line of the form

    CALL tool {"argument": "value"}

is a tool call that it proposes, in order, one per turn of the conversation; other lines are ignored. When all of them have a
result, it answers with the text

    SCRIPT DONE
    [1] first result
    [2] second result

A script that cannot be read is answered with a text that says so and no tool call.

The first line on standard output is the port, once the server listens. With --log FILE each request adds one JSON line
(step, tools offered, body size). Only 127.0.0.1 is listened on, and the server ends by itself after --seconds.
"""

import argparse
import json
import re
import socketserver
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MAX_BODY = 8 * 1024 * 1024
MAX_CALLS = 32
MAX_RESULT = 16 * 1024
CALL = re.compile(r"\bCALL ([A-Za-z0-9_.-]+) (?=\{)")


class ScriptError(ValueError):
    """A directive that cannot be carried out."""


def text_of(content):
    """The text of a message's content, which is a string or a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(part.get("text") or "" for part in content if isinstance(part, dict))
    return ""


def calls_in(text):
    """The tool calls that a script asks for, as (name, arguments) pairs."""
    calls = []
    decoder = json.JSONDecoder()
    at = 0
    while match := CALL.search(text, at):
        try:
            arguments, at = decoder.raw_decode(text, match.end())
        except json.JSONDecodeError as error:
            raise ScriptError(f"arguments of `CALL {match.group(1)}` are not JSON: {error}") from error
        calls.append((match.group(1), arguments))
    if len(calls) > MAX_CALLS:
        raise ScriptError(f"{len(calls)} tool calls, at most {MAX_CALLS} are allowed")
    return calls


def next_answer(messages):
    """What the mock says next: ("call", step, name, arguments) or ("text", step, text)."""
    try:
        script = next((c for m in messages if m.get("role") == "user" and (c := calls_in(text_of(m.get("content"))))), [])
    except ScriptError as error:
        return ("text", 0, f"SCRIPT ERROR: {error}")
    results = [text_of(m.get("content"))[:MAX_RESULT] for m in messages if m.get("role") == "tool"]
    step = len(results)
    if step < len(script):
        return ("call", step, *script[step])
    lines = [f"[{number}] {result}" for number, result in enumerate(results, 1)]
    return ("text", step, "\n".join(["SCRIPT DONE", *lines]))


def as_message(answer):
    """The assistant message and finish reason for an answer."""
    if answer[0] == "call":
        _, step, name, arguments = answer
        call = {
            "id": f"call_{step + 1}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)},
        }
        return {"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls"
    return {"role": "assistant", "content": answer[2]}, "stop"


def usage_of(body_size):
    """A usage object: four bytes count as a token, which is near enough for a mock."""
    prompt = body_size // 4
    return {"prompt_tokens": prompt, "completion_tokens": 16, "total_tokens": prompt + 16}


def chunks(message, finish, usage, head):
    """The same answer as the events of a stream."""

    def chunk(delta, finish_reason=None):
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return {**head, "object": "chat.completion.chunk", "choices": [choice]}

    yield chunk({"role": "assistant", "content": ""})
    for index, call in enumerate(message.get("tool_calls", [])):
        yield chunk({"tool_calls": [{"index": index, **call}]})
    if message.get("content"):
        yield chunk({"content": message["content"]})
    yield chunk({}, finish)
    yield {**head, "object": "chat.completion.chunk", "choices": [], "usage": usage}


class Handler(BaseHTTPRequestHandler):
    """One connection from the agent."""

    protocol_version = "HTTP/1.1"
    server_version = "mock-model"
    timeout = 60

    def do_GET(self):
        if self.path != "/v1/models":
            return self.send_json(404, {"error": {"message": f"no such path: {self.path}"}})
        model = {"id": self.server.model, "object": "model", "owned_by": "mock"}
        return self.send_json(200, {"object": "list", "data": [model]})

    def do_POST(self):
        size = self.headers.get("Content-Length", "")
        if not size.isascii() or not size.isdigit() or int(size) > MAX_BODY:
            self.close_connection = True
            return self.send_json(413, {"error": {"message": f"Content-Length needed, at most {MAX_BODY}"}})
        raw = self.rfile.read(int(size))
        if self.path != "/v1/chat/completions":
            return self.send_json(404, {"error": {"message": f"no such path: {self.path}"}})
        try:
            body = json.loads(raw)
            answer = next_answer(body["messages"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return self.send_json(400, {"error": {"message": f"not a chat completion request: {error}"}})
        self.server.record(answer, body, len(raw))
        message, finish = as_message(answer)
        usage = usage_of(len(raw))
        head = {"id": f"chatcmpl-mock-{answer[1]}", "created": int(time.time()), "model": self.server.model}
        if not body.get("stream"):
            choice = {"index": 0, "message": message, "finish_reason": finish}
            return self.send_json(200, {**head, "object": "chat.completion", "choices": [choice], "usage": usage})
        events = "".join(f"data: {json.dumps(c)}\n\n" for c in chunks(message, finish, usage, head))
        return self.send_body(200, "text/event-stream", (events + "data: [DONE]\n\n").encode())

    def send_json(self, status, value):
        self.send_body(status, "application/json", json.dumps(value).encode())

    def send_body(self, status, kind, body):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Nothing: what matters goes to --log."""


class Server(ThreadingHTTPServer):
    """The mock, one thread per connection."""

    daemon_threads = True

    def __init__(self, port, model, log):
        # Not bound by HTTPServer, which would look the address up in DNS.
        super().__init__(("127.0.0.1", port), Handler, bind_and_activate=False)
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address
        self.server_activate()
        self.model = model
        self.log = log
        self.log_lock = threading.Lock()

    def record(self, answer, body, size):
        """Adds a line about one request to the log."""
        if self.log is None:
            return
        tools = [t.get("function", {}).get("name") for t in body.get("tools") or []]
        entry = {"step": answer[1], "answer": answer[0], "stream": bool(body.get("stream")), "bytes": size, "tools": tools}
        with self.log_lock:
            self.log.write(json.dumps(entry) + "\n")
            self.log.flush()


def main():
    parser = argparse.ArgumentParser(description="Scripted model server (a mock) on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=0, help="0 (the default) takes a free one")
    parser.add_argument("--seconds", type=float, default=600, help="ends after this long (default: 600)")
    parser.add_argument("--model", default="mock-1", help="name to answer with (default: mock-1)")
    parser.add_argument("--log", help="file to append one JSON line per request to")
    options = parser.parse_args()
    log = open(options.log, "a", encoding="utf-8") if options.log else None
    server = Server(options.port, options.model, log)
    timer = threading.Timer(options.seconds, server.shutdown)
    timer.daemon = True
    timer.start()
    print(server.server_port, flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
