"""What the model door costs: latency and throughput through it, through LiteLLM's proxy, and without anything between.

    llm.py BINARY OUT --tools DIR --litellm VENV [--rounds N]     as root; writes OUT, a JSON file that report.py reads

Runs in a network namespace of its own (it makes it). The provider is the scripted model, a mock; the load generator is the same
program everywhere (tests/scripted-model has both). Four ways are measured in every round, in a new order each time:

    direct    load generator → mock, on loopback
    door      load generator in a cell → model door of a fleet → mock
    door, log in memory   the same with the fleet's state on a tmpfs: what is left is not the disk
    LiteLLM   load generator → LiteLLM's proxy, one worker, which is its default → mock

and, by itself, what it takes to append a record to a file on that disk.

NanoClaw has its default settings: every call is authorised and on disk in the audit log before it is made, and its outcome is
recorded. LiteLLM has a master key, without which it does not start, but neither database nor callbacks: it records nothing.
"""

import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import processes
from servers import KEY, MODEL, Fleet, alone, copied, start, start_mock, stop, until

LITELLM_PORT = 4000
# Bytes of a request, and events of the answer: 0 is not streamed.
KINDS = {"1 KB": (1024, 0), "8 KB": (8192, 0), "1 KB, streamed": (1024, 20), "8 KB, streamed": (8192, 20)}
MANY = 16
SECONDS, WARM_UP = 2, 0.5
# The disk by itself: so many records of so many bytes, with a pause of so many seconds between them.
APPENDS, RECORD, PAUSE = 300, 700, 0.001


def start_litellm(venv, folder, port, running):
    config, log = folder / "litellm.yaml", folder / "litellm.log"
    parameters = {"model": f"openai/{MODEL}", "api_base": f"http://127.0.0.1:{port}/v1", "api_key": KEY}
    config.write_text(json.dumps({"model_list": [{"model_name": MODEL, "litellm_params": parameters}]}))
    # The price list in the package, since there is no network to fetch another from.
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LITELLM_LOCAL_MODEL_COST_MAP": "True",
                   "LITELLM_MASTER_KEY": KEY}
    with log.open("w") as output:
        proxy = start([venv / "bin/litellm", "--config", config, "--host", "127.0.0.1", "--port", LITELLM_PORT], cwd=folder,
                      env=environment, stdout=output, stderr=output)
    running.append(proxy)

    def answers():
        if proxy.poll() is not None:
            raise SystemExit(f"bench: LiteLLM ended: {log.read_text()[-2000:]}")
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{LITELLM_PORT}/health/liveliness", timeout=5).status == 200
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    until(answers, "LiteLLM")
    return proxy


def measured(prefix, server, kind, connections, pids):
    """One measurement, with the CPU seconds of these processes while it ran, its warm-up included."""
    size, events = KINDS[kind]
    command = [*prefix, server, "--model", MODEL, "--key", KEY, "--bytes", str(size), "--events", str(events), "--connections",
               str(connections), "--seconds", str(SECONDS), "--warm-up", str(WARM_UP)]
    before = processes.cpu(pids)
    run = subprocess.run(command, capture_output=True, text=True)
    spent = processes.cpu(pids) - before
    if run.returncode != 0:
        raise SystemExit(f"bench: `{' '.join(command)}`: {run.stderr}")
    seen = json.loads(run.stdout)
    if seen["failed"]:
        raise SystemExit(f"bench: `{' '.join(command)}`: {seen['failed']} failed: {seen['first_failure']}")
    return {**seen, "proxy_cpu": spent}


def disk(folder):
    """Microseconds that it takes to have a record on disk, when nothing else is done with it."""
    times = []
    with open(folder / "records", "ab", buffering=0) as file:
        for _ in range(APPENDS):
            file.write(b"x" * RECORD)
            begin = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - begin) * 1e6)
            time.sleep(PAUSE)
    return {"p50": statistics.median(times), "p99": statistics.quantiles(times, n=100)[98]}


def measure_all(options, folder, in_memory, running):
    tools = copied([options.tools / name for name in ("nanoclaw-scripted-model", "nanoclaw-load")], folder / "tools")
    port = start_mock(tools / "nanoclaw-scripted-model", folder, running)
    litellm = start_litellm(options.litellm, folder, port, running)
    agent = {"id": "load", "command": ["sleep", "infinity"], "model": MODEL,
             "mounts": [{"source": str(tools), "target": "/opt/tools"}]}
    load = str(tools / "nanoclaw-load")
    ways = {"direct": ([load], f"127.0.0.1:{port}", []),
            "LiteLLM": ([load], f"127.0.0.1:{LITELLM_PORT}", processes.descendants([litellm.pid]))}
    for way, name, state in (("door", "fleet", folder / "fleet"), ("door, log in memory", "in-memory", in_memory / "fleet")):
        fleet = Fleet(options.binary, folder, name, port, [agent], running, state)
        fleet.wait_for(["exec", "load", "--", "true"], "the fleet")
        plane = processes.outside_cells(processes.descendants([fleet.plane.pid]))
        ways[way] = ([*fleet.nanoclaw, "exec", "load", "--", "/opt/tools/nanoclaw-load"], "llm.nanoclaw.internal:80", plane)
    for prefix, server, pids in ways.values():
        # LiteLLM's first answer takes seconds.
        for kind in KINDS:
            measured(prefix, server, kind, MANY, pids)

    results = {"rounds": options.rounds, "many": MANY, "seconds": SECONDS, "load": [], "memory": {}, "disk": [],
               "ways": {way: {kind: {"one": [], "many": []} for kind in KINDS} for way in ways}}
    for turn in range(options.rounds):
        results["disk"].append(disk(folder))
        for kind in KINDS:
            for connections, name in ((1, "one"), (MANY, "many")):
                for way in random.sample(sorted(ways), len(ways)):
                    results["load"].append(os.getloadavg()[0])
                    prefix, server, pids = ways[way]
                    results["ways"][way][kind][name].append(measured(prefix, server, kind, connections, pids))
        print(f"llm: round {turn + 1} of {options.rounds}", file=sys.stderr)
    results["memory"] = {way: processes.peak_rss(pids) for way, (_, _, pids) in ways.items() if pids}
    return results


def main():
    alone()
    arguments = argparse.ArgumentParser()
    arguments.add_argument("binary", type=pathlib.Path)
    arguments.add_argument("out", type=pathlib.Path)
    arguments.add_argument("--tools", type=pathlib.Path, required=True, help="where the scripted model and the load generator are")
    arguments.add_argument("--litellm", type=pathlib.Path, required=True, help="the virtual environment of LiteLLM")
    arguments.add_argument("--rounds", type=int, default=7)
    options = arguments.parse_args()
    # Not /tmp, which may be in memory: the audit log is to be written to a disk.
    with (tempfile.TemporaryDirectory(prefix="nanoclaw-bench.", dir="/var/tmp") as name,
          tempfile.TemporaryDirectory(prefix="nanoclaw-bench.", dir="/dev/shm") as in_memory):
        folder, running = pathlib.Path(name), []
        folder.chmod(0o755)
        try:
            results = measure_all(options, folder, pathlib.Path(in_memory), running)
        finally:
            stop(running)
    options.out.write_text(json.dumps(results))


main()
