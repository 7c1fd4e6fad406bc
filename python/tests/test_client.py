"""Clients against the real coordinator, beside native ones."""

import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading

import numpy as np
import pytest

import parley
from conftest import TOP, wait_until, write_libsvm

ROUNDS, STEPS, STEP_SIZE, FEATURES = 12, 3, 0.1, 7

LINEAR = """
model { linear_regression {} features: 7 }
local { gd { steps: 3 } step_size { initial: 0.1 } }
cohort { min: 2 }
start { zeros {} }
stop { rounds: 12 }
"""
# Two tensors of each merge rule that travels, one that does not.
CUSTOM = """
model { custom { name: "probe" spec {
  tensors { name: "w" shape: [2, 3] }
  tensors { name: "mine" shape: 2 merge: LOCAL }
  tensors { name: "seen" merge: COPY }
} } }
cohort { min: 2 }
stop { rounds: 3 }
"""
# Only a client that takes leave is gone before the test's patience is.
NEVER_LOST = ["--set", "limits.lease_seconds=3600"]


def make_data(seed, rows):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, FEATURES)).astype("f4").astype("f8")
    t = x @ np.arange(FEATURES) + 3 + 0.1 * rng.normal(size=rows)
    return x, t.astype("f4").astype("f8")


def descend(parameters, x, t):
    """Full-batch gradient steps on weight and bias, in place."""
    for _ in range(STEPS):
        error = x @ parameters["weight"].ravel() + parameters["bias"] - t
        parameters["weight"] -= (STEP_SIZE * x.T @ error / len(t)).reshape(
            parameters["weight"].shape)
        parameters["bias"] -= STEP_SIZE * error.mean()


def linear_client(name, x, t):
    def train(parameters, task):
        exact = {key: values.astype("f8") for key, values in parameters.items()}
        descend(exact, x, t)
        return parley.Update(exact, examples=len(t), metrics={"loss": 1 / task.round},
                             local_steps=STEPS)

    return parley.Client(train, name=name)


def expected_model(parts):
    model = {"weight": np.zeros(FEATURES), "bias": np.zeros(1)}
    rows = sum(len(t) for _, t in parts)
    for _ in range(ROUNDS):
        change = {name: np.zeros_like(values) for name, values in model.items()}
        for x, t in parts:
            local = {name: values.copy() for name, values in model.items()}
            descend(local, x, t)
            for name in model:
                change[name] += len(t) / rows * (local[name] - model[name])
        for name in model:
            model[name] += change[name]
    return model


@pytest.mark.parametrize("extra, tolerance", [
    ("", 1e-5),
    ("precision: FLOAT64", 1e-12),
    ("wire { down: ENCODING_BFLOAT16 up: ENCODING_BFLOAT16 }", 0.05),
])
def test_it_counts_like_a_native_client(serve, native, clients, tmp_path, extra, tolerance):
    parts = [make_data(1, 60), make_data(2, 25)]
    write_libsvm(tmp_path / "data.svm", *parts[0])
    server = serve(LINEAR + extra)
    process = native(server.address, "native", "--data", f"libsvm:{tmp_path}/data.svm")
    clients.start(linear_client("python", *parts[1]), server.address)
    assert server.wait() == 0 and process.wait() == 0
    assert clients.join() == {"python": None}
    run = parley.load_run(server.folder)
    assert [sorted(r["counted"]) for r in run.metrics] == [["native", "python"]] * ROUNDS
    want, got = expected_model(parts), run.parameters
    for name in want:
        assert np.abs(got[name].ravel() - want[name]).max() <= tolerance, name


def probe(name, parameters=None, fail=None, evaluate=True, before=lambda: None):
    """Adds its name's number to w, counts its rounds in LOCAL and COPY. `before`
    is called at the begin of each training."""
    number = float(name[-1])
    log = []

    def train(parameters, task):
        before()
        log.append({key: values.copy() for key, values in parameters.items()})
        if fail:
            return fail(parameters)
        parameters["w"] += number
        parameters["mine"] += 1
        parameters["seen"] += number
        return parley.Update(parameters, examples=number, metrics={"own": number})

    def judge(parameters, task):
        return parley.Evaluation(2, {"loss": parameters["w"].mean() + parameters["mine"][0],
                                     "accuracy": 0.5})

    client = parley.Client(train, judge if evaluate else None, name=name, parameters=parameters)
    client.log = log
    return client


