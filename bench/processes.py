"""What processes cost, seen from outside."""

import os
import pathlib
import threading
import time


def descendants(roots):
    """These processes and all that came of them and still have a parent among them."""
    parents = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            parents[int(pid)] = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = set(roots)
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def field(pid, file, name):
    """A figure in KiB of /proc/PID/FILE; 0 where the process is gone or has none."""
    try:
        lines = pathlib.Path(f"/proc/{pid}/{file}").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0)


def pss(pids):
    """Proportional set size of these processes in KiB: shared pages are divided among those who share them."""
    return sum(field(pid, "smaps_rollup", "Pss") for pid in pids)


def rss(pids):
    """Resident memory of these processes in KiB, shared pages counted in each."""
    return sum(field(pid, "status", "VmRSS") for pid in pids)


def peak_rss(pids):
    """The sum of the most that each of these processes ever had resident, in KiB."""
    return sum(field(pid, "status", "VmHWM") for pid in pids)


def cpu(pids):
    """CPU seconds of these processes until now, all threads, to the nanosecond."""
    total = 0
    for pid in pids:
        try:
            # The clock of another process (clock_getcpuclockid(3)): its number, inverted, above 3 bits that say which clock.
            total += time.clock_gettime_ns((~pid << 3) | 2)
        except OSError:
            continue
    return total / 1e9


def outside_cells(pids):
    """Those of these processes that share our process namespace, as the processes in a cell do not."""
    ours = os.readlink("/proc/self/ns/pid")
    found = set()
    for pid in pids:
        try:
            if os.readlink(f"/proc/{pid}/ns/pid") == ours:
                found.add(pid)
        except OSError:
            continue
    return found


class Group:
    """The control groups of a cell, by one of its processes: CPU and memory of everything that ever ran in it."""

    def __init__(self, pid):
        places = {}
        for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            for controller in controllers.split(","):
                # Version 2 has no name here; beside version 1 it is mounted below.
                roots = [pathlib.Path("/sys/fs/cgroup", name) for name in ([controller] if controller else ["unified", ""])]
                root = next((root for root in roots if root.exists()), None)
                # What is in the root of a hierarchy is not limited there, and neither is it counted apart.
                if root and path != "/":
                    places[controller] = root / path.lstrip("/")
        files = [(places[name] / file, unit) for name, file, unit in (
            ("", "cpu.stat", 1e6), ("cpuacct", "cpuacct.usage", 1e9)) if name in places]
        self.usage, self.unit = next((file, unit) for file, unit in files if file.exists())
        files = [places[name] / file for name, file in (
            ("", "memory.peak"), ("memory", "memory.max_usage_in_bytes")) if name in places]
        self.most = next(file for file in files if file.exists())

    def cpu_seconds(self):
        return int(self.usage.read_text().removeprefix("usage_usec ").split()[0]) / self.unit

    def peak(self):
        """The most memory in KiB, with the page cache and kernel memory that are charged to the cell."""
        return int(self.most.read_text()) // 1024


class Sampler:
    """Watches the memory of a process and of all that comes of it, in a thread, until the `with` ends."""

    INTERVAL = 0.05

    def __init__(self, pid):
        self.pid, self.most, self.over = pid, 0, threading.Event()

    def __enter__(self):
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def _watch(self):
        while not self.over.wait(self.INTERVAL):
            self.most = max(self.most, rss(descendants([self.pid])))
