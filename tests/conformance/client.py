#!/usr/bin/python3
"""A whole client of Parley in Python, written from common/wire/FORMAT.md alone.

usage: client.py ADDRESS NAME DATA.npz     DATA.npz holds x[n,d] and t[n]
Does linear regression (weight[d], bias[1]) by L full gradient steps a round.
"""
import queue
import random
import sys
import threading
import time

import grpc
import numpy as np
import xxhash
from parley.v1 import coordinator_pb2 as pb, coordinator_pb2_grpc, model_pb2

CHUNK = 1 << 20
DTYPES = {model_pb2.ENCODING_FLOAT32: "<f4", model_pb2.ENCODING_FLOAT64: "<f8"}


class Client:
    def __init__(self, channel, name, x, t):
        self.stub = coordinator_pb2_grpc.CoordinatorStub(channel)
        self.name, self.x, self.t = name, x, t
        self.outbox = queue.Queue()
        self.address = {}  # run and term, once known
        self.updates = {}  # bytes, by task; kept until TaskOver

    def send(self, **kind):
        self.outbox.put(pb.ClientMessage(**self.address, **kind))

    def run(self):
        """Returns whether the run ended well."""
        self.send(register=pb.Register(
            protocol_version=1, name=self.name, incarnation=random.getrandbits(63) + 1,
            encodings=list(DTYPES), kinds=[pb.TRAIN], software="conformance client"))
        for message in self.stub.Session(iter(self.outbox.get, None)):
            self.address = {"run": message.run, "term": message.term}
            kind = message.WhichOneof("kind")  # None: of a newer version
            if kind == "goodbye":
                self.outbox.put(None)
                return message.goodbye.run_over
            if hasattr(self, f"on_{kind}"):
                getattr(self, f"on_{kind}")(getattr(message, kind))
        return False

    def on_registered(self, registered):
        self.config, self.token = registered.config, registered.token
        self.steps = self.config.local.gd.steps or 1

        def beat():
            while not time.sleep(registered.heartbeat_ms / 1000):
                self.send(heartbeat=pb.Heartbeat())
        threading.Thread(target=beat, daemon=True).start()

    def on_task(self, task):
        if task.kind != pb.TRAIN:
            return self.send(task_failed=pb.TaskFailed(task=task.task, reason="can only train"))
        (payload,) = task.payloads
        data = bytearray()
        for chunk in self.stub.Download(pb.DownloadRequest(task=task.task, token=self.token)):
            assert chunk.offset == len(data) and chunk.checksum == xxhash.xxh3_64_intdigest(chunk.data)
            data += chunk.data
        old = np.frombuffer(bytes(data), DTYPES[payload.encoding])
        new, loss = self.train(old, task)
        update = (new - old).astype(DTYPES[task.update_encoding]).tobytes()
        self.updates[task.task.SerializeToString()] = update
        payload.encoding, payload.bytes = task.update_encoding, len(update)
        self.send(update_ready=pb.UpdateReady(
            task=task.task, weight=len(self.t), local_steps=self.steps, contributors=1,
            base_version=task.model_version, scalars={"loss": loss}, payloads=[payload]))

    def train(self, old, task):
        step_size = task.values.get("step_size", self.config.local.step_size.initial)
        x = np.hstack([self.x, np.ones((len(self.t), 1))])  # the last parameter is the bias
        w = old.astype(np.float64)
        loss = np.mean((x @ w - self.t) ** 2) / 2
        for _ in range(self.steps):
            w -= step_size * x.T @ (x @ w - self.t) / len(self.t)
        return w, loss

    def on_grant_upload(self, grant):
        data = self.updates[grant.task.SerializeToString()]

        def chunks():
            yield pb.Chunk(header=pb.TransferHeader(task=grant.task, token=self.token))
            for at in range(grant.offset, len(data), CHUNK):
                piece = data[at:at + CHUNK]
                yield pb.Chunk(offset=at, checksum=xxhash.xxh3_64_intdigest(piece), data=piece)
        assert self.stub.Upload(chunks()).received == len(data)

    def on_task_over(self, over):
        self.updates.pop(over.task.SerializeToString(), None)


if __name__ == "__main__":
    address, name, data = sys.argv[1:]
    sys.exit(0 if Client(grpc.insecure_channel(address), name, **np.load(data)).run() else 1)
