#!/usr/bin/python3
"""Peers without a server, as processes on loopback.

usage: gossip_test.py BIN_DIR
"""

import pathlib
import shutil
import signal
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from peers import LONG, PATIENCE, PeersTest, name, rounds_of

BIN = pathlib.Path(sys.argv.pop(1)).resolve()

# Peers and how they gossip: each algorithm that has rounds in common, each
# topology and each compressor.
AS_SIMULATED = (
    (8, "topology { one_peer_exponential {} } d_sgd { order: ADAPT_THEN_COMBINE }"),
    (6, "topology { static_exponential {} } d_sgd { momentum: 0.5 }"),
    (6, "topology { complete {} } push_sum {}"),
    (5, "topology { ring {} } gradient_tracking {}"),
    (4, "topology { random_matching {} } average_every: 3"),
    (3, "exact_average {}"),
    (4, "topology { path {} } d_sgd { order: ADAPT_WHILE_COMMUNICATING momentum: 0.5 }"),
    (4, "topology { grid { rows: 2 } } d2 {}"),
    (6, "topology { torus { rows: 2 } } choco { top { share: 0.2 } consensus_step: 0.4 }"),
    (5, "topology { star {} } choco { random { share: 0.3 } consensus_step: 0.3 }"),
    (4, "topology { hypercube {} } choco { int8 {} }"),
    (5, "topology { base { k: 2 } } decent_lam { momentum: 0.5 }"),
    (4, "topology { ring { directed: true } } push_sum {}"),
    (6, "topology { random_regular { degree: 3 } } choco { bfloat16 {} }"),
    (5, "topology { small_world { neighbours: 2 } }"),
    (5, "topology { erdos_renyi { probability: 0.8 } } d2 {}"),
    (3, "topology { edges { edge { a: 0 b: 2 } edge { a: 1 b: 2 } } }"))


