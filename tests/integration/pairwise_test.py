#!/usr/bin/python3
"""AD-PSGD between processes: peers without rounds in common.

usage: pairwise_test.py BIN_DIR
"""

import contextlib
import json
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from processes import Server

BIN = pathlib.Path(sys.argv.pop(1)).resolve()
PATIENCE = 120  # seconds, for what takes a few
# Rounds of a run that has to be under way still when its third was seen.
LONG = 1000

RUN = """
model {{ mlp {{ hidden: 20 }} }}
data {{
  train {{ mixture {{ rows: 2000 features: 30 classes: 5 }} }}
  test {{ mixture {{ rows: 500 features: 30 classes: 5 }} }}
  partition {{ parts: {peers} dirichlet {{ alpha: 0.3 min_rows: 10 }} }}
}}
local {{ sgd {{ batch_size: 20 steps: {steps} }} step_size {{ initial: 0.05 }} }}
gossip {{ ad_psgd {{}} topology {{ {topology} {{}} }} edge_seconds: {edge} }}
limits {{ lease_seconds: {lease} }}
stop {{ rounds: {rounds} }}
"""


def name(i):
    return f"client-{i + 1:04}"


def rounds_of(folder):
    path = pathlib.Path(folder, "metrics.jsonl")
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True)
            if line.endswith("\n")]


