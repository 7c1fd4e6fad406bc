#!/usr/bin/python3
"""parley study, as a user runs it."""

import csv
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

BIN = pathlib.Path(sys.argv.pop(1)).resolve()
EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"
SMALL = """
run {
  data {
    train { separable { rows: 24 features: 6 margin: 0.5 } }
    partition { parts: 3 dirichlet { alpha: 0.5 } }
  }
  stop { rounds: 12 }
}
implicit_bias {
  algorithm { local_gd {} }
  algorithm { local_sgd { batch_size: 2 } }
  algorithm { loss_normalised { step_size: 0.1 } }
  algorithm { fed_prox { mu: 0.1 } }
  algorithm { ppm {} }
  algorithm { modified_local_gd {} }
  algorithm { one_shot {} }
  local_steps: [1, 4]
  step_size { over_steps: 0.2 }
}
"""


def study(*words, cwd, code=0):
    done = subprocess.run([BIN / "parley", "study", "implicit-bias", *words], cwd=cwd,
                          capture_output=True, text=True, timeout=250, stdin=subprocess.DEVNULL,
                          check=False)
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout if code == 0 else done.stdout + done.stderr


class StudyTest(unittest.TestCase):
    def setUp(self):
        temp = tempfile.TemporaryDirectory()
        self.addCleanup(temp.cleanup)
        self.cwd = temp.name

    def write(self, text):
        pathlib.Path(self.cwd, "s.textproto").write_text(text)

    def read(self, folder):
        return json.loads(pathlib.Path(self.cwd, folder, "study.json").read_text())

    def test_every_algorithm_is_the_same_in_the_simulator_and_over_processes(self):
        self.write(SMALL)
        study("s.textproto", "--dir", "simulated", cwd=self.cwd)
        study("s.textproto", "--dir", "processes", "--processes", cwd=self.cwd)
        simulated, processes = self.read("simulated"), self.read("processes")
        self.assertEqual(len(simulated["cells"]), 11)
        for one, other in zip(simulated["cells"], processes["cells"]):
            with self.subTest(one["name"]):
                self.assertEqual(one["state"], "finished", one["reason"])
                self.assertNotEqual(one["hash"], "0" * 16)
                self.assertEqual(one["hash"], other["hash"])
                self.assertEqual(one["columns"], other["columns"])
        self.assertEqual(*(pathlib.Path(self.cwd, folder, "study.csv").read_bytes()
                           for folder in ("simulated", "processes")))
        # A cell is a run that anybody can run.
        name = simulated["cells"][1]["name"]
        done = subprocess.run(
            [BIN / "parley", "simulate", f"simulated/cells/{name}/run.textproto"], cwd=self.cwd,
            capture_output=True, text=True, timeout=100, check=True)
        self.assertIn(f"model {simulated['cells'][1]['hash']}", done.stdout)

    def test_ctrl_c_ends_it_and_the_same_command_goes_on(self):
        self.write(SMALL.replace("algorithm { ppm {} }", "algorithm { ppm {} rounds: 10000000 }"))
        process = subprocess.Popen(
            [BIN / "parley", "study", "implicit-bias", "s.textproto", "--threads", "1"],
            cwd=self.cwd, stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        said = ""
        while "cell 8/11" not in said:  # the ninth does not end by itself
            line = process.stdout.readline()
            self.assertNotEqual(line, "", said)
            said += line
        metrics = pathlib.Path(self.cwd, "studies/s/cells/ppm-lnlambda-100/metrics.jsonl")
        end = time.monotonic() + 60
        while not (metrics.exists() and metrics.stat().st_size > 0):
            self.assertLess(time.monotonic(), end)
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=60), 3)
        self.assertIn("3 of 11 cells are still to be run", self.read("studies/s")["notes"][0])
        self.write(SMALL)
        again = study("s.textproto", cwd=self.cwd)
        self.assertIn("11 cells in studies/s, of which 8 are finished already", again)
        self.assertEqual(again.count(" finished after "), 3)
        study("s.textproto", "--dir", "whole", cwd=self.cwd)
        self.assertEqual(*(pathlib.Path(self.cwd, folder, "study.csv").read_bytes()
                           for folder in ("studies/s", "whole")))

    def test_what_is_wrong_is_said_all_at_once(self):
        self.write("run { stop { rounds: 0 } }\nimplicit_bias {\n  algorithm { localgd {} }\n}\n")
        said = study("s.textproto", cwd=self.cwd, code=2)
        self.assertIn("s.textproto:1: run.stop.rounds is 0", said)
        self.assertIn("s.textproto:3: ImplicitBias.Algorithm has no field localgd; did you mean "
                      "local_gd?", said)
        self.assertIn("there is no such file", study("no.textproto", cwd=self.cwd, code=2))
        self.write(SMALL.replace("train { separable { rows: 24 features: 6 margin: 0.5 } }",
                                 "train { libsvm { path: 'no.svm' } }"))
        self.assertIn("no.svm", study("s.textproto", cwd=self.cwd, code=1))
        self.assertFalse(pathlib.Path(self.cwd, "studies").exists())

    def test_the_examples(self):
        for name, folder in (("implicit_bias", "one"), ("implicit_bias_plane", "two")):
            with self.subTest(name):
                out = study(str(EXAMPLES / f"{name}.textproto"), "--dir", folder, "--set",
                            "run.stop.rounds=30", "--set", "implicit_bias.local_steps=[1, 4]",
                            "--json", cwd=self.cwd)
                summary = json.loads(out)
                self.assertEqual(summary["name"], name)
                self.assertEqual({cell["state"] for cell in summary["cells"]}, {"finished"})
                self.assertIn("separable with margin", summary["verdict"][0])
                with open(f"{self.cwd}/{folder}/study.csv") as lines:
                    rows = list(csv.DictReader(lines))
                self.assertEqual({row["cell"] for row in rows},
                                 {cell["name"] for cell in summary["cells"]})
                self.assertTrue(all(float(row["gap"]) > 0 for row in rows))


if __name__ == "__main__":
    unittest.main(verbosity=2)
