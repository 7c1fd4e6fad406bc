"""What the tests share: a coordinator, native clients, clients in threads."""

import os
import pathlib
import subprocess
import sys
import threading
import time

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests" / "support"))
from processes import Server  # noqa: E402

BIN = os.environ["PARLEY_BIN"]


class Clients:
    """Runs clients in threads; join() gives what each ended with."""

    def __init__(self):
        self._threads, self.errors = [], {}

    def start(self, client, *args, **kwargs):
        def run():
            try:
                client.run(*args, **kwargs)
                self.errors[client.name] = None
            except BaseException as error:
                self.errors[client.name] = error

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self._threads.append(thread)

    def join(self):
        for thread in self._threads:
            thread.join(90)
            assert not thread.is_alive(), "a client does not end"
        return self.errors


@pytest.fixture
def clients():
    return Clients()


@pytest.fixture
def serve(tmp_path):
    """serve(run file's text, *flags): a coordinator; killed at the test's end."""
    servers = []

    def start(text, *flags, folder="run"):
        run_file = tmp_path / f"{folder}.textproto"
        run_file.write_text(text)
        server = Server(BIN, str(run_file), str(tmp_path / folder), "--log",
                        str(tmp_path / f"{folder}.log"), *flags)
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.__exit__()


@pytest.fixture
def queue(tmp_path):
    """queue(*flags): a coordinator with a queue; killed at the test's end."""
    servers = []

    def start(*flags):
        server = Server(BIN, None, str(tmp_path / "runs"), "--log",
                        str(tmp_path / "queue.log"), *flags)
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.__exit__()


@pytest.fixture
def native(tmp_path):
    """native(address, name, *flags): a parley-client process."""
    processes = []

    def start(address, name, *flags):
        process = subprocess.Popen([f"{BIN}/parley-client", "--server", address, "--name", name,
                                    "--log", str(tmp_path / f"{name}.log"), *flags])
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait()


def wait_until(condition, what, seconds=90):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.02)


def write_libsvm(path, x, t):
    with open(path, "w") as out:
        for row, target in zip(x, t):
            numbers = " ".join(f"{i + 1}:{float(v)!r}" for i, v in enumerate(row))
            out.write(f"{float(target)!r} {numbers}\n")
