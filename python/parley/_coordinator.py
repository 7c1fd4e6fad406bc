"""A running coordinator, seen from outside: submit runs, watch them, stop them."""

from __future__ import annotations

import enum
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Union

import grpc
from google.protobuf import text_format

from . import _proto
from ._dial import Calls, Path, Tls, Unreachable, check_address, dial


class RunState(enum.Enum):
    UNKNOWN = 0  # of a newer coordinator
    WAITING = 1  # for clients
    RUNNING = 2
    FINISHED = 3  # a stop condition of the run file was met
    STOPPED = 4  # by a person or a signal
    FAILED = 5
    QUEUED = 6

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
    tags: tuple[str, ...]


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
                      for c in m.client),
        tags=tuple(m.tags))


def _run_text(run: Union[Path, Any]) -> tuple[str, pathlib.Path]:
    """The run file's text, and where relative paths in it start."""
    here = pathlib.Path.cwd()
    if hasattr(run, "DESCRIPTOR"):
        return text_format.MessageToString(run), here / "run.textproto"
    if isinstance(run, str) and ("\n" in run or "{" in run):
        return run, here / "run.textproto"
    path = here / run
    return path.read_text(), path


class Coordinator:
    """A connection to a running coordinator; connect() makes one.

    Every method raises Unreachable where nobody answers, and LookupError where
    the coordinator has no run of that name. No name means the oldest run that
    goes on, else the next in the queue, else the last that is over. Use it in a
    with statement, or close() it.
    """

    def __init__(self, address: str, tls: Tls | None, timeout: float) -> None:
        self._address = address
        self._timeout = timeout
        self._channel = dial(address, tls)
        self._calls = Calls(self._channel)

    def submit(self, run: Union[Path, Any], *, sets: Mapping[str, str] | None = None,
               name: str | None = None, tags: Sequence[str] = ()) -> str:
        """Queues a run, and returns the name that it has there: NAME-N.

        run: the path of a run file; or the file's text (with a line break or a
            brace in it); or a RunConfig, such as load_run(...).config.
        sets: fields to change, as --set: {"stop.rounds": "5"}.
        name: in place of the run file's, or of the file's own name.
        tags: beside those of the file, for finding the run in runs().

            coordinator = parley.connect("localhost:7070")
            for rate in (0.1, 0.2):
                coordinator.submit("mine.textproto", tags=["sweep"],
                                   sets={"local.step_size.initial": str(rate)})

        The data is read by the coordinator: relative paths start at the run
        file's folder (of text: at the current one), and must mean the same on
        the coordinator's machine. ValueError: all that is wrong with the run, a
        line each. RuntimeError: the coordinator has no queue, or it is full.
        OSError: the file cannot be read.
        """
        text, path = _run_text(run)
        request = _proto.SubmitRequest(text=text, path=str(path), folder=str(pathlib.Path.cwd()),
                                       tags=list(tags))
        request.sets.extend(f"{field}={value}" for field, value in (sets or {}).items())
        if name is not None:
            request.sets.append(f"name={name}")
        # However long it reads the data.
        reply = self._ask(self._calls.submit, request, timeout=None)
        if reply.errors:
            raise ValueError(reply.errors)
        return str(reply.run)

    def runs(self, tags: Sequence[str] = ()) -> list[RunStatus]:
        """All runs that are queued or go on, and the latest that are over, in the
        order in which they were submitted; with `tags`, those that have them all.
        They come without `clients`."""
        reply = self._ask(self._calls.list_runs, _proto.ListRunsRequest())
        return [_status(run) for run in reply.run if set(tags) <= set(run.tags)]

    def status(self, run: str = "") -> RunStatus:
        return _status(self._ask(self._calls.get_status, _proto.StatusRequest(run=run)))

    def watch(self, run: str = "") -> Iterator[RunStatus]:
        """The present status at once, then each change; ends when the run ends.

            for status in parley.connect("localhost:7070").watch():
                print(status.round, status.loss)
        """
        call = self._calls.watch(_proto.StatusRequest(run=run))
        try:
            for message in call:
                yield _status(message)
        except grpc.RpcError:
            raise self._error(call) from None
        finally:
            call.cancel()

    def stop(self, run: str = "", reason: str = "stopped from Python") -> str:
        """Ends a run after what is under way; one that is queued never begins.
        Returns its name."""
        return str(self._ask(self._calls.stop, _proto.StopRequest(run=run, reason=reason)).run)

    def close(self) -> None:
        self._channel.close()

    def __enter__(self) -> Coordinator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, call: Any, request: Any, **options: Any) -> Any:
        try:
            return call(request, **{"timeout": self._timeout, **options})
        except grpc.RpcError as error:
            raise self._error(error) from None

    def _error(self, error: Any) -> Exception:
        code, text = error.code(), f"the coordinator at {self._address}: {error.details()}"
        if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
            return Unreachable(text)
        return LookupError(text) if code is grpc.StatusCode.NOT_FOUND else RuntimeError(text)


def connect(address: str, *, tls: Tls | None = None, insecure: bool = False,
            timeout: float = 10.0) -> Coordinator:
    """A running coordinator, to submit runs to, to watch and to stop. Nothing is
    sent yet.

    timeout: seconds that one answer may take. ValueError: unencrypted beyond
    this machine without insecure=True.
    """
    check_address(address, tls, insecure)
    return Coordinator(address, tls, timeout)
