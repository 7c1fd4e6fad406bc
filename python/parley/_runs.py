"""What a run leaves in its folder."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf import text_format

from . import _proto
from ._dial import Path
from ._wire import Parameters

Record = dict[str, Any]

_DTYPES = {"F32": "<f4", "F64": "<f8"}


@dataclass(frozen=True)
class Run:
    """A run's folder, read by load_run().

    metrics: a flat dict a round, in their order: "round", "train_loss",
        "central.loss", "central.accuracy", "federated.loss", "metrics.NAME",
        "bytes_up", "seconds.train", "counted" (a list of names), and so on;
        None where there was nothing to measure.
    config: the run file with all defaults filled in, a protobuf message.
    """

    folder: pathlib.Path
    name: str
    metrics: list[Record]
    config: Any

    @property
    def parameters(self) -> Parameters:
        """The model that the run ended with, by tensor. FileNotFoundError: it
        has not ended yet."""
        return _read_safetensors(self.folder / "model.safetensors")


def load_run(folder: Path) -> Run:
    """Reads a run's folder, also while the run goes on.

        run = parley.load_run("runs/fashion_fedavg-1")
        frame = pandas.DataFrame(run.metrics)
        frame.plot("round", "central.accuracy")

    FileNotFoundError: the folder has no run. ValueError: a damaged file.
    """
    path = pathlib.Path(folder)
    config = _proto.RunConfig()
    try:
        text_format.Parse((path / "run.textproto").read_text(), config,
                          allow_unknown_field=True)
    except text_format.ParseError as error:
        raise ValueError(f"{path / 'run.textproto'}: {error}") from None
    return Run(path, config.name, list(_read_metrics(path / "metrics.jsonl")), config)


def _read_metrics(path: pathlib.Path) -> Iterator[Record]:
    if not path.exists():  # before the first round is over
        return
    with open(path) as lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith("\n"):
                return  # is being written
            try:
                yield _flat(json.loads(line))
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from None


def _flat(record: Record) -> Record:
    flat: Record = {}
    for name, value in record.items():
        if isinstance(value, dict):
            flat.update((f"{name}.{inner}", x) for inner, x in value.items())
        else:
            flat[name] = value
    return flat


def _read_safetensors(path: pathlib.Path) -> Parameters:
    data = path.read_bytes()
    begin = 8 + int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8:begin])
        header.pop("__metadata__", None)
        parameters = {}
        for name, entry in header.items():
            first, last = entry["data_offsets"]
            numbers = np.frombuffer(data[begin + first:begin + last], _DTYPES[entry["dtype"]])
            parameters[name] = numbers.reshape(entry["shape"]).copy()
        return parameters
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None
