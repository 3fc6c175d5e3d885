"""What the benches of models have in common: the mock provider, a fleet in front of it, and a network that leads nowhere."""

import json
import os
import pathlib
import subprocess
import sys
import time

KEY = "sk-bench-0123456789"
MODEL = "some-model"
START_SECONDS = 180


def alone():
    """Goes on in a network namespace of its own, so that nothing leaves the machine."""
    if "--in-namespace" not in sys.argv:
        os.execvp("unshare", ["unshare", "--net", sys.executable, "-B", *sys.argv, "--in-namespace"])
    sys.argv.remove("--in-namespace")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def start(argv, **options):
    return subprocess.Popen([str(argument) for argument in argv], stdin=subprocess.DEVNULL, **options)


def until(true, what):
    end = time.monotonic() + START_SECONDS
    while not true():
        if time.monotonic() > end:
            raise SystemExit(f"bench: {what} did not start")
        time.sleep(0.1)


def stop(running):
    for process in reversed(running):
        process.terminate()
    for process in running:
        process.wait()


def start_mock(program, folder, running):
    """Starts the scripted model and gives its port."""
    out = folder / "mock.port"
    with out.open("w") as file:
        running.append(start([program, "--require-key", KEY], stdout=file))
    until(lambda: out.read_text().endswith("\n"), "the scripted model")
    return int(out.read_text())


class Fleet:
    """A fleet whose only model is the mock. Its state is in `state`, or else beside its configuration."""

    def __init__(self, binary, folder, name, port, agents, running, state=None):
        config = folder / f"{name}.yaml"
        config.write_text(json.dumps({
            "sandbox_mode": "restricted",
            "models": {
                "providers": [{"name": "mock", "kind": "openai", "base_url": f"http://127.0.0.1:{port}/v1",
                               "api_key": {"env": "BENCH_KEY"}}],
                "default": f"mock/{MODEL}",
                "aliases": {MODEL: f"mock/{MODEL}"},
            },
            "agents": agents,
        }))
        self.nanoclaw = [str(binary), "--state-dir", str(state or folder / name)]
        self.log = folder / f"{name}.log"
        with self.log.open("w") as log:
            self.plane = start([*self.nanoclaw, "up", "-c", config], stdout=log, stderr=log,
                               env={"PATH": os.environ["PATH"], "BENCH_KEY": KEY})
        running.append(self.plane)

    def runs(self):
        """Whether it does still; the bench ends where it does not."""
        if self.plane.poll() is not None:
            raise SystemExit(f"bench: the fleet ended: {self.log.read_text()[-2000:]}")
        return True

    def wait_for(self, command, what):
        """Waits until `nanoclaw COMMAND` succeeds."""
        until(lambda: self.runs() and subprocess.run([*self.nanoclaw, *command], capture_output=True).returncode == 0, what)


def copied(programs, folder):
    """Copies programs to where cells and other users can read them."""
    folder.mkdir()
    for program in programs:
        copy = folder / pathlib.Path(program).name
        copy.write_bytes(pathlib.Path(program).read_bytes())
        copy.chmod(0o755)
    return folder
