"""The parts of the benchmark page about models and agents."""

import statistics

from figures import difference, goal, median, ratio, with_interval

GOAL_KIND = "8 KB"


def column(rounds, *keys):
    """One figure of each round."""
    values = rounds
    for key in keys:
        values = [value[key] for value in values]
    return values


def cpu(rounds):
    """Microseconds of CPU for a request, warm-up and all."""
    return [figures["proxy_cpu"] / figures["requests"] * 1e6 for figures in rounds]


def added(llm, way, kind, what, share):
    """Microseconds that a request takes longer than the same without anything between."""
    ways = llm["ways"]
    return difference(column(ways[way][kind]["one"], what, share), column(ways["direct"][kind]["one"], what, share))


def more_throughput(llm, kind, way="door"):
    ways = llm["ways"]
    return ratio(column(ways[way][kind]["many"], "per_second"), column(ways["LiteLLM"][kind]["many"], "per_second"))


def door(llm):
    ways, many = llm["ways"], llm["many"]
    kinds = list(ways["direct"])
    latency = ["| one after the other, µs | | p50 | p99 | first text p50 | added at p50 | added at p99 | CPU of what is between |",
               "|---|---|---|---|---|---|---|---|"]
    load = [f"| {many} at once | | a second | p99, ms | CPU of what is between, µs | times LiteLLM's throughput |", "|---|---|---|---|---|---|"]
    for kind in kinds:
        for way in ways:
            one, all_at_once = ways[way][kind]["one"], ways[way][kind]["many"]
            figures = [statistics.median(column(one, *keys)) for keys in (("whole", "p50"), ("whole", "p99"), ("first", "p50"))]
            cells = [f"{figure:,.0f}" for figure in figures]
            if way == "direct":
                cells += ["", "", ""]
            else:
                cells += [with_interval(added(llm, way, kind, "whole", share), 0) for share in ("p50", "p99")]
                cells.append(f"{statistics.median(cpu(one)):,.0f}")
            latency.append(f"| {kind} | {way} | {' | '.join(cells)} |")
            cells = [f"{statistics.median(column(all_at_once, 'per_second')):,.0f}",
                     f"{statistics.median(column(all_at_once, 'whole', 'p99')) / 1000:,.1f}",
                     "" if way == "direct" else f"{statistics.median(cpu(all_at_once)):,.0f}",
                     with_interval(more_throughput(llm, kind, way), 1) if way.startswith("door") else ""]
            load.append(f"| {kind} | {way} | {' | '.join(cells)} |")
    disk = [with_interval(median(column(llm["disk"], share)), 0) for share in ("p50", "p99")]
    memory = ", ".join(f"{way} {kib * 1024 / 1e6:.0f} MB" for way, kib in llm["memory"].items())
    newline = "\n"
    return f"""\
## Model door

{llm['rounds']} rounds of {llm['seconds']:g} s for each figure, in a private network namespace; see `bench/llm.py`. The provider is a mock on the same
machine, so are the load generator and everything between. Chat completions in, chat completions out; answers of 240 letters, or
streamed in 20 pieces, each a write of the mock's own.

- `direct`: nothing between.
- `door`: from a cell through the model door with its default settings. Before a call is made its record is on the disk.
- `door, log in memory`: the same with the fleet's state on a tmpfs: what the door costs without the disk.
- `LiteLLM`: its proxy, one worker (its default), with a master key, without database and callbacks.

Appending a record to a file on that disk and waiting for it takes, by itself and with nothing else under way, {disk[0]} µs at p50 and
{disk[1]} µs at p99. CPU: the control plane's, or the proxy's, for one request.

{newline.join(latency)}

{newline.join(load)}

The most memory that the processes between ever had: {memory}."""


