"""Bytes, against FORMAT.md and against arithmetic that is done another way."""

import struct

import numpy as np
import pytest
import xxhash

from parley import _proto as p
from parley._wire import Sink, Spec, Tensor, WireError, chunks, decode, encode

SPEC = Spec("float32", [Tensor("weights", (784, 10), "mean"), Tensor("bias", (10,), "mean")])


def test_the_hash_is_that_of_the_page():
    assert str(SPEC) == "float32;weights[784,10]mean;bias[10]mean;"
    assert SPEC.hash == 0xFE08D17BD8D20D2D
    assert str(Spec("float64", [Tensor("s", (), "copy")])) == "float64;s[]copy;"


def bfloat16(x):
    """The nearest one, the even one of two, by exact comparison in float64."""
    (bits,) = struct.unpack("<I", struct.pack("<f", np.float32(x)))
    around = [max(bits >> 16, 1) - 1 + i for i in range(3)]
    value = [struct.unpack("<f", struct.pack("<I", b << 16))[0] for b in around]
    return min(zip((abs(v - float(x)) for v in value), (b & 1 for b in around), around))[2]


@pytest.mark.parametrize("dtype", ["<f4", "<f8"])
def test_bfloat16_is_rounded_to_the_nearest_even(dtype):
    rng = np.random.default_rng(5)
    x = (rng.normal(size=4000) * 10.0 ** rng.integers(-30, 30, 4000)).astype(dtype)
    x = np.abs(x)
    # Halfway between two, and a hair beside it that float32 does not hold.
    hair = 2.0 ** -40
    half = [1 + 2.0 ** -8, 1 + 3 * 2.0 ** -8, 1 + 2.0 ** -8 + hair, 1 + 3 * 2.0 ** -8 - hair]
    x = np.concatenate([x, np.array(half, dtype)])
    got = np.frombuffer(encode(x, p.ENCODING_BFLOAT16), "<u2")
    assert got.tolist() == [bfloat16(v) for v in x]
    negative = np.frombuffer(encode(-x, p.ENCODING_BFLOAT16), "<u2")
    assert (negative == got | 0x8000).all()
    back = decode(got.tobytes(), p.ENCODING_BFLOAT16)
    assert np.abs(back / x - 1).max() <= 2.0 ** -8


def test_float32_and_float64_travel_as_they_are():
    x = np.random.default_rng(1).normal(size=100)
    assert encode(x, p.ENCODING_FLOAT64) == x.tobytes()
    assert (decode(encode(x, p.ENCODING_FLOAT32), p.ENCODING_FLOAT32) == x.astype("f4")).all()
    with pytest.raises(WireError, match="encoding 9"):
        encode(x, 9)


def payload(spec, **other):
    fields = {"name": "model", "spec_hash": spec.hash, "encoding": p.ENCODING_FLOAT32,
              "elements": spec.elements, "bytes": 4 * spec.elements, **other}
    return p.Payload(**fields)


def cut(data, at, size):
    piece = data[at:at + size]
    return p.Chunk(offset=at, checksum=xxhash.xxh3_64_intdigest(piece), data=piece)


def test_a_download_goes_on_where_it_stopped():
    values = np.random.default_rng(2).normal(size=SPEC.elements).astype("f4")
    data = values.tobytes()
    sink = Sink(SPEC, [payload(SPEC)])
    sink.write(cut(data, 0, 1000))
    sink.write(cut(data, 1000, 4))
    with pytest.raises(WireError, match="ended at byte 1004 of 31400"):
        sink.finish()
    sink.write(cut(data, sink.received, len(data)))
    sink.finish()
    assert (sink.values == values).all()


@pytest.mark.parametrize("break_it, why, passes", [
    (lambda c: c.MergeFrom(p.Chunk(checksum=1)), "checksum", True),
    (lambda c: c.MergeFrom(p.Chunk(offset=8)), "byte 0 is expected", False),
    (lambda c: c.MergeFrom(p.Chunk(payload=1)), "payload 0 at byte 0 is expected", False),
    (lambda c: c.MergeFrom(p.Chunk(data=c.data + b"x")), "cannot be", False),
    (lambda c: c.ClearField("data"), "cannot be", False),
    (lambda c: c.MergeFrom(p.Chunk(data=bytes(4 * 7851))), "more than the payload", False),
    (lambda c: c.MergeFrom(cut(np.float32([np.nan]).tobytes(), 0, 4)), "not a number", False),
])
def test_a_wrong_chunk_is_refused_and_leaves_no_trace(break_it, why, passes):
    sink = Sink(SPEC, [payload(SPEC)])
    chunk = cut(bytes(400), 0, 400)
    break_it(chunk)
    with pytest.raises(WireError, match=why) as error:
        sink.write(chunk)
    assert error.value.passes is passes
    assert sink.received == 0


@pytest.mark.parametrize("payloads", [
    [], [payload(SPEC)] * 2, [payload(SPEC, name="control")], [payload(SPEC, spec_hash=1)],
    [payload(SPEC, bytes=8)], [payload(SPEC, encoding=77)],
])
def test_payloads_that_it_does_not_know_are_refused(payloads):
    with pytest.raises(WireError):
        Sink(SPEC, payloads)


def test_an_upload_is_cut_without_gaps():
    data = np.random.default_rng(3).bytes((5 << 20) // 2)
    head, *rest = chunks(p.TransferHeader(token=b"t"), data, 8)
    assert head.header.token == b"t" and not head.data
    assert b"".join(c.data for c in rest) == data[8:]
    assert [c.offset for c in rest] == [8, 8 + (1 << 20), 8 + (2 << 20)]
    assert all(c.checksum == xxhash.xxh3_64_intdigest(c.data) for c in rest)


def test_a_spec_that_it_does_not_know_is_refused():
    with pytest.raises(WireError, match="merge rule 9"):
        Spec.from_proto(p.ParameterSpec(dtype=p.FLOAT32, tensors=[p.TensorSpec(name="w", merge=9)]))
    with pytest.raises(WireError, match="dtype 7"):
        Spec.from_proto(p.ParameterSpec(dtype=7))
