"""Asks the model that its environment names, with nothing but the standard library. Prints a line for each way."""
import json
import os
import urllib.request

BASE = os.environ["OPENAI_BASE_URL"]
QUESTION = "Say hello in French."
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
# Words of JSON Schema that llama.cpp's converter does not know, or knows otherwise.
ODD = {
    "type": "object",
    "properties": {
        "pattern": {"type": "string", "pattern": "^(?=a)[^b]*$", "format": "uri", "minLength": 3, "maxLength": 1000000},
        "any": {},
        "nothing": False,
        "nullable": {"type": ["string", "null"]},
        "reference": {"$ref": "#/$defs/node"},
        "one": {"oneOf": [{"type": "integer", "minimum": 1, "exclusiveMaximum": 9}, {"const": {"a": [1]}}]},
        "all": {"allOf": [{"type": "string"}, {"not": {"const": "x"}}]},
        "list": {"type": "array", "minItems": 1, "maxItems": 100000, "uniqueItems": True},
        "pair": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}]},
        "map": {"type": "object", "additionalProperties": {"type": "number"}, "patternProperties": {"^x": {}}},
        "choice \"quoted\" \\ 日本": {"enum": ["a", 1, None, "日本"]},
    },
    "required": ["pattern"],
    "if": {"required": ["any"]},
    "then": {"required": ["one"]},
    "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}, "value": {"$ref": "#/none"}}}},
}


def post(path, body):
    headers = {"content-type": "application/json", "anthropic-version": "2023-06-01"}
    request = urllib.request.Request(BASE + path, json.dumps({"model": "default", **body}).encode(), headers)
    return urllib.request.urlopen(request)


def chat(**body):
    return post("/chat/completions", {"messages": [{"role": "user", "content": QUESTION}], "max_tokens": 40, **body})


def function(name, parameters):
    return {"type": "function", "function": {"name": name, "description": "Tells.", "parameters": parameters}}


def check(what, good, seen):
    print(f"{what}: {'good' if good else seen}")


whole = json.load(chat())["choices"][0]["message"]["content"]
check("chat whole", bool(whole), whole)

streamed = [line[6:] for line in chat(stream=True).read().decode().splitlines() if line.startswith("data: ")]
words = [json.loads(line)["choices"][0]["delta"].get("content") for line in streamed[:-1] if json.loads(line)["choices"]]
check("chat streamed", streamed[-1] == "[DONE]" and len([word for word in words if word]) > 1, streamed)

QUESTION = "How is the weather in Paris?"
choice = {"type": "function", "function": {"name": "weather"}}
message = json.load(chat(tools=[function("weather", CITY)], tool_choice=choice))["choices"][0]
call = message["message"]["tool_calls"][0]["function"]
check("chat tool", call["name"] == "weather" and "city" in json.loads(call["arguments"]), message)

tool = {"type": "function", "name": "weather", "description": "Tells the weather.", "parameters": CITY}
body = {"input": QUESTION, "tools": [tool], "tool_choice": "required", "max_output_tokens": 40}
output = json.load(post("/responses", body))["output"]
calls = [item for item in output if item["type"] == "function_call"]
check("responses tool", [call["name"] for call in calls] == ["weather"] and "city" in json.loads(calls[0]["arguments"]), output)

tool = {"name": "weather", "description": "Tells the weather.", "input_schema": CITY}
body = {"messages": [{"role": "user", "content": QUESTION}], "tools": [tool], "tool_choice": {"type": "any"}, "max_tokens": 40}
content = json.load(post("/messages", body))["content"]
calls = [block for block in content if block["type"] == "tool_use"]
check("messages tool", [call["name"] for call in calls] == ["weather"] and "city" in calls[0]["input"], content)

# The server takes the schema that these become; what the model makes of it is its affair.
answer = json.load(chat(tools=[function("weather", CITY), function("odd", ODD)]))["choices"][0]
check("schemas", answer["finish_reason"] in ("stop", "length", "tool_calls"), answer)
