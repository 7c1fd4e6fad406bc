#!/usr/bin/python3
"""Hostile peers against a real coordinator that trains with two honest clients.

usage: rogue_test.py BIN_DIR PROTO_DIR
Each rogue does one bad thing and must be told what was wrong with it. The run
goes on: the honest clients count in every round, and the model is to the bit
that of a run without any rogue.

A round needs three clients, so that each one waits for its rogue. An honest
client is stopped while a rogue is at work, so that the round stays open.
"""
import contextlib
import math
import pathlib
import queue
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

import grpc
import numpy as np
import xxhash

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "support"), str(HERE.parent / "conformance")]
from conformance_test import FEATURES, make_data, make_stubs, write_libsvm  # noqa: E402
from processes import Server  # noqa: E402

BYTES = 4 * (FEATURES + 1)  # of the model
PATIENCE = 60  # seconds, for what comes at once
RUN = """
model {{ linear_regression {{}} features: {features} }}
local {{ gd {{ steps: 2 }} step_size {{ initial: 0.1 }} }}
cohort {{ min: {clients} quorum: 0.5 }}
limits {{ transfers: 1 lease_seconds: 6 max_weight: 1000 }}
start {{ zeros {{}} }}
stop {{ rounds: {rounds} }}
"""


class Rogue:
    """A session whose every move is ours."""

    def __init__(self, address, name="rogue"):
        self.name, self.server = name, address
        self.channel = grpc.insecure_channel(address)
        self.stub = coordinator_pb2_grpc.CoordinatorStub(self.channel)
        self.outbox, self.inbox = queue.Queue(), queue.Queue()
        self.address, self.token = {}, b""
        self.call = self.stub.Session(iter(self.outbox.get, None))
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.outbox.put(None)
        self.channel.close()

    def _read(self):
        try:
            for message in self.call:
                self.inbox.put(message)
        except grpc.RpcError:
            pass
        self.inbox.put(None)

    def send(self, **kind):
        self.outbox.put(pb.ClientMessage(**self.address, **kind))

    def expect(self, kind):
        """The next message of that kind; None: the next end of the stream."""
        while True:
            message = self.inbox.get(timeout=PATIENCE)
            if message is None:
                assert kind is None, f"the stream ended, no {kind} came: {self.call.details()}"
                return self.call
            if message.WhichOneof("kind") == kind:
                self.address = {"run": message.run, "term": message.term}
                return getattr(message, kind)

    def register(self, **changes):
        self.send(register=pb.Register(**{**dict(
            protocol_version=1, name=self.name, incarnation=7, kinds=[pb.TRAIN],
            encodings=[model_pb2.ENCODING_FLOAT32]), **changes}))

    def join(self, **changes):
        """Returns its task."""
        self.register(**changes)
        self.token = self.expect("registered").token
        return self.expect("task")

    def leave_anew(self):
        """Where its session was ended: else its lease would hold up the round."""
        with Rogue(self.server, self.name) as again:
            again.register()
            again.expect("registered")
            again.leave()

    def leave(self):
        """Returns when the coordinator knows it."""
        self.send(leave=pb.Leave(reason="enough"))
        self.expect(None)

    def update(self, to, **changes):
        payload = model_pb2.Payload()
        payload.CopyFrom(to.payloads[0])
        return pb.UpdateReady(**{**dict(
            task=to.task, weight=30, local_steps=1, contributors=1,
            base_version=to.model_version, payloads=[payload]), **changes})

    def upload(self, task, *chunks, token=None):
        header = pb.TransferHeader(task=task, token=self.token if token is None else token)
        return self.stub.Upload(iter([pb.Chunk(header=header), *chunks]), timeout=PATIENCE)


def chunk(data, offset=0, **changes):
    return pb.Chunk(**{**dict(offset=offset, data=data,
                              checksum=xxhash.xxh3_64_intdigest(data)), **changes})


def numbers(*values):
    return struct.pack(f"<{len(values)}f", *values)


def holds(text, *wanted):
    missing = [w for w in wanted if w not in text]
    assert not missing, f"{missing} not in: {text}"


