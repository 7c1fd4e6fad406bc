#!/usr/bin/python3
"""AD-PSGD between processes: peers without rounds in common.

usage: pairwise_test.py BIN_DIR
"""

import pathlib
import re
import signal
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from peers import LONG, PeersTest, name, rounds_of, status_of

BIN = pathlib.Path(sys.argv.pop(1)).resolve()


class PairwiseTest(PeersTest):
    BIN = BIN

    def write(self, peers, topology="ring", rounds=12, **more):
        return super().write(peers, f"ad_psgd {{}} topology {{ {topology} {{}} }}", rounds, **more)

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
                self.assertEqual(status_of(folder)["reason"], "all rounds are done")
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
        with self.serve(run, folder) as server:
            self.join_all(4, server.address)
            self.wait_for_rounds(folder, 3)
            self.kill(2)
            self.ends_well(0, 1, 3)
            self.assertEqual(server.wait(), 0)
        for i in (0, 1, 3):
            self.assertIn("the exact average at the end failed", self.log(i))
        status = status_of(folder)
        self.assertEqual(status["state"], "finished")
        self.assertIn(f"3 of 4 peers have done all rounds: {name(2)}", status["reason"])
        self.assertEqual(rounds_of(folder)[-1]["round"], LONG)

    def test_a_peer_that_was_killed_comes_back_under_its_name(self):
        run = self.write(4, rounds=LONG, steps=300, edge=2)
        folder = self.folder / "run"
        with self.serve(run, folder) as server:
            self.join_all(4, server.address)
            self.wait_for_rounds(folder, 3)
            self.kill(2)
            for i in (1, 3):  # its neighbours
                self.wait_for_log(i, f"lost {name(2)}: ")
            before = self.log(2)
            self.join(2, server.address)
            self.wait_for_log(2, "begins with 4 peers", after=before)
            self.wait_for_rendezvous(f"{name(2)} is at 127.0.0.1:")
            self.ends_well(*range(4))
            self.assertEqual(server.wait(), 0)
        # The membership has not changed, and the average is of all.
        self.assertEqual(status_of(folder)["reason"], "all rounds are done")
        self.assertEqual(len(self.saved_models(range(4))), 1)
        for i in range(4):
            self.assertNotIn("the membership changes", self.log(i))
        rounds = rounds_of(folder)
        self.assertEqual([r["round"] for r in rounds], list(range(1, LONG + 1)))
        # It has exchanges again, with both.
        self.assertEqual(rounds[-1]["counted"], [name(i) for i in range(4)])
        late = {(e[0], e[1]) for r in rounds[LONG // 2:] for e in r["edges"]}
        self.assertLessEqual({(2, 1), (2, 3), (1, 2), (3, 2)}, late)

    def test_peers_of_a_list_end_with_one_model(self):
        self.write(3, "path", rounds=8)
        self.start_list(3)
        self.ends_well(*range(3))
        for i in range(3):
            self.assertIn("the exact average of all peers", self.log(i))
            rounds = rounds_of(self.folder_of(i))
            self.assertEqual([r["round"] for r in rounds], list(range(1, 10)))  # and the average
            self.assertTrue(all(r["metrics"]["lost_edges"] == 0 for r in rounds))
        self.assertEqual(len({self.model(i) for i in range(3)}), 1)

    def test_a_stopped_reader_costs_its_edges_alone(self):
        self.write(3, "star", rounds=LONG, steps=20, edge=1)
        self.start_list(3)
        self.wait_for_rounds(self.folder_of(2), 3)
        self.peers[2].send_signal(signal.SIGSTOP)
        self.ends_well(0, 1)
        for i in (0, 1):
            self.assertEqual(rounds_of(self.folder_of(i))[-1]["round"], LONG)
        # The leaf has the hub alone, which goes on.
        self.assertEqual(sum(r["metrics"]["lost_edges"] for r in rounds_of(self.folder_of(1))), 0)
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
