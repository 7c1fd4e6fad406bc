#!/usr/bin/python3
"""Gossip that a coordinator brings together, as processes.

usage: gossip_run_test.py BIN_DIR [many]
"""

import math
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from peers import LONG, PATIENCE, PeersTest, name, rounds_of, status_of

BIN = pathlib.Path(sys.argv.pop(1)).resolve()
EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"
MANY = sys.argv[1:] == ["many"]
sys.argv[1:] = []


class GossipRunTest(PeersTest):
    BIN = BIN

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
                        self.expect_conserved(rounds["metrics"], 4)
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

    def test_the_example_says_live_how_its_peers_do(self):
        out = self.parley("run", str(EXAMPLES / "gossip_ring.textproto"), "--dir", "ring",
                          "--set", "stop.rounds=3", "--set", "evaluation.every=1")
        line = re.search(r"^round 3/3  loss (\S+)  accuracy (\S+) %  consensus (\S+)  "
                         r"contraction (\S+) \(ρ (\S+)\)  ↑(\S+) MB ↓(\S+) MB a peer", out, re.M)
        self.assertIsNotNone(line, out)
        loss, accuracy, consensus, contraction, rho, up, down = map(float, line.groups())
        rounds = rounds_of(self.folder / "ring")
        last = rounds[-1]
        self.assertAlmostEqual(loss, last["central"]["loss"], delta=1e-4)
        self.assertAlmostEqual(accuracy, 100 * last["central"]["accuracy"], delta=0.1)
        self.assertAlmostEqual(consensus / last["metrics"]["consensus"], 1, delta=0.01)
        self.assertAlmostEqual(rho, (1 + 2 * math.cos(math.pi / 4)) / 3, delta=1e-3)
        # Of the rounds so far; before the first one all were the same.
        measured = [r["metrics"]["contraction"] for r in rounds[1:]]
        self.assertAlmostEqual(contraction, math.prod(measured) ** (1 / len(measured)), delta=1e-3)
        self.assertLess(contraction, rho)
        # A model to two neighbours in each round, and the exact average of eight.
        sent = (3 * 2 + 2 * 7 / 8) * os.path.getsize(self.folder / "ring/model.safetensors") / 1e6
        self.assertAlmostEqual(up, sent, delta=0.06)
        self.assertEqual(up, down)

    def expect_conserved(self, found, peers):
        """Σω and Σx of those who live, what is in flight and what is written off."""
        self.assertLess(found["conservation_error"], 1e-6, found)
        self.assertLess(found["balance_error"], 1e-6, found)
        self.assertAlmostEqual(
            found["mass"] + found["mass_in_flight"] + found["written_off"], peers, places=9)
        self.assertEqual(found["mass_added"], peers)

    def finish(self, server, living):
        self.ends_well(*living)
        self.assertEqual(server.wait(), 0)

    def test_the_others_go_on_without_a_peer_that_was_killed(self):
        # Each round with an edge to the dead would take a minute.
        for victim, gossip in ((0, "topology { ring {} }"),
                               (2, "topology { ring {} } push_sum {}")):
            with self.subTest(victim=victim, gossip=gossip):
                run = self.write(4, gossip, rounds=LONG, steps=20, lease=3, edge=60)
                folder = self.folder / f"run-{victim}"
                with self.serve(run, folder) as server:
                    self.join_all(4, server.address)
                    self.wait_for_rounds(folder, 3)
                    self.kill(victim)
                    self.finish(server, [i for i in range(4) if i != victim])
                status = status_of(folder)
                self.assertEqual(status["state"], "finished")
                self.assertIn(f"3 of 4 peers have done all rounds: {name(victim)} is lost",
                              status["reason"])
                for told in rounds_of(folder):
                    self.expect_conserved(told["metrics"], 4)
                last = rounds_of(folder)[-1]
                self.assertGreater(last["metrics"]["written_off"], 0)
                self.assertEqual(last["round"], LONG)
                self.assertEqual(len(last["asked"]), 3)
                self.assertEqual(len(last["counted"]), 3)
                living = [i for i in range(4) if i != victim]
                self.assertEqual(len(self.saved_models(living)), 1)
                self.assertFalse((self.folder / f"{victim}.safetensors").exists())
                for i in living:
                    self.assertIn("begins membership epoch 1: 3 peers", self.log(i))
                    (self.folder / f"{i}.safetensors").unlink()
                    self.log_path(i).unlink()

    def test_a_local_run_has_its_model_whoever_was_killed(self):
        run = self.write(3, rounds=LONG, steps=20, lease=3, edge=60)
        folder = self.folder / "run"
        process = self.popen(BIN / "parley", "run", run, "--dir", folder, cwd=self.folder,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
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
        with self.serve(run, folder) as server:
            self.join_all(3, server.address)
            self.wait_for_rounds(folder, 3)
            self.peers[1].send_signal(signal.SIGTERM)
            self.finish(server, [0, 1, 2])
        self.assertIn("hands over to the other peers", self.log(1))
        self.assertIn("has left the other peers", self.log(1))
        self.assertIn(f"2 of 3 peers have done all rounds: {name(1)} left: Terminated",
                      status_of(folder)["reason"])
        self.assertEqual(len(self.saved_models([0, 2])), 1)
        self.assertEqual(len(rounds_of(folder)[-1]["counted"]), 2)

    def test_a_peer_that_was_killed_may_be_started_anew_elsewhere(self):
        run = self.write(3, rounds=3 * LONG, steps=20, edge=10)
        folder = self.folder / "run"
        with self.serve(run, folder) as server:
            self.join_all(3, server.address)
            self.wait_for_rounds(folder, 3)
            self.kill(1)
            self.join(1, server.address)  # at another port
            self.finish(server, range(3))
        self.assertEqual(status_of(folder)["reason"], "all rounds are done")
        self.assertEqual(len(rounds_of(folder)[-1]["counted"]), 3)
        self.assertIn("joins 3 peers", self.log(1))
        for told in rounds_of(folder):
            self.assertLess(told["metrics"]["conservation_error"], 1e-6)
            self.assertLess(told["metrics"]["balance_error"], 1e-6)

    def test_a_client_with_data_of_its_own_joins_a_run_that_goes_on(self):
        test = self.write_rows("test.svm", [3, 4])
        run = pathlib.Path(self.write(3, rounds=LONG, lease=30, own_data=True))
        run.write_text(run.read_text().replace(
            "partition", f'test {{ libsvm {{ path: "{test}" }} }} partition'))
        folder = self.folder / "run"
        data = [f"libsvm:{self.write_rows(f'{i}.svm', [i])}" for i in range(3)]
        # Classes that nobody else has, of which alone the test's rows are.
        data.append(f"libsvm:{self.write_rows('3.svm', [3, 4])}")
        with self.serve(str(run), folder) as server:
            for i in range(3):
                self.join(i, server.address, data=data[i])
            self.wait_for_rounds(folder, 3)
            with self.held(0):
                self.join(3, server.address, data=data[3])
                self.wait_for_rendezvous(f"4 peers; {name(3)} joins")
            self.finish(server, range(4))
        self.assertIn("joins 4 peers, membership epoch 1, round ", self.log(3))
        for i in range(3):
            self.assertIn("begins membership epoch 1: 4 peers", self.log(i))
        self.assertEqual(len(self.saved_models(range(4))), 1)
        self.assertEqual(status_of(folder)["reason"], "all rounds are done")
        rounds = rounds_of(folder)
        self.assertEqual([r["round"] for r in rounds], list(range(1, LONG + 1)))
        self.assertEqual(rounds[0]["counted"], [name(i) for i in range(3)])
        first = int(re.search(r"epoch 1 from round (\d+)", self.rendezvous_log())[1])
        self.assertEqual([len(r["asked"]) for r in rounds],
                         [3] * (first - 1) + [4] * (LONG + 1 - first))
        # It is counted from when it is there on, and what it knows is learnt.
        came = next(r["round"] for r in rounds if name(3) in r["counted"])
        self.assertLess(came, LONG / 2)
        for r in rounds[came - 1:]:
            self.assertEqual(r["counted"], [name(i) for i in range(4)])
        own = [r["federated"]["accuracy"] for r in rounds[:first - 1] if r["evaluations"]]
        self.assertLess(own[-1], 0.5)
        self.assertGreater(rounds[-1]["central"]["accuracy"], 0.9)
        self.assertIn(name(3), (folder / "report.html").read_text())

    def test_without_a_rendezvous_a_dead_peer_costs_its_edges_until_it_is_back(self):
        run = self.write(3, rounds=2 * LONG, steps=100, lease=3, edge=2)
        folder = self.folder / "run"
        with self.serve(run, folder, back=True) as server:
            self.join_all(3, server.address)
            self.wait_for_rounds(folder, 3)
            server.process.kill()
            server.wait()
        for i in range(3):
            self.wait_for_log(i, "no connection to")
        self.kill(1)
        for i in (0, 2):
            self.wait_for_log(i, f"lost {name(1)}: ")
        # It tells of rounds that a peer says nothing of once 256 later ones wait.
        with self.serve(run, folder, "--resume", back=True) as server:
            self.wait_until(lambda: any(r["metrics"]["lost_edges"] == 2
                                        for r in rounds_of(folder)), "a round without it")
            for i in (0, 2):
                self.assertNotIn("begins membership epoch", self.log(i))
            self.join(1, server.address)
            self.finish(server, range(3))
        self.assertIn(f"{name(1)} was started anew; {name(1)} joins again", self.rendezvous_log())
        self.assertIn("joins 3 peers, membership epoch 1, round ", self.log(1))
        self.assertEqual(len(self.saved_models(range(3))), 1)
        self.assertEqual(status_of(folder)["reason"], "all rounds are done")
        rounds = rounds_of(folder)
        self.assertEqual([r["round"] for r in rounds], list(range(1, 2 * LONG + 1)))
        # Both of its edges, in each round until the epoch in which it is back.
        first = int(re.search(r"epoch 1 from round (\d+)", self.rendezvous_log())[1])
        lost = [r["metrics"]["lost_edges"] for r in rounds]
        died = lost.index(2)
        self.assertGreater(first - died, 10)
        self.assertEqual(set(lost[died:first - 2]), {2})
        self.assertEqual(rounds[-1]["counted"], [name(i) for i in range(3)])
        self.assertEqual(lost[-2], 0)

    def test_a_killed_rendezvous_does_not_stop_its_peers(self):
        run = self.write(3, rounds=LONG, steps=100)
        with self.serve(run, self.folder / "run") as server:
            self.join_all(3, server.address)
            self.wait_for_rounds(self.folder / "run", 3)
            server.process.kill()
            server.wait()
        self.ends_well(*range(3))
        for i in range(3):
            self.assertIn("could not be reported", self.log(i))
        models = self.saved_models(range(3))
        self.assertEqual(len(models), 1)
        self.parley("simulate", run, "--dir", "sim")
        self.assertEqual((self.folder / "sim/model.safetensors").read_bytes(), models.pop())

    def test_a_resumed_rendezvous_hears_all_that_it_has_missed(self):
        run = self.write(3, rounds=LONG, steps=100)
        folder = self.folder / "run"
        with self.serve(run, folder, back=True) as server:
            self.join_all(3, server.address)
            self.wait_for_rounds(folder, 3)
            server.process.kill()
            server.wait()
        for i in range(3):
            self.wait_for_log(i, "no connection to")
        # It waits for a peer's reports until 256 later rounds of others are there,
        # so none is to be ahead of another that finds it later.
        before = [self.log(i) for i in range(3)]
        with self.held(0):
            server = self.serve(run, folder, "--resume", back=True)
            self.addCleanup(server.__exit__)
            for i in (1, 2):
                self.wait_for_log(i, "joined run", after=before[i])
        self.finish(server, range(3))
        rounds = rounds_of(folder)
        self.assertEqual([r["round"] for r in rounds], list(range(1, LONG + 1)))
        self.assertTrue(all(len(r["counted"]) == 3 for r in rounds))
        for told in rounds:
            self.expect_conserved(told["metrics"], 3)

    def test_a_stop_ends_the_peers_too(self):
        run = self.write(3, rounds=1000000)
        folder = self.folder / "run"
        process = self.popen(BIN / "parley", "run", run, "--dir", folder, cwd=self.folder,
                             stdout=subprocess.DEVNULL)
        self.wait_for_rounds(folder, 3)
        self.parley("stop", str(folder), "--reason", "enough")
        self.assertEqual(process.wait(timeout=PATIENCE), 3)
        self.assertEqual(status_of(folder)["reason"], "enough")

    def test_who_cannot_take_part_is_told_why(self):
        run = self.write(2)
        with self.serve(run, self.folder / "run") as server:
            data = self.folder / "mine.svm"
            data.write_text("0 1:1\n1 2:1\n")
            done = subprocess.run([BIN / "parley-client", "--server", server.address, "--data",
                                   f"libsvm:{data}"], capture_output=True, text=True,
                                  timeout=PATIENCE)
            self.assertEqual(done.returncode, 1)
            self.assertIn("start the client with --data part:auto", done.stderr)


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
