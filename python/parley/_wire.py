"""Parameters on the wire, as common/wire/FORMAT.md says: specs, encodings, chunks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from . import _proto

Array = npt.NDArray[Any]
Parameters = dict[str, Array]

PROTOCOL_VERSION = 1
CHUNK_BYTES = 1 << 20  # what a sender aims at
MAX_CHUNK_BYTES = 4 << 20  # what a receiver takes

_SIZES = {"ENCODING_FLOAT32": 4, "ENCODING_FLOAT64": 8, "ENCODING_BFLOAT16": 2}


class WireError(Exception):
    """What came is refused; to fetch it again helps where `passes`."""

    def __init__(self, text: str, passes: bool = False) -> None:
        super().__init__(text)
        self.passes = passes


def encodings() -> list[int]:
    return [getattr(_proto, name) for name in _SIZES]


def number_size(encoding: int) -> int:
    """Bytes of one number. WireError: an encoding that is not known here."""
    for name, size in _SIZES.items():
        if encoding == getattr(_proto, name):
            return size
    raise WireError(f"encoding {encoding} is not known here")


def encode(values: Array, encoding: int) -> bytes:
    """`values` are float32 or float64; rounds to nearest even."""
    if encoding == _proto.ENCODING_FLOAT32:
        with np.errstate(over="ignore"):  # the receiver refuses what is infinite
            return values.astype("<f4").tobytes()
    if encoding == _proto.ENCODING_FLOAT64:
        return values.astype("<f8").tobytes()
    if encoding == _proto.ENCODING_BFLOAT16:
        with np.errstate(over="ignore"):
            single = values.astype("<f4")
        bits = single.view("<u4")
        if values.dtype == np.float64:
            # Towards zero, and odd where anything was cut off: so that the
            # second rounding is as if it were the only one.
            bits -= np.abs(single.astype("<f8")) > np.abs(values)
            bits |= single.astype("<f8") != values
        bits += 0x7FFF + ((bits >> np.uint32(16)) & np.uint32(1))
        return (bits >> np.uint32(16)).astype("<u2").tobytes()
    raise WireError(f"encoding {encoding} is not known here")


def decode(data: bytes, encoding: int) -> Array:
    if encoding == _proto.ENCODING_FLOAT32:
        return np.frombuffer(data, "<f4")
    if encoding == _proto.ENCODING_FLOAT64:
        return np.frombuffer(data, "<f8")
    if encoding == _proto.ENCODING_BFLOAT16:
        return (np.frombuffer(data, "<u2").astype("<u4") << np.uint32(16)).view("<f4")
    raise WireError(f"encoding {encoding} is not known here")


@dataclass(frozen=True)
class Tensor:
    name: str
    shape: tuple[int, ...]
    merge: str  # "mean", "local" or "copy"

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


class Spec:
    """Names, shapes and merge rules of a model's tensors, and their one dtype."""

    def __init__(self, dtype: str, tensors: Sequence[Tensor]) -> None:
        self.dtype = dtype
        self.tensors = tuple(tensors)

    @classmethod
    def from_proto(cls, message: Any) -> Spec:
        """WireError: a dtype or merge rule that is not known here."""
        dtype = _proto.DType.get(message.dtype, "")
        if dtype not in ("FLOAT32", "FLOAT64"):
            raise WireError(f"dtype {message.dtype} is not known here")
        tensors = []
        for tensor in message.tensors:
            merge = _proto.MergeRule.get(tensor.merge, "")
            if merge not in ("MEAN", "LOCAL", "COPY"):
                raise WireError(f"tensor {tensor.name}: merge rule {tensor.merge} "
                                "is not known here")
            if any(extent < 0 for extent in tensor.shape):
                raise WireError(f"tensor {tensor.name}: an extent is negative")
            tensors.append(Tensor(tensor.name, tuple(tensor.shape), merge.lower()))
        return cls(dtype.lower(), tensors)

    @property
    def elements(self) -> int:
        return sum(tensor.elements for tensor in self.tensors)

    @property
    def travelling(self) -> Spec:
        """Without the LOCAL tensors."""
        return Spec(self.dtype, [t for t in self.tensors if t.merge != "local"])

    def __str__(self) -> str:
        shapes = (f"{t.name}[{','.join(map(str, t.shape))}]{t.merge};" for t in self.tensors)
        return f"{self.dtype};{''.join(shapes)}"

    @property
    def hash(self) -> int:
        return int(xxhash.xxh3_64_intdigest(str(self).encode()))

    def split(self, numbers: Array) -> Parameters:
        """The tensors within `numbers`, which lie one after another: views."""
        parts, at = {}, 0
        for tensor in self.tensors:
            parts[tensor.name] = numbers[at:at + tensor.elements].reshape(tensor.shape)
            at += tensor.elements
        return parts

    def difference(self, parameters: Mapping[str, Any]) -> str:
        """Says in what `parameters` are not of this spec; empty where they are."""
        wrong = []
        for tensor in self.tensors:
            if tensor.name not in parameters:
                wrong.append(f"{tensor.name} {list(tensor.shape)} is missing")
            elif (shape := np.shape(parameters[tensor.name])) != tensor.shape:
                wrong.append(f"{tensor.name} is {list(shape)} where the run has "
                             f"{list(tensor.shape)}")
        known = {tensor.name for tensor in self.tensors}
        wrong += [f"{name} is not of the run" for name in parameters if name not in known]
        return "; ".join(wrong)