def test_merge_rules_evaluation_and_what_a_run_leaves(serve, clients):
    server = serve(CUSTOM + "evaluation { federated: true }")
    start = {"w": np.ones((2, 3)), "mine": [5, 5], "seen": 0}
    one, three = probe("p1", start), probe("p3")
    clients.start(one, server.address)
    clients.start(three, server.address)
    assert server.wait() == 0
    assert clients.join() == {"p1": None, "p3": None}
    run = parley.load_run(server.folder)
    # MEAN: 2.5 = (1·1 + 3·3) / 4 a round. COPY: that of the first in the cohort.
    assert (run.parameters["w"] == 7.5).all() and run.parameters["w"].shape == (2, 3)
    assert run.parameters["seen"] == sum(float(r["counted"][0][-1]) for r in run.metrics)
    # LOCAL: never travels, from one's own start, else from zeros.
    assert "mine" not in run.parameters
    assert [r["mine"].tolist() for r in one.log] == [[5, 5], [6, 6], [7, 7]]
    assert [r["mine"].tolist() for r in three.log] == [[0, 0], [1, 1], [2, 2]]
    assert all(r["w"].dtype == np.float32 for r in one.log)

    last = run.metrics[-1]
    assert last["round"] == 3 and last["metrics.own"] == 2.5
    assert last["federated.loss"] == pytest.approx(7.5 + (8 + 3) / 2)
    assert last["federated.accuracy"] == 0.5 and last["central.loss"] is None
    assert not any(isinstance(value, dict) for value in last.values())
    assert run.name == "run" and run.config.stop.rounds == 3


def test_the_spec_comes_from_the_file_that_the_run_starts_from(serve, clients, tmp_path):
    np.savez(tmp_path / "start.npz", w=np.full((2, 3), 10, "f4"), mine=np.zeros(2, "f4"),
             seen=np.float32(4))
    server = serve(f"""
        model {{ custom {{ name: "probe" merge {{ tensors: "m*" rule: LOCAL }}
                                         merge {{ tensors: "seen" rule: COPY }} }} }}
        start {{ file: "{tmp_path}/start.npz" }}
        cohort {{ min: 1 }} stop {{ rounds: 2 }}""")
    client = probe("p1")
    clients.start(client, server.address)
    assert server.wait() == 0
    assert clients.join() == {"p1": None}
    assert client.log[0]["w"].mean() == 10 and client.log[1]["seen"] == 5
    run = parley.load_run(server.folder)
    assert (run.parameters["w"] == 12).all() and run.parameters["seen"] == 6


@pytest.mark.parametrize("fail, reason", [
    (lambda p: 1 / 0, "ZeroDivisionError: division by zero"),
    (lambda p: parley.Update({**p, "w": p["w"][0]}, 1), "w is [3] where the run has [2, 3]"),
    (lambda p: parley.Update({"w": p["w"], "x": 1}, 1), "mine [2] is missing"),
    (lambda p: parley.Update({**p, "w": p["w"] + np.inf}, 1), "training diverged: w"),
    (lambda p: parley.Update(p, 0), "examples is 0"),
    (lambda p: parley.Update(p, 1, {"loss": float("nan")}), "the metric loss is nan"),
    (lambda p: p, "train must return a parley.Update, not dict"),
    (lambda p: parley.Update(p, 1e30), "weight"),  # refused by the coordinator
])
def test_a_function_that_fails_costs_the_task_and_says_why(serve, clients, fail, reason):
    server = serve(CUSTOM, "--set", "cohort.quorum=0.5", "--set", "stop.rounds=1")
    clients.start(probe("bad0", fail=fail), server.address)
    clients.start(probe("good1"), server.address)
    assert server.wait() == 0
    assert clients.join() == {"bad0": None, "good1": None}
    (record,) = server.rounds()
    assert record["counted"] == ["good1"]
    (refused,) = record["refused"]
    assert refused["client"] == "bad0" and reason in refused["reason"]


