#!/usr/bin/python3
"""The event files of parley report --tensorboard, read back by other code.

    event_file_test.py BIN             by a reader of our own, from the format alone
    event_file_test.py BIN tensorboard by the tensorboard package, which is no
                                       Debian package; exit code 77, skipped, where
                                       it is not installed (pip install tensorboard)
"""

import json
import pathlib
import struct
import subprocess
import sys
import tempfile

QUICK = pathlib.Path(__file__).resolve().parents[2] / "examples" / "mixture_quick.textproto"


def masked_crc(data):
    """CRC-32C bit by bit, then turned by 15 and shifted."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def records(data):
    at = 0
    while at < len(data):
        length, crc = struct.unpack_from("<QI", data, at)
        assert crc == masked_crc(data[at:at + 8]), f"the length at {at}"
        body = data[at + 12:at + 12 + length]
        assert len(body) == length, f"the record at {at} is cut off"
        assert struct.unpack_from("<I", data, at + 12 + length)[0] == masked_crc(body), at
        yield body
        at += 16 + length


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not data[at - 1] & 0x80:
            return value, at


def fields(message):
    """(number, value) of each field of a protobuf message."""
    at = 0
    while at < len(message):
        key, at = varint(message, at)
        if key & 7 == 0:
            value, at = varint(message, at)
        elif key & 7 == 2:
            length, at = varint(message, at)
            value, at = message[at:at + length], at + length
        else:
            size = {1: 8, 5: 4}[key & 7]
            value, at = struct.unpack("<d" if size == 8 else "<f", message[at:at + size])[0], at + size
        yield key >> 3, value


def scalars(path):
    """{tag: [(step, wall time, value)]} by TensorBoard's field numbers."""
    found = {}
    for i, record in enumerate(records(path.read_bytes())):
        event = dict(fields(record))  # 1 wall_time, 2 step, 3 file_version, 5 summary
        if i == 0:
            assert event[3] == b"brain.Event:2", event
            continue
        for number, value in fields(event[5]):
            assert number == 1
            value = dict(fields(value))  # 1 tag, 2 simple_value
            found.setdefault(value[1].decode(), []).append((event[2], event[1], value.get(2, 0.0)))
    return found


def scalars_by_tensorboard(path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    events = EventAccumulator(str(path.parent), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    found = {tag: [(e.step, e.wall_time, e.value) for e in events.Scalars(tag)]
             for tag in events.Tags()["scalars"]}
    assert found, events.Tags()
    return found


def main():
    read = scalars
    if sys.argv[2:] == ["tensorboard"]:
        try:
            import tensorboard
        except ImportError:
            print("skipped: the tensorboard package is not installed (pip install tensorboard)")
            return 77
        print("tensorboard", tensorboard.__version__)
        read = scalars_by_tensorboard
    with tempfile.TemporaryDirectory() as folder:
        def parley(*words):
            return subprocess.run([f"{pathlib.Path(sys.argv[1]).resolve()}/parley", *words],
                                  cwd=folder, check=True, stdout=subprocess.PIPE, text=True,
                                  timeout=200).stdout

        for name in ("a", "b"):
            parley("simulate", str(QUICK), "--dir", f"runs/{name}", "--set", "stop.rounds=5")
        paths = parley("report", "runs/a", "runs/b/", "--tensorboard", "events").splitlines()
        assert [str(pathlib.Path(path).parent) for path in paths] == ["events/a", "events/b"], paths
        for name, path in zip("ab", paths):
            rounds = [json.loads(line) for line in
                      pathlib.Path(folder, "runs", name, "metrics.jsonl").read_text().splitlines()]
            found = read(pathlib.Path(folder, path))
            expected = {
                "loss/central": [r["central"]["loss"] for r in rounds],
                "loss/federated": [r["federated"]["loss"] for r in rounds],
                "loss/training": [r["train_loss"] for r in rounds],
                "accuracy/central": [r["central"]["accuracy"] for r in rounds],
                "accuracy_by_client/least": [min(e["accuracy"] for e in r["evaluations"])
                                             for r in rounds],
                "seconds/train": [r["seconds"]["train"] for r in rounds],
                "bytes/up": [r["bytes_up"] for r in rounds],
                "clients/counted": [len(r["counted"]) for r in rounds],
                "metrics/first_loss": [r["metrics"]["first_loss"] for r in rounds],
            }
            for tag, values in expected.items():
                assert [step for step, _, _ in found[tag]] == [1, 2, 3, 4, 5], found[tag]
                assert [value for _, _, value in found[tag]] == [struct.unpack("<f", struct.pack("<f", v))[0]
                                                            for v in values], tag
                times = [time for _, time, _ in found[tag]]
                assert times == sorted(times) and times[0] > 1.7e9, times
            print(path, len(found), "tags")
    return 0


if __name__ == "__main__":
    sys.exit(main())