class Sink:
    """Takes in the one payload of a task, chunk by chunk; may be gone on with."""

    def __init__(self, spec: Spec, payloads: Sequence[Any]) -> None:
        """WireError: payloads that this client does not know, or of another spec."""
        names = ", ".join(payload.name for payload in payloads)
        if names != "model":
            raise WireError(f"the task's payloads are {{{names}}}; this client knows tasks "
                            'with one, "model"')
        (payload,) = payloads
        self._encoding = payload.encoding
        self._size = number_size(payload.encoding)
        if (payload.spec_hash != spec.hash or payload.elements != spec.elements
                or payload.bytes != spec.elements * self._size):
            raise WireError("the payload does not fit the run's model")
        self._bytes = payload.bytes
        self.values = np.zeros(spec.elements, spec.dtype)
        self.received = 0  # bytes

    def write(self, chunk: Any) -> None:
        data = chunk.data
        where = f"chunk of payload {chunk.payload} at byte {chunk.offset}: "
        if chunk.payload != 0 or chunk.offset != self.received:
            raise WireError(f"{where}payload 0 at byte {self.received} is expected")
        if not 0 < len(data) <= MAX_CHUNK_BYTES or len(data) % self._size:
            raise WireError(f"{where}has {len(data)} bytes, which cannot be")
        if self.received + len(data) > self._bytes:
            raise WireError(f"{where}has {len(data)} bytes, more than the payload has left")
        if xxhash.xxh3_64_intdigest(data) != chunk.checksum:
            raise WireError(f"{where}its checksum does not match", passes=True)
        numbers = decode(data, self._encoding).astype(self.values.dtype)
        if not np.isfinite(numbers).all():
            raise WireError(f"{where}has a number that is infinite or not a number")
        at = self.received // self._size
        self.values[at:at + len(numbers)] = numbers
        self.received += len(data)

    def finish(self) -> None:
        if self.received < self._bytes:
            raise WireError(f"the transfer ended at byte {self.received} of {self._bytes}")


def chunks(header: Any, data: bytes, offset: int) -> Iterator[Any]:
    """An upload of `data` from `offset` on; the header goes ahead alone."""
    yield _proto.Chunk(header=header)
    for at in range(offset, len(data), CHUNK_BYTES):
        piece = data[at:at + CHUNK_BYTES]
        yield _proto.Chunk(offset=at, checksum=xxhash.xxh3_64_intdigest(piece), data=piece)
