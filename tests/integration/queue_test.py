#!/usr/bin/python3
"""A coordinator with a queue, its clients, and what scripts do with it.

usage: queue_test.py BIN_DIR
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
model { mlp { hidden: 100 } }
data {
  train { mixture { rows: 3000 features: 50 classes: 10 } }
  partition { parts: 3 dirichlet { alpha: 0.5 min_rows: 50 } }
}
local { sgd { batch_size: 50 epochs: 1 } step_size { initial: 0.05 } momentum: 0.5 }
checkpoints { every: 3 }
cohort { min: 3 }
"""


class QueueTest(unittest.TestCase):
    def setUp(self):
        temp = tempfile.TemporaryDirectory()
        self.addCleanup(temp.cleanup)
        self.folder = pathlib.Path(temp.name)
        self.runs = self.folder / "runs"
        self.address = f"unix:{self.folder}/socket"
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)

    def write(self, name, seed, rounds, extra=""):
        path = self.folder / f"{name}.textproto"
        path.write_text(f"{RUN}\nstop {{ rounds: {rounds} }}\nseed: {seed}\n{extra}")
        return path

    def start(self, *command):
        process = subprocess.Popen(command)
        self.stack.callback(lambda: (process.kill(), process.wait()))
        return process

    def server(self, *flags):
        return self.start(BIN / "parley-server", "--queue", "--dir", self.runs, "--log",
                          self.folder / "server.log", "--listen", self.address, *flags)

    def clients(self, parts=range(3)):  # named as parley run does
        return [self.start(BIN / "parley-client", "--server", self.address,
                           "--name", f"client-{part + 1:04}", "--data", f"part:{part}",
                           "--log", self.folder / f"client-{part}.log") for part in parts]

    def parley(self, *words, code=0, cwd=None):
        done = subprocess.run([BIN / "parley", *words], capture_output=True, text=True,
                              timeout=PATIENCE, cwd=cwd)
        self.assertEqual(done.returncode, code, f"{words}: {done.stdout}{done.stderr}")
        return done.stdout if code == 0 else done.stdout + done.stderr

    def submit(self, file, *flags):
        return self.parley("submit", file, "--to", self.address, *flags).splitlines()[0]

    def watch(self, run, code=0):
        return self.parley("watch", self.address, "--run", run, code=code)

    def ls(self, *flags):
        lines = self.parley("ls", self.address, "--json", *flags).splitlines()
        return {run["run"]: run for run in map(json.loads, lines)}

    def await_that(self, what, holds):
        end = time.monotonic() + PATIENCE
        while not holds():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.01)

    def await_listening(self):
        self.await_that("no server", lambda: subprocess.run(
            [BIN / "parley", "ls", self.address], capture_output=True).returncode == 0)

    def log(self, name):
        path = self.folder / f"{name}.log"
        return path.read_text() if path.exists() else ""

    def metrics(self, run):
        path = self.runs / run / "metrics.jsonl"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text().splitlines(True)
                if line.endswith("\n")]

    def hashes(self, run):
        return [report["model_hash"] for report in self.metrics(run)]

    def hashes_alone(self, file):
        """Of the same run, undisturbed, with clients of its own."""
        folder = self.folder / f"alone-{file.stem}"
        self.parley("run", file, "--dir", folder)
        lines = (folder / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line)["model_hash"] for line in lines]

    def test_runs_share_the_clients_and_come_to_the_same_models(self):
        a, b = self.write("a", 1, 5, 'tags: "base"'), self.write("b", 2, 4)
        want_a, want_b = self.hashes_alone(a), self.hashes_alone(b)
        self.assertNotEqual(want_a[:4], want_b)

        server = self.server("--at-once", "2")
        clients = self.clients()  # before there is any run
        self.await_listening()
        self.assertIn("no runs", self.parley("ls", self.address))

        with self.subTest("one after another"):
            self.assertEqual(self.submit(a, "--tag", "x", "--watch"), "a-1")
            self.assertEqual(self.submit(b, "--tag", "x", "--tag", "y", "--watch"), "b-1")
            self.assertEqual(self.hashes("a-1"), want_a)
            self.assertEqual(self.hashes("b-1"), want_b)

        with self.subTest("side by side"):
            # Neither ends without this one, whose session that waits gets a-2.
            clients[2].send_signal(signal.SIGSTOP)
            self.assertEqual([self.submit(a), self.submit(b)], ["a-2", "b-2"])
            self.await_that("not side by side", lambda: [
                self.ls()[run]["clients"] for run in ("a-2", "b-2")] == [3, 2])
            clients[2].send_signal(signal.SIGCONT)
            self.watch("a-2")
            self.watch("b-2")
            self.assertEqual(self.hashes("a-2"), want_a)
            self.assertEqual(self.hashes("b-2"), want_b)

        with self.subTest("lists and tags"):
            runs = self.ls()
            self.assertEqual(list(runs), ["a-1", "b-1", "a-2", "b-2"])
            self.assertEqual({run["state"] for run in runs.values()}, {"FINISHED"})
            self.assertEqual(runs["a-1"]["tags"], ["base", "x"])
            self.assertEqual(list(self.ls("--tag", "x")), ["a-1", "b-1"])
            self.assertEqual(list(self.ls("--tag", "x", "--tag", "y")), ["b-1"])
            self.assertEqual(list(self.ls("--tag", "none")), [])

        with self.subTest("one model, many runs"):
            models = [(self.runs / run / "model.safetensors").read_bytes()
                      for run in ("a-1", "a-2")]
            self.assertEqual(models[0], models[1])

        for process in clients:
            self.assertIsNone(process.poll(), "a client left")
        server.send_signal(signal.SIGINT)
        self.assertEqual(server.wait(PATIENCE), 0)
        for process in clients:
            process.send_signal(signal.SIGINT)
        self.assertEqual([p.wait(PATIENCE) for p in clients], [0] * 3)

    def test_a_gossip_run_waits_its_turn_and_the_clients_become_its_peers(self):
        first, gossip = self.write("a", 1, 4), self.folder / "g.textproto"
        gossip.write_text(
            RUN.replace("checkpoints { every: 3 }\ncohort { min: 3 }",
                        "gossip { topology { ring {} } }").replace(
                "  partition", "  test { mixture { rows: 300 features: 50 classes: 10 } }\n"
                "  partition") + "stop { rounds: 6 } seed: 5")
        server = self.server()
        self.await_listening()
        self.assertEqual([self.submit(first), self.submit(gossip)], ["a-1", "g-1"])
        # Without clients the first waits, and the second behind it: by its folder, too.
        seen = self.folder / "seen"
        with seen.open("w") as out:
            watch = subprocess.Popen([BIN / "parley", "watch", f"{self.runs / 'g-1'}/", "--json"],
                                     stdout=out)
        self.stack.callback(lambda: (watch.kill(), watch.wait()))
        self.await_that("not seen in the queue", lambda: "QUEUED" in seen.read_text().upper())
        server.send_signal(signal.SIGKILL)
        server.wait()
        watch.kill()
        watch.wait()
        self.assertIn("has not begun and waits", self.parley("watch", self.runs / "g-1", code=1))

        self.server()
        self.clients()
        self.await_listening()
        self.watch("g-1")
        self.assertEqual(self.ls()["a-1"]["state"], "FINISHED")
        rounds = self.metrics("g-1")
        self.assertEqual([len(r["counted"]) for r in rounds], [3] * 6)
        self.assertEqual(len(rounds[-1]["evaluations"]), 3)
        self.assertEqual(self.hashes("g-1")[-1], self.hashes_alone(gossip)[-1])

    def test_a_queue_outlives_its_coordinator(self):
        long, short = self.write("long", 3, 40), self.write("short", 4, 3)
        want_long, want_short = self.hashes_alone(long), self.hashes_alone(short)
        server, clients = self.server(), self.clients()
        self.await_listening()
        self.submit(long)
        self.submit(short)
        self.submit(short, "--name", "last")
        self.await_that("no rounds", lambda: len(self.metrics("long-1")) >= 5)
        clients[1].send_signal(signal.SIGSTOP)  # no round ends from here on
        self.assertLess(len(self.metrics("long-1")), 30, "too fast to be disturbed")
        self.assertEqual((self.runs / "queue").read_text(), "long-1\nshort-1\nlast-1\n")
        server.kill()
        server.wait()
        clients[1].send_signal(signal.SIGCONT)

        self.server()
        self.await_listening()
        self.watch("last-1")
        self.assertEqual(self.hashes("long-1"), want_long)
        self.assertEqual(self.hashes("short-1"), want_short)
        self.assertEqual(self.hashes("last-1"), want_short)
        self.assertEqual((self.runs / "queue").read_text(), "")
        self.assertIn("joined run long-1", self.log("client-0"))
        self.assertIn("term 2", self.log("client-0"))  # the same process in both

    def test_an_orderly_end_leaves_the_runs_to_be_resumed(self):
        long = self.write("long", 5, 40)
        want = self.hashes_alone(long)
        server, _ = self.server(), self.clients()
        self.await_listening()
        self.submit(long)
        self.await_that("no rounds", lambda: len(self.metrics("long-1")) >= 5)
        server.send_signal(signal.SIGTERM)
        self.assertEqual(server.wait(PATIENCE), 0)
        self.assertLess(len(self.metrics("long-1")), 40, "the run was too fast")
        self.assertFalse((self.runs / "long-1" / "status.json").exists())
        self.assertEqual(self.parley("watch", self.runs / "long-1", code=1).count("\n"), 1)
        self.server()
        self.await_listening()
        self.watch("long-1")
        self.assertEqual(self.hashes("long-1"), want)

    def test_stop(self):
        file = self.write("run", 6, 3)
        self.server()
        self.await_listening()
        first, second = self.submit(file), self.submit(file)  # nobody trains
        self.assertEqual(self.ls()[second]["state"], "QUEUED")
        self.await_that("waits", lambda: self.ls()[first]["state"] == "WAITING")
        self.parley("stop", self.address, "--run", second, "--reason", "not wanted")
        self.assertIn("not wanted", self.watch(second, code=3))
        self.assertEqual(self.ls()[second]["state"], "STOPPED")
        self.assertEqual(json.loads((self.runs / second / "status.json").read_text())["reason"],
                         "not wanted")
        self.assertEqual((self.runs / "queue").read_text(), f"{first}\n")
        self.parley("stop", self.runs / first)  # by its folder
        self.watch(first, code=3)
        self.await_that("empty", lambda: (self.runs / "queue").read_text() == "")
        self.assertIn("nothing to stop", self.parley("stop", self.runs / first))

        # Those who come now are for the next run, and come to no harm.
        clients = self.clients()
        self.await_that("waits", lambda: "waits for a run" in self.log("client-0"))
        third = self.submit(file)
        self.watch(third)
        self.assertEqual([p.poll() for p in clients], [None] * 3)

    def test_a_run_that_a_client_cannot_train_costs_that_run_only(self):
        mine = self.folder / "custom.textproto"
        mine.write_text('model { custom { name: "odd" spec { tensors { name: "w" shape: 3 } } } }\n'
                        "data { train { mixture { rows: 3000 features: 50 classes: 10 } }\n"
                        "  partition { parts: 3 } }\n"
                        "start { zeros {} } cohort { min: 3 } stop { rounds: 1 }\n")
        self.server("--at-once", "2")
        clients = self.clients()
        self.await_listening()
        odd = self.submit(mine)
        self.await_that("declined", lambda: all(
            "has no more part in it" in self.log(f"client-{i}") for i in range(3)))
        self.watch(self.submit(self.write("good", 7, 2)))
        # One that lets only two of them in.
        self.watch(self.submit(self.write("two", 8, 2), "--set", "data.partition.parts=2",
                               "--set", "cohort.min=2"))
        self.assertIn("part 2", self.log("client-2"))
        self.watch(self.submit(self.write("again", 9, 2)))
        self.assertIn(self.ls()[odd]["state"], ("WAITING", "RUNNING"))
        self.parley("stop", self.address, "--run", odd)
        self.watch(odd, code=3)
        self.assertEqual([p.poll() for p in clients], [None] * 3)

    def test_what_scripts_hear(self):
        bad = self.write("bad", 8, 3, "evaluation { every: -1 }\nwhat: 3\n")
        good = self.write("good", 8, 3)
        data = self.folder / "data.textproto"
        data.write_text("model { logistic {} }\ndata { train { libsvm { path: \"none.svm\" } } }\n"
                        "local { gd {} step_size { initial: 1 } }\nstop { rounds: 1 }\n")
        self.assertIn("socket", self.parley("submit", good, "--to", self.address, code=1))
        self.assertIn("--to", self.parley("submit", good, code=2))
        self.server()
        self.await_listening()
        said = self.parley("submit", bad, "--to", self.address, "--set", "stop.rounds=0",
                           "--tag", "no tag", code=2)
        for wrong in ("bad.textproto:", "no field what", "evaluation.every", "--set stop.rounds=0"):
            self.assertIn(wrong, said)
        self.assertIn("tags[0]", self.parley("submit", good, "--to", self.address,
                                             "--tag", "no tag", code=2))
        self.assertIn(str(self.folder / "none.svm"),
                      self.parley("submit", data, "--to", self.address, code=2))
        self.assertIn("no such file", self.parley(
            "submit", self.folder / "none", "--to", self.address, code=2).lower())
        self.assertEqual(self.ls(), {})
        self.assertEqual(list(self.runs.glob("*-1")), [])
        reply = json.loads(self.parley("submit", "good.textproto", "--to", self.runs, "--json",
                                       cwd=self.folder))
        self.assertEqual(reply, {"run": "good-1", "folder": f"{self.runs}/good-1", "position": 0})
        for command in ("watch", "stop"):
            self.assertIn("other", self.parley(command, self.address, "--run", "other", code=1))
        # A second one in the same folder.
        self.assertEqual(self.start(BIN / "parley-server", "--queue", "--dir", self.runs,
                                    "--listen", "127.0.0.1:0").wait(PATIENCE), 1)
        self.assertEqual(self.start(BIN / "parley-server", "--queue", "--run",
                                    good).wait(PATIENCE), 2)

    def test_a_single_run_has_no_queue(self):
        file = self.write("one", 9, 3)
        self.start(BIN / "parley-server", "--run", file, "--dir", self.folder / "one",
                   "--listen", self.address, "--log", self.folder / "one.log")
        self.await_listening()
        self.assertIn("--queue", self.parley("submit", file, "--to", self.address, code=1))
        self.assertEqual(list(self.ls()), ["one"])
        clients = self.clients()
        self.watch("one")
        self.assertEqual([p.wait(PATIENCE) for p in clients], [0] * 3)


if __name__ == "__main__":
    unittest.main()
