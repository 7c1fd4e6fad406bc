#!/usr/bin/python3
"""Processes that are killed in mid-round, and come back.

usage: recovery_test.py BIN_DIR
Whatever happens, the run must end with the model of an undisturbed one.
"""
import contextlib
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

BIN = pathlib.Path(sys.argv.pop(1)).resolve()
PATIENCE = 100  # seconds, for what takes a few
RUN = """
model { mlp { hidden: 200 } }
data {
  train { mixture { rows: 4000 features: 50 classes: 10 } }
  partition { parts: 3 dirichlet { alpha: 0.5 min_rows: 50 } }
}
local { sgd { batch_size: 50 epochs: 1 } step_size { initial: 0.05 } momentum: 0.5 }
aggregation { fed_avg {} momentum {} }
checkpoints { every: 3 }
stop { rounds: 60 }
"""
# The steps of a round depend on the losses of the one before.
NORMALISED = """
model { logistic { bias: false } }
data {
  train { separable { rows: 24 features: 8 margin: 4 } }
  partition { parts: 3 dirichlet { alpha: 0.3 } }
}
local { gd { steps: 4 } step_size { initial: 3 loss_normalised {} } }
aggregation { uniform {} }
precision: FLOAT64
checkpoints { every: 3 }
stop { rounds: 300 }
"""
# Of personal-client: half of the model never leaves it.
PERSONAL = """
model { custom { name: "personal" spec {
  tensors { name: "shared" shape: 2 }
  tensors { name: "own" shape: 2 merge: LOCAL }
} } }
cohort { min: 3 }
start { zeros {} }
stop { rounds: 300 }
"""


class RecoveryTest(unittest.TestCase):
    def setUp(self):
        temp = tempfile.TemporaryDirectory()
        self.addCleanup(temp.cleanup)
        self.folder = pathlib.Path(temp.name)
        (self.folder / "run.textproto").write_text(RUN)
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)

    def start(self, *command):
        process = subprocess.Popen(command)
        self.stack.callback(lambda: (process.kill(), process.wait()))
        return process

    # A socket file stays the server's; a port may be another's meanwhile.
    def server(self, name, *flags):
        return self.start(BIN / "parley-server", "--run", self.folder / "run.textproto",
                          "--dir", self.folder / name, "--log", self.folder / f"{name}.log",
                          "--listen", f"unix:{self.folder}/{name}.socket", *flags)

    def personal_client(self, run, number):
        return self.start(BIN / "personal-client", "--server", f"unix:{self.folder}/{run}.socket",
                          "--name", f"client-{number}", "--state", self.folder / f"{run}-state",
                          "--log", self.folder / f"{run}-client-{number}.log")

    def client(self, run, part):
        return self.start(BIN / "parley-client", "--server", f"unix:{self.folder}/{run}.socket",
                          "--name", f"client-{part}", "--data", f"part:{part}",
                          "--log", self.folder / f"{run}-client-{part}.log")

    def metrics(self, run):
        path = self.folder / run / "metrics.jsonl"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text().splitlines(True)
                if line.endswith("\n")]

    def await_rounds(self, run, process, rounds):
        end = time.monotonic() + PATIENCE
        while len(self.metrics(run)) < rounds:
            self.assertIsNone(process.poll(), "the server ended")
            self.assertLess(time.monotonic(), end, f"no {rounds} rounds")
            time.sleep(0.01)

    def stop_in_mid_round(self, run, server, client, rounds_in_all=60):
        """Leaves a round that cannot end without the client."""
        self.await_rounds(run, server, 5)
        client.send_signal(signal.SIGSTOP)
        rounds = len(self.metrics(run))
        self.assertLess(rounds, rounds_in_all - 10, "the run was too fast to be disturbed")

    def hashes(self, run):
        """By round; a round that was run again must have the same one."""
        found = {}
        for report in self.metrics(run):
            self.assertEqual(len(report["counted"]), 3, report)
            self.assertEqual(found.setdefault(report["round"], report["model_hash"]),
                             report["model_hash"], report)
        return found

    def finish(self, server, clients):
        self.assertEqual([p.wait(PATIENCE) for p in [server, *clients]], [0] * 4)

    def test_a_killed_coordinator_and_a_killed_client_do_not_change_the_model(self):
        server = self.server("plain")
        self.finish(server, [self.client("plain", part) for part in range(3)])
        want = self.hashes("plain")
        self.assertEqual(len(want), 60)

        with self.subTest("coordinator"):
            server = self.server("served_twice")
            clients = [self.client("served_twice", part) for part in range(3)]
            self.stop_in_mid_round("served_twice", server, clients[1])
            server.kill()
            server.wait()
            clients[1].send_signal(signal.SIGCONT)
            self.finish(self.server("served_twice", "--resume"), clients)
            self.assertEqual(self.hashes("served_twice"), want)
            log = (self.folder / "served_twice-client-0.log").read_text()
            self.assertIn("term 1", log)
            self.assertIn("term 2", log)  # the same process in both

        with self.subTest("client"):
            server = self.server("client_twice")
            clients = [self.client("client_twice", part) for part in range(3)]
            self.stop_in_mid_round("client_twice", server, clients[1])
            clients[1].kill()
            clients[1].wait()
            clients[1] = self.client("client_twice", 1)
            self.finish(server, clients)
            self.assertEqual(self.hashes("client_twice"), want)
            self.assertIn("client-1 came back as another process",
                          (self.folder / "client_twice.log").read_text())

        models = {run: (self.folder / run / "model.safetensors").read_bytes()
                  for run in ("plain", "served_twice", "client_twice")}
        self.assertEqual(len(set(models.values())), 1)

    def test_what_a_round_leaves_to_the_next_outlives_the_coordinator(self):
        (self.folder / "run.textproto").write_text(NORMALISED)
        server = self.server("plain")
        self.finish(server, [self.client("plain", part) for part in range(3)])
        want = self.hashes("plain")
        self.assertEqual(len(want), 300)
        self.assertLess(self.metrics("plain")[-1]["metrics"]["log_loss"], -800)

        server = self.server("served_twice")
        clients = [self.client("served_twice", part) for part in range(3)]
        self.stop_in_mid_round("served_twice", server, clients[1], 300)
        server.kill()
        server.wait()
        clients[1].send_signal(signal.SIGCONT)
        self.finish(self.server("served_twice", "--resume"), clients)
        self.assertEqual(self.hashes("served_twice"), want)

    def test_local_tensors_outlive_killed_clients(self):
        (self.folder / "run.textproto").write_text(PERSONAL)
        server = self.server("plain")
        self.finish(server, [self.personal_client("plain", i) for i in range(3)])
        want = self.hashes("plain")
        self.assertEqual(len(want), 300)

        server = self.server("killed")
        clients = [self.personal_client("killed", i) for i in range(3)]
        for kill in range(8):
            victim = kill % 3
            self.await_rounds("killed", server, 20 * (kill + 1))
            clients[victim].kill()
            clients[victim].wait()
            clients[victim] = self.personal_client("killed", victim)
        self.assertLess(len(self.metrics("killed")), 300, "too fast to be disturbed")
        self.finish(server, clients)
        self.assertEqual(self.hashes("killed"), want)

        def own(run):  # the file has the run's id in its name and its head
            files = sorted((self.folder / f"{run}-state").glob("local-*"))
            return [file.read_bytes()[24:] for file in files]

        self.assertEqual(len(own("plain")), 3)
        self.assertEqual(own("killed"), own("plain"))
        self.assertEqual(len(set(own("plain"))), 3)  # to each its own


if __name__ == "__main__":
    unittest.main()
