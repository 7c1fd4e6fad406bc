#!/usr/bin/python3
"""diagnostics.direction_gap over processes: the same numbers as simulated, also
where the coordinator dies and comes back, and a stop does not wait for it.

usage: direction_test.py BIN_DIR EXAMPLES
"""
import contextlib
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest

EXAMPLE = pathlib.Path(sys.argv.pop(2), "direction_gap.textproto").resolve()
BIN = pathlib.Path(sys.argv.pop(1)).resolve()
PATIENCE = 200  # seconds, for what takes a few
ROUNDS = 60


def rounds_of(folder):
    path = pathlib.Path(folder, "metrics.jsonl")
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines(True) if line.endswith("\n")]


def measured(folder):
    """Model and numbers by round."""
    return {r["round"]: (r["model_hash"], r.get("direction")) for r in rounds_of(folder)}


class DirectionTest(unittest.TestCase):
    def setUp(self):
        temp = tempfile.TemporaryDirectory()
        self.addCleanup(temp.cleanup)
        self.folder = pathlib.Path(temp.name)
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)

    def parley(self, *words, code=0):
        done = subprocess.run([BIN / "parley", *words], cwd=self.folder, capture_output=True,
                              text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL, check=False)
        self.assertEqual(done.returncode, code, f"{done.stdout}\n{done.stderr}")
        return done.stdout

    def start(self, *command):
        process = subprocess.Popen(command)
        self.stack.callback(lambda: (process.kill(), process.wait()))
        return process

    def server(self, run_file, *flags):
        return self.start(BIN / "parley-server", "--run", run_file, "--dir", self.folder / "run",
                          "--log", self.folder / "server.log",
                          "--listen", f"unix:{self.folder}/socket", *flags)

    def await_true(self, what, holds):
        end = time.monotonic() + PATIENCE
        while not holds():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.01)

    def simulate(self, run_file, *words):
        self.parley("simulate", run_file, "--dir", "simulated", *words)
        return measured(self.folder / "simulated")

    def test_processes_measure_what_the_simulator_does_and_replay(self):
        rounds = ("--set", f"stop.rounds={ROUNDS}")
        want = self.simulate(EXAMPLE, *rounds)
        out = self.parley("run", EXAMPLE, *rounds, "--dir", "run")
        self.assertEqual(measured(self.folder / "run"), want)
        self.assertRegex(out, r"round \d+/60  gap [\d.]+  log-loss -[\d.]+  ↑")
        self.assertIn("are separable with margin", out)
        told = {r for r, (_, direction) in want.items() if direction is not None}
        self.assertLess(len(told), ROUNDS)
        self.assertLessEqual({1, 2, 3, 10, ROUNDS}, told)
        facts = json.loads((self.folder / "run/direction.json").read_text())
        self.assertEqual(facts, json.loads((self.folder / "simulated/direction.json").read_text()))
        self.parley("replay", "run")
        self.parley("replay", "simulated")

    def test_a_coordinator_that_comes_back_goes_on_measuring(self):
        text = EXAMPLE.read_text().replace("rounds: 1000", "rounds: 400")
        # Step sizes that come from what clients answered, also before the end.
        text = text.replace("over_steps", "loss_normalised")
        run_file = self.folder / "run.textproto"
        run_file.write_text(text + "checkpoints { every: 7 }\n")
        want = self.simulate(run_file)
        server = self.server(run_file)
        clients = [self.start(BIN / "parley-client", "--server", f"unix:{self.folder}/socket",
                              "--name", f"client-{part}", "--data", f"part:{part}",
                              "--log", self.folder / f"client-{part}.log") for part in range(5)]
        self.await_true("no 20 rounds", lambda: len(rounds_of(self.folder / "run")) >= 20)
        server.kill()
        server.wait()
        had = len(rounds_of(self.folder / "run"))
        self.assertLess(had, 400, "the run was too fast to be disturbed")
        server = self.server(run_file, "--resume")
        self.assertEqual([p.wait(PATIENCE) for p in [server, *clients]], [0] * 6)
        got = measured(self.folder / "run")
        # Names decide the cohort's order; these clients' are not the simulator's.
        self.assertEqual(set(got), set(want))
        for number, (_, direction) in want.items():
            self.assertEqual(direction is None, got[number][1] is None, number)
            for key, value in (direction or {}).items():
                self.assertAlmostEqual(got[number][1][key], value, delta=1e-9, msg=f"{number} {key}")
        log = (self.folder / "server.log").read_text()
        self.assertIn("rounds again", log)

    def test_a_stop_does_not_wait_for_the_reference(self):
        # So small a margin takes very long to find.
        run_file = self.folder / "slow.textproto"
        run_file.write_text("""
            model { logistic { bias: false } }
            precision: FLOAT64
            data { train { separable { rows: 4000 features: 300 margin: 1e-6 } }
                   partition { parts: 2 } }
            local { gd {} step_size { initial: 1 } }
            stop { rounds: 3 }
            diagnostics { direction_gap {} }
            """)
        server = self.server(run_file)
        log = self.folder / "server.log"
        self.await_true("nothing is looked for",
                        lambda: log.exists() and "looks for the limit" in log.read_text())
        self.parley("stop", "run")
        self.assertEqual(server.wait(PATIENCE), 3)
        self.assertEqual(rounds_of(self.folder / "run"), [])
        self.assertNotIn("are separable", log.read_text())


if __name__ == "__main__":
    unittest.main(verbosity=2)