def free_ports(count):
    """Ports that are free now; another process may take one before we do."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]


class PairwiseTest(unittest.TestCase):
    def setUp(self):
        temp = tempfile.TemporaryDirectory()
        self.addCleanup(temp.cleanup)
        self.folder = pathlib.Path(temp.name)
        self.peers = []
        self.addCleanup(self.kill_all)

    def kill_all(self):
        for peer in self.peers:
            if peer.poll() is None:
                peer.kill()
                peer.wait()

    def write(self, peers, topology="ring", rounds=12, steps=10, lease=5, edge=60):
        path = self.folder / "g.textproto"
        path.write_text(RUN.format(peers=peers, topology=topology, rounds=rounds, steps=steps,
                                   lease=lease, edge=edge))
        return str(path)

    def parley(self, *words, code=0):
        done = subprocess.run([BIN / "parley", *words], cwd=self.folder, capture_output=True,
                              text=True, timeout=PATIENCE * 2, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, code, f"{done.stdout}\n{done.stderr}")
        return done.stdout + done.stderr

    def log(self, i):
        path = self.folder / f"{name(i)}.log"
        return path.read_text() if path.exists() else ""

    def start(self, i, *words):
        self.peers.append(subprocess.Popen(
            [BIN / "parley-client", "--name", name(i), "--log",
             str(self.folder / f"{name(i)}.log"), *words]))

    def wait_until(self, condition, what):
        end = time.monotonic() + PATIENCE
        while not condition():
            logs = "\n".join(f"== {i}\n{self.log(i)[-2000:]}" for i in range(len(self.peers)))
            self.assertLess(time.monotonic(), end, f"waited in vain for {what}\n{logs}")
            time.sleep(0.02)

    def test_a_run_learns_and_ends_with_one_model(self):
        for topology in ("ring", "complete"):
            with self.subTest(topology):
                run = self.write(4, topology)
                folder = self.folder / topology
                out = self.parley("run", run, "--dir", str(folder))
                rounds = rounds_of(folder)
                self.assertEqual([r["round"] for r in rounds], list(range(1, 13)), out)
                for r in rounds:
                    self.assertEqual(r["counted"], [name(i) for i in range(4)])
                    self.assertEqual(r["metrics"]["lost_edges"], 0)
                    # Each has at least its own exchange.
                    self.assertGreaterEqual(r["metrics"]["used_edges"], 4)
                self.assertLess(rounds[-1]["train_loss"], rounds[0]["train_loss"])
                self.assertGreater(rounds[-1]["central"]["accuracy"], 0.5)
                # All have the average, which is no better or worse for any.
                status = json.loads((folder / "status.json").read_text())
                self.assertEqual(status["reason"], "all rounds are done")
                self.assertTrue((folder / "model.safetensors").exists())
                self.assertIn("\\u003csvg", (folder / "report.html").read_text())

    def test_a_simulation_is_the_same_each_time(self):
        run = self.write(8, "torus", rounds=10)
        for folder in ("one", "two"):
            self.parley("simulate", run, "--dir", folder)
        one, two = ((self.folder / f / "model.safetensors").read_bytes() for f in ("one", "two"))
        self.assertEqual(one, two)
        rounds = rounds_of(self.folder / "one")
        self.assertGreater(rounds[-1]["central"]["accuracy"], 0.5)
        self.assertGreater(rounds[-1]["metrics"]["consensus"], 0)
        self.assertNotIn("rho", rounds[-1]["metrics"])

    def test_the_others_finish_when_one_is_killed(self):
        run = self.write(4, rounds=LONG, steps=20, lease=1, edge=1)
        folder = self.folder / "run"
        with Server(BIN, run, str(folder)) as server:
            for i in range(4):
                self.start(i, "--server", server.address, "--data", f"part:{i}")
            self.wait_until(lambda: len(rounds_of(folder)) >= 3, "three rounds")
            self.peers[2].kill()
            for i in (0, 1, 3):
                self.assertEqual(self.peers[i].wait(timeout=PATIENCE), 0, self.log(i))
                self.assertIn("the exact average at the end failed", self.log(i))
            self.assertEqual(server.wait(), 0)
        status = json.loads((folder / "status.json").read_text())
        self.assertEqual(status["state"], "finished")
        self.assertIn(f"3 of 4 peers have done all rounds: {name(2)}", status["reason"])
        self.assertEqual(rounds_of(folder)[-1]["round"], LONG)

    def start_list(self, peers):
        """All peers of a static list."""
        listed = "\n".join(f'peers {{ name: "{name(i)}" address: "127.0.0.1:{port}" }}'
                           for i, port in enumerate(free_ports(peers)))
        (self.folder / "peers.textproto").write_text(listed)
        for i in range(peers):
            self.start(i, "--gossip", str(self.folder / "g.textproto"), "--peers",
                       str(self.folder / "peers.textproto"), "--dir", str(self.folder / f"p{i}"))

    def test_peers_of_a_list_end_with_one_model(self):
        self.write(3, "path", rounds=8)
        self.start_list(3)
        for i, peer in enumerate(self.peers):
            self.assertEqual(peer.wait(timeout=PATIENCE), 0, self.log(i))
            self.assertIn("the exact average of all peers", self.log(i))
            rounds = rounds_of(self.folder / f"p{i}")
            self.assertEqual([r["round"] for r in rounds], list(range(1, 10)))  # and the average
            self.assertTrue(all(r["metrics"]["lost_edges"] == 0 for r in rounds))
        models = {(self.folder / f"p{i}/model.safetensors").read_bytes() for i in range(3)}
        self.assertEqual(len(models), 1)

    def test_a_stopped_reader_costs_its_edges_alone(self):
        self.write(3, "star", rounds=LONG, steps=20, edge=1)
        self.start_list(3)
        self.wait_until(lambda: len(rounds_of(self.folder / "p2")) >= 3, "three rounds")
        subprocess.run(["kill", "-STOP", str(self.peers[2].pid)], check=True)
        for i in (0, 1):
            self.assertEqual(self.peers[i].wait(timeout=PATIENCE), 0, self.log(i))
        for i in (0, 1):
            self.assertEqual(rounds_of(self.folder / f"p{i}")[-1]["round"], LONG)
        # The leaf has the hub alone, which goes on.
        self.assertEqual(sum(r["metrics"]["lost_edges"] for r in rounds_of(self.folder / "p1")), 0)
        self.assertRegex(self.log(0), re.compile(rf"lost {name(2)}: "))

    def test_wrong_topologies_are_refused_with_the_reason(self):
        run = self.write(4, "one_peer_exponential")
        self.assertIn("must have no directed edges with ad_psgd",
                      self.parley("explain", run, code=2))
        run = self.write(4, "base")
        self.assertIn("must be the same in all rounds with ad_psgd",
                      self.parley("explain", run, code=2))
        out = self.parley("explain", self.write(4))
        self.assertRegex(out, r"2 payloads\n(.|\n)* 8 models and its rows")


if __name__ == "__main__":
    unittest.main(verbosity=2)
