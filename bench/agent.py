"""What one turn with one tool call costs: NanoClaw's own agent, OpenClaw in a cell of NanoClaw's, OpenClaw and nanobot alone.

    agent.py BINARY OUT --tools DIR --openclaw DIR --nanobot VENV [--rounds N]   as root; writes OUT, which report.py reads

Runs in a network namespace of its own (it makes it). The model is a mock that proposes one call of the agent's own shell tool,
`id -u`, and says a word about its result: two requests, streamed. In every round each way has its turns, in a new order:

    built-in           `nanoclaw ask` of an agent of kind `builtin` that runs; the cell, the control plane and the client apart
    OpenClaw gateway   the same of an agent of kind `openclaw` that has done a turn before
    OpenClaw exec      `openclaw agent exec` outside of any cell: a process for each turn
    nanobot            `nanobot agent --message` outside of any cell: a process for each turn

The bench ends where an answer lacks the tool's result.
"""

import argparse
import concurrent.futures
import contextlib
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time

import processes
from servers import KEY, MODEL, Fleet, alone, copied, start_mock, stop

TEN = 10
# Whom `id -u` names in a cell.
CELL_USER = 1000
TURNS = {"built-in": 10, "OpenClaw gateway": 3, "OpenClaw exec": 1, "nanobot": 1}


def prompt(tool):
    return f'TURN\nCALL {tool} {{"command": "id -u"}}'


def done(argv, user, sampled=False, **options):
    """Runs a command whose answer must have the result of the tool, which is the number of this user; gives its wall and CPU
    seconds, and the peak of its memory in KiB."""
    begin = time.perf_counter()
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    sampler = processes.Sampler(process.pid)
    with sampler if sampled else contextlib.nullcontext():
        out = process.stdout.read().decode()
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    # A tool may say more than what the command did.
    if process.returncode != 0 or not re.search(rf"SCRIPT DONE\s+\[1\] (.*\n)*?{user}\n", out):
        raise SystemExit(f"bench: `{' '.join(argv)}` ended with {process.returncode}: {out[-2000:]}")
    return {"wall": wall, "cpu": used.ru_utime + used.ru_stime, "peak": sampler.most}


class InCell:
    """An agent of a fleet of its own."""

    def __init__(self, fleet, agent, tool):
        self.fleet, self.agent, self.tool = fleet, agent, tool
        fleet.wait_for(["ask", agent, prompt(tool)], agent)
        everything = processes.descendants([fleet.plane.pid])
        self.plane = processes.outside_cells(everything)
        self.cell = everything - self.plane
        self.group = processes.Group(next(iter(self.cell)))

    def turn(self):
        before = processes.cpu(self.plane), self.group.cpu_seconds()
        client = done([*self.fleet.nanoclaw, "ask", self.agent, prompt(self.tool)], CELL_USER)
        return {
            "wall": client["wall"],
            "cpu": {"cell": self.group.cpu_seconds() - before[1], "control plane": processes.cpu(self.plane) - before[0],
                    "client": client["cpu"]},
            "peak": {"cell": processes.peak_rss(self.cell), "control plane": processes.peak_rss(self.plane)},
            "group": self.group.peak(),
        }


class Alone:
    """A program that does a turn and ends."""

    def __init__(self, argv, home):
        self.argv, self.home = argv, home

    def turn(self):
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home)}
        turn = done(self.argv, os.getuid(), sampled=True, cwd=self.home, env=environment)
        return {"wall": turn["wall"], "cpu": {"all": turn["cpu"]}, "peak": {"all": turn["peak"]}}


def openclaw_exec(directory, folder, port):
    home = folder / "openclaw-exec"
    (home / "workspace").mkdir(parents=True)
    model = {"id": MODEL, "name": MODEL, "reasoning": False, "input": ["text"], "contextWindow": 128000, "maxTokens": 4096,
             "cost": {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0}}
    provider = {"baseUrl": f"http://127.0.0.1:{port}/v1", "apiKey": KEY, "api": "openai-completions", "models": [model]}
    config = home / "openclaw.json"
    config.write_text(json.dumps({"models": {"mode": "replace", "providers": {"mock": provider}},
                                  "agents": {"defaults": {"model": {"primary": f"mock/{MODEL}"}}}}))
    config.chmod(0o600)
    return Alone([str(directory / "bin/node"), str(directory / "bin/openclaw"), "agent", "exec", "--config", str(config), "--cwd",
                  str(home / "workspace"), "--model", f"mock/{MODEL}", prompt("exec")], home)


