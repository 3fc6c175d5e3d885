"""What the network door costs: throughput, round trip and connect time through it, against the same loopback without it.

    egress.py BINARY OUT [--rounds N]     as root; writes OUT, a JSON file that report.py reads

Runs in network and mount namespaces of its own (it makes them), where the "outside" is a public address on `lo` and the only
name is in a private /etc/hosts: nothing leaves the machine. Three ways are measured in turn in every round:

    direct        a client outside any cell, to the server on 127.0.0.1
    host-service  a client in a cell, to the same server through a `host-service` rule
    name          a client in a cell, to a server on the public address, by name: stub DNS, resolution, check, dial

The client in a cell is the same program as outside: iperf3 for throughput, this file for the rest.
"""

import argparse
import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time

PUBLIC = "93.184.216.34"
NAME = "outside.example"
IPERF, ECHO = 5201, 5202
ROUND_TRIPS, CONNECTS = 2000, 300
BYTES = "1G"


def echo_server():
    """Answers one byte with one byte, one connection at a time."""
    with socket.create_server(("0.0.0.0", ECHO), backlog=64) as server:
        while True:
            client, _ = server.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with client:
                try:
                    while byte := client.recv(1):
                        client.send(byte)
                except ConnectionResetError:
                    pass


def echo_client(host):
    """Round trips on one connection; and connections, each from connect to the first byte of an answer."""
    def connected():
        sock = socket.create_connection((host, ECHO))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def one_byte(sock):
        sock.send(b"x")
        if sock.recv(1) != b"x":
            raise SystemExit("the connection was closed")

    trips, connects = [], []
    with connected() as sock:
        for _ in range(ROUND_TRIPS):
            begin = time.perf_counter_ns()
            one_byte(sock)
            trips.append((time.perf_counter_ns() - begin) / 1e3)
    host = socket.getaddrinfo(host, None, socket.AF_INET)[0][4][0]
    for _ in range(CONNECTS):
        begin = time.perf_counter_ns()
        with connected() as sock:
            one_byte(sock)
            connects.append((time.perf_counter_ns() - begin) / 1e3)
    print(json.dumps({"trip": statistics.median(trips), "connect": statistics.median(connects)}))


def measured(prefix, host):
    """One round of one way: throughput from the client (up) and to it (down) in Gbit/s, the rest in microseconds."""
    def iperf(*options):
        command = [*prefix, "iperf3", "--client", host, "--port", str(IPERF), "--bytes", BYTES, "--json", *options]
        answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        return answer["end"]["sum_received"]["bits_per_second"] / 1e9

    echo = subprocess.run([*prefix, "/usr/bin/python3", "-", "--echo-client", host], check=True, capture_output=True, text=True,
                          input=pathlib.Path(__file__).read_text(encoding="utf-8"))
    return {"up": iperf(), "down": iperf("--reverse"), **json.loads(echo.stdout)}


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("binary", type=pathlib.Path)
    arguments.add_argument("out", type=pathlib.Path)
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--in-namespaces", action="store_true", help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if not options.in_namespaces:
        os.execvp("unshare", ["unshare", "--net", "--mount", sys.executable, *sys.argv, "--in-namespaces"])

    subprocess.run("ip link set lo up && ip address add " + PUBLIC + "/32 dev lo", shell=True, check=True)
    with tempfile.TemporaryDirectory(prefix="nanoclaw-bench.", dir="/var/tmp") as name:
        hosts = pathlib.Path(name) / "hosts"
        hosts.write_text(f"127.0.0.1 localhost\n{PUBLIC} {NAME}\n")
        subprocess.run(["mount", "--bind", str(hosts), "/etc/hosts"], check=True)
        servers = [subprocess.Popen(["iperf3", "--server", "--port", str(IPERF)], stdout=subprocess.DEVNULL),
                   subprocess.Popen([sys.executable, __file__, "--echo-server"])]
        try:
            time.sleep(1)
            options.out.write_text(json.dumps(measure_all(options, pathlib.Path(name) / "state")))
        finally:
            for server in servers:
                server.kill()


def measure_all(options, state):
    def cell(*rules):
        allowed = [word for rule in rules for port in (IPERF, ECHO) for word in ("--allow-net", rule.format(port))]
        return [str(options.binary), "--state-dir", str(state), "run", *allowed, "--"]

    ways = {
        "direct": ([], "127.0.0.1"),
        "host-service": (cell("host-service:127.0.0.1:{}"), "127.0.0.1"),
        "name": (cell("tcp://" + NAME + ":{}"), NAME),
    }
    results = {"rounds": options.rounds, "ways": {way: [] for way in ways}, "load": []}
    for turn in range(options.rounds):
        for way, (prefix, host) in ways.items():
            results["load"].append(os.getloadavg()[0])
            results["ways"][way].append(measured(prefix, host))
        print(f"egress: round {turn + 1} of {options.rounds}", file=sys.stderr)
    return results


if sys.argv[1:2] == ["--echo-server"]:
    echo_server()
elif sys.argv[1:2] == ["--echo-client"]:
    echo_client(sys.argv[2])
else:
    main()
