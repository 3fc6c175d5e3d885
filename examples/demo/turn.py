"""Shows what the audit log says of a turn with a real model, and what it left behind.

    turn.py WORKSPACE < RECORDS

What the model did is not judged: a small one may answer without using a tool.
"""

import json
import pathlib
import sys

records = [json.loads(line) for line in sys.stdin]
of_helper = [record for record in records if record["agent_id"] == "helper"]

print("\nThe audit log says:")
for record in of_helper:
    used = record.get("model", {})
    match record["action"], record["result"]:
        case "model_call", "done":
            print(
                f"  model_call   {used['provider']}/{used['name']}: {used.get('input_tokens', 0)} tokens in, "
                f"{used.get('output_tokens', 0)} out, {used.get('total_ms', 0) / 1000:.1f} s, {used.get('stop', '-')}"
            )
        case "tool_call", "allowed" | "denied":
            print(f"  tool_call    {record['resource']}: {record['result']}")
        case "file_write", result if record.get("path", "").startswith("/workspace/"):
            print(f"  file_write   {record['path']}: {result}")
for file in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    print(f"{file.name} holds: {file.read_text(errors='replace').strip()}")
