"""The PyTorch example: a state_dict in a run, also beside native clients."""

import subprocess
import sys

import numpy as np
import pytest

import parley
from conftest import TOP, write_libsvm

pytest.importorskip("torch", reason="PyTorch is not installed (python3-torch)")
EXAMPLES = TOP / "examples" / "python"
ROWS = {"p1": 160, "p2": 96}


@pytest.fixture
def data(tmp_path):
    """Three classes around three centres; another part for each client."""
    rng = np.random.default_rng(4)
    centres = 2 * rng.normal(size=(3, 8))
    for name, rows in ROWS.items():
        t = rng.integers(0, 3, rows)
        x = (centres[t] + rng.normal(size=(rows, 8))).astype("f4")
        np.savez(tmp_path / f"{name}.npz", x=x, t=t)
        write_libsvm(tmp_path / f"{name}.svm", x.astype("f8"), t)
    return tmp_path


def start_client(folder, address, name, model):
    return subprocess.Popen([sys.executable, EXAMPLES / "pytorch_client.py", "--server", address,
                             "--name", name, "--data", folder / f"{name}.npz", "--model", model])


def test_a_state_dict_with_batch_normalization(serve, data):
    subprocess.run([sys.executable, EXAMPLES / "pytorch_client.py", "--write-start",
                    data / "start.npz"], check=True)
    server = serve((EXAMPLES / "pytorch.textproto").read_text())  # beside start.npz
    processes = [start_client(data, server.address, name, "bn") for name in ROWS]
    assert server.wait() == 0
    assert [process.wait(90) for process in processes] == [0, 0]

    run = parley.load_run(server.folder)
    assert run.metrics[-1]["federated.accuracy"] > 0.9
    assert run.metrics[-1]["train_loss"] < run.metrics[0]["train_loss"] / 2
    merge = {t.name: t.merge for t in run.config.model.custom.spec.tensors}
    assert merge["bn.num_batches_tracked"] == 3 and merge["bn.running_var"] == 1
    # COPY: the counter is that of the first client in each round, which did
    # rows / 32 steps. MEAN would give a number in between.
    steps = {name: rows // 32 for name, rows in ROWS.items()}
    assert run.parameters["bn.num_batches_tracked"] == sum(
        steps[record["counted"][0]] for record in run.metrics)
    # MEAN: the statistics have moved from where they began, 0 and 1.
    assert np.abs(run.parameters["bn.running_mean"]).max() > 0.1
    assert (run.parameters["bn.running_var"] > 0).all()


def test_beside_a_native_client_in_a_run_of_a_built_in_model(serve, native, data):
    server = serve("""
        model { mlp { hidden: 32 } features: 8 classes: 3 }
        local { sgd { batch_size: 32 epochs: 1 } step_size { initial: 0.1 } }
        data { held_out: 0.2 }
        cohort { min: 2 } stop { rounds: 20 }""")
    torch_client = start_client(data, server.address, "p1", "mlp")
    native_client = native(server.address, "p2", "--data", f"libsvm:{data}/p2.svm")
    assert server.wait() == 0
    assert torch_client.wait(90) == 0 and native_client.wait(90) == 0
    run = parley.load_run(server.folder)
    assert all(sorted(r["counted"]) == ["p1", "p2"] for r in run.metrics)
    assert run.metrics[-1]["federated.accuracy"] > 0.9
    # Both understand the same by the numbers: each alone would judge them alike.
    with np.load(data / "p2.npz") as part:
        x, t = part["x"], part["t"]
    p = run.parameters
    hidden = np.maximum(x @ p["layer0.weight"].T + p["layer0.bias"], 0)
    scores = hidden @ p["layer1.weight"].T + p["layer1.bias"]
    assert (scores.argmax(1) == t).mean() > 0.9
