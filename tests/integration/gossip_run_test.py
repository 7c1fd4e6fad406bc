#!/usr/bin/python3
"""Gossip that a coordinator brings together, as processes.

usage: gossip_run_test.py BIN_DIR [many]
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from processes import Server

BIN = pathlib.Path(sys.argv.pop(1)).resolve()
MANY = sys.argv[1:] == ["many"]
sys.argv[1:] = []
PATIENCE = 120  # seconds, for what takes a few
# Rounds of a run that has to be under way still when its third was seen: they
# take seconds on any machine, and a round is seen within 20 ms.
LONG = 1000

RUN = """
model {{ mlp {{ hidden: 20 }} }}
data {{
  train {{ mixture {{ rows: 2000 features: 30 classes: 5 }} }}
  test {{ mixture {{ rows: 500 features: 30 classes: 5 }} }}
  partition {{ parts: {peers} dirichlet {{ alpha: 0.3 min_rows: 10 }} }}
}}
local {{ sgd {{ batch_size: 20 steps: {steps} }} step_size {{ initial: 0.05 }} }}
gossip {{ {gossip} edge_seconds: {edge} }}
limits {{ lease_seconds: {lease} }}
stop {{ rounds: {rounds} }}
"""


def name(i):
    """As parley run and the simulator name them: random streams are drawn by it."""
    return f"client-{i + 1:04}"


def rounds_of(folder):
    path = pathlib.Path(folder, "metrics.jsonl")
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True)
            if line.endswith("\n")]


class GossipRunTest(unittest.TestCase):
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

    def write(self, peers, gossip="topology { ring {} }", rounds=8, steps=10, lease=5,
              edge=60):
        path = self.folder / "g.textproto"
        path.write_text(RUN.format(peers=peers, gossip=gossip, rounds=rounds, steps=steps,
                                   lease=lease, edge=edge))
        return str(path)

    def parley(self, *words, code=0):
        done = subprocess.run([BIN / "parley", *words], cwd=self.folder, capture_output=True,
                              text=True, timeout=PATIENCE * 4, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, code, f"{done.stdout}\n{done.stderr}")
        return done.stdout + done.stderr

    def start_peer(self, i, address, *flags):
        self.peers.append(subprocess.Popen(
            [BIN / "parley-client", "--server", address, "--name", name(i), "--data", f"part:{i}",
             "--log", str(self.folder / f"{name(i)}.log"), *flags]))

    def log(self, i):
        path = self.folder / f"{name(i)}.log"
        return path.read_text() if path.exists() else ""

    def wait_until(self, condition, what):
        end = time.monotonic() + PATIENCE
        while not condition():
            logs = "\n".join(f"== {i}\n{self.log(i)[-2000:]}" for i in range(len(self.peers)))
            self.assertLess(time.monotonic(), end, f"waited in vain for {what}\n{logs}")
            time.sleep(0.02)

    def wait_for_rounds(self, folder, count):
        self.wait_until(lambda: len(rounds_of(folder)) >= count, f"{count} rounds")

    def test_a_run_makes_the_model_of_its_simulation_bit_for_bit(self):
        for gossip in ("topology { ring {} }",
                       "topology { random_matching {} } decent_lam {}",
                       "topology { static_exponential {} } average_every: 3"):
            with self.subTest(gossip):
                run = self.write(4, gossip)
                out = self.parley("run", run, "--dir", "run")
                self.parley("simulate", run, "--dir", "sim")
                ran, simulated = rounds_of(self.folder / "run"), rounds_of(self.folder / "sim")
                self.assertEqual(
                    (self.folder / "run/model.safetensors").read_bytes(),
                    (self.folder / "sim/model.safetensors").read_bytes(), out)
                self.assertEqual([r["round"] for r in ran], list(range(1, 9)))
                for a, b in zip(ran, simulated):
                    self.assertAlmostEqual(a["train_loss"], b["train_loss"], places=9)
                    self.assertEqual(a["counted"], [name(i) for i in range(4)])
                # A slow machine may let models go that wait to be evaluated, but not the first.
                both = [(a, b) for a, b in zip(ran, simulated) if len(a["evaluations"]) == 4]
                self.assertEqual(both[0][0]["round"], 1)
                for a, b in both:
                    for number in ("loss", "accuracy"):
                        self.assertAlmostEqual(a["federated"][number], b["federated"][number],
                                               places=9)
                for a, b in zip(ran, simulated):
                    for rounds in (a, b):
                        self.assertLess(rounds["metrics"]["conservation_error"], 1e-6)
                        self.assertAlmostEqual(rounds["metrics"]["mass"], 4, places=9)
                        self.assertEqual(rounds["metrics"]["written_off"], 0)
                self.assertGreater(ran[-1]["central"]["accuracy"], 0.5)
                self.assertEqual(len(ran[-1]["evaluations"]), 4)
                for folder in ("run", "sim"):
                    shutil.rmtree(self.folder / folder)

    def test_a_run_tells_how_far_apart_its_peers_are(self):
        run = self.write(8, rounds=12)
        out = self.parley("run", run, "--dir", "run")
        self.assertIn("(ρ 0.805)", out)
        self.assertIn("a peer", out)
        rounds = rounds_of(self.folder / "run")
        self.parley("simulate", run, "--dir", "sim")
        simulated = rounds_of(self.folder / "sim")
        # Of sketches: what is not certain is their noise.
        ratios = [a["metrics"]["contraction"] / b["metrics"]["contraction"]
                  for a, b in zip(rounds[2:], simulated[2:])]
        self.assertLess(max(abs(r - 1) for r in ratios), 0.15, ratios)
        self.assertTrue(all(r["metrics"]["lost_edges"] == 0 for r in rounds))
        # Each sends its model to two neighbours.
        bytes_a_model = os.path.getsize(self.folder / "run/model.safetensors")
        for round in rounds[:-1]:
            self.assertEqual(len(round["edges"]), 16)
            self.assertLess(max(e[2] for e in round["edges"]), bytes_a_model)
        report = (self.folder / "run/report.html").read_text()
        self.assertIn('"rho":0.8047', report)
        self.assertIn("\\u003csvg", report)

    def finish(self, server, living):
        for i in living:
            self.assertEqual(self.peers[i].wait(timeout=PATIENCE), 0, self.log(i))
        self.assertEqual(server.wait(), 0)

    def models(self, indices):
        return {(self.folder / f"{i}.safetensors").read_bytes() for i in indices}

    def start_all(self, server, count):
        for i in range(count):
            self.start_peer(i, server.address, "--save-model",
                            str(self.folder / f"{i}.safetensors"))

    def test_the_others_go_on_without_a_peer_that_was_killed(self):
        # Each round with an edge to the dead would take a minute.
        for victim, gossip in ((0, "topology { ring {} }"),
                               (2, "topology { ring {} } push_sum {}")):
            with self.subTest(victim=victim, gossip=gossip):
                run = self.write(4, gossip, rounds=LONG, steps=20, lease=1, edge=60)
                folder = self.folder / f"run-{victim}"
                with Server(BIN, run, str(folder)) as server:
                    self.start_all(server, 4)
                    self.wait_for_rounds(folder, 3)
                    self.peers[victim].kill()
                    self.finish(server, [i for i in range(4) if i != victim])
                status = json.loads((folder / "status.json").read_text())
                self.assertEqual(status["state"], "finished")
                self.assertIn(f"3 of 4 peers have done all rounds: {name(victim)} is lost",
                              status["reason"])
                last = rounds_of(folder)[-1]
                self.assertEqual(last["round"], LONG)
                self.assertEqual(len(last["asked"]), 3)
                self.assertEqual(len(last["counted"]), 3)
                living = [i for i in range(4) if i != victim]
                self.assertEqual(len(self.models(living)), 1)
                self.assertFalse((self.folder / f"{victim}.safetensors").exists())
                for i in living:
                    self.assertIn("begins membership epoch 1: 3 peers", self.log(i))
                    (self.folder / f"{i}.safetensors").unlink()
                    (self.folder / f"{name(i)}.log").unlink()
                self.peers.clear()

    def test_a_local_run_has_its_model_whoever_was_killed(self):
        run = self.write(3, rounds=LONG, steps=20, lease=1, edge=60)
        folder = self.folder / "run"
        process = subprocess.Popen([BIN / "parley", "run", run, "--dir", str(folder)],
                                   cwd=self.folder, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        self.peers.append(process)
        self.wait_for_rounds(folder, 3)
        children = subprocess.run(["pgrep", "-P", str(process.pid), "-f", "--", f"--name {name(0)} "],
                                  capture_output=True, text=True, check=True).stdout.split()
        self.assertEqual(len(children), 1)
        os.kill(int(children[0]), signal.SIGKILL)
        self.assertEqual(process.wait(timeout=PATIENCE), 0)
        self.assertTrue((folder / "model.safetensors").exists())
        self.assertEqual(len(rounds_of(folder)[-1]["counted"]), 2)

    def test_a_peer_that_is_asked_to_leave_hands_over(self):
        run = self.write(3, rounds=LONG, steps=20, gossip="topology { ring {} } push_sum {}")
        folder = self.folder / "run"
        with Server(BIN, run, str(folder)) as server:
            self.start_all(server, 3)
            self.wait_for_rounds(folder, 3)
            self.peers[1].send_signal(signal.SIGTERM)
            self.assertEqual(self.peers[1].wait(timeout=PATIENCE), 0)
            self.finish(server, [0, 2])
        self.assertIn("hands over to the other peers", self.log(1))
        self.assertIn("has left the other peers", self.log(1))
        self.assertIn(f"2 of 3 peers have done all rounds: {name(1)} left: Terminated",
                      json.loads((folder / "status.json").read_text())["reason"])
        self.assertEqual(len(self.models([0, 2])), 1)
        self.assertEqual(len(rounds_of(folder)[-1]["counted"]), 2)

    def test_a_peer_that_was_killed_may_be_started_anew_elsewhere(self):
        run = self.write(3, rounds=3 * LONG, steps=20, lease=1, edge=60)
        folder = self.folder / "run"
        with Server(BIN, run, str(folder)) as server:
            self.start_all(server, 3)
            self.wait_for_rounds(folder, 3)
            self.peers[1].kill()
            self.start_peer(1, server.address)  # at another port
            self.finish(server, [0, 2, 3])
        self.assertEqual(json.loads((folder / "status.json").read_text())["reason"],
                         "all rounds are done")
        self.assertEqual(len(rounds_of(folder)[-1]["counted"]), 3)
        self.assertIn("joins 3 peers", self.log(1))

    def test_a_killed_rendezvous_does_not_stop_its_peers(self):
        run = self.write(3, rounds=LONG, steps=100)
        with Server(BIN, run, str(self.folder / "run")) as server:
            for i in range(3):
                self.start_peer(i, server.address, "--save-model",
                                str(self.folder / f"{i}.safetensors"))
            self.wait_for_rounds(self.folder / "run", 3)
            server.process.send_signal(signal.SIGKILL)
            server.wait()
        for i, peer in enumerate(self.peers):
            self.assertEqual(peer.wait(timeout=PATIENCE), 0, self.log(i))
            self.assertIn("could not be reported", self.log(i))
        models = {(self.folder / f"{i}.safetensors").read_bytes() for i in range(3)}
        self.assertEqual(len(models), 1)
        self.parley("simulate", run, "--dir", "sim")
        self.assertEqual((self.folder / "sim/model.safetensors").read_bytes(), models.pop())

    def test_a_resumed_rendezvous_hears_all_that_it_has_missed(self):
        run = self.write(3, rounds=LONG, steps=100)
        folder = self.folder / "run"
        with Server(BIN, run, str(folder)) as server:
            address = server.address
            for i in range(3):
                self.start_peer(i, address)
            self.wait_for_rounds(folder, 3)
            server.process.send_signal(signal.SIGKILL)
            server.wait()
        again = subprocess.Popen([BIN / "parley-server", "--run", run, "--dir", str(folder),
                                  "--listen", address, "--resume"])
        self.peers.append(again)
        self.assertEqual(again.wait(timeout=PATIENCE), 0)
        for i, peer in enumerate(self.peers[:3]):
            self.assertEqual(peer.wait(timeout=PATIENCE), 0, self.log(i))
        rounds = rounds_of(folder)
        self.assertEqual([r["round"] for r in rounds], list(range(1, LONG + 1)))
        self.assertTrue(all(len(r["counted"]) == 3 for r in rounds))

    def test_a_stop_ends_the_peers_too(self):
        run = self.write(3, rounds=1000000)
        folder = self.folder / "run"
        process = subprocess.Popen([BIN / "parley", "run", run, "--dir", str(folder)],
                                   cwd=self.folder, stdout=subprocess.DEVNULL)
        self.peers.append(process)
        self.wait_for_rounds(folder, 3)
        self.parley("stop", str(folder), "--reason", "enough")
        self.assertEqual(process.wait(timeout=PATIENCE), 3)
        self.assertEqual(json.loads((folder / "status.json").read_text())["reason"], "enough")

    def test_who_cannot_take_part_is_told_why(self):
        run = self.write(2)
        with Server(BIN, run, str(self.folder / "run")) as server:
            data = self.folder / "mine.svm"
            data.write_text("0 1:1\n1 2:1\n")
            done = subprocess.run([BIN / "parley-client", "--server", server.address, "--data",
                                   f"libsvm:{data}"], capture_output=True, text=True,
                                  timeout=PATIENCE)
            self.assertEqual(done.returncode, 1)
            self.assertIn("start the client with --data part:auto", done.stderr)

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("ip") and shutil.which("openssl"),
                         "needs root, ip and openssl")
    def test_two_machines_with_addresses_of_their_own(self):
        spaces = [f"parley-{os.getpid()}-{i}" for i in range(2)]
        hosts = ["10.87.65.1", "10.87.65.2"]

        def run(*words, **more):
            return subprocess.run(words, check=True, capture_output=True, text=True, **more)

        try:
            for space in spaces:
                run("ip", "netns", "add", space)
                self.addCleanup(subprocess.run, ["ip", "netns", "del", space])
        except subprocess.CalledProcessError as error:
            self.skipTest(f"no network namespaces: {error.stderr}")
        veth = [f"pv{os.getpid() % 100000}{i}" for i in "ab"]
        run("ip", "link", "add", veth[0], "netns", spaces[0], "type", "veth", "peer", "name",
            veth[1], "netns", spaces[1])
        for space, host, link in zip(spaces, hosts, veth):
            run("ip", "-n", space, "addr", "add", f"{host}/24", "dev", link)
            run("ip", "-n", space, "link", "set", link, "up")
            run("ip", "-n", space, "link", "set", "lo", "up")
        self.make_certificates({"server": f"IP:{hosts[0]}", name(0): f"DNS:{name(0)}",
                                name(1): f"DNS:{name(1)}"})

        def tls(who):
            return ["--tls-ca", f"{self.folder}/ca.pem", "--tls-cert", f"{self.folder}/{who}.pem",
                    "--tls-key", f"{self.folder}/{who}.key"]

        path = self.write(2, rounds=5)
        ready, write = os.pipe()
        server = subprocess.Popen(
            ["ip", "netns", "exec", spaces[0], BIN / "parley-server", "--run", path, "--dir",
             str(self.folder / "run"), "--listen", f"{hosts[0]}:0", "--ready-fd", str(write),
             *tls("server")], pass_fds=[write])
        self.peers.append(server)
        os.close(write)
        with os.fdopen(ready) as pipe:
            address = pipe.readline().strip()
        for i in range(2):
            self.peers.append(subprocess.Popen(
                ["ip", "netns", "exec", spaces[i], BIN / "parley-client", "--server", address,
                 "--name", name(i), "--data", f"part:{i}", "--log",
                 str(self.folder / f"{name(i)}.log"), "--save-model",
                 str(self.folder / f"{i}.safetensors"), *tls(name(i))]))
        for peer in self.peers:
            self.assertEqual(peer.wait(timeout=PATIENCE), 0, self.log(0) + self.log(1))
        for i in range(2):
            self.assertIn(f"other peers find it at {hosts[i]}:", self.log(i))
        self.assertEqual(sum(r["metrics"]["lost_edges"]
                             for r in rounds_of(self.folder / "run")), 0)
        self.parley("simulate", path, "--dir", "sim")
        model = (self.folder / "sim/model.safetensors").read_bytes()
        for i in range(2):
            self.assertEqual((self.folder / f"{i}.safetensors").read_bytes(), model)

    def make_certificates(self, names):
        def openssl(*words):
            subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=self.folder)

        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=ca",
                "-keyout", "ca.key", "-out", "ca.pem")
        for who, other_name in names.items():
            openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={who}", "-keyout",
                    f"{who}.key", "-out", f"{who}.csr")
            (self.folder / f"{who}.ext").write_text(f"subjectAltName={other_name}")
            openssl("x509", "-req", "-in", f"{who}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                    "-CAcreateserial", "-days", "2", "-extfile", f"{who}.ext", "-out",
                    f"{who}.pem")


class ManyPeersTest(GossipRunTest):
    def test_64_peers_on_an_exponential_graph(self):
        run = self.write(64, "topology { static_exponential {} }", rounds=10, lease=30)
        self.parley("run", run, "--dir", "run")
        self.parley("simulate", run, "--dir", "sim")
        self.assertEqual((self.folder / "run/model.safetensors").read_bytes(),
                         (self.folder / "sim/model.safetensors").read_bytes())
        for round in rounds_of(self.folder / "run"):
            self.assertEqual(len(round["counted"]), 64)
            self.assertEqual(round["metrics"]["lost_edges"], 0)


if __name__ == "__main__":
    tests = unittest.TestSuite()
    if MANY:
        tests.addTest(ManyPeersTest("test_64_peers_on_an_exponential_graph"))
    else:
        tests.addTests(unittest.defaultTestLoader.loadTestsFromTestCase(GossipRunTest))
    result = unittest.TextTestRunner(verbosity=2).run(tests)
    sys.exit(not result.wasSuccessful())
