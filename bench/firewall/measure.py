"""Judges the texts with NanoClaw's prompt firewall and with its peers, on this machine in one run.

    measure.py BINARY DRIVER PYTHON TEXTS_DIRECTORY TOP OUT_JSON

PYTHON is one that has the peers; TEXTS_DIRECTORY holds the evaluation sources; TOP is that of the repository. What is written
holds no text. No network is there for anything that judges.
"""

import collections
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import leaks
import texts

PEERS = ["prompt-guardrail", "agentbastion", "aicordon", "nukon-pi-detect", "ai-injection-guard"]
# Obfuscated attacks of a source, values of a kind, and short texts of the measurement of throughput.
OF_SOURCE, OF_KIND, SHORT = 30, 40, 200_000
# No network, and no way to get one.
ALONE = ["unshare", "--net", "--"]


def write(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def judged(command, path):
    """The lines that a program prints for the texts of a file, and its CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.monotonic()
    with path.open() as stdin:
        done = subprocess.run(ALONE + command, stdin=stdin, capture_output=True, text=True, check=False)
    wall, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"firewall: `{' '.join(command)}` failed: {done.stderr[-2000:]}")
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return [json.loads(line) for line in done.stdout.splitlines()], spent, wall


def row_of(row, answers):
    """What is kept of a text: what it is, and what everybody says of it."""
    return {key: row[key] for key in ("source", "label", "channel", "kind", "lang", "way", "pair") if key in row} | {
        "bytes": len(row["text"].encode()), **answers}


def attacks(binary, python, rows, work, name):
    path = write(work / f"{name}.jsonl", rows)
    ours, spent, _ = judged([binary, "firewall", "scan", "--jsonl"], path)
    by_id = {answer["id"]: {"level": answer["level"], "score": answer["score"], "peers": {}} for answer in ours}
    cost = {"NanoClaw": spent}
    for peer in PEERS:
        print(f"firewall: {name}: {peer}", file=sys.stderr)
        verdicts, _, _ = judged([python, "-B", str(pathlib.Path(__file__).parent / "peers.py"), peer], path)
        for verdict in verdicts:
            by_id[verdict["id"]]["peers"][peer] = verdict["flagged"]
        cost[peer] = sum(verdict["cpu"] for verdict in verdicts)
    return [row_of(row, by_id[row["id"]]) for row in rows], cost


def covers(hits, start, end):
    """Whether what must not leave is marked, all but a tenth."""
    marked = {at for hit in hits for at in range(max(hit["start"], start), min(hit["end"], end))}
    return len(marked) >= 0.9 * (end - start)


def losses(binary, python, rows, work):
    """How many values of each kind are found, and what is found in benign texts of tools."""
    made = list(leaks.texts(OF_KIND))
    path = write(work / "leaks.jsonl", made)
    benign = [row | {"channel": "output"} for row in rows if row["channel"] == "tool" and not row["label"]]
    quiet = write(work / "quiet.jsonl", benign)
    found = {}
    for name, command in {
        "NanoClaw": [binary, "firewall", "scan", "--jsonl"],
        "presidio-analyzer": [python, "-B", str(pathlib.Path(__file__).parent / "peers.py"), "presidio-analyzer"],
    }.items():
        print(f"firewall: data: {name}", file=sys.stderr)
        hits = {answer["id"]: answer["dlp"] for answer in judged(command, path)[0]}
        kinds = collections.defaultdict(list)
        for row in made:
            kinds[row["kind"]].append(covers(hits[row["id"]], row["start"], row["end"]))
        of_source = collections.defaultdict(collections.Counter)
        answers, spent, _ = judged(command, quiet)
        for answer, row in zip(answers, benign, strict=True):
            of_source[row["source"]].update(hit["type"] for hit in answer["dlp"])
        found[name] = {
            "kinds": {kind: [sum(hits), len(hits)] for kind, hits in kinds.items()},
            "benign": {source: dict(counts) for source, counts in of_source.items()},
            "cpu": spent,
        }
    sizes = collections.Counter()
    for row in benign:
        sizes[row["source"]] += len(row["text"].encode())
    return {"found": found, "bytes": sizes}


def throughput(binary, rows, work):
    """Short texts judged in a second of wall time, by one command on all cores."""
    short = [row for row in rows if len(row["text"].encode()) <= 200]
    path = write(work / "short.jsonl", ({"text": short[n % len(short)]["text"], "channel": short[n % len(short)]["channel"]}
                                        for n in range(SHORT)))
    empty = write(work / "one.jsonl", short[:1])
    _, _, start = judged([binary, "firewall", "scan", "--jsonl"], empty)
    with path.open() as stdin:
        begun = time.monotonic()
        subprocess.run([binary, "firewall", "scan", "--jsonl"], stdin=stdin, stdout=subprocess.DEVNULL, check=True)
        wall = time.monotonic() - begun
    return {"texts": SHORT, "median_bytes": sorted(len(row["text"].encode()) for row in short)[len(short) // 2], "start": start,
            "a_second": SHORT / wall, "cores": len(os.sched_getaffinity(0))}


def main():
    binary, driver, python, directory, top, out = sys.argv[1:]
    top = pathlib.Path(top)
    installed = {
        "openclaw skills": (top / ".cache/openclaw/openclaw/node_modules/openclaw", "**/SKILL.md"),
        "openclaw manual": (top / ".cache/openclaw/openclaw/node_modules/openclaw/docs", "**/*.md"),
        "Rust source": (pathlib.Path(os.environ.get("CARGO_HOME", pathlib.Path.home() / ".cargo")) / "registry/src", "*/*/src/**/*.rs"),
    }
    rows = list(texts.evaluation(directory)) + list(texts.installed(installed))
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        begun = os.getloadavg()[0]
        judged_rows, cost = attacks(binary, python, rows, work, "texts")
        ways, _ = attacks(binary, python, list(texts.obfuscated(rows, OF_SOURCE)), work, "ways")
        pairs, _ = attacks(binary, python, list(texts.pairs(pathlib.Path(__file__).parent / "pairs.jsonl")), work, "pairs")
        print("firewall: speed", file=sys.stderr)
        speed = json.loads(subprocess.run([driver, work / "texts.jsonl"], capture_output=True, text=True, check=True).stdout)
        measured = {
            "load": [begun, os.getloadavg()[0]],
            "rows": judged_rows, "cost": cost, "ways": ways, "pairs": pairs,
            "losses": losses(binary, python, rows, work),
            "speed": speed,
            "throughput": throughput(binary, rows, work),
        }
    pathlib.Path(out).write_text(json.dumps(measured))


main()