@contextlib.contextmanager
def refused(code, *wanted):
    try:
        yield
    except grpc.RpcError as error:
        assert error.code() == code, f"{error.code()}: {error.details()}"
        holds(error.details(), *wanted)
    else:
        raise AssertionError(f"went through instead of {wanted}")


# ------------------------------------------------------- before it has joined


def turned_away(address):
    """Rogues that never become clients."""
    def goodbye(wanted, **register):
        with Rogue(address) as rogue:
            rogue.register(**register)
            holds(rogue.expect("goodbye").reason, wanted)
            assert rogue.expect(None).code() != grpc.StatusCode.OK

    goodbye("protocol version 2 is not spoken here, version 1 is", protocol_version=2)
    goodbye("1 to 128 characters", name="n" * 100_000)
    goodbye("1 to 128 characters", name="../../etc/passwd")
    goodbye("incarnation is 0", incarnation=0)
    goodbye("needs ENCODING_FLOAT32", encodings=[model_pb2.ENCODING_BFLOAT16])
    goodbye("can do TRAIN", kinds=[])
    goodbye("65 labels; at most 64", labels={str(i): "x" for i in range(65)})
    goodbye("a label has 5000 bytes", labels={"key": "x" * 5000})

    for flood in ({"name": "n" * (1 << 20)}, {"labels": {f"label-{i}": "x" * 20 for i in range(50_000)}}):
        with Rogue(address) as rogue:
            rogue.register(**flood)
            end = rogue.expect(None)
            assert end.code() == grpc.StatusCode.INVALID_ARGUMENT, end
            holds(end.details(), "a control message has more than 1048576 bytes")

    with Rogue(address) as rogue:
        rogue.send(heartbeat=pb.Heartbeat())
        holds(rogue.expect("goodbye").reason, "the first message has to be Register")

    with grpc.insecure_channel(address) as channel:
        session = channel.stream_stream("/parley.v1.Coordinator/Session")
        with refused(grpc.StatusCode.INVALID_ARGUMENT, "no ClientMessage"):
            list(session(iter([b"\xff\xff\xff garbage"]), timeout=PATIENCE))
        upload = channel.stream_unary("/parley.v1.Coordinator/Upload",
                                      response_deserializer=pb.UploadReply.FromString)
        with refused(grpc.StatusCode.INVALID_ARGUMENT, "no Chunk"):
            upload(iter([b"\xff\xff\xff garbage"]), timeout=PATIENCE)
        with refused(grpc.StatusCode.INVALID_ARGUMENT, "an upload without a chunk"):
            upload(iter([]), timeout=PATIENCE)


# ------------------------------------------------- as a member of the cohort
# Each is a client that has joined and gets its task; it leaves afterwards.


def told(rogue, task, update, *wanted):
    rogue.send(update_ready=update)
    verdict = rogue.expect("verdict")
    assert not verdict.accepted
    holds(verdict.reason, *wanted)
    holds(rogue.expect("task_over").reason, *wanted)


def bad_update(*wanted, **changes):
    return lambda rogue, task: told(rogue, task, rogue.update(task, **changes), *wanted)


def bad_payload(change, *wanted):
    def deed(rogue, task):
        update = rogue.update(task)
        change(update.payloads[0])
        told(rogue, task, update, *wanted)
    return deed


def two_payloads(rogue, task):
    told(rogue, task, rogue.update(task, payloads=[task.payloads[0]] * 2), "has one payload")


def bad_chunks(code, *wanted, chunks):
    def deed(rogue, task):
        rogue.send(update_ready=rogue.update(task))
        assert rogue.expect("grant_upload").offset == 0
        with refused(code, *wanted):
            rogue.upload(task.task, *(chunk(*c) for c in chunks))
        verdict = rogue.expect("verdict")
        assert not verdict.accepted
        holds(verdict.reason, *wanted)
    return deed


def chunks_within(rogue, task):
    """In the answer, which this client's task did not allow."""
    told(rogue, task, rogue.update(task, chunks=[chunk(bytes(BYTES))]),
         "which the task did not allow")


def bad_chunks_within(*wanted, chunks):
    """As bad_chunks, of a client that may send them within its answer."""
    def deed(rogue, task):
        assert task.update_inline and len(task.chunks[0].data) == BYTES
        told(rogue, task, rogue.update(task, chunks=[chunk(*c) for c in chunks]), *wanted)
    deed.features = ["inline"]
    return deed