class GossipTest(PeersTest):
    BIN = BIN

    def write(self, peers, gossip="topology { ring {} }", rounds=6, edge=3, run="run", **more):
        return super().write(peers, gossip, rounds, edge=edge, run=run,
                             extra="evaluation { every: 3 }", **more)

    def metrics(self, i):
        return rounds_of(self.folder_of(i))

    def expect_conserved(self, peers, rounds, edges=True):
        """By what each peer tells of itself: what it has is what it added and what came over
        its edges; and over an edge came at one end what went at the other."""
        told = {i: {r["round"]: r for r in self.metrics(i)} for i in peers}
        compared = 0
        for round in range(1, rounds + 1):
            for i in peers:
                self.assertLess(told[i][round]["metrics"]["balance_error"], 1e-6)
            flows = {(i, flow[0]): flow for i in peers for flow in told[i][round].get("flows", [])}
            for (i, k), flow in flows.items():
                back = flows.get((k, i), [i, 0, 0])
                if k not in peers or len(flow) > 3 or len(back) > 3:
                    continue  # is dead, or in doubt
                self.assertAlmostEqual(flow[1], -back[1], delta=1e-6 * (1 + abs(flow[1])))
                self.assertAlmostEqual(flow[2], -back[2], places=12)
                compared += 1
        self.assertEqual(compared > rounds, edges)

    def numbers(self, i):
        """All of a .safetensors file's, which is of float32."""
        text = self.model(i)
        begin = 8 + struct.unpack("<Q", text[:8])[0]
        return struct.unpack(f"<{(len(text) - begin) // 4}f", text[begin:])

    def test_the_models_are_those_of_the_simulator(self):
        for peers, gossip in AS_SIMULATED:
            with self.subTest(peers=peers, gossip=gossip):
                self.remove_peers()
                run = self.write(peers, gossip)
                self.start_list(peers)
                self.ends_well(*range(peers))
                shutil.rmtree(self.folder / "simulated", ignore_errors=True)
                self.parley("simulate", run, "--dir", "simulated")
                # The first peer's depends on every bit of the others'.
                simulated = (self.folder / "simulated" / "model.safetensors").read_bytes()
                self.assertEqual(self.model(0), simulated)
                first = self.numbers(0)
                for i in range(peers):
                    apart = max(abs(a - b) for a, b in zip(first, self.numbers(i), strict=True))
                    self.assertLess(apart, 1e-6)
                    self.assertIn("the exact average of all peers", self.log(i))
                    rounds = self.metrics(i)
                    self.assertEqual([r["round"] for r in rounds], list(range(1, 8)))
                    self.assertEqual(sum(r["metrics"]["lost_edges"] for r in rounds), 0)
                # Rounds 3 and 6 by each peer, and the average once more; the simulator sees
                # what they see.
                for i in range(peers):
                    for r in self.metrics(i)[:6]:
                        self.assertEqual(len(r["evaluations"]), r["round"] in (3, 6), r)
                simulated = rounds_of(self.folder / "simulated")
                for r in (3, 6):
                    own = [self.metrics(i)[r - 1]["evaluations"][0]["loss"] for i in range(peers)]
                    self.assertAlmostEqual(sum(own) / peers, simulated[r - 1]["federated"]["loss"],
                                           places=6)
                self.expect_conserved(range(peers), 6, edges="exact_average" not in gossip)
                self.assertGreater(self.metrics(0)[6]["central"]["accuracy"], 0.4)
                self.assertLess(self.metrics(0)[5]["train_loss"], self.metrics(0)[0]["train_loss"])

    def test_the_others_finish_when_one_is_killed(self):
        self.write(5, "topology { static_exponential {} }", rounds=LONG, steps=40)
        self.start_list(5)
        self.wait_for_rounds(self.folder_of(2), 5)
        self.kill(2)
        self.assertLess(len(self.metrics(2)), LONG, "killed too late to tell")
        rest = [0, 1, 3, 4]
        self.ends_well(*rest)
        for i in rest:
            rounds = self.metrics(i)
            self.assertEqual(len([r for r in rounds if r["round"] <= LONG]), LONG)
            self.assertTrue((self.folder_of(i) / "model.safetensors").exists())
            self.assertIn(f"lost {name(2)}", self.log(i))
        self.expect_conserved(rest, LONG)
        self.assertGreater(sum(r["metrics"]["lost_edges"] for i in rest for r in self.metrics(i)),
                           0)

    def test_a_dead_peer_costs_its_edges_until_it_is_back(self):
        # The first one dials the others, so that it is back as soon as it is there.
        self.write(3, rounds=LONG, steps=300, edge=2)
        self.start_list(3)
        self.wait_for_rounds(self.folder_of(0), 3)
        self.kill(0)
        before = len(self.metrics(0))

        def lost(i):
            return [r["round"] for r in self.metrics(i) if r["metrics"]["lost_edges"] > 0]

        for i in (1, 2):
            self.wait_until(lambda: len(lost(i)) >= 10, "ten rounds without it")
            self.assertIn(f"lost {name(0)}: ", self.log(i))
        again = self.folder / "again"
        self.start_listed(0, folder=again)
        self.ends_well(0, 1, 2)
        # It began where the others were.
        rounds = rounds_of(again)
        self.assertGreaterEqual(rounds[0]["round"], before + 10)
        self.assertEqual(rounds[-1]["round"], LONG + 1)
        for i in (1, 2):
            self.assertEqual([r["round"] for r in self.metrics(i)], list(range(1, LONG + 2)))
            # Every round in between has lost it, and none once it was back.
            without = lost(i)
            self.assertEqual(without, list(range(without[0], without[-1] + 1)))
            self.assertLess(without[-1], rounds[0]["round"] + 3)
            self.assertIn("the exact average of all peers", self.log(i))
        self.assertEqual({(again / "model.safetensors").read_bytes(), self.model(1)},
                         {self.model(2)})

    def test_a_peer_waits_says_for_whom_and_leaves_cleanly(self):
        self.write(3)
        # Who came alone waits for the others.
        self.start_list(1, listed=3)
        self.wait_for_log(0, name(1))
        self.assertEqual(self.metrics(0), [])
        self.peers[0].send_signal(signal.SIGINT)
        self.ends_well(0)
        self.assertIn("leaves (a second signal ends it at once): Interrupt", self.log(0))
        self.assertFalse((self.folder / "peer-0" / "model.safetensors").exists())
        # Its folder is not taken for another run.
        again = self.start_listed(0)
        self.assertEqual(again.wait(PATIENCE), 1)
        self.assertIn("holds a run already", self.log(0))

    def test_a_peer_of_another_run_is_refused_with_a_reason(self):
        self.write(2)
        # The same but for one thing, and of the same name.
        other = pathlib.Path(self.write(2, rounds=7, run="other"))
        other.write_text('name: "run"\n' + other.read_text())
        self.start_list(2, run=lambda i: "other" if i else "run")
        # Both say so, and go on waiting for the right one.
        for i in range(2):
            self.wait_for_log(i, "takes part in another run")
        for i in range(2):
            self.peers[i].send_signal(signal.SIGTERM)
        self.ends_well(0, 1)
        self.assertEqual(self.metrics(0), [])

    def test_mutual_tls(self):
        def openssl(*words):
            subprocess.run(["openssl", *words], check=True, cwd=self.folder,
                           stderr=subprocess.DEVNULL)

        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                "-nodes", "-days", "2", "-subj", "/CN=authority", "-keyout", "ca.key",
                "-out", "ca.pem")
        for i in range(2):
            openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-subj", f"/CN={name(i)}", "-keyout", f"{i}.key", "-out", f"{i}.csr")
            (self.folder / f"{i}.ext").write_text(
                f"subjectAltName=DNS:{name(i)},DNS:localhost,IP:127.0.0.1")
            openssl("x509", "-req", "-in", f"{i}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                    "-CAcreateserial", "-days", "2", "-extfile", f"{i}.ext", "-out", f"{i}.pem")

        def tls(i):
            return ("--tls-ca", self.folder / "ca.pem", "--tls-cert", self.folder / f"{i}.pem",
                    "--tls-key", self.folder / f"{i}.key")

        self.write(2)
        self.start_list(2, tls)
        self.ends_well(0, 1)
        # A certificate of the authority, but of another peer.
        self.remove_peers()
        self.start_list(2, lambda i: tls(1))
        self.wait_until(lambda: f"its certificate is for {name(1)}" in self.log(0) + self.log(1),
                        "a refusal")
        for i in range(2):
            self.peers[i].send_signal(signal.SIGTERM)
        self.ends_well(0, 1)

    def test_wrong_usage(self):
        self.write(3)
        self.list_peers(3)
        (self.folder / "twice").write_text('peers { name: "a" address: "h:1" }\n' * 2)
        (self.folder / "broken").write_text("peers { nam: 1 }")
        peers = ("--peers", "peers.textproto")
        for flags, says in (
                (("--gossip", "run.textproto"), "--peers FILE is missing"),
                ((*peers, "--dir", "d"), "--gossip FILE is missing"),
                (("--gossip", "run.textproto", *peers, "--dir", "d"),
                 "--index N or --name NAME is missing"),
                (("--gossip", "run.textproto", *peers, "--dir", "d", "--index", "3"),
                 "--index is 3: the list has the peers 0 to 2"),
                (("--gossip", "run.textproto", *peers, "--dir", "d", "--name", "x"),
                 "no peer of the list is x"),
                (("--gossip", "run.textproto", "--peers", "twice", "--dir", "d", "--index", "0"),
                 "two peers are named a"),
                (("--gossip", "run.textproto", "--peers", "broken", "--dir", "d", "--index", "0"),
                 "broken:1: "),
                (("--gossip", "run.textproto", *peers, "--dir", "d", "--index", "0",
                  "--server", "a:1"), "--gossip is for one without"),
                (("--gossip", "nowhere", *peers, "--dir", "d", "--index", "0"), "nowhere"),
        ):
            with self.subTest(flags=flags):
                ended = subprocess.run([BIN / "parley-client", *flags], cwd=self.folder,
                                       capture_output=True, text=True, timeout=PATIENCE)
                self.assertEqual(ended.returncode, 2)
                self.assertIn(says, ended.stderr)


if __name__ == "__main__":
    unittest.main()
