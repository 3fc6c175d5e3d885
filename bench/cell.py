"""What a cell costs: start to exit of /bin/true, alone and 50 at once, CPU time, and memory of an idle one.

    cell.py BINARY OUT [--rounds N] [--docker SOCKET IMAGE]     as root; writes OUT, a JSON file that report.py reads

Every tool gets the same root (the host's /usr, read-only, and the usual links) and runs in turn in every round, in a new
order each time, so that what else the machine does falls on all of them. Each run is a posix_spawn and wait4 in a small worker
process; there is a worker for root and one for an ordinary user. Their own cost is in every figure, fork+exec's included.
"""

import argparse
import ctypes
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import processes

USER = 65534
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
MANY = 50
IDLE = 20
LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")


# The worker: measures what it is told on standard input, and answers on standard output.


def start(argv, null):
    return os.posix_spawn(argv[0], argv, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, null, fd) for fd in (0, 1, 2)])


def measure(commands):
    """Wall milliseconds from the first start until all have ended, and CPU milliseconds of every process that came of them."""
    null = os.open("/dev/null", os.O_RDWR)
    begin = time.perf_counter_ns()
    running = {start(argv, null) for argv in commands}
    wall, cpu, failed = 0.0, 0.0, 0
    while True:
        try:
            pid, status, used = os.wait4(-1, 0)
        except ChildProcessError:
            break
        cpu += used.ru_utime + used.ru_stime
        # What a tool leaves behind to clean up becomes a child of ours; it is waited for, but not timed.
        if pid in running:
            running.remove(pid)
            failed += status != 0
            wall = (time.perf_counter_ns() - begin) / 1e6
    os.close(null)
    return {"wall": wall, "cpu": cpu * 1e3, "failed": failed}


def worker():
    if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise SystemExit("cannot become a subreaper")
    for line in sys.stdin:
        print(json.dumps(measure(json.loads(line))), flush=True)


