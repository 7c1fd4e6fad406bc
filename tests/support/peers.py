"""Gossip between processes: what its tests share. A run file, peers, with a list
or with a rendezvous, and what they have written so far."""

import contextlib
import json
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from processes import Server, rounds_of

PATIENCE = 120  # seconds, for what takes a few
# Rounds of a run that has to be under way still when its third was seen: they
# take seconds on any machine, and a round is seen within 20 ms.
LONG = 1000
FEATURES, CLASSES = 30, 5
DATA = """
  train {{ mixture {{ rows: 2000 features: 30 classes: 5 }} }}
  test {{ mixture {{ rows: 500 features: 30 classes: 5 }} }}
  partition {{ parts: {peers} dirichlet {{ alpha: 0.3 min_rows: 10 }} }}"""
RUN = """
model {{ mlp {{ hidden: 20 }} {shape} }}
data {{ {data} }}
local {{ sgd {{ batch_size: 20 steps: {steps} }} step_size {{ initial: 0.05 }} }}
gossip {{ {gossip} edge_seconds: {edge} }}
limits {{ lease_seconds: {lease} }}
stop {{ rounds: {rounds} }}
{extra}
"""


def name(i):
    """As parley run and the simulator name them: random streams are drawn by it."""
    return f"client-{i + 1:04}"


def status_of(folder):
    return json.loads(pathlib.Path(folder, "status.json").read_text())


