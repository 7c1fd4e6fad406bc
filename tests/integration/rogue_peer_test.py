#!/usr/bin/python3
"""A hostile peer against a real one of a list, which it exchanges with.

usage: rogue_peer_test.py BIN_DIR PROTO_DIR

Each hello that does not fit is answered with the reason, and each round's bad
payload costs the edge and is not mixed: what is mixed in the end is what the
two rounds bring in which the rogue behaves.
"""

import concurrent.futures
import pathlib
import queue
import struct
import sys
import tempfile
import threading
import unittest

import grpc
import xxhash

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "support"), str(HERE.parent / "conformance")]
from conformance_test import make_stubs  # noqa: E402
from peers import PATIENCE, PeersTest, free_ports, name, rounds_of  # noqa: E402

BIN, PROTO = (pathlib.Path(sys.argv.pop(1)).resolve() for _ in range(2))
STUBS = tempfile.TemporaryDirectory()
make_stubs(PROTO, STUBS.name, "peer")
sys.path.insert(0, STUBS.name)
from parley.v1 import coordinator_pb2, peer_pb2 as pb, peer_pb2_grpc  # noqa: E402

NUMBERS = 1000
ONES = struct.pack("<f", 1) * NUMBERS
NAN = struct.pack("<f", float("nan"))
# What of a hello is other than the real peer expects, and what that answers.
HELLOS = [
    (lambda h: {"protocol_version": h.protocol_version + 1}, "it speaks protocol version"),
    (lambda h: {"run": "other"}, "it takes part in another run, other"),
    (lambda h: {"run_id": h.run_id ^ 1}, "it takes part in another run"),
    (lambda h: {"epoch": 1}, "it is in membership epoch 1"),
    (lambda h: {"schedule_hash": h.schedule_hash ^ 1}, "it mixes by another schedule"),
    (lambda h: {"incarnation": 0}, "incarnation 0 means none"),
    (lambda h: {"name": name(5)}, f"peer 0 is not {name(5)} here"),
    (lambda h: {"index": 1}, f"peer 1 is not {name(0)} here"),
    (lambda h: {"spec_hash": h.spec_hash ^ 1}, "it has another model"),
]


def begin(step, hello, **changes):
    return pb.PeerMessage(begin=pb.PeerBegin(**{**dict(
        step=step, schedule_hash=hello.schedule_hash, weight=1, bytes=[len(ONES)]), **changes}))


def chunk(data, offset=0, flip=0, payload=0):
    return pb.PeerMessage(chunk=coordinator_pb2.Chunk(
        payload=payload, offset=offset, checksum=xxhash.xxh3_64_intdigest(data) ^ flip, data=data))


def payload(*chunks):
    return lambda step, hello: [begin(step, hello), *chunks, pb.PeerMessage(end=pb.PeerEnd())]


def other_step(**changes):
    def messages(step, hello):
        other = pb.PeerStep(epoch=step.epoch, round=step.round, use=step.use)
        for field, value in changes.items():
            setattr(other, field, getattr(step, field) + value)
        return [begin(other, hello)]
    return messages


def a_decision_of_its_own(step, _):
    return [pb.PeerMessage(decision=pb.PeerDecision(step=step, committed=True))]


def honest():
    return payload(chunk(ONES[:400]), chunk(ONES[400:], 400))


# A round each: what is sent when the real peer is ready, and what that says.
REFUSED = "its payload is refused: "
DEEDS = [
    (payload(chunk(ONES, flip=1)), REFUSED),
    (payload(chunk(ONES[:400]), chunk(ONES[400:], 400, flip=1 << 63)), REFUSED),
    (payload(chunk(ONES[4:] + NAN)), REFUSED),
    (payload(chunk(ONES[:400]), chunk(ONES[400:], 404)), REFUSED),
    (payload(chunk(ONES, payload=1)), REFUSED),
    (payload(chunk(ONES[4:])), REFUSED),
    (payload(chunk(ONES + ONES[:4])), REFUSED),
    (payload(), REFUSED),
    (lambda step, hello: [begin(step, hello, schedule_hash=hello.schedule_hash ^ 1)],
     "it mixes by another schedule"),
    (other_step(epoch=1), "it is in membership epoch 1"),
    (other_step(round=1), "what is not expected now"),
    (other_step(use=1), "what is not expected now"),
    (lambda step, hello: [chunk(ONES), pb.PeerMessage(end=pb.PeerEnd())], ""),
    (a_decision_of_its_own, "it was too late"),
    (honest(), None),
    (honest(), None),
]
RUN = f"""
model {{ custom {{ name: "idle" spec {{ dtype: FLOAT32
  tensors {{ name: "w" shape: {NUMBERS} merge: MEAN }} }} }} }}
data {{ partition {{ parts: 2 }} }}
local {{ gd {{}} step_size {{ initial: 1 }} }}
gossip {{ topology {{ ring {{}} }} edge_seconds: 3 }}
start {{ zeros {{}} }}
stop {{ rounds: {len(DEEDS)} }}
"""