def test_a_client_of_another_model_is_refused_at_once(serve, native, clients, tmp_path):
    server = serve(CUSTOM)
    other = probe("p1", parameters={"w": np.zeros((2, 2)), "mine": [0, 0], "seen": 0})
    with pytest.raises(parley.Refused, match=r"w is \[2, 2\] where the run has \[2, 3\]"):
        other.run(server.address)
    with pytest.raises(parley.Refused, match="takes 36 bytes, this client takes at most 35"):
        probe("p1").run(server.address, max_model_bytes=35)
    # Nor does a client that only knows the built-in models take it on.
    write_libsvm(tmp_path / "data.svm", *make_data(1, 5))
    process = native(server.address, "native", "--data", f"libsvm:{tmp_path}/data.svm")
    assert process.wait() == 1
    assert ('the run\'s model is the custom "probe"; it needs a client with a trainer for it'
            in (tmp_path / "native.log").read_text())


class Flaky:
    """Passes connections on to a server, and cuts the first ones after so many
    bytes up each."""

    def __init__(self, to, budgets=()):
        self.to = to
        self._budgets = iter(budgets)
        self.cuts = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            host, port = self.to.rsplit(":", 1)
            try:
                far = socket.create_connection((host, int(port)))
            except OSError:
                near.close()
                continue
            left = next(self._budgets, None)
            threading.Thread(target=self._pass, args=(near, far, left), daemon=True).start()
            threading.Thread(target=self._pass, args=(far, near, None), daemon=True).start()

    def _pass(self, source, sink, left):
        try:
            while data := source.recv(65536):
                if left is not None and left < len(data):
                    self.cuts += 1
                    break
                left = None if left is None else left - len(data)
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self._listener.close()


def test_an_interrupted_upload_goes_on_where_it_stopped(serve, clients):
    n = 3_000_000  # 12 MB
    server = serve(f"""
        model {{ custom {{ name: "large" spec {{ tensors {{ name: "w" shape: {n} }} }} }} }}
        cohort {{ min: 1 }} stop {{ rounds: 1 }} wire {{ down: ENCODING_BFLOAT16 }}""")
    values = np.random.default_rng(7).normal(size=n).astype("f4")
    trained = []

    def train(parameters, task):
        trained.append(task.round)
        return parley.Update({"w": values}, examples=1)

    flaky = Flaky(server.address, [5_000_000, 4_000_000])
    clients.start(parley.Client(train, name="p1"), flaky.address)
    assert server.wait() == 0
    flaky.close()
    assert clients.join() == {"p1": None}
    assert flaky.cuts == 2 and trained == [1]
    assert (parley.load_run(server.folder).parameters["w"] == values).all()
    # What had arrived was not sent again: less than a chunk a cut is lost.
    assert server.rounds()[0]["bytes_up"] < 4 * n + (8 << 20)


def test_a_coordinator_that_starts_again_finds_its_clients(serve, clients, tmp_path):
    sets = ["--set", "stop.rounds=1000000", "--set", "checkpoints.every=1"]
    server = serve(CUSTOM, *sets)
    door = Flaky(server.address)
    client = probe("p1")
    clients.start(client, door.address)
    clients.start(probe("p3"), door.address)
    wait_until(lambda: len(client.log) >= 3, "three rounds")
    server.process.kill()
    server.wait()
    before = len(client.log)
    again = serve(CUSTOM, *sets, "--resume")
    door.to = again.address
    wait_until(lambda: len(client.log) >= before + 3, "three rounds more")
    with parley.connect(again.address) as coordinator:
        coordinator.stop()
    assert again.wait() == 3
    clients.join()
    door.close()
    counts = [int(r["mine"][0]) for r in client.log]
    assert counts == sorted(counts) and counts[-1] > before - 2  # LOCAL outlives it all


def test_progress_is_seen_by_those_who_watch(serve, clients):
    # It is told with each heartbeat, a third of the lease.
    server = serve(CUSTOM, "--set", "cohort.min=1", "--set", "stop.rounds=1",
                   "--set", "limits.lease_seconds=3")
    seen = []

    def train(parameters, task):
        with pytest.raises(ValueError, match="from 0 to 1"):
            task.progress(1.5)
        task.progress(0.25)
        with parley.connect(server.address) as coordinator:
            for status in coordinator.watch():
                if status.clients and status.clients[0].progress is not None:
                    seen.append(status.clients[0].progress)
                    break
        return parley.Update(parameters, 1)

    clients.start(parley.Client(train, name="p1"), server.address)
    assert clients.join() == {"p1": None}
    # A machine that stands still for a lease costs the client another try.
    assert set(seen) == {0.25}


