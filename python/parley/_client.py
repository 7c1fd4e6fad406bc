"""A client of one's own: functions on dicts of numpy arrays."""

from __future__ import annotations

import math
import os
import re
import secrets
import socket
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Union

from . import _proto
from ._dial import Tls, check_address
from ._job import Evaluate, Train, Workbench
from ._session import Session, register
from ._wire import encodings

VERSION = "0.1.0"


def _new_name() -> str:
    host = re.sub(r"[^A-Za-z0-9._-]", "", socket.gethostname())[:64]
    return f"{host or 'client'}-{secrets.token_hex(4)}"


class Client:
    """Trains and evaluates when a coordinator asks.

    The functions get the model as a dict of numpy arrays, by the names of the
    run's model, of its precision (float32 by default), which are theirs to
    change, and a Task. A function that raises costs this client the task, not
    the run: the coordinator is told why.

    Example: least squares by one gradient step a round.

        def train(parameters, task):
            w = parameters["weight"]
            error = x @ w - t
            w -= 0.1 * x.T @ error / len(t)
            return parley.Update(parameters, examples=len(t),
                                 metrics={"loss": (error ** 2).mean() / 2})

        parley.Client(train, name="site-1").run("localhost:7070")
    """

    def __init__(self, train: Train | None = None, evaluate: Evaluate | None = None, *,
                 name: str | None = None, labels: Mapping[str, str] | None = None,
                 parameters: Mapping[str, Any] | None = None) -> None:
        """
        train, evaluate: a client is asked only for what it can do.
        name: stays the same from start to start; letters, digits, dots, dashes
            and underscores. Default: the host's name and a few random letters.
        labels: tell the coordinator something about this client.
        parameters: this client's own model. Names and shapes are then compared
            with the run's before the first task, and its LOCAL tensors, which
            never travel, start from here; else from zeros.
        ValueError: no function, or a name that is none.
        """
        if train is None and evaluate is None:
            raise ValueError("a client needs train, evaluate or both")
        self.name = _new_name() if name is None else name
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,128}", self.name):
            raise ValueError(f"{self.name[:128]!r} is no client name: 1 to 128 letters, digits, "
                             "dots, dashes and underscores")
        kinds = [_proto.TRAIN] * (train is not None) + [_proto.EVALUATE] * (evaluate is not None)
        self._hello = register(self.name, labels or {}, kinds, encodings(),
                               f"parley for Python {VERSION}")
        self._bench = Workbench(train, evaluate, parameters)
        self._lock = threading.Lock()
        self._session: Session | None = None

    def run(self, server: Union[str, Sequence[str]], *, tls: Tls | None = None,
            insecure: bool = False, max_offline: float = math.inf,
            max_model_bytes: int | None = None) -> None:
        """Works for the coordinator until its run is over; where it has a queue of
        runs, for one after another, until stop() or Ctrl-C.

        server: "host:port", or several: the first that answers counts.
        tls: needed beyond this machine, unless `insecure`.
        max_offline: seconds without a coordinator after which to give up.
        max_model_bytes: joins no run with a larger model. Default: a quarter of
            this machine's memory.

        The functions are called on the caller's thread. A lost connection is
        made again, and an upload goes on where it stopped. Ctrl-C takes leave
        of the coordinator, then raises KeyboardInterrupt as ever.

        A run of a queue whose model does not fit is left, with a warning.

        Refused: the coordinator and this client do not fit, or it was sent
        away. Unreachable: no coordinator for max_offline. OSError, ValueError:
        the addresses or certificates are wrong.
        """
        servers = [server] if isinstance(server, str) else list(server)
        if not servers:
            raise ValueError("no coordinator's address is given")
        if max_model_bytes is None:
            max_model_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4
        for address in servers:
            check_address(address, tls, insecure)
        with self._lock:
            if self._session is not None:
                raise RuntimeError("this client is running already")
            self._session = session = Session(self._bench, self._hello, servers, tls,
                                              max_offline, max_model_bytes)
        try:
            session.run()
        finally:
            with self._lock:
                self._session = None

    def stop(self) -> None:
        """Lets run() take leave and return, from any thread; once the function
        under way has returned (task.cancelled tells it)."""
        with self._lock:
            if self._session is not None:
                self._session.stop("the client was stopped")
