#!/usr/bin/python3
"""Gossip between processes of which one stands still, or whose rendezvous dies at
a moment at which that could matter.

usage: gossip_outage_test.py BIN_DIR
"""

import pathlib
import signal
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from peers import LONG, PeersTest, name, rounds_of

BIN = pathlib.Path(sys.argv.pop(1)).resolve()
PEERS = 3
NO_AVERAGE = "the exact average at the end failed: this peer ends with a model of its own"


class Run(PeersTest):
    """Three peers and a rendezvous that is killed under way. Several go on beside
    each other, as each waits for a while for the rendezvous at its end."""

    BIN = BIN
    living = range(PEERS)

    def start(self, **more):
        self.file = self.write(PEERS, rounds=LONG, **more)
        self.serve_it()
        self.join_all(PEERS, self.server.address)

    def serve_it(self, *flags):
        self.server = server = self.serve(self.file, self.folder / "run", *flags, back=True)
        self.addCleanup(server.__exit__)

    def kill_rendezvous(self):
        self.server.process.kill()
        self.server.wait()

    def says(self, i, text):
        return text in self.log(i)

    def someone_says(self, text):
        self.wait_until(lambda: any(self.says(i, text) for i in self.peers), text)

    def kill_early(self, text):
        self.start()
        self.someone_says(text)
        self.kill_rendezvous()
        begun = f"begins with {PEERS} peers"
        for i in self.peers:
            self.wait_until(lambda: self.says(i, begun) or self.says(i, "no connection to"),
                            f"news of {name(i)}")
        if not all(self.says(i, begun) for i in self.peers):
            self.serve_it("--resume")  # the others are known by the rendezvous alone

    def lose_one(self):
        self.start(steps=20, lease=3, edge=2)
        self.wait_for_rounds(self.folder / "run", 3)
        self.kill(1)
        self.living = (0, 2)

    # ------------------------------------------------------------------ the moments

    def before_anybody_begins(self):
        self.kill_early("joined run")

    def as_the_first_begins(self):
        self.kill_early("begins with")

    def before_it_knows_of_a_death(self):
        self.lose_one()
        self.someone_says(f"lost {name(1)}: ")
        self.kill_rendezvous()

    def as_it_tells_of_an_epoch(self):
        self.lose_one()
        self.wait_for_rendezvous("epoch 1 from round")
        self.kill_rendezvous()

    def as_the_first_begins_an_epoch(self):
        self.lose_one()
        self.someone_says("begins membership epoch 1")
        self.kill_rendezvous()

    def in_the_last_average(self):
        # In which the others are, as one of them stands still.
        self.start(steps=20, lease=60, edge=1)
        self.wait_for_rounds(self.folder / "run", 3)
        with self.held(2):
            self.someone_says(f"round {LONG + 1} goes without its exact average")
            self.kill_rendezvous()


MOMENTS = (Run.before_anybody_begins, Run.as_the_first_begins, Run.before_it_knows_of_a_death,
           Run.as_it_tells_of_an_epoch, Run.as_the_first_begins_an_epoch,
           Run.in_the_last_average)


class OutageTest(PeersTest):
    BIN = BIN

    def test_the_peers_finish_whenever_the_rendezvous_dies(self):
        runs = []
        for moment in MOMENTS:
            runs.append((moment, Run()))
            runs[-1][1].setUp()
            self.addCleanup(runs[-1][1].doCleanups)
            moment(runs[-1][1])
        for moment, run in runs:
            with self.subTest(moment.__name__):
                run.ends_well(*run.living)
                alone = [i for i in run.living if run.says(i, NO_AVERAGE)]
                if moment is Run.before_it_knows_of_a_death:  # nobody can leave the dead out
                    self.assertEqual(alone, list(run.living))
                elif moment is not Run.as_it_tells_of_an_epoch:  # not all may have heard
                    self.assertEqual(alone, [])
                models = run.saved_models(run.living)
                if not alone:
                    self.assertEqual(len(models), 1)
                if moment in (Run.before_anybody_begins, Run.as_the_first_begins):
                    run.parley("simulate", run.file, "--dir", "sim")
                    self.assertEqual(
                        models, {(run.folder / "sim/model.safetensors").read_bytes()})

    def test_a_peer_that_stands_still_costs_its_edges_until_it_goes_on(self):
        last = 400
        self.write(3, rounds=last, steps=300, edge=1)
        self.start_list(3)

        def lost(i):
            return [r["round"] for r in rounds_of(self.folder_of(i))
                    if r["metrics"]["lost_edges"] > 0]

        self.wait_for_rounds(self.folder_of(2), 3)
        with self.held(2):
            for i in (0, 1):
                self.wait_until(lambda: len(lost(i)) >= 10, "ten rounds without it")
                self.assertIn(f"lost {name(2)}: it was too late", self.log(i))
            before = len(rounds_of(self.folder_of(2)))
        self.ends_well(*range(3))
        for i in range(3):
            rounds = rounds_of(self.folder_of(i))
            self.assertEqual([r["round"] for r in rounds], list(range(1, last + 2)))
            self.assertIn("the exact average of all peers", self.log(i))
        for i in (0, 1):
            # The edge between the two goes on, but where it waits for its turn behind
            # one that nobody has given up yet.
            idle = [r["round"] for r in rounds_of(self.folder_of(i))
                    if r["metrics"]["used_edges"] == 0]
            self.assertLess(len(idle), 5, idle)
            without = lost(i)
            self.assertGreater(without[0], before - 3)
            self.assertEqual(without, list(range(without[0], without[-1] + 1)))
            self.assertLess(without[-1], last - 10)
        self.assertEqual(len({self.model(i) for i in range(3)}), 1)


if __name__ == "__main__":
    unittest.main(defaultTest="OutageTest", verbosity=2)
