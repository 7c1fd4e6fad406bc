#!/usr/bin/python3
"""A peer takes no more memory than `parley explain` says.

usage: gossip_memory_test.py BIN_DIR

Three peers train a model of 31 MB, by each algorithm. The anonymous resident
memory of each must stay within what explain says, and what a peer of a model
of one neuron takes, which is the program and its rows, and 8 MiB a connection.
"""

import contextlib
import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from processes import PeakAnonymous  # noqa: E402

BIN = pathlib.Path(sys.argv.pop(1)).resolve()
MIB = 1 << 20
PATIENCE = 200
PEERS = 3
CONNECTION = 8 * MIB  # 6, as common/rpc/channel.h has it, and chunks that are checked
LARGE, TINY = 770, 1  # neurons
RUN = """
model {{ mlp {{ hidden: {hidden} }} }}
data {{ train {{ mixture {{ rows: 60 features: 10000 classes: 3 }} }} partition {{ parts: {peers} }} }}
local {{ {local} step_size {{ initial: 0.001 }} }}
gossip {{ {gossip} edge_seconds: 60 }}
stop {{ rounds: 3 }}
"""
SGD = "sgd { batch_size: 2 steps: 2 }"
MOMENTUM = SGD + " momentum: 0.9"
ALGORITHMS = [
    # Each runs beside the local steps, or after them.
    ("topology { ring {} }", SGD),
    ("topology { ring {} } d_sgd { order: ADAPT_THEN_COMBINE momentum: 0.5 }", MOMENTUM),
    ("topology { ring {} } gradient_tracking {}", SGD),
    ("topology { ring {} } d2 {}", SGD),
    ("topology { static_exponential {} } push_sum {}", SGD),
    ("topology { ring {} } choco { bfloat16 {} }", SGD),
    ("topology { ring {} } choco { top { share: 0.1 } }", SGD),
    ("topology { ring {} } choco { random { share: 0.1 } }", SGD),
    ("topology { ring {} } choco { int8 {} }", SGD),
    ("topology { ring {} } decent_lam {}", SGD),
    ("topology { ring {} } ad_psgd {}", SGD),
    ("topology { ring {} } average_every: 2", SGD),
    ("exact_average {}", SGD),
]


def free_addresses():
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(PEERS)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]


class GossipMemoryTest(unittest.TestCase):
    def peak(self, gossip, local, hidden):
        """Of the peer that took most, and what explain says."""
        with tempfile.TemporaryDirectory(dir=".") as temp:
            folder = pathlib.Path(temp)
            run = folder / "run.textproto"
            run.write_text(RUN.format(hidden=hidden, peers=PEERS, local=local, gossip=gossip))
            said = json.loads(subprocess.check_output([BIN / "parley", "explain", run, "--json"]))
            (folder / "peers.textproto").write_text("".join(
                f'peers {{ name: "peer-{i}" address: "{address}" }}\n'
                for i, address in enumerate(free_addresses())))
            peers = [subprocess.Popen(
                [BIN / "parley-client", "--gossip", run, "--peers", folder / "peers.textproto",
                 "--index", str(i), "--dir", folder / f"{i}", "--log", folder / f"{i}.log"])
                for i in range(PEERS)]
            watches = [PeakAnonymous(peer.pid) for peer in peers]
            try:
                for i, peer in enumerate(peers):
                    self.assertEqual(peer.wait(PATIENCE), 0, (folder / f"{i}.log").read_text())
            finally:
                for peer in peers:
                    peer.kill()
                    peer.wait()
                peaks = [watch.stop() for watch in watches]
            return max(peaks), said

    def test_each_algorithm_keeps_to_it(self):
        for gossip, local in ALGORITHMS:
            with self.subTest(gossip):
                program, _ = self.peak(gossip, local, TINY)
                peak, said = self.peak(gossip, local, LARGE)
                model = 4 * said["parameters"]
                allowed = said["peer_memory"] + program + (PEERS - 1) * CONNECTION
                print(f"{gossip}: {peak / MIB:.0f} MiB = {(peak - program) / model:.2f} models and "
                      f"{program / MIB:.0f} MiB; allowed {allowed / MIB:.0f} MiB", flush=True)
                self.assertLessEqual(peak, allowed)
                # Most of it, or it was not measured.
                self.assertGreater(peak, 0.6 * said["peer_memory"])


if __name__ == "__main__":
    unittest.main()
