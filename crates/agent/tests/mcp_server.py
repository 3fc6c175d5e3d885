"""An MCP server for tests: JSON-RPC 2.0 over standard streams, with the standard library only.

Its first argument is a JSON object that says how it behaves:
  era      "old" (2025-11-25, the default), "new" (2026-07-28), "strict" (old, and ends at the first message that is
           not `initialize`) or "silent" (never answers anything)
  tools    a list of tools for `tools/list`; tools of known names do something (see `call`)
  tells    true: a new one that tells of changed tools to who listens
  refuses  words with which it refuses `tools/list`
  long     how many bytes one description in its `tools/list` has
  mute     true: does not answer `tools/list` after the first call
  stderr   how many lines it writes on standard error at the start
  ends     exit status with which it ends at once
"""

import json
import os
import sys
import time

how = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
era = how.get("era", "old")
tools = how.get("tools") or [{"name": name} for name in ("echo", "fail", "pid", "env")]
calls = 0
heard = {}


def write(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def answer(request, result):
    write({"jsonrpc": "2.0", "id": request["id"], "result": result})


def refuse(request, code, message):
    write({"jsonrpc": "2.0", "id": request["id"], "error": {"code": code, "message": message}})


def notify(method, params=None):
    write({"jsonrpc": "2.0", "method": method, "params": params or {}})


def text(words, failed=False):
    result = {"content": [{"type": "text", "text": words}], "isError": failed}
    if era == "new":
        result["resultType"] = "complete"
    return result


def listed():
    return [{"inputSchema": {"type": "object"}, **tool} for tool in tools]


def call(request):
    global calls, tools
    calls += 1
    name = request["params"]["name"]
    arguments = request["params"].get("arguments", {})
    if name == "echo":
        answer(request, text(json.dumps(arguments, sort_keys=True)))
    elif name == "fail":
        answer(request, text("it went wrong", failed=True))
    elif name == "error":
        refuse(request, -32602, "no \x1b[31msuch thing" + "!" * 100000)
    elif name == "pid":
        answer(request, text(f"{os.getpid()} {calls}"))
    elif name == "env":
        answer(request, text(f"{os.environ.get('ADDED')} {os.environ.get('HOME') is not None} {os.getcwd()}"))
    elif name == "big":
        answer(request, text("x" * arguments["bytes"]))
    elif name == "endless":
        while True:
            sys.stdout.write("x" * (1 << 20))
    elif name == "flood":
        while True:
            notify("notifications/progress", {"progressToken": 1, "progress": 1, "message": "x" * 10000})
    elif name == "pings":
        number = 0
        while True:
            number += 1
            write({"jsonrpc": "2.0", "id": f"ping-{number}", "method": "ping"})
    elif name == "hang":
        time.sleep(100000)
    elif name == "die":
        sys.stderr.write("I am dying\n")
        os._exit(7)
    elif name == "half":
        sys.stdout.write('{"jsonrpc": "2.0", "id": ')
        sys.stdout.flush()
        os._exit(8)
    elif name == "garbage":
        sys.stdout.write("\x00\xff not JSON\n[1,2\n{}\n" + json.dumps({"jsonrpc": "2.0", "id": 999, "result": {}}) + "\n")
        answer(request, text("after the garbage"))
    elif name == "ask":
        for number, method in enumerate(("sampling/createMessage", "elicitation/create", "roots/list", "made/up")):
            params = {"messages": [], "maxTokens": 1, "message": "key?", "requestedSchema": {"type": "object", "properties": {}}}
            write({"jsonrpc": "2.0", "id": f"q{number}", "method": method, "params": params})
        answers = {}
        while len(answers) < 4:
            message = json.loads(sys.stdin.readline())
            answers[message["id"]] = message.get("error", {}).get("code", message.get("result"))
        answer(request, text(json.dumps([answers[f"q{number}"] for number in range(4)])))
    elif name == "grow":
        tools = tools + [{"name": "grown"}]
        notify("notifications/tools/list_changed", heard)
        answer(request, text("grown"))
    elif name == "many":
        answer(request, {"content": [
            {"type": "text", "text": "one"},
            {"type": "image", "mimeType": "image/png", "data": "AAAA"},
        ]})
    elif name == "input":
        answer(request, {"resultType": "input_required", "inputRequests": {}, "requestState": "s"})
    else:
        answer(request, text(f"called {name}"))


def handle(message):
    method = message.get("method")
    if "id" not in message:
        return
    if method == "initialize" and era != "new":
        version = message["params"]["protocolVersion"]
        answer(message, {
            "protocolVersion": version,
            "capabilities": {"tools": {"listChanged": True}},
            "serverInfo": {"name": "test", "version": "1"},
        })
    elif era == "strict" and not calls and method == "server/discover":
        os._exit(1)
    elif method == "server/discover" and era == "new":
        answer(message, {
            "resultType": "complete",
            "supportedVersions": ["2026-07-28"],
            "capabilities": {"tools": {"listChanged": how.get("tells", False)}},
            "serverInfo": {"name": "test", "version": "1"},
            "ttlMs": 0,
            "cacheScope": "private",
        })
    elif method == "tools/list" and calls and how.get("mute"):
        pass
    elif method == "tools/list" and how.get("refuses"):
        refuse(message, -32000, how["refuses"])
    elif method == "tools/list" and how.get("long"):
        answer(message, {"tools": [{"name": "t", "description": "x" * how["long"], "inputSchema": {"type": "object"}}]})
    elif method == "tools/list":
        size = how.get("page", len(tools) or 1)
        start = int((message.get("params") or {}).get("cursor") or 0)
        result = {"tools": listed()[start:start + size]}
        if era == "new":
            result.update({"resultType": "complete", "ttlMs": 0, "cacheScope": "private"})
        if start + size < len(tools):
            result["nextCursor"] = str(start + size)
        answer(message, result)
    elif method == "subscriptions/listen":
        heard["_meta"] = {"io.modelcontextprotocol/subscriptionId": message["id"]}
        notify("notifications/subscriptions/acknowledged", {"notifications": {"toolsListChanged": True}, **heard})
    elif method == "tools/call":
        call(message)
    else:
        refuse(message, -32601, f"no method {method}")


for number in range(how.get("stderr", 0)):
    sys.stderr.write(f"line {number} \x1b[31mred\n")
sys.stderr.flush()
if "ends" in how:
    sys.exit(how["ends"])
for line in sys.stdin:
    if era != "silent":
        handle(json.loads(line))