def turns(agent):
    rows = ["| one turn | wall, ms | CPU, ms | of the agent | of the control plane | of the client | peak memory of the agent, MB |",
            "|---|---|---|---|---|---|---|"]
    for way, rounds in agent["ways"].items():
        wall = median(each(rounds, lambda turn: turn["wall"] * 1e3))
        spent = {part: median(each(rounds, lambda turn, part=part: turn["cpu"][part] * 1e3)) for part in rounds[0][0]["cpu"]}
        whole = median(each(rounds, whole_cpu))
        parts = [f"{spent[part][0]:,.0f}" if part in spent else "" for part in ("cell", "control plane", "client")]
        cells = [with_interval(wall, 0), with_interval(whole, 0), *parts, with_interval(median(each(rounds, peak)), 1)]
        rows.append(f"| {way} | {' | '.join(cells)} |")
    many = agent["many"]
    newline = "\n"
    resident = {part: many["peak"][part] * 1024 / 1e6 for part in many["peak"]}
    shared = {part: many["pss"][part] * 1024 / 1e6 for part in many["pss"]}
    return f"""\
## A turn of an agent

One turn with one tool call (`id -u` in the agent's own shell tool): two requests to the mock, streamed. {agent['rounds']} rounds; in each, turns:
{', '.join(f'{way} {count}' for way, count in agent['turns'].items())}. See `bench/agent.py`.

- `built-in`: `nanoclaw ask` of a running agent of kind `builtin`, in its cell, every call through the model door and on record.
- `OpenClaw gateway`: the same of a running agent of kind `openclaw` that has done turns before.
- `OpenClaw exec` and `nanobot`: `openclaw agent exec` and `nanobot agent --message`, each a process for the turn, outside of any cell and
  straight to the mock.

Memory: of an agent in a cell, the peak of its control group, with page cache, kernel memory and what is in its memory file
systems; of the others, the most that was resident of all their processes together. Pages of NanoClaw's own program are shared by
all cells and the kernel charges them to whoever reads them first: they are in what is resident (below), not in these peaks.

{newline.join(rows)}

Ten built-in agents, each after turns that all did at once ({many['wall'] * 1e3:.0f} ms for the ten): the peaks of their control groups are {many['group'] * 1024 / 1e6:.0f} MB
together; proportional set size {shared['cells']:.0f} MB, and of the control plane {shared['control plane']:.0f} MB; resident, shared pages counted in every
process, {resident['cells']:.0f} MB and {resident['control plane']:.0f} MB."""


def each(rounds, figure):
    """The median of a figure over the turns of each round."""
    return [statistics.median(map(figure, turns)) for turns in rounds]


def whole_cpu(turn):
    return sum(turn["cpu"].values()) * 1e3


def peak(turn):
    """In MB."""
    return turn.get("group", turn["peak"].get("all")) * 1024 / 1e6


def goals(llm, agent):
    disk = added(llm, "door", GOAL_KIND, "whole", "p99")
    memory = added(llm, "door, log in memory", GOAL_KIND, "whole", "p99")
    least = min(more_throughput(llm, kind) for kind in llm["ways"]["door"])
    own = agent["ways"]["built-in"]
    spent, most = median(each(own, whole_cpu)), median(each(own, peak))
    ten = (agent["many"]["group"] + agent["many"]["pss"]["control plane"]) * 1024 / 1e6
    return "\n".join([
        goal("the model door adds at most 1 ms at p99 to a request of 8 KB", disk, disk[0] <= 1000, 0, " µs"),
        goal("… with the log in memory", memory, memory[0] <= 1000, 0, " µs"),
        goal("at least 10 × the throughput of LiteLLM's proxy (the lowest of four)", least, least[0] >= 10, 1),
        goal("a turn of the built-in agent: at most 50 ms of CPU, control plane and client included", spent, spent[0] <= 50, 0, " ms"),
        goal("… and at most 15 MB", most, most[0] <= 15, 1, " MB"),
        f"| ten built-in agents and their control plane in at most 150 MB | {ten:.0f} MB | {'yes' if ten <= 150 else '**no**'} |",
    ])
