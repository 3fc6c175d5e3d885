"""Prints the name of the first model that a provider of OpenAI's dialect lists.

    first_model.py URL
"""

import json
import os
import sys
import urllib.request

request = urllib.request.Request(sys.argv[1].rstrip("/") + "/models")
if key := os.environ.get("MODEL_KEY"):
    request.add_header("authorization", "Bearer " + key)
with urllib.request.urlopen(request, timeout=30) as answer:
    print(json.load(answer)["data"][0]["id"])