def not_finite(value):
    return bad_chunks(grpc.StatusCode.INVALID_ARGUMENT, "has a NaN or an infinity",
                      chunks=[[numbers(*[0.0] * FEATURES, value)]])


def wrong_checksums(rogue, task):
    rogue.send(update_ready=rogue.update(task))
    for _ in range(4):  # it may have been the line
        rogue.expect("grant_upload")
        with refused(grpc.StatusCode.DATA_LOSS, "its checksum differs"):
            rogue.upload(task.task, chunk(bytes(BYTES), checksum=1))
    verdict = rogue.expect("verdict")
    assert not verdict.accepted
    holds(verdict.reason, "4 wrong checksums")


def garbage_after_the_header(rogue, task):
    """Bytes that are no protobuf, in an upload that was granted."""
    rogue.send(update_ready=rogue.update(task))
    rogue.expect("grant_upload")
    upload = rogue.channel.stream_unary("/parley.v1.Coordinator/Upload")
    header = pb.Chunk(header=pb.TransferHeader(task=task.task, token=rogue.token))
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "no Chunk"):
        upload(iter([header.SerializeToString(), b"\xff\xff\xff garbage"]), timeout=PATIENCE)


def another_ones_token(rogue, task):
    victim = pb.TaskId()
    victim.CopyFrom(task.task)
    victim.client = "a"
    for token in (rogue.token, b"", b"guess"):
        with refused(grpc.StatusCode.PERMISSION_DENIED, "token is not this client's"):
            rogue.upload(victim, chunk(bytes(BYTES)), token=token)
        with refused(grpc.StatusCode.PERMISSION_DENIED, "token is not this client's"):
            list(rogue.stub.Download(pb.DownloadRequest(task=victim, token=token),
                                     timeout=PATIENCE))
    for _ in range(10):  # in the other's name, without an upload
        rogue.send(update_ready=rogue.update(task, task=victim))
    holds(rogue.expect("goodbye").reason, "an update for another client's task")
    rogue.expect(None)
    rogue.leave_anew()


def flood(rogue, task):
    """Of messages that each would do no harm."""
    for _ in range(1000):
        rogue.send(progress=pb.TaskProgress(task=task.task, fraction=0.5))
    holds(rogue.expect("goodbye").reason, "messages a second: slow down")
    assert rogue.expect(None).code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    rogue.leave_anew()


def round_long_over(rogue, task):
    first = pb.TaskId()
    first.CopyFrom(task.task)
    first.round = 1
    assert task.task.round > 1
    told(rogue, task, rogue.update(task, task=first), "late: this task is over")
    with refused(grpc.StatusCode.ABORTED, "no upload is wanted"):
        rogue.upload(first, chunk(bytes(BYTES)))
    with refused(grpc.StatusCode.ABORTED, "this task is over"):
        list(rogue.stub.Download(pb.DownloadRequest(task=first, token=rogue.token),
                                 timeout=PATIENCE))


def second_after_a_refusal(rogue, task):
    told(rogue, task, rogue.update(task, weight=-1), "the weight is -1")
    told(rogue, task, rogue.update(task), "the weight is -1")  # as before


def second_after_it_counts(rogue, task):
    """The first one counts, with next to no weight; the second changes nothing."""
    rogue.send(update_ready=rogue.update(task, weight=1e-300))
    rogue.expect("grant_upload")
    assert rogue.upload(task.task, chunk(bytes(BYTES))).received == BYTES
    assert rogue.expect("verdict").accepted
    rogue.send(update_ready=rogue.update(task, weight=999))
    assert rogue.expect("verdict").accepted  # the first one, told again
    with refused(grpc.StatusCode.ABORTED, "no upload is wanted"):
        rogue.upload(task.task, chunk(numbers(*[1e6] * (FEATURES + 1))))