class Worker:
    def __init__(self, user, home):
        drop = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
        environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
        self.process = subprocess.Popen([*drop, sys.executable, "-B", __file__, "--worker"], env=environment, cwd="/",
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def measure(self, commands):
        self.process.stdin.write(json.dumps(commands) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


# The tools. Each is a function from a number of cells and the command of each to the argument lists that start them.


def one_by_one(argv):
    return lambda count, command: [argv(n, command) for n in range(count)]


def nanoclaw_run(binary, state):
    return one_by_one(lambda n, command: [binary, "--state-dir", str(state), "run", "--name", f"bench-{n}", "--", *command])


def nanoclaw_up(binary, folder):
    """A fleet: one control plane for all cells, which ends with the last of them."""
    def commands(count, command):
        config = folder / f"fleet-{count}-{pathlib.Path(command[0]).name}.yaml"
        agents = "".join(f"  - {{ id: bench-{n}, command: {json.dumps(command)} }}\n" for n in range(count))
        config.write_text(f"sandbox_mode: restricted\nagents:\n{agents}")
        return [[binary, "--state-dir", str(folder / "fleet-state"), "up", "-c", str(config)]]

    return commands


def bubblewrap():
    argv = [shutil.which("bwrap"), "--unshare-all", "--ro-bind", "/usr", "/usr"]
    for link in LINKS:
        if os.path.lexists(f"/{link}"):
            argv += ["--symlink", f"usr/{link}", f"/{link}"]
    argv += ["--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"]
    return one_by_one(lambda n, command: [*argv, *command])


def runc(folder):
    """A bundle with the same root: `runc spec` without a terminal and capabilities, with limits and no seccomp filter."""
    def bundle(command):
        name = folder / pathlib.Path(command[0]).name
        if name.exists():
            return name
        root = name / "rootfs"
        for directory in ("usr", "dev", "proc", "sys", "tmp"):
            (root / directory).mkdir(parents=True)
        for link in LINKS:
            if os.path.lexists(f"/{link}"):
                (root / link).symlink_to(f"usr/{link}")
        subprocess.run(["runc", "spec"], cwd=name, check=True)
        spec = json.loads((name / "config.json").read_text())
        spec["process"].update(terminal=False, args=command, capabilities={}, noNewPrivileges=True)
        spec["mounts"] += [
            {"destination": "/usr", "source": "/usr", "type": "bind", "options": ["rbind", "ro"]},
            {"destination": "/tmp", "source": "tmpfs", "type": "tmpfs", "options": ["nosuid", "nodev"]},
        ]
        limits = {"memory": {"limit": 1 << 30}, "pids": {"limit": 256}, "cpu": {"quota": 100_000, "period": 100_000}}
        spec["linux"]["resources"].update(limits)
        (name / "config.json").write_text(json.dumps(spec))
        return name

    argv = [shutil.which("runc"), "--root", str(folder / "state"), "run", "--bundle"]
    return one_by_one(lambda n, command: [*argv, str(bundle(command)), f"bench-{n}"])


def docker(socket, image):
    fixed = [shutil.which("docker"), "-H", f"unix://{socket}", "run", "--rm", "--network=none", "--read-only", "--cap-drop=ALL",
             "--security-opt=no-new-privileges", "--memory=1g", "--pids-limit=256", "--cpus=1", "--tmpfs=/tmp",
             "-v=/usr:/usr:ro", image]
    return one_by_one(lambda n, command: [*fixed, *command])


# Memory.


def idle_memory(commands, user, home):
    drop = {"user": user, "group": user, "extra_groups": []} if user else {}
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    running = [subprocess.Popen(argv, cwd="/", env=environment, **streams, **drop) for argv in commands]
    time.sleep(5)
    pids = processes.descendants([process.pid for process in running])
    sleepers = [pid for pid in pids if pathlib.Path(f"/proc/{pid}/comm").read_text() == "sleep\n"]
    try:
        if len(sleepers) != IDLE:
            raise SystemExit(f"{len(sleepers)} of {IDLE} idle programs run under `{' '.join(running[0].args)}`")
        return processes.pss(pids) / IDLE
    finally:
        # The end of the program is the end of whatever watches over it.
        for pid in sleepers:
            os.kill(pid, signal.SIGKILL)
        for process in running:
            process.wait()


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("binary")
    arguments.add_argument("out", type=pathlib.Path)
    arguments.add_argument("--rounds", type=int, default=60)
    arguments.add_argument("--many-rounds", type=int, default=7)
    arguments.add_argument("--docker", nargs=2, metavar=("SOCKET", "IMAGE"))
    options = arguments.parse_args()

    # Not /tmp, which may be in memory: the audit log is to be written to a disk.
    with tempfile.TemporaryDirectory(prefix="nanoclaw-bench.", dir="/var/tmp") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        binary = str(shutil.copy(options.binary, folder / "nanoclaw"))
        user_home = folder / "user"
        user_home.mkdir()
        os.chown(user_home, USER, USER)
        tools = {
            "fork+exec": (0, one_by_one(lambda n, command: command)),
            "nanoclaw --version": (0, one_by_one(lambda n, command: [binary, "--version"])),
            "nanoclaw": (0, nanoclaw_run(binary, folder / "state")),
            "nanoclaw rootless": (USER, nanoclaw_run(binary, user_home / "state")),
            "nanoclaw up": (0, nanoclaw_up(binary, folder)),
            "bwrap": (0, bubblewrap()),
            "bwrap rootless": (USER, bubblewrap()),
            "runc": (0, runc(folder / "runc")),
        }
        if options.docker:
            tools["docker"] = (0, docker(*options.docker))
        options.out.write_text(json.dumps(measure_all(tools, options, folder, user_home)))


def measure_all(tools, options, folder, user_home):
    workers = {0: Worker(0, folder), USER: Worker(USER, user_home)}
    results = {"rounds": options.rounds, "many": MANY, "idle": IDLE, "sequential": {}, "at_once": {}, "memory": {}, "load": []}
    for warm_up, count, rounds, kind in ((3, 1, options.rounds, "sequential"), (1, MANY, options.many_rounds, "at_once")):
        # A fleet of one is `run` with more to read; and a version is no cell.
        chosen = sorted(tools.keys() - ({"nanoclaw up"} if count == 1 else {"nanoclaw --version"}))
        kept = results[kind] = {tool: [] for tool in tools if tool in chosen}
        for turn in range(-warm_up, rounds):
            results["load"].append(os.getloadavg()[0])
            for tool in random.sample(chosen, len(chosen)):
                user, commands = tools[tool]
                figures = workers[user].measure(commands(count, ["/bin/true"]))
                if turn >= 0:
                    kept[tool].append(figures)
            if turn >= 0 and (turn + 1 == rounds or turn % 10 == 9):
                print(f"cell, {kind}: round {turn + 1} of {rounds}", file=sys.stderr)
    for tool, (user, commands) in tools.items():
        if tool not in ("docker", "nanoclaw --version"):  # The cells of docker are children of its daemon.
            results["memory"][tool] = idle_memory(commands(IDLE, ["/bin/sleep", "60"]), user, user_home if user else folder)
    return results


if sys.argv[1:] == ["--worker"]:
    worker()
else:
    main()
