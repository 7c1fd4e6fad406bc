"""One task's numbers on a client: the model as it came, the update made of it."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

import numpy as np

from . import _proto
from ._dial import Refused
from ._wire import Array, Parameters, Sink, Spec, chunks, encode, number_size


class Cancelled(Exception):
    """Nobody wants the result any more."""


@dataclass(frozen=True)
class Task:
    """What a client is asked for.

    round: from 1.
    client: this client's name, for random streams of its own.
    values: the named numbers of the run file's round_values, for this round.
    config: the run file with all defaults filled in, a protobuf message:
        task.config.seed, task.config.local.step_size.initial,
        task.config.model.custom.params["depth"].
    """

    round: int
    client: str
    values: Mapping[str, float]
    config: Any
    _cancelled: threading.Event = field(repr=False, compare=False)
    _tell: Callable[[float], None] = field(repr=False, compare=False)

    @property
    def cancelled(self) -> bool:
        """True once the result is wanted no more: to stop then saves work."""
        return self._cancelled.is_set()

    def progress(self, fraction: float) -> None:
        """Says how much of the task is done, 0..1; whoever watches the run
        sees it after the next heartbeat. Cheap: may be called at each step."""
        if not 0 <= fraction <= 1:
            raise ValueError(f"progress is {fraction}; it must be from 0 to 1")
        self._tell(fraction)


@dataclass(frozen=True)
class Update:
    """What training gives back.

    parameters: as trained, by the names and in the shapes of those received.
    examples: behind the result, > 0; its weight in the average.
    metrics: any finite numbers; the round's report has their weighted means.
    local_steps: how many steps it took, where somebody wants to know.
    """

    parameters: Mapping[str, Any]
    examples: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    local_steps: int = 0


@dataclass(frozen=True)
class Evaluation:
    """What evaluating gives back: means over so many examples, > 0.

    "loss" and "accuracy" are the names that reports and stop conditions know.
    """

    examples: float
    metrics: Mapping[str, float]


Train = Callable[[Parameters, Task], Update]
Evaluate = Callable[[Parameters, Task], Evaluation]


@dataclass(frozen=True)
class Workbench:
    """What stays with a client from task to task."""

    train: Optional[Train]
    evaluate: Optional[Evaluate]
    initial: Optional[Mapping[str, Any]]  # the client's own model, as it began
    spec: Spec = Spec("float32", ())
    config: Any = None
    local: Parameters = field(default_factory=dict)  # LOCAL tensors, as trained last

    def adopt(self, spec: Spec, config: Any) -> Workbench:
        """For a run. Refused: its model is not this client's."""
        if self.initial is not None and (wrong := spec.difference(self.initial)):
            raise Refused(f"this client's model is not the run's: {wrong}")
        local = {}
        for tensor in spec.tensors:
            if tensor.merge == "local":
                begin = None if self.initial is None else self.initial[tensor.name]
                local[tensor.name] = (np.zeros(tensor.shape, spec.dtype) if begin is None
                                      else np.array(begin, spec.dtype))
        return Workbench(self.train, self.evaluate, self.initial, spec, config, local)


class Job:
    """sink() and a download, then work() once, then source() as often as needed."""

    def __init__(self, task: Any, bench: Workbench) -> None:
        self.task = task
        self.cancelled = threading.Event()
        self.chunks = 0  # moved by the task's transfers
        self.fraction: float | None = None  # of the work, while the function says so
        self._bench = bench
        self._sink: Sink | None = None
        self._update = b""

    def sink(self) -> Sink:
        """The same one again when a download is gone on with. WireError."""
        if self._sink is None:
            self._sink = Sink(self._bench.spec.travelling, self.task.payloads)
        return self._sink

    def source(self, header: Any, offset: int) -> Iterator[Any]:
        for chunk in chunks(header, self._update, offset):
            yield chunk
            self.chunks += 1

    def work(self) -> Any:
        """An UpdateReady without task and version; or what the user's function
        raised, or that it gave back what cannot be."""
        if self.cancelled.is_set():
            raise Cancelled("wanted no more")
        assert self._sink is not None
        base, self._sink = self._sink.values, None
        ask = Task(self.task.task.round, self.task.task.client, dict(self.task.values),
                   self._bench.config, self.cancelled,
                   lambda fraction: setattr(self, "fraction", fraction))
        if self.task.kind == _proto.EVALUATE:
            assert self._bench.evaluate is not None
            told = self._bench.evaluate(self._parameters(base), ask)
            _expect(told, Evaluation, "evaluate")
            return _ready(told.examples, told.metrics, 0)
        assert self._bench.train is not None
        encoding = self.task.update_encoding
        size = number_size(encoding)
        trained = self._bench.train(self._parameters(base), ask)
        if self.cancelled.is_set():
            raise Cancelled("wanted no more")
        _expect(trained, Update, "train")
        ready = _ready(trained.examples, trained.metrics, trained.local_steps)
        self._update = encode(self._change(base, trained.parameters), encoding)
        payload = ready.payloads.add()
        payload.CopyFrom(self.task.payloads[0])  # its name, spec and hash
        payload.encoding = encoding
        payload.bytes = payload.elements * size
        return ready

    def _parameters(self, base: Array) -> Parameters:
        """All tensors in the spec's order: copies, the user's to change."""
        travelled = self._bench.spec.travelling.split(base.copy())
        return {tensor.name: self._bench.local[tensor.name].copy()
                if tensor.merge == "local" else travelled[tensor.name]
                for tensor in self._bench.spec.tensors}

    def _change(self, base: Array, trained: Mapping[str, Any]) -> Array:
        """New minus old; the new value itself of COPY tensors."""
        spec = self._bench.spec
        if wrong := spec.difference(trained):
            raise ValueError(f"train gave other parameters than it got: {wrong}")
        new = {name: np.asarray(values, spec.dtype) for name, values in trained.items()}
        for name, values in new.items():
            if not np.isfinite(values).all():
                raise ValueError(f"training diverged: {name} has numbers that are infinite or "
                                 "not numbers; a smaller step size may help")
        change = np.empty_like(base)
        old, out = spec.travelling.split(base), spec.travelling.split(change)
        for tensor in spec.tensors:
            name = tensor.name
            if tensor.merge == "mean":
                np.subtract(new[name], old[name], out=out[name])
            elif tensor.merge == "copy":
                out[name][...] = new[name]
            else:
                self._bench.local[name] = new[name].copy()
        return change


def _expect(given: Any, kind: type, function: str) -> None:
    if not isinstance(given, kind):
        raise TypeError(f"{function} must return a parley.{kind.__name__}, "
                        f"not {type(given).__name__}")


def _ready(examples: float, metrics: Mapping[str, float], local_steps: int) -> Any:
    weight = float(examples)
    if not (math.isfinite(weight) and weight > 0):
        raise ValueError(f"examples is {examples}; it must be a number > 0")
    scalars = {name: float(value) for name, value in metrics.items()}
    for name, value in scalars.items():
        if not math.isfinite(value):
            raise ValueError(f"the metric {name} is {value}; metrics must be finite")
    return _proto.UpdateReady(weight=weight, scalars=scalars, local_steps=local_steps)