def nanobot(venv, folder, port):
    home = folder / "nanobot"
    (home / "workspace").mkdir(parents=True)
    defaults = {"workspace": str(home / "workspace"), "model": MODEL, "provider": "custom"}
    config = home / "config.json"
    config.write_text(json.dumps({"providers": {"custom": {"apiKey": KEY, "apiBase": f"http://127.0.0.1:{port}/v1"}},
                                  "agents": {"defaults": defaults}}))
    return Alone([str(venv / "bin/nanobot"), "agent", "--config", str(config), "--no-markdown", "--message", prompt("exec")], home)


def ten(options, folder, port, running):
    """Ten built-in agents, each with a turn behind it that they did at the same time."""
    names = [f"agent-{n}" for n in range(TEN)]
    agents = [{"id": name, "kind": "builtin"} for name in names]
    fleet = Fleet(options.binary, folder, "ten", port, agents, running)
    for name in names:
        fleet.wait_for(["ask", name, "SAY ready"], name)
    command = [*fleet.nanoclaw, "ask"]
    begin = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(TEN) as pool:
        asked = [pool.submit(done, [*command, name, prompt("shell")], CELL_USER) for name in names]
        for turn in asked:
            turn.result()
    wall = time.perf_counter() - begin
    everything = processes.descendants([fleet.plane.pid])
    plane = processes.outside_cells(everything)
    cells = everything - plane
    return {"wall": wall, "processes": len(everything),
            "pss": {"cells": processes.pss(cells), "control plane": processes.pss(plane)},
            "peak": {"cells": processes.peak_rss(cells), "control plane": processes.peak_rss(plane)},
            "group": sum({group.most: group.peak() for group in map(processes.Group, cells)}.values())}


def measure_all(options, folder, running):
    tools = copied([options.tools / "nanoclaw-scripted-model"], folder / "tools")
    port = start_mock(tools / "nanoclaw-scripted-model", folder, running)
    results = {"rounds": options.rounds, "turns": TURNS, "load": [], "many": ten(options, folder, port, running)}
    stop([running.pop()])
    builtin = Fleet(options.binary, folder, "builtin", port, [{"id": "own", "kind": "builtin"}], running)
    claw = Fleet(options.binary, folder, "claw", port,
                 [{"id": "claw", "kind": "openclaw", "openclaw": str(options.openclaw)}], running)
    ways = {
        "built-in": InCell(builtin, "own", "shell"),
        "OpenClaw gateway": InCell(claw, "claw", "exec"),
        "OpenClaw exec": openclaw_exec(options.openclaw, folder, port),
        "nanobot": nanobot(options.nanobot, folder, port),
    }
    results["ways"] = {way: [] for way in ways}
    for turn in range(-1, options.rounds):
        for way in random.sample(sorted(ways), len(ways)):
            results["load"].append(os.getloadavg()[0])
            figures = [ways[way].turn() for _ in range(TURNS[way])]
            if turn >= 0:
                results["ways"][way].append(figures)
        print(f"agent: round {turn + 1} of {options.rounds}", file=sys.stderr)
    return results


def main():
    alone()
    arguments = argparse.ArgumentParser()
    arguments.add_argument("binary", type=pathlib.Path)
    arguments.add_argument("out", type=pathlib.Path)
    arguments.add_argument("--tools", type=pathlib.Path, required=True, help="where the scripted model is")
    arguments.add_argument("--openclaw", type=pathlib.Path, required=True, help="where OpenClaw is installed")
    arguments.add_argument("--nanobot", type=pathlib.Path, required=True, help="the virtual environment of nanobot")
    arguments.add_argument("--rounds", type=int, default=5)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="nanoclaw-bench.", dir="/var/tmp") as name:
        folder, running = pathlib.Path(name), []
        folder.chmod(0o755)
        try:
            results = measure_all(options, folder, running)
        finally:
            stop(running)
    options.out.write_text(json.dumps(results))


main()
