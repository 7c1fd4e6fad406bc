#!/usr/bin/python3
"""Two peers, each a process, send each other a model of 1 GiB at once.

usage: gossip_large_test.py BIN_DIR

Needs 14 GiB of memory: a peer keeps six models. Exit code 77, skipped, where
there is less.
"""

import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from peers import PeersTest, rounds_of  # noqa: E402

BIN = pathlib.Path(sys.argv.pop(1)).resolve()
GIB = 1 << 30
RUN = f"""
model {{ custom {{ name: "idle" spec {{ dtype: FLOAT32
  tensors {{ name: "w" shape: {GIB // 4} merge: MEAN }} }} }} }}
data {{ partition {{ parts: 2 }} }}
local {{ gd {{}} step_size {{ initial: 1 }} }}
gossip {{ topology {{ ring {{}} }} edge_seconds: 200 }}
start {{ zeros {{}} }}
stop {{ rounds: 1 }}
"""


def available():
    """Bytes of memory."""
    text = pathlib.Path("/proc/meminfo").read_text()
    return 1024 * int(re.search(r"MemAvailable: +(\d+)", text)[1])


class LargeTest(PeersTest):
    BIN = BIN
    CLIENT = "idle-peer"
    PATIENCE = 500

    def test_neither_waits_for_the_other_to_read(self):
        (self.folder / "run.textproto").write_text(RUN)
        self.start_list(2)
        self.ends_well(0, 1)
        for i in range(2):
            rounds = rounds_of(self.folder_of(i))
            self.assertEqual([r["round"] for r in rounds], [1, 2])  # and the average
            self.assertEqual(sum(r["metrics"]["lost_edges"] for r in rounds), 0, self.log(i))
            for r in rounds:
                self.assertGreaterEqual(r["bytes_up"], GIB)
                self.assertGreaterEqual(r["bytes_down"], GIB)


if __name__ == "__main__":
    if available() < 14 * GIB:
        print(f"skipped: {available() / GIB:.1f} GiB of memory are available, not 14")
        sys.exit(77)
    unittest.main(verbosity=2)