DEEDS = {
    "no payload": bad_update("has one payload", payloads=[]),
    "two payloads": two_payloads,
    "another shape": bad_payload(lambda p: p.spec.tensors[0].shape.append(2), "has tensor"),
    "a tensor too few": bad_payload(lambda p: p.spec.tensors.pop(), "lacks the tensor"),
    "another spec hash": bad_payload(lambda p: setattr(p, "spec_hash", 1), "has spec hash 1 where"),
    "another dtype": bad_payload(lambda p: setattr(p.spec, "dtype", model_pb2.FLOAT64),
                                 "is float64 where float32 is expected"),
    "another encoding": bad_payload(
        lambda p: setattr(p, "encoding", model_pb2.ENCODING_FLOAT64),
        "encoding is ENCODING_FLOAT64, the task asks for ENCODING_FLOAT32"),
    "too many bytes": bad_payload(lambda p: setattr(p, "bytes", 1 << 40), "bytes where"),
    "another model version": bad_update("starts from model version 999", base_version=999),
    "negative weight": bad_update("the weight is -1", weight=-1),
    "zero weight": bad_update("the weight is 0", weight=0),
    "NaN weight": bad_update("the weight is nan", weight=math.nan),
    "absurd weight": bad_update("above limits.max_weight, 1000", weight=1e300),
    "NaN loss": bad_update("the scalar 'loss' is nan", scalars={"loss": math.nan}),
    "chunk at a wrong offset": bad_chunks(
        grpc.StatusCode.INVALID_ARGUMENT, "at byte 8 where payload 0 goes on at byte 0",
        chunks=[[bytes(8), 8]]),
    "overlapping chunks": bad_chunks(
        grpc.StatusCode.INVALID_ARGUMENT, "at byte 4 where payload 0 goes on at byte 8",
        chunks=[[bytes(8)], [bytes(8), 4]]),
    "chunk beyond the end": bad_chunks(
        grpc.StatusCode.INVALID_ARGUMENT, f"which has {BYTES}", chunks=[[bytes(BYTES + 4)]]),
    "chunk within a number": bad_chunks(
        grpc.StatusCode.INVALID_ARGUMENT, "ends within a number", chunks=[[bytes(7)]]),
    "upload too short": bad_chunks(
        grpc.StatusCode.INVALID_ARGUMENT, f"ended after 8 of {BYTES} bytes",
        chunks=[[bytes(8)]]),
    "NaN": not_finite(math.nan),
    "infinity": not_finite(-math.inf),
    "chunks not asked for": chunks_within,
    "NaN within an answer": bad_chunks_within(
        "has a NaN or an infinity", chunks=[[numbers(*[0.0] * FEATURES, math.nan)]]),
    "too few numbers within an answer": bad_chunks_within(
        f"ended after 8 of {BYTES} bytes", chunks=[[bytes(8)]]),
    "too many numbers within an answer": bad_chunks_within(
        f"beyond the {BYTES} bytes", chunks=[[bytes(BYTES)], [bytes(8), BYTES]]),
    "wrong checksums": wrong_checksums,
    "garbage in an upload": garbage_after_the_header,
    "another one's token": another_ones_token,
    "a flood of messages": flood,
    "a round long over": round_long_over,
    "a second update after a refusal": second_after_a_refusal,
    "a second update after one that counts": second_after_it_counts,
}
ROUNDS = len(DEEDS) + 2  # and those of the rogues that fall silent


