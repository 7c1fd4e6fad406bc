"""Watching and stopping a run, and reading what it left."""

import json
import threading

import pytest

import parley
from conftest import wait_until
from test_client import CUSTOM, probe


def test_watch_follows_a_run_to_its_end(serve, clients):
    server = serve(CUSTOM + "evaluation { federated: true }")
    with parley.connect(server.address) as coordinator:
        seen = coordinator.watch()
        first = next(seen)
        assert first.state is parley.RunState.WAITING and not first.state.over
        assert (first.run, first.rounds, first.connected, first.loss) == ("run", 3, 0, None)
        # A status comes every 100 ms at most, which three rounds need not take.
        met = threading.Event()
        for name in ("p1", "p3"):
            clients.start(probe(name, before=lambda: met.wait(90)), server.address)
        statuses = []
        for status in seen:
            statuses.append(status)
            if {c.name for c in status.clients} == {"p1", "p3"}:
                met.set()
    assert statuses[-1].state is parley.RunState.FINISHED and statuses[-1].state.over
    assert statuses[-1].round == 3 and statuses[-1].accuracy == 0.5
    assert met.is_set()
    assert statuses[-1].folder == str(server.folder)
    assert server.wait() == 0
    clients.join()


def test_stop_ends_a_run(serve, clients):
    server = serve(CUSTOM, "--set", "stop.rounds=1000000")
    for name in ("p1", "p3"):
        clients.start(probe(name), server.address)
    coordinator = parley.connect(server.address)
    wait_until(lambda: coordinator.status().round > 1, "the second round")
    assert coordinator.stop(reason="seen enough") == "run"
    assert server.wait() == 3
    assert "seen enough" in (server.folder / "status.json").read_text()
    clients.join()
    coordinator.close()


def test_a_queue_of_runs(queue, clients, tmp_path, monkeypatch):
    server = queue()
    trainers = [probe("p1"), probe("p3")]
    for trainer in trainers:  # before there is any run
        clients.start(trainer, server.address)
    (tmp_path / "mine.textproto").write_text(CUSTOM)
    monkeypatch.chdir(tmp_path)
    with parley.connect(server.address) as coordinator:
        assert coordinator.runs() == []
        with pytest.raises(LookupError, match="no run"):
            coordinator.status()
        first = coordinator.submit("mine.textproto", tags=["a", "b"])
        second = coordinator.submit(CUSTOM, name="text", tags=["a"],
                                    sets={"stop.rounds": "2"})
        assert (first, second) == ("mine-1", "text-1")
        last = [list(coordinator.watch(run))[-1] for run in (first, second)]
        assert [(s.state, s.round) for s in last] == [(parley.RunState.FINISHED, 3),
                                                      (parley.RunState.FINISHED, 2)]
        config = parley.load_run(last[1].folder).config  # a message does as well
        third = coordinator.submit(config, name="again")
        assert list(coordinator.watch(third))[-1].state is parley.RunState.FINISHED

        # Nobody can train these: the first goes on, the second waits.
        odd = coordinator.submit(CUSTOM.replace("[2, 3]", "[2, 2]"), name="odd",
                                 sets={"cohort.min": "9"})
        queued = coordinator.submit(CUSTOM, name="queued")
        assert coordinator.status(queued).state is parley.RunState.QUEUED
        assert coordinator.stop(queued) == queued and coordinator.stop() == odd
        assert list(coordinator.watch(odd))[-1].state is parley.RunState.STOPPED
        assert [run.run for run in coordinator.runs()] == [first, second, third, odd, queued]
        assert [run.run for run in coordinator.runs(["a"])] == [first, second, third]
        assert coordinator.runs(["a", "b"])[0].tags == ("a", "b")
        with pytest.raises(ValueError, match="(?s)stop.rounds is 0.*has no field what"):
            coordinator.submit("stop { rounds: 0 }\nwhat: 1")
        with pytest.raises(LookupError, match="other"):
            coordinator.stop("other")
    for trainer in trainers:
        trainer.stop()
    assert clients.join() == {"p1": None, "p3": None}


def test_a_single_run_has_no_queue(serve):
    with parley.connect(serve(CUSTOM).address) as coordinator:
        with pytest.raises(RuntimeError, match="--queue"):
            coordinator.submit(CUSTOM)
        assert [run.run for run in coordinator.runs()] == ["run"]


def test_load_run_reads_what_is_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        parley.load_run(tmp_path)
    (tmp_path / "run.textproto").write_text('name: "x" stop { rounds: 3 } of_a_newer_version: 1')
    run = parley.load_run(tmp_path)
    assert run.metrics == [] and run.name == "x" and run.config.stop.rounds == 3
    with pytest.raises(FileNotFoundError):
        run.parameters
    lines = [{"round": 1, "central": {"loss": 2.5, "accuracy": None}, "counted": ["a"]},
             {"round": 2, "central": {"loss": 1.5, "accuracy": 0.5}, "counted": []}]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "metrics.jsonl").write_text(text + '{"round": 3, "cen')  # is being written
    records = parley.load_run(tmp_path).metrics
    assert records == [
        {"round": 1, "central.loss": 2.5, "central.accuracy": None, "counted": ["a"]},
        {"round": 2, "central.loss": 1.5, "central.accuracy": 0.5, "counted": []}]
    pandas = pytest.importorskip("pandas", reason="pandas is not installed (python3-pandas)")
    assert pandas.DataFrame(records)["central.loss"].tolist() == [2.5, 1.5]


@pytest.mark.parametrize("file, text, error", [
    ("run.textproto", "stop { rounds: ", "run.textproto"),
    ("metrics.jsonl", "{}\n{broken}\n", "line 2"),
    ("model.safetensors", "12345678 nonsense", "is damaged"),
])
def test_damaged_files_are_named(tmp_path, file, text, error):
    (tmp_path / "run.textproto").write_text("")
    (tmp_path / file).write_text(text)
    with pytest.raises(ValueError, match=error):
        parley.load_run(tmp_path).parameters
