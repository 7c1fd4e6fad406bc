#!/usr/bin/python3
"""A client made from the .proto files and FORMAT.md counts like any other.

usage: conformance_test.py BIN_DIR PROTO_DIR
One parley-client and one client.py train linear regression, each on data of its
own; the model that comes out must be what numpy makes of the same rounds.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
from processes import Server  # noqa: E402

ROUNDS, STEPS, STEP_SIZE, FEATURES = 20, 3, 0.1, 7
RUN = """
model {{ linear_regression {{}} features: {features} }}
local {{ gd {{ steps: {steps} }} step_size {{ initial: {step_size} }} }}
cohort {{ min: 2 }}
start {{ zeros {{}} }}
stop {{ rounds: {rounds} }}
"""


def make_stubs(proto_dir, folder, *more):
    protos = [f"parley/v1/{name}.proto" for name in ("model", "run", "coordinator", *more)]
    plugin = "--plugin=protoc-gen-grpc=/usr/bin/grpc_python_plugin"
    subprocess.run(["protoc", "-I", proto_dir, f"--python_out={folder}", f"--grpc_out={folder}",
                    plugin, *protos], check=True)


def make_data(rng, rows):
    x = rng.normal(size=(rows, FEATURES)).astype(np.float32).astype(np.float64)
    t = x @ np.arange(FEATURES) + 3 + 0.1 * rng.normal(size=rows)
    return x, t.astype(np.float32).astype(np.float64)


def write_libsvm(path, x, t):
    with open(path, "w") as out:
        for row, target in zip(x, t):
            out.write(f"{target!r} " + " ".join(f"{i + 1}:{v!r}" for i, v in enumerate(row)) + "\n")


def expected_model(parts):
    """FedAvg of full-batch local gradient descent, in float64."""
    w = np.zeros(FEATURES + 1)
    for _ in range(ROUNDS):
        total = np.zeros_like(w)
        for x, t in parts:
            x = np.hstack([x, np.ones((len(t), 1))])
            local = w.copy()
            for _ in range(STEPS):
                local -= STEP_SIZE * x.T @ (x @ local - t) / len(t)
            total += len(t) * (local - w)
        w += total / sum(len(t) for _, t in parts)
    return w


def read_safetensors(path):
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + size])
    begins = {name: header[name]["data_offsets"] for name in ("weight", "bias")}
    return np.concatenate([np.frombuffer(data[8 + size + a:8 + size + b], "<f4")
                           for a, b in begins.values()])


def main(bin_dir, proto_dir):
    rng = np.random.default_rng(1)
    parts = [make_data(rng, 60), make_data(rng, 25)]
    with tempfile.TemporaryDirectory() as folder:
        make_stubs(proto_dir, folder)
        write_libsvm(f"{folder}/data.svm", *parts[0])
        np.savez(f"{folder}/data.npz", x=parts[1][0], t=parts[1][1])
        run_file = pathlib.Path(folder, "run.textproto")
        run_file.write_text(RUN.format(features=FEATURES, steps=STEPS, step_size=STEP_SIZE,
                                       rounds=ROUNDS))
        with Server(bin_dir, str(run_file), f"{folder}/run", "--log", f"{folder}/server.log") as server:
            clients = [
                subprocess.Popen([f"{bin_dir}/parley-client", "--server", server.address,
                                  "--name", "native", "--data", f"libsvm:{folder}/data.svm"]),
                subprocess.Popen(["/usr/bin/python3", HERE / "client.py", server.address, "python",
                                  f"{folder}/data.npz"], env={**os.environ, "PYTHONPATH": folder}),
            ]
            codes = [server.wait()] + [client.wait() for client in clients]
            counted = [sorted(r["counted"]) for r in server.rounds()]
        model = read_safetensors(pathlib.Path(folder, "run", "model.safetensors"))
    want = expected_model(parts)
    print(f"exit codes {codes}, counted {counted[0]} ... in {len(counted)} rounds")
    print(f"largest difference to numpy: {np.abs(model - want).max():.1e}")
    good = codes == [0, 0, 0] and counted == [["native", "python"]] * ROUNDS
    return 0 if good and np.abs(model - want).max() < 1e-4 else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