def test_stop_and_cancelled(serve, clients):
    server = serve(CUSTOM, "--set", "cohort.min=1", *NEVER_LOST)
    began, cancelled = threading.Event(), []

    def train(parameters, task):
        began.set()
        wait_until(lambda: task.cancelled, "the cancellation")
        cancelled.append(True)
        return parley.Update(parameters, 1)

    client = parley.Client(train, name="p1")
    clients.start(client, server.address)
    assert began.wait(90)
    client.stop()
    assert clients.join() == {"p1": None}
    assert cancelled == [True]
    with parley.connect(server.address) as coordinator:
        wait_until(lambda: coordinator.status().connected == 0, "the client to be gone")


def test_ctrl_c_takes_leave(serve, tmp_path):
    server = serve(CUSTOM, *NEVER_LOST)
    script = ("import parley, sys\n"
              "client = parley.Client(lambda p, t: parley.Update(p, 1), name='p1')\n"
              "try: client.run(sys.argv[1])\n"
              "except KeyboardInterrupt: print('interrupted'); raise SystemExit(130)\n")
    process = subprocess.Popen([sys.executable, "-c", script, server.address],
                               stdout=subprocess.PIPE, text=True)
    with parley.connect(server.address) as coordinator:
        wait_until(lambda: coordinator.status().connected == 1, "the client")
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60)[0] == "interrupted\n"
        assert process.returncode == 130
        wait_until(lambda: coordinator.status().connected == 0, "the client to be gone")


def test_http_proxies_are_for_others(serve, clients, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    server = serve(CUSTOM, "--set", "cohort.min=1")
    clients.start(probe("p1"), server.address, max_offline=30)
    assert server.wait() == 0
    assert clients.join() == {"p1": None}


def make_certificates(folder):
    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=ca", "-keyout",
            "ca.key", "-out", "ca.pem")
    for name in ("localhost", "p1"):
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout",
                f"{name}.key", "-out", f"{name}.csr")
        (folder / f"{name}.ext").write_text(f"subjectAltName=DNS:{name}")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                "-CAcreateserial", "-out", f"{name}.pem", "-extfile", f"{name}.ext")


def test_mutual_tls(serve, clients, tmp_path):
    make_certificates(tmp_path)
    server = serve(CUSTOM, "--set", "cohort.min=1", "--tls-ca", f"{tmp_path}/ca.pem", "--tls-cert",
                   f"{tmp_path}/localhost.pem", "--tls-key", f"{tmp_path}/localhost.key")
    address = "localhost:" + server.address.rsplit(":", 1)[1]
    tls = parley.Tls(tmp_path / "ca.pem", tmp_path / "p1.pem", tmp_path / "p1.key")
    with pytest.raises(parley.Unreachable):
        probe("p1").run(address, tls=parley.Tls(tmp_path / "ca.pem"), max_offline=2)
    with pytest.raises(parley.Refused, match="p1"):  # a name that is not its certificate's
        probe("p2").run(address, tls=tls)
    with parley.connect(address, tls=tls) as coordinator:
        assert coordinator.status().state is parley.RunState.WAITING
    clients.start(probe("p1"), address, tls=tls)
    assert server.wait() == 0
    assert clients.join() == {"p1": None}


def test_wrong_use_is_told_at_once(tmp_path):
    with pytest.raises(ValueError, match="train, evaluate or both"):
        parley.Client()
    with pytest.raises(ValueError, match="no client name"):
        parley.Client(print, name="a b")
    with pytest.raises(ValueError, match="refusing unencrypted transport to far.example:1"):
        parley.Client(print).run("far.example:1")
    with pytest.raises(ValueError, match="no coordinator's address"):
        parley.Client(print).run([])
    with pytest.raises(FileNotFoundError):
        parley.Client(print).run("localhost:1", tls=parley.Tls(tmp_path / "none.pem"))
    with pytest.raises(ValueError, match="given together"):
        parley.Client(print).run("localhost:1", tls=parley.Tls("a", cert="b"))
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,128}", parley.Client(print).name)


def test_nobody_there():
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(parley.Unreachable, match=f"no coordinator at {address} for 1.0 s"):
            probe("p1").run(address, max_offline=1)
        with pytest.raises(parley.Unreachable, match=address):
            parley.connect(address).status()
        with pytest.raises(parley.Unreachable, match=address):
            list(parley.connect(address).watch())
