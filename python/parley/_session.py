"""One client at one coordinator: the machine, its threads and its transfers.

One thread steps the machine; one a connection reads the session; one a transfer
moves numbers; the caller's own thread does the work, so that Ctrl-C ends it.
"""

from __future__ import annotations

import logging
import math
import queue
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import grpc
import numpy as np

from . import _proto
from ._dial import Calls, Refused, Tls, dial
from ._driver import Ended
from ._job import Job, Workbench
from ._machine import Machine
from ._wire import Spec, WireError

_log = logging.getLogger("parley")

_OVER = (grpc.StatusCode.ABORTED, grpc.StatusCode.NOT_FOUND)
_FINAL = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION,
          grpc.StatusCode.OUT_OF_RANGE, grpc.StatusCode.UNIMPLEMENTED)


class _Connection:
    def __init__(self, channel: Any) -> None:
        self.channel = channel
        self.calls = Calls(channel)
        self.outbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.stream = self.calls.session(iter(self.outbox.get, None))

    def close(self) -> None:
        self.outbox.put(None)
        self.stream.cancel()
        self.channel.close()


class _Transfer:
    """A call whose messages one thread moves; stop() returns when it has ended."""

    def __init__(self, call: Any, move: Callable[[], None],
                 done: Callable[[Ended, str], None]) -> None:
        self._call = call
        self._thread = threading.Thread(target=self._run, args=(move, done), daemon=True)
        self._thread.start()

    def _run(self, move: Callable[[], None], done: Callable[[Ended, str], None]) -> None:
        try:
            move()
            done(Ended.WELL, "")
        except grpc.FutureCancelledError:
            done(Ended.BROKEN, "cancelled")  # by stop()
        except grpc.RpcError:
            code = self._call.code()
            done(Ended.OVER if code in _OVER else
                 Ended.REFUSED if code in _FINAL else Ended.BROKEN,
                 f"{code.name}: {self._call.details()}")
        except WireError as error:
            self._call.cancel()
            done(Ended.BROKEN if error.passes else Ended.REFUSED, str(error))
        except Exception as error:  # such as no memory: must not go unheard
            self._call.cancel()
            done(Ended.REFUSED, f"{type(error).__name__}: {error}")

    def stop(self) -> None:
        self._call.cancel()
        self._thread.join()


