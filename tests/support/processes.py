"""Starts Parley's programs for tests and benchmarks, and measures them."""

import json
import os
import pathlib
import signal
import subprocess
import threading


def rounds_of(folder):
    """What metrics.jsonl has so far; its last line may be half written."""
    path = pathlib.Path(folder, "metrics.jsonl")
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True)
            if line.endswith("\n")]


class Server:
    """A parley-server, on a free port of loopback unless `listen` says where; use
    it in a with statement. Without a run file it has a queue."""

    def __init__(self, bin_dir, run_file, folder, *flags, listen="127.0.0.1:0"):
        self.folder = pathlib.Path(folder)
        ready, write = os.pipe()
        self.process = subprocess.Popen(
            [f"{bin_dir}/parley-server", *(["--run", run_file] if run_file else ["--queue"]),
             "--listen", listen, "--dir", folder, "--ready-fd", str(write), *flags],
            pass_fds=[write])
        os.close(write)
        with os.fdopen(ready) as pipe:
            self.address = pipe.readline().strip()
        if not self.address:
            raise RuntimeError(f"parley-server did not start: exit code {self.process.wait()}")
        self.usage = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.usage is None:
            # Popen.kill would take the exit code of one that has ended by now,
            # which wait is to get.
            os.kill(self.process.pid, signal.SIGKILL)
            self.wait()

    def wait(self):
        """Waits for the end; returns the exit code and keeps the usage."""
        _, status, self.usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        return self.process.returncode

    def rounds(self):
        """The objects of metrics.jsonl."""
        return rounds_of(self.folder)


class PeakAnonymous:
    """Watches the anonymous resident memory of a process, in bytes."""

    def __init__(self, pid):
        self.peak = 0
        self._pid = pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self):
        while not self._stop.wait(0.005):
            try:
                with open(f"/proc/{self._pid}/status") as status:
                    for line in status:
                        if line.startswith("RssAnon:"):
                            self.peak = max(self.peak, int(line.split()[1]) * 1024)
            except OSError:
                return

    def stop(self):
        self._stop.set()
        self._thread.join()
        return self.peak


def idle_run_file(path, parameters, clients, rounds, extra=""):
    """A run whose clients do nothing: only the rounds themselves cost."""
    pathlib.Path(path).write_text(f"""
model {{ custom {{ name: "idle" spec {{ dtype: FLOAT32
  tensors {{ name: "w" shape: {parameters} merge: MEAN }} }} }} }}
local {{ gd {{}} step_size {{ initial: 1 }} }}
cohort {{ min: {clients} }}
evaluation {{ every: 0 }}
checkpoints {{ every: 0 }}
start {{ zeros {{}} }}
stop {{ rounds: {rounds} }}
{extra}
""")
    return str(path)


def idle_clients(bin_dir, address, clients, processes):
    """Starts `clients` idle clients, spread over so many processes."""
    started, first = [], 1
    for i in range(processes):
        count = clients // processes + (i < clients % processes)
        started.append(subprocess.Popen(
            [f"{bin_dir}/idle-clients", "--server", address,
             "--clients", str(count), "--first", str(first)]))
        first += count
    return started
