#!/usr/bin/python3
"""parley run and its fellows, as a user runs them."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from processes import rounds_of

BIN = pathlib.Path(sys.argv.pop(1)).resolve()
EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"
QUICK = str(EXAMPLES / "mixture_quick.textproto")
# Does not end by itself within the test's time.
FEW_ROWS = "train { mixture { rows: 24 features: 40 separation: 1 } }"  # fewer than features
MANY_ROWS = "train { mixture { rows: 60 features: 3 separation: 1 } }"
GD = "gd { steps: 7 } step_size { initial: 0.05 } "
NORMALISED = "gd { steps: 7 } step_size { initial: 0.05 loss_normalised {} }"
SGD = "sgd { batch_size: 4 epochs: 2 } step_size { initial: 0.05 }"
PROX = "exact_prox { log_lambda: -200 }"
# Of a linear model in double: data, local, aggregation.
ALGORITHMS = {
    "local_gd_in_span": (FEW_ROWS, GD, "uniform {}"),
    "local_gd_on_w": (MANY_ROWS, GD, "fed_avg {}"),
    "normalised_in_span": (FEW_ROWS, NORMALISED, "fed_avg {}"),
    "normalised_on_w": (MANY_ROWS, NORMALISED, "uniform {}"),
    "modified_local_gd": (FEW_ROWS, PROX, "uniform {} anchored {}"),
    "parallel_projections": (FEW_ROWS, PROX, "uniform {}"),
    "proximal": (FEW_ROWS, GD + "proximal: 0.1", "fed_avg {}"),
    "sgd": (MANY_ROWS, SGD, "fed_avg {}"),
}
LONG = ["--set", "stop.rounds=1000000", "--set", "checkpoints.every=0"]


def parley(*words, cwd, code=0):
    done = subprocess.run([BIN / "parley", *words], cwd=cwd, capture_output=True, text=True,
                          timeout=100, stdin=subprocess.DEVNULL)
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout if code == 0 else done.stdout + done.stderr


def processes_of(folder):
    """The processes whose command line names the folder or that run in it."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_bytes().decode(errors="replace")
            where = os.readlink(entry / "cwd")
        except OSError:
            continue
        if "parley" in command and (folder in command or where.startswith(folder)):
            found.append((int(entry.name), command.replace("\0", " ")))
    return found


def wait_until(condition, what, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.02)


