"""Writes the benchmark page from what the other programs measured.

    report.py BINARY CELL_JSON EGRESS_JSON LLM_JSON AGENT_JSON PEERS >docs/BENCHMARKS.md     PEERS: their names and versions
"""

import datetime
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys

import report_models
from figures import goal, quantile, ratio, with_interval


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def version(*command):
    return re.search(r"\d+(\.\d+)+", output(*command))[0]


def machine(binary, loads, peers):
    nanoclaw = f"NanoClaw {version(binary, '--version')}, release build, {os.path.getsize(binary) / 1e6:.1f} MB"
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    memory = int(re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text())[1]) / (1 << 20)
    disk = output("findmnt", "--noheadings", "--output", "FSTYPE", "--target", "/var/tmp").strip()
    v1 = pathlib.Path("/sys/fs/cgroup/memory/memory.limit_in_bytes").exists()
    return f"""\
| | |
|---|---|
| measured | {datetime.datetime.now(datetime.UTC):%Y-%m-%d}, {nanoclaw} |
| machine | {os.cpu_count()} CPUs ({cpu[1] if cpu else platform.machine()}), {memory:.0f} GiB |
| kernel | {platform.release()}, cgroup {'v1' if v1 else 'v2'}; audit log on {disk} |
| load average during the runs | median {statistics.median(loads):.1f}, highest {max(loads):.1f} |
| peers | bwrap {version('bwrap', '--version')}, runc {version('runc', '--version')}, iperf3 {version('iperf3', '--version')}, {peers} |
"""


def cell_table(kept, count):
    rows = ["| | wall least, ms | p50 | p95 | CPU, ms | failed |", "|---|---|---|---|---|---|"]
    for tool in kept:
        wall = [figures["wall"] for figures in kept[tool]]
        cpu = statistics.median(figures["cpu"] for figures in kept[tool]) / count
        failed = sum(figures["failed"] for figures in kept[tool])
        runs = len(wall) * (1 if tool == "nanoclaw up" else count)
        cells = [f"{figure:.1f}" for figure in (min(wall), statistics.median(wall), quantile(wall, 0.95), cpu)]
        rows.append(f"| {' | '.join([tool, *cells])} | {failed} of {runs} |")
    return "\n".join(rows)


def comparisons(cell):
    def walls(kind, tool):
        return [figures["wall"] for figures in cell[kind][tool]]

    pairs = [("nanoclaw", "bwrap"), ("nanoclaw", "runc"), ("nanoclaw rootless", "bwrap rootless")]
    if "docker" in cell["sequential"]:
        pairs.append(("nanoclaw", "docker"))
    rows = ["| wall time | one by one | 50 at once |", "|---|---|---|"]
    for ours, theirs in pairs:
        cells = [with_interval(ratio(walls(kind, ours), walls(kind, theirs))) for kind in ("sequential", "at_once")]
        rows.append(f"| {ours} / {theirs} | {cells[0]} | {cells[1]} |")
    rows.append(f"| nanoclaw up / bwrap | | {with_interval(ratio(walls('at_once', 'nanoclaw up'), walls('at_once', 'bwrap')))} |")
    return "\n".join(rows), ratio(walls("sequential", "nanoclaw"), walls("sequential", "bwrap")), ratio(
        walls("sequential", "runc"), walls("sequential", "nanoclaw"))


def egress_table(ways):
    rows = ["| | upload, Gbit/s | download, Gbit/s | round trip, µs | connect and first byte, µs |", "|---|---|---|---|---|"]
    for way, rounds in ways.items():
        cells = [statistics.median(figures[key] for figures in rounds) for key in ("up", "down", "trip", "connect")]
        rows.append(f"| {way} | {cells[0]:.1f} | {cells[1]:.1f} | {cells[2]:.0f} | {cells[3]:.0f} |")
    shares = {}
    for way in ("host-service", "name"):
        for key in ("up", "down"):
            shares[way, key] = ratio([f[key] for f in ways[way]], [f[key] for f in ways["direct"]])
    rows += ["", "| share of direct throughput | upload | download |", "|---|---|---|"]
    for way in ("host-service", "name"):
        rows.append(f"| {way} | {with_interval(shares[way, 'up'])} | {with_interval(shares[way, 'down'])} |")
    return "\n".join(rows), min(shares.values())


