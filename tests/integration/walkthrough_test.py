#!/usr/bin/python3
"""README's "Without a server" on two machines and a coordinator's, with its own
commands: each machine is a network namespace with an address of its own.

usage: walkthrough_test.py BIN_DIR README

Needs root, ip, tc and openssl; exit code 77, skipped, where they are not there.
"""

import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import network  # noqa: E402
from peers import PATIENCE, PeersTest, rounds_of  # noqa: E402

BIN = pathlib.Path(sys.argv.pop(1)).resolve()
README = pathlib.Path(sys.argv.pop(1)).read_text()
A, B, COORDINATOR = HOSTS = ("a.example", "b.example", "coordinator.example")


def block(begin, after):
    """README's indented lines from the first after `after` that begins so."""
    text = README[README.index(after):]
    found = re.search(rf"^    {re.escape(begin)}.*\n(?:    .*\n)*", text, re.M)
    return re.sub("^    ", "", found[0], flags=re.M)


class WalkthroughTest(PeersTest):
    def setUp(self):
        super().setUp()
        self.net = network.Network(BIN, len(HOSTS), delay=0.0005, names=HOSTS)
        self.net.__enter__()
        self.addCleanup(self.net.__exit__)
        self.make_certificates()
        for host in HOSTS:
            folder = self.folder / host
            folder.mkdir()
            for file in ("ca.pem", f"{host}.pem", f"{host}.key"):
                shutil.copy(self.folder / file, folder)
            for file in ("ours.textproto", "peers.textproto"):
                (folder / file).write_text(block(f"# {file}", "**On two machines**"))
        for seed, host in enumerate((A, B)):
            self.write_csv(self.folder / host / "mine.csv", random.Random(seed))

    def make_certificates(self):
        names = f"{COORDINATOR} robot-1 robot-2"
        commands = block("openssl req -x509", "## Two machines")
        self.assertIn(names, commands)
        subprocess.run(["sh", "-ec", commands.replace(names, " ".join(HOSTS))], cwd=self.folder,
                       check=True, capture_output=True)

    @staticmethod
    def write_csv(path, rng):
        with open(path, "w") as out:
            out.write(",".join([*(f"x{i}" for i in range(30)), "outcome"]) + "\n")
            for _ in range(300):
                row = [rng.gauss(0, 1) for _ in range(30)]
                out.write(",".join(f"{x:.5g}" for x in row) + f",{int(sum(row) > 0)}\n")

    def run_on(self, host, command):
        """As typed in a shell there."""
        command = command.replace("/data/mine.csv", str(self.folder / host / "mine.csv"))
        if host == B:
            command = command.replace(A, B)
        with open(self.folder / f"{host}.log", "w") as log:
            return self.popen(*self.net.inside(HOSTS.index(host)), "sh", "-c", f"exec {command}",
                              cwd=self.folder / host, stdout=log, stderr=log,
                              env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"})

    def all_end_well(self, **commands):
        """They are started by host's first letter, and end by themselves."""
        started = {h: self.run_on(h, commands[h[0]]) for h in HOSTS if h[0] in commands}
        for host, process in started.items():
            self.assertEqual(process.wait(PATIENCE), 0, self.said(host))

    def said(self, host):
        return (self.folder / f"{host}.log").read_text()

    def check(self, rounds, last):
        self.assertEqual([r["round"] for r in rounds], list(range(1, last + 1)))
        self.assertEqual(sum(r["metrics"]["lost_edges"] for r in rounds), 0)
        self.assertLess(rounds[199]["train_loss"], rounds[0]["train_loss"] / 2)

    def test_with_a_coordinator_and_with_a_list_alone(self):
        client = block("parley-client --server", "**On two machines**")
        server = block("parley-server", "**On two machines**")
        self.all_end_well(c=server, a=client, b=client)
        self.check(rounds_of(self.folder / COORDINATOR / "runs/ours"), 200)
        for i, host in enumerate((A, B)):
            self.assertIn(f"other peers find it at {self.net.address(i)}:", self.said(host))

        listed = block("parley-client --gossip", "**On two machines**")
        self.all_end_well(a=listed, b=listed)
        for host in (A, B):
            self.check(rounds_of(self.folder / host / "runs/ours"), 201)
            self.assertIn("the exact average of all peers", self.said(host))

        # Who brought them together makes no difference.
        models = {(self.folder / host / file).read_bytes() for host in (A, B)
                  for file in ("ours.safetensors", "runs/ours/model.safetensors")}
        self.assertEqual(len(models), 1)


if __name__ == "__main__":
    reason = network.why_not() or ("" if shutil.which("openssl") else "there is no openssl")
    if reason:
        print(f"skipped: {reason}")
        sys.exit(77)
    unittest.main(verbosity=2)
