"""A running coordinator, seen from outside: watch it, stop it."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc

from . import _proto
from ._dial import Calls, Tls, Unreachable, check_address, dial


class RunState(enum.Enum):
    UNKNOWN = 0  # of a newer coordinator
    WAITING = 1  # for clients
    RUNNING = 2
    FINISHED = 3  # a stop condition of the run file was met
    STOPPED = 4  # by a person or a signal
    FAILED = 5

    @property
    def over(self) -> bool:
        return self in (RunState.FINISHED, RunState.STOPPED, RunState.FAILED)

    @classmethod
    def _missing_(cls, value: object) -> RunState:
        return cls.UNKNOWN


@dataclass(frozen=True)
class ClientStatus:
    name: str
    state: str  # "idle", "training", "uploading", "lost", ...
    reason: str  # of its last refusal or loss
    progress: float | None  # of its task, 0..1, where it says so


@dataclass(frozen=True)
class RunStatus:
    run: str
    state: RunState
    detail: str  # why it failed or stopped; whom it waits for
    round: int  # being run; the last one when ended
    rounds: int  # planned
    phase: str  # "train", "evaluate", "aggregate"
    asked: int  # clients in this phase
    done: int  # of them
    loss: float | None  # the latest, central else federated
    accuracy: float | None
    bytes_up: int
    bytes_down: int
    seconds: float
    eta_seconds: float | None
    connected: int  # clients with a lease
    folder: str  # of the run, on the coordinator's machine
    clients: tuple[ClientStatus, ...]


def _status(m: Any) -> RunStatus:
    def known(field: str) -> float | None:
        return getattr(m, field) if m.HasField(field) else None

    return RunStatus(
        run=m.run, state=RunState(m.state), detail=m.detail, round=m.round, rounds=m.rounds,
        phase=m.phase, asked=m.asked, done=m.done, loss=known("loss"), accuracy=known("accuracy"),
        bytes_up=m.bytes_up, bytes_down=m.bytes_down, seconds=m.seconds,
        eta_seconds=known("eta_seconds"), connected=m.clients, folder=m.folder,
        clients=tuple(ClientStatus(c.name, c.state, c.reason,
                                   c.progress if c.HasField("progress") else None)
                      for c in m.client))


class Coordinator:
    """A connection to a running coordinator; connect() makes one.

    Every method raises Unreachable where nobody answers. Use it in a with
    statement, or close() it.
    """

    def __init__(self, address: str, tls: Tls | None, timeout: float) -> None:
        self._address = address
        self._timeout = timeout
        self._channel = dial(address, tls)
        self._calls = Calls(self._channel)

    def status(self) -> RunStatus:
        return _status(self._ask(self._calls.get_status, _proto.StatusRequest()))

    def watch(self) -> Iterator[RunStatus]:
        """The present status at once, then each change; ends when the run ends.

            for status in parley.connect("localhost:7070").watch():
                print(status.round, status.loss)
        """
        call = self._calls.watch(_proto.StatusRequest())
        try:
            for message in call:
                yield _status(message)
        except grpc.RpcError:
            raise self._error(call) from None
        finally:
            call.cancel()

    def stop(self, reason: str = "stopped from Python") -> None:
        """Ends the run after what is under way."""
        self._ask(self._calls.stop, _proto.StopRequest(reason=reason))

    def close(self) -> None:
        self._channel.close()

    def __enter__(self) -> Coordinator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, call: Any, request: Any) -> Any:
        try:
            return call(request, timeout=self._timeout)
        except grpc.RpcError as error:
            raise self._error(error) from None

    def _error(self, error: Any) -> Exception:
        code, text = error.code(), f"the coordinator at {self._address}: {error.details()}"
        if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
            return Unreachable(text)
        return RuntimeError(text)


def connect(address: str, *, tls: Tls | None = None, insecure: bool = False,
            timeout: float = 10.0) -> Coordinator:
    """A running coordinator, to watch and to stop. Nothing is sent yet.

    timeout: seconds that one answer may take. ValueError: unencrypted beyond
    this machine without insecure=True.
    """
    check_address(address, tls, insecure)
    return Coordinator(address, tls, timeout)
