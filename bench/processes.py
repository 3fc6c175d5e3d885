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
        self.memory = self.cpu = None
        for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            for controller in controllers.split(","):
                root = pathlib.Path("/sys/fs/cgroup", controller or "unified")
                if not controller and not root.exists():
                    root = root.parent
                place = root / path.lstrip("/")
                if controller == "memory" or (not controller and (place / "memory.peak").exists()):
                    self.memory = place
                if controller == "cpuacct" or (not controller and (place / "cpu.stat").exists() and not self.cpu):
                    self.cpu = place

    def cpu_seconds(self):
        if (self.cpu / "cpuacct.usage").exists():
            return int((self.cpu / "cpuacct.usage").read_text()) / 1e9
        return int((self.cpu / "cpu.stat").read_text().split()[1]) / 1e6

    def peak(self):
        """The most memory in KiB, with the page cache and kernel memory that are charged to the cell."""
        files = [self.memory / name for name in ("memory.max_usage_in_bytes", "memory.peak")]
        return int(next(file for file in files if file.exists()).read_text()) // 1024


class Sampler:
    """Watches the resident memory of a process and all that comes of it, in a thread, until the `with` ends."""

    INTERVAL = 0.02

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
