#!/usr/bin/python3
"""Installs Parley, builds the examples against the installed package, runs them.

usage: package_test.py BUILD_FOLDER
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import numpy

BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"


def call(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class PackageTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        temp = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temp.cleanup)
        cls.folder = pathlib.Path(temp.name)
        cls.prefix = cls.folder / "installed"
        call("cmake", "--install", BUILD, "--prefix", cls.prefix)
        cls.parley = cls.prefix / "bin/parley"

    def build(self, example):
        build = self.folder / example
        call("cmake", "-S", EXAMPLES / example, "-B", build, "-G", "Ninja",
             f"-DCMAKE_PREFIX_PATH={self.prefix}")
        call("cmake", "--build", build)
        return build

    def run_it(self, example, *words):
        return json.loads(call(self.parley, "run", EXAMPLES / example / "run.textproto",
                               "--dir", self.folder / f"run-{example}", "--json", *words))

    def test_a_trainer_of_ones_own(self):
        build = self.build("custom_trainer")
        run = self.run_it("custom_trainer", "--clients", "4", "--", build / "my_trainer")
        self.assertEqual(run["state"], "finished")
        call(self.parley, "model", "export", self.folder / "run-custom_trainer",
             self.folder / "line.npz")
        slope, offset = numpy.load(self.folder / "line.npz")["slope_and_offset"]
        self.assertAlmostEqual(slope, 2, delta=0.1)
        self.assertAlmostEqual(offset, -1, delta=0.1)

    def test_a_strategy_of_ones_own(self):
        coordinator = self.build("custom_strategy") / "my_coordinator"
        run = self.run_it("custom_strategy", "--coordinator", coordinator)
        self.assertEqual(run["state"], "finished")
        self.assertGreater(run["accuracy"], 0.8)

    def test_every_command_has_a_man_page_that_tells_its_flags(self):
        pages = {page.stem: page for page in (self.prefix / "share/man/man1").iterdir()}
        for name, word in [("parley", "simulate"), ("parley-run", "--coordinator"),
                           ("parley-model-export", "--help"), ("parley-server", "--listen"),
                           ("parley-client", "--max-model-bytes")]:
            shown = subprocess.run(["man", "--warnings", "-l", pages[name]], text=True, check=True,
                                   capture_output=True, env={"LC_ALL": "C.UTF-8", "MANWIDTH": "100"})
            self.assertEqual(shown.stderr, "")
            self.assertRegex(shown.stdout, rf"(?m)^ +{word}\b")
            self.assertRegex(shown.stdout, rf"(?m)^NAME\n +{name} - ")
            if name == "parley-run":  # examples stay lines of their own
                self.assertRegex(shown.stdout, r"(?m)^ +\$ parley run mine.textproto --clients 4 -- ./my_trainer$")
        commands = re.findall(r"(?m)^  ([a-z]+)  ", call(self.parley, "--help").split("Examples")[0])
        self.assertIn("report", commands)
        for command in commands:
            self.assertIn(f"parley-{command}", pages)

    def complete(self, *words):
        """What bash offers for the last word, with the package's completion."""
        script = """
            . /usr/share/bash-completion/bash_completion
            . "$COMPLETIONS/${1##*/}"
            COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE}
            $(complete -p "$1" | sed -E 's/.*-F ([^ ]+).*/\\1/') "$1" "${*: -1}"
            printf '%s\\n' "${COMPREPLY[@]}"
        """
        done = subprocess.run(
            ["bash", "-c", script, "bash", *words], capture_output=True, text=True, check=True,
            cwd=EXAMPLES, env={"PATH": f"{self.prefix}/bin:/usr/bin:/bin",
                               "COMPLETIONS": f"{self.prefix}/share/bash-completion/completions"})
        self.assertEqual(done.stderr, "")
        return done.stdout.split()

    def test_bash_completes_commands_flags_and_files(self):
        self.assertIn("simulate", self.complete("parley", ""))
        self.assertEqual(self.complete("parley", "model", "ex"), ["export"])
        self.assertEqual(self.complete("parley", "run", "--coo"), ["--coordinator"])
        self.assertIn("fashion_fedavg.textproto", self.complete("parley", "run", "fa"))
        self.assertEqual(self.complete("parley", "run", "--dir", "custom_t"), ["custom_trainer"])
        self.assertEqual(self.complete("parley", "run", "--clients", ""), [])
        self.assertEqual(self.complete("parley", "topology", "static_"), ["static_exponential"])
        self.assertIn("fashion_fedavg.textproto", self.complete("parley", "topology", "fa"))
        self.assertIn("--tls-ca", self.complete("parley-server", "--tls"))
        self.assertIn("--max-offline", self.complete("parley-client", "--max"))

    def test_no_header_of_the_package_needs_eigen(self):
        for header in (self.prefix / "include").rglob("*.h"):
            self.assertNotIn("Eigen", header.read_text(), header)


if __name__ == "__main__":
    unittest.main()