def half_an_upload_then_silence(address, beats):
    """With heartbeats the upload is broken off, without them the lease ends."""
    with Rogue(address, "silent") as rogue:
        task = rogue.join()
        rogue.send(update_ready=rogue.update(task))
        rogue.expect("grant_upload")
        stop = threading.Event()

        def chunks():
            yield pb.Chunk(header=pb.TransferHeader(task=task.task, token=rogue.token))
            yield chunk(bytes(BYTES // 2))
            stop.wait()
        upload = rogue.stub.Upload.future(chunks(), timeout=PATIENCE)
        if beats:
            while not upload.done():
                rogue.send(heartbeat=pb.Heartbeat())
                stop.wait(0.5)
            code, reason = grpc.StatusCode.DEADLINE_EXCEEDED, "no chunk moved for 12s"
        else:
            holds(rogue.expect("goodbye").reason, "silent for longer than the lease")
            code, reason = grpc.StatusCode.ABORTED, "wanted no more"
        error = upload.exception()
        stop.set()
        assert error.code() == code, error
        holds(error.details(), reason)
        if beats:  # it is granted again, from where it got to
            assert rogue.expect("grant_upload").offset == BYTES // 2
            rogue.leave()


def never_register(address):
    with Rogue(address) as rogue:
        holds(rogue.expect("goodbye").reason, "no Register came")
        rogue.expect(None)


# ------------------------------------------------------------------- the run


def start_clients(bin_dir, address, folder):
    return {name: subprocess.Popen([f"{bin_dir}/parley-client", "--server", address, "--name", name,
                                    "--data", f"libsvm:{folder}/{name}.svm",
                                    "--log", f"{folder}/{name}.log"]) for name in ("a", "b")}


def run(bin_dir, folder, name, clients, rogues):
    """Returns the rounds' reports and the model's bytes."""
    run_file = pathlib.Path(folder, f"{name}.textproto")
    run_file.write_text(RUN.format(features=FEATURES, clients=clients, rounds=ROUNDS))
    with Server(bin_dir, str(run_file), f"{folder}/{name}",
                "--log", f"{folder}/{name}.log") as server:
        honest = start_clients(bin_dir, server.address, folder)
        try:
            rogues(server, honest)
            codes = [server.wait()] + [client.wait(PATIENCE) for client in honest.values()]
        finally:
            for client in honest.values():
                client.kill()
    assert codes == [0, 0, 0], codes
    return server.rounds(), pathlib.Path(folder, name, "model.safetensors").read_bytes()


def await_rounds(server, count):
    end = time.monotonic() + PATIENCE
    while count > 0 and len(server.rounds()) < count:
        assert time.monotonic() < end, f"round {count} does not end"
        time.sleep(0.005)


def do_all_deeds(server, honest):
    address = server.address
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port))) as mute:  # says nothing at all
        idle = threading.Thread(target=never_register, args=[address])
        idle.start()
        turned_away(address)
        for done, (name, deed) in enumerate(DEEDS.items()):
            print(name, flush=True)
            await_rounds(server, done)
            honest["a"].send_signal(signal.SIGSTOP)
            with Rogue(address) as rogue:
                deed(rogue, rogue.join(features=getattr(deed, "features", [])))
                if deed not in (another_ones_token, flood):  # they left
                    rogue.leave()
            honest["a"].send_signal(signal.SIGCONT)
        idle.join()
        for beats in (True, False):
            print("half an upload, then silence", "but heartbeats" if beats else "", flush=True)
            await_rounds(server, len(DEEDS) + (not beats))
            half_an_upload_then_silence(address, beats)
        mute.settimeout(PATIENCE)
        while mute.recv(1000):  # the settings of HTTP/2, then the end
            pass


def import_stubs():
    global pb, coordinator_pb2_grpc, model_pb2
    from parley.v1 import coordinator_pb2 as pb, coordinator_pb2_grpc, model_pb2


def main(bin_dir, proto_dir):
    with tempfile.TemporaryDirectory() as folder:
        make_stubs(proto_dir, folder)
        sys.path.insert(0, folder)
        import_stubs()
        rng = np.random.default_rng(1)
        write_libsvm(f"{folder}/a.svm", *make_data(rng, 60))
        write_libsvm(f"{folder}/b.svm", *make_data(rng, 25))
        rounds, model = run(bin_dir, folder, "with_rogues", 3, do_all_deeds)
        plain_rounds, plain_model = run(bin_dir, folder, "without", 2, lambda *_: None)
    assert len(rounds) == len(plain_rounds) == ROUNDS
    for number, (name, report) in enumerate(zip([*DEEDS, "silence", "silence"], rounds), 1):
        want = ["a", "b", "rogue"] if DEEDS.get(name) is second_after_it_counts else ["a", "b"]
        assert sorted(report["counted"]) == want, f"round {number}, {name}: {report}"
        assert report["model_hash"] == plain_rounds[number - 1]["model_hash"], (number, name)
    assert model == plain_model
    print(f"{ROUNDS} rounds with rogues, the same model as without")


if __name__ == "__main__":
    main(*sys.argv[1:])
