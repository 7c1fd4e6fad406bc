#!/usr/bin/python3
"""Peers without a server, as processes on loopback.

usage: gossip_test.py BIN_DIR
"""

import contextlib
import json
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

BIN = pathlib.Path(sys.argv.pop(1)).resolve()
PATIENCE = 120  # seconds, for what takes a few
RUN = """
model {{ mlp {{ hidden: 40 }} }}
data {{
  train {{ mixture {{ rows: 2000 features: 30 classes: 5 }} }}
  test {{ mixture {{ rows: 500 features: 30 classes: 5 }} }}
  partition {{ parts: {peers} dirichlet {{ alpha: 0.3 min_rows: 20 }} }}
}}
evaluation {{ every: 3 }}
local {{ sgd {{ batch_size: 20 steps: {steps} }} step_size {{ initial: 0.05 }} }}
stop {{ rounds: {rounds} }}
gossip {{ {gossip} edge_seconds: 3 }}
"""


def name(i):
    """As the simulator names them: random streams are drawn by name."""
    return f"client-{i + 1:04}"


def free_ports(count):
    """Ports that are free now; another process may take one before we do."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]


class GossipTest(unittest.TestCase):
    def setUp(self):
        temp = tempfile.TemporaryDirectory()
        self.addCleanup(temp.cleanup)
        self.folder = pathlib.Path(temp.name)
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.peers = []

    def write(self, peers, gossip="topology { ring {} }", rounds=6, steps=10, run="run"):
        (self.folder / f"{run}.textproto").write_text(
            RUN.format(peers=peers, gossip=gossip, rounds=rounds, steps=steps))
        self.list(peers)

    def list(self, peers):
        (self.folder / "peers.textproto").write_text("".join(
            f'peers {{ name: "{name(i)}" address: "127.0.0.1:{port}" }}\n'
            for i, port in enumerate(free_ports(peers))))

    def peer(self, i, *flags, run="run", folder=None):
        process = subprocess.Popen(
            [BIN / "parley-client", "--gossip", self.folder / f"{run}.textproto",
             "--peers", self.folder / "peers.textproto", "--index", str(i),
             "--dir", folder or self.folder / f"peer-{i}", "--log", self.log_of(i), *flags])
        self.stack.callback(lambda: (process.kill(), process.wait()))
        return process

    def log_of(self, i):
        return self.folder / f"peer-{i}.log"

    def log(self, i):
        return self.log_of(i).read_text() if self.log_of(i).exists() else ""

    def start(self, peers, flags=lambda i: ()):
        """Starts all of them; again, with other ports, where one is taken."""
        while True:
            started = [self.peer(i, *flags(i)) for i in range(peers)]
            self.until(lambda: all(self.log(i) or started[i].poll() for i in range(peers)))
            if not any("cannot listen at" in self.log(i) for i in range(peers)):
                return started
            for process in started:
                process.kill()
                process.wait()
            for file in self.folder.glob("peer-*"):
                subprocess.run(["rm", "-r", file], check=True)
            self.list(peers)

    def until(self, condition):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), deadline, "waited in vain")
            time.sleep(0.02)

    def ends_well(self, processes):
        for i, process in processes:
            self.assertEqual(process.wait(PATIENCE), 0, self.log(i))

    def metrics(self, i):
        path = self.folder / f"peer-{i}" / "metrics.jsonl"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text().splitlines(keepends=True)
                if line.endswith("\n")]

    def model(self, i):
        return (self.folder / f"peer-{i}" / "model.safetensors").read_bytes()

    def numbers(self, i):
        """All of a .safetensors file's, which is of float32."""
        text = self.model(i)
        begin = 8 + struct.unpack("<Q", text[:8])[0]
        return struct.unpack(f"<{(len(text) - begin) // 4}f", text[begin:])

    def test_the_models_are_those_of_the_simulator(self):
        for peers, gossip in (
                (8, "topology { one_peer_exponential {} } d_sgd { order: ADAPT_THEN_COMBINE }"),
                (6, "topology { static_exponential {} } d_sgd { momentum: 0.5 }"),
                (6, "topology { complete {} } push_sum {}"),
                (5, "topology { ring {} } gradient_tracking {}"),
                (4, "topology { random_matching {} } average_every: 3")):
            with self.subTest(peers=peers, gossip=gossip):
                for file in [*self.folder.glob("peer-*"), *self.folder.glob("simulated")]:
                    subprocess.run(["rm", "-r", file], check=True)
                self.write(peers, gossip)
                started = self.start(peers)
                self.ends_well(enumerate(started))
                subprocess.run([BIN / "parley", "simulate", self.folder / "run.textproto",
                                "--dir", self.folder / "simulated"],
                               check=True, timeout=PATIENCE, stdout=subprocess.DEVNULL)
                # The first peer's depends on every bit of the others'.
                simulated = (self.folder / "simulated" / "model.safetensors").read_bytes()
                self.assertEqual(self.model(0), simulated)
                first = self.numbers(0)
                for i in range(peers):
                    apart = max(abs(a - b) for a, b in zip(first, self.numbers(i), strict=True))
                    self.assertLess(apart, 1e-6)
                    self.assertIn("the exact average of all peers", self.log(i))
                    rounds = self.metrics(i)
                    self.assertEqual([r["round"] for r in rounds], list(range(1, 8)))
                    self.assertEqual(sum(r["metrics"]["lost_edges"] for r in rounds), 0)
                # Rounds 3 and 6 by each peer, and the average once more; the simulator sees
                # what they see.
                for i in range(peers):
                    for r in self.metrics(i)[:6]:
                        self.assertEqual(len(r["evaluations"]), r["round"] in (3, 6), r)
                lines = (self.folder / "simulated" / "metrics.jsonl").read_text().splitlines()
                simulated = [json.loads(line) for line in lines]
                for r in (3, 6):
                    own = [self.metrics(i)[r - 1]["evaluations"][0]["loss"] for i in range(peers)]
                    self.assertAlmostEqual(sum(own) / peers, simulated[r - 1]["federated"]["loss"],
                                           places=6)
                self.assertGreater(self.metrics(0)[6]["central"]["accuracy"], 0.4)
                self.assertLess(self.metrics(0)[5]["train_loss"], self.metrics(0)[0]["train_loss"])

    def test_the_others_finish_when_one_is_killed(self):
        self.write(5, "topology { static_exponential {} }", rounds=60, steps=40)
        started = self.start(5)
        self.until(lambda: len(self.metrics(2)) >= 5)
        started[2].kill()
        self.assertEqual(started[2].wait(), -signal.SIGKILL)
        self.assertLess(len(self.metrics(2)), 60, "killed too late to tell")
        rest = [(i, p) for i, p in enumerate(started) if i != 2]
        self.ends_well(rest)
        for i, _ in rest:
            rounds = self.metrics(i)
            self.assertEqual(len([r for r in rounds if r["round"] <= 60]), 60)
            self.assertTrue((self.folder / f"peer-{i}" / "model.safetensors").exists())
        self.assertGreater(
            sum(r["metrics"]["lost_edges"] for i, _ in rest for r in self.metrics(i)), 0)

    def test_a_peer_waits_says_for_whom_and_leaves_cleanly(self):
        self.write(3)
        # Who came alone waits for the others.
        peer = self.start(1)[0]
        self.until(lambda: name(1) in self.log(0))
        self.assertEqual(self.metrics(0), [])
        peer.send_signal(signal.SIGINT)
        self.assertEqual(peer.wait(PATIENCE), 0)
        self.assertIn("leaves (a second signal ends it at once): Interrupt", self.log(0))
        self.assertFalse((self.folder / "peer-0" / "model.safetensors").exists())
        # Its folder is not taken for another run.
        again = self.peer(0)
        self.assertEqual(again.wait(PATIENCE), 1)
        self.assertIn("holds a run already", self.log(0))

    def test_a_peer_of_another_run_is_refused_with_a_reason(self):
        self.write(2)
        self.write_other(rounds=7)
        first = self.start(1)[0]
        other = self.peer(1, run="other")
        # Both say so, and go on waiting for the right one.
        self.until(lambda: all("takes part in another run" in self.log(i) for i in range(2)))
        for process in (first, other):
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(PATIENCE), 0)
        self.assertEqual(self.metrics(0), [])

    def write_other(self, **how):
        """The same run file but for one thing, and of the same name."""
        peers = (self.folder / "peers.textproto").read_text()
        self.write(2, run="other", **how)
        (self.folder / "peers.textproto").write_text(peers)
        other = self.folder / "other.textproto"
        other.write_text('name: "run"\n' + other.read_text())

    def test_mutual_tls(self):
        def openssl(*words):
            subprocess.run(["openssl", *words], check=True, cwd=self.folder,
                           stderr=subprocess.DEVNULL)

        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                "-nodes", "-days", "2", "-subj", "/CN=authority", "-keyout", "ca.key",
                "-out", "ca.pem")
        for i in range(2):
            openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-subj", f"/CN={name(i)}", "-keyout", f"{i}.key", "-out", f"{i}.csr")
            (self.folder / f"{i}.ext").write_text(
                f"subjectAltName=DNS:{name(i)},DNS:localhost,IP:127.0.0.1")
            openssl("x509", "-req", "-in", f"{i}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                    "-CAcreateserial", "-days", "2", "-extfile", f"{i}.ext", "-out", f"{i}.pem")

        def tls(i):
            return ("--tls-ca", self.folder / "ca.pem", "--tls-cert", self.folder / f"{i}.pem",
                    "--tls-key", self.folder / f"{i}.key")

        self.write(2)
        self.ends_well(enumerate(self.start(2, tls)))
        # A certificate of the authority, but of another peer.
        subprocess.run(["rm", "-r", self.folder / "peer-0", self.folder / "peer-1"], check=True)
        started = self.start(2, lambda i: tls(1))
        self.until(lambda: f"its certificate is for {name(1)}" in self.log(0) + self.log(1))
        for process in started:
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(PATIENCE), 0)

    def test_wrong_usage(self):
        self.write(3)
        (self.folder / "twice").write_text('peers { name: "a" address: "h:1" }\n' * 2)
        (self.folder / "broken").write_text("peers { nam: 1 }")
        peers = ("--peers", "peers.textproto")
        for flags, says in (
                (("--gossip", "run.textproto"), "--peers FILE is missing"),
                ((*peers, "--dir", "d"), "--gossip FILE is missing"),
                (("--gossip", "run.textproto", *peers, "--dir", "d"),
                 "--index N or --name NAME is missing"),
                (("--gossip", "run.textproto", *peers, "--dir", "d", "--index", "3"),
                 "--index is 3: the list has the peers 0 to 2"),
                (("--gossip", "run.textproto", *peers, "--dir", "d", "--name", "x"),
                 "no peer of the list is x"),
                (("--gossip", "run.textproto", "--peers", "twice", "--dir", "d", "--index", "0"),
                 "two peers are named a"),
                (("--gossip", "run.textproto", "--peers", "broken", "--dir", "d", "--index", "0"),
                 "broken:1: "),
                (("--gossip", "run.textproto", *peers, "--dir", "d", "--index", "0",
                  "--server", "a:1"), "--gossip is for one without"),
                (("--gossip", "nowhere", *peers, "--dir", "d", "--index", "0"), "nowhere"),
        ):
            with self.subTest(flags=flags):
                ended = subprocess.run([BIN / "parley-client", *flags], cwd=self.folder,
                                       capture_output=True, text=True, timeout=PATIENCE)
                self.assertEqual(ended.returncode, 2)
                self.assertIn(says, ended.stderr)


if __name__ == "__main__":
    unittest.main()