def main():
    binary, peers = sys.argv[1], sys.argv[6]
    cell, egress, llm, agent = (json.loads(pathlib.Path(path).read_text()) for path in sys.argv[2:6])
    ratios, to_bwrap, to_runc = comparisons(cell)
    docker = " The CPU of docker is its client's alone." if "docker" in cell["sequential"] else ""
    throughput, lowest = egress_table(egress["ways"])
    memory = "\n".join(f"| {tool} | {kib / 1024:.2f} |" for tool, kib in cell["memory"].items())
    print(f"""\
# Benchmarks

Written by `make bench` (`bench/run.sh`); change the scripts, not this page. In brackets: 95 % bootstrap interval over rounds of
a median, of a difference of medians or of their ratio. 1 MB is 1,000,000 bytes.

{machine(binary, cell['load'] + egress['load'] + llm['load'] + agent['load'], peers)}
A loaded machine makes every figure worse: everything is measured in turn in every round, so the ratios say more than the
milliseconds.

## Goals

| goal | measured | met |
|---|---|---|
{goal('a cell, start to exit, at most 0.7 × the wall time of bwrap', to_bwrap, to_bwrap[0] <= 0.7)}
{goal('at least 10 × faster than runc', to_runc, to_runc[0] >= 10)}
{goal('at least 0.5 of direct throughput (the lowest of four)', lowest, lowest[0] >= 0.5)}
{report_models.goals(llm, agent)}

## A cell from start to exit

`/bin/true`, with the host's /usr as root, read-only. {cell['rounds']} runs each, one by one:

{cell_table(cell['sequential'], 1)}

{cell['many']} started at once, until the last has ended, {len(cell['at_once']['nanoclaw'])} times (wall is for all of them,
CPU for one):

{cell_table(cell['at_once'], cell['many'])}

{ratios}

What is compared: `nanoclaw run` in `restricted` mode with every layer, limits and the audit log on (its records written through
to disk), each run a control plane of its own; `rootless` is the same without control groups, of which an ordinary user has
none. `nanoclaw up` is a fleet: one control plane starts all {cell['many']} cells. bwrap has new namespaces and mounts only: no seccomp
filter, Landlock, limits or log. runc has limits, no capabilities, and no seccomp filter. Wall time ends when the tool does; CPU is
user and system time of every process that came of it, also of those that it leaves behind to clean up. A run has failed when
its status is not 0. The measuring program's own cost is in every row; `fork+exec` shows it. `nanoclaw --version` starts the program and nothing
else; what it takes is mostly the self-test of the cryptographic module, which every command begins with.{docker}

## Memory

Proportional set size of every process of {cell['idle']} idle cells, the idle program (`sleep`) included, divided by {cell['idle']}. `nanoclaw up` is one
control plane for all; in `nanoclaw run` each cell has its own. Memory of the kernel is not in it.

| | MiB per cell |
|---|---|
{memory}

## Network door

{egress['rounds']} rounds in a private network namespace; see `bench/egress.py`. Throughput: 1 GiB by iperf3, the same program inside
and outside. Round trip and connect: a Python program, whose own cost is in every row. Connect includes, in a cell, the record
that is on disk before the door dials.

{throughput}

- `direct`: no cell, loopback.
- `host-service`: from a cell to the same server, by a `host-service` rule.
- `name`: from a cell to a public address (on this machine's private loopback), by an allowed name, `tcp://`.

{report_models.door(llm)}

{report_models.turns(agent)}
""", end="")


main()