class RunTest(unittest.TestCase):
    def setUp(self):
        self.temp = tempfile.TemporaryDirectory()
        self.addCleanup(self.temp.cleanup)
        self.cwd = os.path.realpath(self.temp.name)

    def metrics(self, run):
        return rounds_of(f"{self.cwd}/{run}")

    def start(self, *words):
        process = subprocess.Popen([BIN / "parley", "run", QUICK, "--dir", "run", *words],
                                   cwd=self.cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        wait_until(lambda: self.metrics("run"), "the first round")
        return process

    def test_processes_and_simulator_make_the_same_model_and_replay_proves_it(self):
        for precision in ("FLOAT32", "FLOAT64"):
            with self.subTest(precision):
                sets = ["--set", f"precision={precision}"]
                parley("run", QUICK, "--dir", precision, *sets, cwd=self.cwd)
                rounds = self.metrics(precision)
                simulated = [json.loads(line) for line in
                             parley("simulate", QUICK, "--json", *sets, cwd=self.cwd).splitlines()]
                self.assertEqual([r["model_hash"] for r in rounds],
                                 [r["model_hash"] for r in simulated])
                self.assertEqual([r["counted"] for r in rounds], [r["counted"] for r in simulated])
                self.assertGreater(rounds[-1]["central"]["accuracy"], 0.9)
                self.assertIn("bit for bit", parley("replay", precision, cwd=self.cwd))

    def test_every_algorithm_makes_the_same_model_everywhere(self):
        for name, (data, local, aggregation) in ALGORITHMS.items():
            with self.subTest(name):
                path = pathlib.Path(self.cwd, f"{name}.textproto")
                path.write_text(f"""
                    model {{ logistic {{ loss: EXPONENTIAL bias: false }} }}
                    data {{ {data} partition {{ parts: 3 feature_shift {{ strength: 0.7 }} }} }}
                    local {{ {local} }}
                    aggregation {{ {aggregation} }}
                    precision: FLOAT64
                    stop {{ rounds: 6 }}""")
                parley("run", path, "--dir", name, cwd=self.cwd)
                rounds = self.metrics(name)
                simulated = [json.loads(line) for line in
                             parley("simulate", path, "--json", cwd=self.cwd).splitlines()]
                self.assertEqual([r["model_hash"] for r in rounds],
                                 [r["model_hash"] for r in simulated])
                self.assertEqual(len({r["model_hash"] for r in rounds}), 6)
                losses = [r["metrics"]["log_loss"] for r in rounds]
                self.assertEqual(losses, [r["metrics"]["log_loss"] for r in simulated])
                self.assertEqual(losses[0], 0)
                self.assertLess(losses[-1], -0.05)
                self.assertIn("bit for bit", parley("replay", name, cwd=self.cwd))

    def test_another_seed_makes_another_model(self):
        parley("run", QUICK, "--dir", "a", "--set", "seed=1", cwd=self.cwd)
        rounds = self.metrics("a")
        other = [json.loads(line) for line in parley(
            "simulate", QUICK, "--json", "--set", "seed=2", cwd=self.cwd).splitlines()]
        self.assertNotEqual([r["model_hash"] for r in rounds], [r["model_hash"] for r in other])

    def test_the_model_is_exported_for_numpy_and_starts_another_run(self):
        parley("run", QUICK, "--dir", "a", cwd=self.cwd)
        parley("model", "export", "a", "model.npz", cwd=self.cwd)
        with np.load(f"{self.cwd}/model.npz") as arrays:
            self.assertTrue(all(np.isfinite(arrays[name]).all() for name in arrays))
            self.assertGreater(len(arrays.files), 0)
        first = self.metrics("a")[0]["central"]["loss"]
        for start in (f'start.file="{self.cwd}/model.npz"', f'start.run="{self.cwd}/a"'):
            out = parley("simulate", QUICK, "--json", "--set", start, "--set", "stop.rounds=1",
                         cwd=self.cwd)
            self.assertLess(json.loads(out)["central"]["loss"], first)

    def test_ctrl_c_ends_all_and_ls_and_watch_tell(self):
        process = self.start(*LONG)
        self.assertGreaterEqual(len(processes_of(self.cwd)), 6)
        listed = json.loads(parley("ls", ".", "--json", cwd=self.cwd))
        self.assertIn("running", json.dumps(listed))
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        self.assertEqual(process.returncode, 3)
        self.assertEqual(processes_of(self.cwd), [])
        self.assertIn("stopped", parley("ls", ".", cwd=self.cwd))
        report = pathlib.Path(self.cwd, "run", "report.html")
        self.assertIn('"state":"stopped"', report.read_text())
        report.unlink()
        self.assertEqual(parley("report", "run", cwd=self.cwd), "run/report.html\n")
        self.assertIn('"state":"stopped"', report.read_text())
        self.assertIn("nowhere", parley("report", "run", "nowhere", cwd=self.cwd, code=1))

    def test_watch_stop_and_ls_agree_that_a_run_is_over(self):
        parley("run", QUICK, "--dir", "run", cwd=self.cwd)
        words = "run mixture_quick finished: all rounds are done"
        self.assertIn(words, parley("watch", "run", cwd=self.cwd))
        self.assertEqual(json.loads(parley("watch", "run", "--json", cwd=self.cwd))["state"],
                         "FINISHED")
        self.assertIn(words, parley("stop", "run", cwd=self.cwd))
        self.assertEqual(json.loads(parley("ls", ".", "--json", cwd=self.cwd))["state"],
                         "finished")
        # What a coordinator leaves that was killed.
        os.remove(f"{self.cwd}/run/status.json")
        pathlib.Path(self.cwd, "run", "address").write_text("127.0.0.1:9\n")
        for command in ("watch", "stop"):
            self.assertIn("--resume", parley(command, "run", cwd=self.cwd, code=1))

    def test_a_run_is_watched_to_its_end(self):
        process = self.start(*LONG)
        watch = subprocess.Popen([BIN / "parley", "watch", "run"], cwd=self.cwd,
                                 stdout=subprocess.PIPE, text=True)
        self.addCleanup(watch.stdout.close)
        # It may tell of what it waits for first, or of clients that were lost.
        lines = iter(watch.stdout.readline, "")
        self.assertTrue(any(re.match(r"round \d+/1000000  ", line) for line in lines))
        parley("stop", "run", "--reason", "enough", cwd=self.cwd)
        self.assertIn("run mixture_quick stopped: enough", watch.communicate(timeout=60)[0])
        self.assertEqual(watch.returncode, 3)
        self.assertIn("enough", parley("watch", "run", cwd=self.cwd, code=3))
        process.communicate(timeout=60)

    def test_a_long_task_says_how_far_it_is(self):
        process = subprocess.Popen(
            [BIN / "parley", "run", QUICK, "--dir", "run", "--set", "local.sgd.steps=1000000000",
             "--set", "limits.lease_seconds=0.3"], cwd=self.cwd,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        wait_until(lambda: os.path.exists(f"{self.cwd}/run/address"), "the coordinator")
        watch = subprocess.Popen([BIN / "parley", "watch", "run", "--json"], cwd=self.cwd,
                                 stdout=subprocess.PIPE, text=True)
        self.addCleanup(watch.stdout.close)
        told = {}  # what each client said first and last
        for line in watch.stdout:
            for client in json.loads(line)["client"]:
                if client.get("progress"):
                    first, _ = told.get(client["name"], (client["progress"], None))
                    told[client["name"]] = first, client["progress"]
            if told and all(last > first for first, last in told.values()):
                break
        self.assertTrue(all(0 < first < last < 1 for first, last in told.values()), told)
        self.assertTrue(told)
        parley("stop", "run", cwd=self.cwd)
        process.wait(timeout=30)
        watch.wait(timeout=30)

    def test_stop_from_another_terminal(self):
        process = self.start(*LONG)
        parley("stop", "run", cwd=self.cwd)
        process.communicate(timeout=30)
        self.assertEqual(process.returncode, 3)
        self.assertEqual(processes_of(self.cwd), [])

    def test_nothing_is_left_when_it_is_killed(self):
        process = self.start(*LONG)
        process.kill()
        process.communicate(timeout=30)
        wait_until(lambda: not processes_of(self.cwd), "the children to go")

    def test_a_killed_client_costs_the_round_what_its_file_says(self):
        process = self.start(*LONG, "--set", "cohort.quorum=0.5", "--set", "cohort.min=3",
                             "--set", "limits.lease_seconds=1")
        wait_until(lambda: "client-0003" in self.metrics("run")[-1]["counted"], "client-0003")
        victim = next(pid for pid, command in processes_of(self.cwd) if "client-0003" in command)
        os.kill(victim, signal.SIGKILL)
        # A slow machine may cost another client a lease of 1 s, too, but not for long.
        others = ["client-0001", "client-0002", "client-0004"]
        wait_until(lambda: self.metrics("run")[-1]["counted"] == others,
                   "a round of the other three")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        self.assertEqual(process.returncode, 3)

    def test_it_is_shown_live_while_it_runs(self):
        process = self.start("--live", *LONG)
        file = pathlib.Path(self.cwd, "run/http-address")
        url = f"http://{file.read_text().strip()}"
        with urllib.request.urlopen(f"{url}/api/runs/mixture_quick", timeout=60) as answer:
            self.assertEqual(json.load(answer)["folder"], "run")
        process.send_signal(signal.SIGINT)
        self.assertIn(f"live at {url}/run/mixture_quick\n", process.communicate(timeout=30)[0])
        self.assertFalse(file.exists())

    def test_the_live_view_stays_on_this_machine(self):
        done = subprocess.run([BIN / "parley-server", "--run", QUICK, "--dir", "run", "--listen",
                               "127.0.0.1:0", "--http", "0.0.0.0:0"], cwd=self.cwd,
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn("refusing to serve HTTP at 0.0.0.0:0", done.stderr)

    def test_wrong_use_is_told_in_words(self):
        self.assertIn("cohort.quorum", parley("run", QUICK, "--set", "cohort.quorum=1.5",
                                              cwd=self.cwd, code=2))
        self.assertIn("nowhere.textproto", parley("run", "nowhere.textproto", cwd=self.cwd, code=2))
        self.assertIn("--roundz", parley("run", QUICK, "--roundz", "3", cwd=self.cwd, code=2))
        self.assertEqual(os.listdir(self.cwd), [])


if __name__ == "__main__":
    unittest.main()