class Rogue:
    """Peer 1, which peer 0 dials."""

    def __init__(self):
        self.hello = None  # peer 0's
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
        peer_pb2_grpc.add_PeerServicer_to_server(self, self.server)
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def Exchange(self, requests, _):  # noqa: N802
        out = queue.Queue()
        threading.Thread(target=self._hear, args=(requests, out), daemon=True).start()
        return iter(out.get, None)

    def _hear(self, requests, out):
        try:
            for message in requests:
                self._answer(message, out)
        except grpc.RpcError:
            pass  # the link was given up
        out.put(None)

    def _answer(self, message, out):
        kind = message.WhichOneof("kind")
        if kind == "hello":
            self.hello = message.hello
            out.put(pb.PeerMessage(hello=changed(self.hello, name=name(1), index=1, round=0)))
        elif kind == "ready" and message.ready.step.use == pb.EXCHANGE:
            step = message.ready.step
            out.put(pb.PeerMessage(ready=pb.PeerReady(step=step)))
            for sent in DEEDS[step.round - 1][0](step, self.hello):
                out.put(sent)
            out.put(pb.PeerMessage(received=pb.PeerReceived(step=step)))  # says so anyhow
        elif kind == "leave":
            out.put(message)


def changed(message, **changes):
    other = type(message)()
    other.CopyFrom(message)
    for field, value in changes.items():
        setattr(other, field, value)
    return other


class RoguePeerTest(PeersTest):
    BIN = BIN
    CLIENT = "idle-peer"

    def setUp(self):
        super().setUp()
        self.rogue = Rogue()
        self.addCleanup(lambda: self.rogue.server.stop(None).wait())
        self.ports = [*free_ports(1), self.rogue.port]
        (self.folder / "run.textproto").write_text(RUN)
        (self.folder / "peers.textproto").write_text("".join(
            f'peers {{ name: "{name(i)}" address: "127.0.0.1:{port}" }}\n'
            for i, port in enumerate(self.ports)))

    def test_each_bad_deed_is_refused_with_the_reason_and_none_is_mixed(self):
        self.start_listed(0)
        self.ends_well(0)
        rounds = rounds_of(self.folder_of(0))
        self.assertEqual([r["round"] for r in rounds], list(range(1, len(DEEDS) + 2)))
        lost = iter([line for line in self.log(0).splitlines() if f"lost {name(1)}: " in line])
        for (_, says), r in zip(DEEDS, rounds):
            self.assertEqual((r["metrics"]["lost_edges"], r["metrics"]["used_edges"]),
                             (int(says is not None), int(says is None)), r)
            if says is not None:
                self.assertIn(says, next(lost))
        # 0, then halfway to 1 twice.
        self.assertEqual(self.model(0)[-len(ONES):], struct.pack("<f", 0.75) * NUMBERS)
        self.check_hellos()

    def check_hellos(self):
        """Peer 1 is the real one now, and all but one thing of what dials it fits."""
        self.rogue.server.stop(None).wait()
        self.start_listed(1)
        self.wait_for_log(1, "listens at")
        with grpc.insecure_channel(f"127.0.0.1:{self.ports[1]}") as channel:
            for change, says in HELLOS:
                hello = changed(self.rogue.hello, **change(self.rogue.hello))
                out = queue.Queue()
                out.put(pb.PeerMessage(hello=hello))
                answers = peer_pb2_grpc.PeerStub(channel).Exchange(iter(out.get, None),
                                                                   timeout=PATIENCE)
                self.assertIn(says, next(answers).goodbye.reason)
                out.put(None)
        # Nobody is left who could fit.
        self.assertEqual(self.peers[1].wait(PATIENCE), 1)
        self.assertIn(f"none of its 1 neighbours takes this peer: {name(0)}: {says}", self.log(1))
        self.assertEqual(rounds_of(self.folder_of(1)), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