class Session:
    """Use it once: run(). stop() may come from any thread."""

    def __init__(self, bench: Workbench, hello: Any, servers: Sequence[str],
                 tls: Tls | None, max_offline: float, max_model_bytes: int) -> None:
        self._bench = bench
        self._max_model_bytes = max_model_bytes
        self._tls = tls
        self._machine = Machine(self, hello, servers, max_offline)
        self._events: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._over = False
        self._error: BaseException | None = None
        self._connection: _Connection | None = None
        self._transfer: _Transfer | None = None
        self._job: Job | None = None

    def run(self) -> None:
        """Returns when the run is over or after stop(). Ctrl-C in the meantime
        takes leave of the coordinator and goes on as KeyboardInterrupt."""
        thread = threading.Thread(target=self._loop, name="parley", daemon=True)
        thread.start()
        try:
            while (work := self._work.get()) is not None:
                work()
        except BaseException as error:
            self.stop(type(error).__name__)
            thread.join()
            raise
        thread.join()
        if self._error is not None:
            raise self._error

    def stop(self, reason: str) -> None:
        self._post(lambda: self._machine.on_stop(reason, time.monotonic()))

    # ----------------------------------------------------- the machine's thread

    def _post(self, event: Callable[[], None]) -> None:
        self._events.put(event)

    def _loop(self) -> None:
        try:
            self._machine.on_start(time.monotonic())
            while not self._over:
                pause = self._machine.wake_at - time.monotonic()
                try:
                    event = self._events.get(timeout=None if pause == math.inf else max(0, pause))
                except queue.Empty:
                    self._machine.on_timer(time.monotonic())
                else:
                    event()
        except BaseException as error:  # our own fault: the caller must hear of it
            self._error = error
            self.hang_up()
        finally:
            self._work.put(None)

    # ----------------------------------------------- what the machine wants done

    def dial(self, connection: int, address: str) -> None:
        self.hang_up()
        self._connection = opened = _Connection(dial(address, self._tls))

        def read() -> None:
            try:
                for message in opened.stream:
                    self._post(lambda m=message: self._machine.on_message(  # type: ignore[misc]
                        connection, m, time.monotonic()))
                why = "the coordinator closed the connection"
            except grpc.RpcError:
                why = f"{opened.stream.code().name}: {opened.stream.details()}"
            self._post(lambda: self._machine.on_closed(connection, why, time.monotonic()))

        threading.Thread(target=read, daemon=True).start()

    def hang_up(self) -> None:
        self.stop_transfer()
        if self._connection:
            self._connection.close()
            self._connection = None

    def send(self, message: Any) -> None:
        if self._connection:
            self._connection.outbox.put(message)

    def adopt(self, registered: Any) -> str:
        try:
            spec = Spec.from_proto(registered.spec)
            if spec.hash != registered.spec_hash:
                return (f"the coordinator's model {spec} has the hash {spec.hash:016x} here and "
                        f"{registered.spec_hash:016x} there; use programs of the same version")
            size = spec.elements * np.dtype(spec.dtype).itemsize
            if size > self._max_model_bytes:
                return (f"the run's model takes {size} bytes, this client takes at most "
                        f"{self._max_model_bytes}: raise max_model_bytes where there is memory "
                        "for several copies")
            self._bench = self._bench.adopt(spec, registered.config)
        except (WireError, Refused) as error:
            return str(error)
        return ""

    def open_job(self, number: int, task: Any) -> None:
        self._job = Job(task, self._bench)

    def drop_job(self) -> None:
        if self._job:
            self._job.cancelled.set()
            self._job = None

    def work(self, number: int) -> None:
        assert self._job is not None
        job: Job = self._job

        def work() -> None:
            begin = time.monotonic()
            result, why = None, ""
            try:
                result = job.work()
                result.seconds = time.monotonic() - begin
            except Exception as error:
                why = f"{type(error).__name__}: {error}"
                if not job.cancelled.is_set():
                    _log.exception("the user's function failed")
            self._post(lambda: self._machine.on_worked(number, result, why, time.monotonic()))

        self._work.put(work)

    def start_download(self, transfer: int, token: bytes) -> None:
        assert self._job is not None and self._connection is not None
        job: Job = self._job
        connection = self._connection
        try:
            sink = job.sink()
        except WireError as error:
            why = str(error)
            return self._post(lambda: self._transfer_ended(transfer, Ended.REFUSED, why))
        call = connection.calls.download(_proto.DownloadRequest(
            task=job.task.task, token=token, offset=sink.received))

        def move() -> None:
            for chunk in call:
                sink.write(chunk)
                job.chunks += 1
            sink.finish()

        self._begin(transfer, call, move)

    def start_upload(self, transfer: int, token: bytes, offset: int) -> None:
        job, connection = self._job, self._connection
        assert job is not None and connection is not None
        header = _proto.TransferHeader(task=job.task.task, token=token)
        call = connection.calls.upload.future(job.source(header, offset))
        self._begin(transfer, call, call.result)

    def _begin(self, transfer: int, call: Any, move: Callable[[], Any]) -> None:
        def done(ended: Ended, why: str) -> None:
            self._post(lambda: self._transfer_ended(transfer, ended, why))

        self._transfer = _Transfer(call, move, done)

    def _transfer_ended(self, transfer: int, ended: Ended, why: str) -> None:
        self._machine.on_transfer_ended(transfer, ended, why, time.monotonic())

    def fraction(self) -> float | None:
        return self._job.fraction if self._job else None

    def moved(self) -> int:
        return self._job.chunks if self._job else 0

    def stop_transfer(self) -> None:
        if self._transfer:
            self._transfer.stop()
            self._transfer = None

    def say(self, level: int, text: str) -> None:
        _log.log(level, "%s", text)

    def exit(self, error: Exception | None) -> None:
        self._error = error
        self._over = True


def register(name: str, labels: Mapping[str, str], kinds: Sequence[int],
             encodings: Sequence[int], software: str) -> Any:
    return _proto.Register(protocol_version=1, name=name, incarnation=secrets.randbits(63) + 1,
                           labels=dict(labels), kinds=list(kinds), encodings=list(encodings),
                           software=software)