def free_ports(count):
    """Ports that are free now; another process may take one before we do."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]


class PeersTest(unittest.TestCase):
    """A folder, and processes that are killed at the end. The peers of a test
    have numbers; another process of the same number takes the place of the
    earlier one, and goes on with its log."""

    BIN = None  # the folder of the programs, given by the test's file
    CLIENT = "parley-client"  # what its peers run
    PATIENCE = PATIENCE

    def setUp(self):
        temp = tempfile.TemporaryDirectory()
        self.addCleanup(temp.cleanup)
        self.folder = pathlib.Path(temp.name)
        self.peers = {}  # by number
        self._started = []
        self.addCleanup(self._kill_all)

    def _kill_all(self):
        for process in self._started:
            if process.poll() is None:
                process.kill()
                process.wait()

    def write_rows(self, file, classes, count=300):
        """Rows of these classes alone, as a client's own data, or a run's: the
        centres are the same in every file, the rows are not."""
        centres = random.Random(1)
        centres = [[centres.gauss(0, 1) for _ in range(FEATURES)] for _ in range(CLASSES)]
        rng = random.Random(file)
        path = self.folder / file
        with open(path, "w") as out:
            for i in range(count):
                label = classes[i % len(classes)]
                row = " ".join(f"{j + 1}:{x + rng.gauss(0, 1):.6g}"
                               for j, x in enumerate(centres[label]))
                out.write(f"{label} {row}\n")
        return path

    def write(self, peers, gossip="topology { ring {} }", rounds=8, steps=10, lease=5, edge=60,
              own_data=False, extra="", run="run"):
        """The run file. With `own_data` the peers bring theirs: see write_rows."""
        data = f"partition {{ parts: {peers} }}" if own_data else DATA.format(peers=peers)
        shape = f"features: {FEATURES} classes: {CLASSES}" if own_data else ""
        path = self.folder / f"{run}.textproto"
        path.write_text(RUN.format(shape=shape, data=data, gossip=gossip, rounds=rounds,
                                   steps=steps, lease=lease, edge=edge, extra=extra))
        return str(path)

    # ---------------------------------------------------------------- processes

    @contextlib.contextmanager
    def held(self, i):
        """Peer i stands still meanwhile, and its neighbours with it, for an edge
        timeout at most: no machine is too fast for the test then."""
        self.peers[i].send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.peers[i].send_signal(signal.SIGCONT)

    def popen(self, *words, **more):
        process = subprocess.Popen(words, **more)
        self._started.append(process)
        return process

    def parley(self, *words, code=0):
        done = subprocess.run([self.BIN / "parley", *words], cwd=self.folder, capture_output=True,
                              text=True, timeout=PATIENCE * 4, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, code, f"{done.stdout}\n{done.stderr}")
        return done.stdout + done.stderr

    def serve(self, run, folder, *flags, back=False):
        """A rendezvous; use it in a with statement. One that is to come `back`
        listens at a socket file: a port may be another's meanwhile."""
        listen = f"unix:{self.folder}/rendezvous.socket" if back else "127.0.0.1:0"
        return Server(self.BIN, run, str(folder), "--log", str(self.folder / "rendezvous.log"),
                      *flags, listen=listen)

    def start_peer(self, i, *words, prefix=()):
        self.peers[i] = self.popen(*prefix, self.BIN / self.CLIENT, "--log", self.log_path(i), *words)
        return self.peers[i]

    def join(self, i, address, *flags, data=None, prefix=()):
        """A peer with a rendezvous, by default with part i of the run's data."""
        return self.start_peer(i, "--server", address, "--name", name(i), "--data",
                               data or f"part:{i}", "--save-model",
                               self.folder / f"{i}.safetensors", *flags, prefix=prefix)

    def join_all(self, count, address):
        for i in range(count):
            self.join(i, address)

    def list_peers(self, count):
        (self.folder / "peers.textproto").write_text("".join(
            f'peers {{ name: "{name(i)}" address: "127.0.0.1:{port}" }}\n'
            for i, port in enumerate(free_ports(count))))

    def start_listed(self, i, *flags, run="run", folder=None):
        """A peer without a rendezvous."""
        return self.start_peer(i, "--gossip", self.folder / f"{run}.textproto", "--peers",
                               self.folder / "peers.textproto", "--index", str(i), "--dir",
                               folder or self.folder_of(i), *flags)

    def start_list(self, count, flags=lambda i: (), run=lambda i: "run", listed=None):
        """The first `count` peers of a list of so many or `listed`; again, with
        other ports, where one is taken."""
        while True:
            self.list_peers(listed or count)
            for i in range(count):
                self.start_listed(i, *flags(i), run=run(i))
            self.wait_until(lambda: all("listens at" in self.log(i) or self.peers[i].poll()
                                        is not None for i in range(count)), "peers that listen")
            if not any("cannot listen at" in self.log(i) for i in range(count)):
                return
            for i in range(count):
                self.peers[i].kill()
                self.peers[i].wait()
            self.remove_peers()

    def remove_peers(self):
        """What the peers of a list have left."""
        for file in [*self.folder.glob("peer-*"), *self.folder.glob("client-*.log")]:
            shutil.rmtree(file) if file.is_dir() else file.unlink()

    # ------------------------------------------------------------- what they say

    def folder_of(self, i):
        return self.folder / f"peer-{i}"

    def log_path(self, i):
        return self.folder / f"{name(i)}.log"

    def log(self, i):
        path = self.log_path(i)
        return path.read_text() if path.exists() else ""

    def rendezvous_log(self):
        return (self.folder / "rendezvous.log").read_text()

    def model(self, i):
        return (self.folder_of(i) / "model.safetensors").read_bytes()

    def saved_models(self, indices):
        """The different ones that peers of a rendezvous have ended with."""
        return {(self.folder / f"{i}.safetensors").read_bytes() for i in indices}

    # -------------------------------------------------------------------- waiting

    def wait_until(self, condition, what):
        end = time.monotonic() + self.PATIENCE
        while not condition():
            if time.monotonic() >= end:
                self.fail(f"waited in vain for {what}\n{self._logs()}")
            time.sleep(0.02)

    def _logs(self):
        return "\n".join(f"== {path.name}\n{path.read_text()[-3000:]}"
                         for path in sorted(self.folder.glob("*.log")))

    def wait_for_rounds(self, folder, count):
        """Until so many are in its metrics; these."""
        self.wait_until(lambda: len(rounds_of(folder)) >= count, f"{count} rounds")
        return rounds_of(folder)

    def wait_for_log(self, i, text, after=""):
        """Until peer i says so, after what its log was."""
        self.wait_until(lambda: text in self.log(i)[len(after):], f"{name(i)}: {text}")

    def wait_for_rendezvous(self, text):
        """Until it says so."""
        self.wait_until(lambda: text in self.rendezvous_log(), f"the rendezvous: {text}")

    def ends_well(self, *numbers):
        """They end by themselves, and say that all is well."""
        for i in numbers:
            self.wait_until(lambda: self.peers[i].poll() is not None, f"the end of {name(i)}")
            self.assertEqual(self.peers[i].returncode, 0, self.log(i))

    def kill(self, i):
        self.peers[i].kill()
        self.peers[i].wait()
