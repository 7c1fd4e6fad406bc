#!/usr/bin/python3
"""Wrong usage of the programs, as it happens: one clear line, the documented
exit code, and no long silence.

usage: usage_test.py BIN_DIR
"""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

BIN = pathlib.Path(sys.argv.pop(1)).resolve()
TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests" / "support"))
from processes import Server  # noqa: E402

RUN = """
model { softmax {} }
data {
  train { mixture { rows: 300 features: 4 classes: 3 } }
  partition { parts: 2 iid {} }
}
local { sgd { batch_size: 20 epochs: 1 } step_size { initial: 0.1 } }
stop { rounds: 3 }
"""

# Command line, exit code, and the whole of what it says.
SAYS = [
    ("parley rnu q", 2, 'parley: unknown command "rnu"; did you mean run?\nSee parley --help.'),
    ("parley run", 2,
     "parley run: missing argument: FILE [-- CLIENT [WORD...]]\nSee parley run --help."),
    ("parley run q --clinets 3", 2,
     "parley run: unknown flag --clinets; did you mean --clients?\nSee parley run --help."),
    ("parley run q --clients", 2,
     "parley run: --clients needs a value: --clients N\nSee parley run --help."),
    ("parley run q --clients x", 2,
     'parley run: --clients: "x" is not a whole number\nSee parley run --help.'),
    ("parley run q --clients 0", 2, "--set data.partition.parts=0: data.partition.parts is 0: "
     "must be >= 1 and <= 1000000"),
    ("parley run q other", 2, "other is no program that can be run; what follows the run file is "
     "the clients' command"),
    ("parley run nowhere", 2, "nowhere: there is no such file"),
    ("parley run folder", 2, "folder: is a folder, not a run file"),
    ("parley run open", 2, "open:2: the file ends where more must follow; is a } missing?"),
    ("parley run binary", 2, "binary: is no text, so it is no run file"),
    ("parley run q --set stop.rouns=3", 2, "--set stop.rouns=3: Stop has no field rouns; did you "
     "mean rounds? It has rounds, accuracy, loss, wall_seconds"),
    ("parley run q --set stop.rounds", 2, "--set stop.rounds: must be field.path=value"),
    ("parley run q --dir full", 1, "full is not empty; name another --dir, or leave it out"),
    ("parley run q --dir q/run", 1, "cannot make q/run: Not a directory"),
    ("parley simulate q --clients 400", 1,
     "data.partition.parts is 400; with 300 rows, allowed: 1 to 300"),
    ("parley explain nowhere", 2, "nowhere: there is no such file"),
    ("parley ls nowhere", 1, "cannot read nowhere: No such file or directory"),
    ("parley watch nowhere", 1,
     "nowhere is neither a run's folder nor HOST:PORT; see parley ls"),
    ("parley watch folder", 1, "there is no run in folder; see parley ls"),
    ("parley watch localhost:1", 1, "no coordinator answers at localhost:1: Connection refused"),
    ("parley stop localhost:1", 1, "no coordinator answers at localhost:1: Connection refused"),
    ("parley stop folder", 1, "there is no run in folder; see parley ls"),
    ("parley report folder", 1, "there is no run in folder; see parley ls"),
    ("parley replay nowhere", 1, "there is no run in nowhere; see parley ls"),
    ("parley report garbage", 1, "garbage/journal: is not a journal of this version of Parley"),
    ("parley report metrics", 1,
     "metrics/metrics.jsonl, line 1: not JSON at byte 10: expected a value"),
    ("parley model show folder", 1,
     "folder holds no model: neither a checkpoint nor model.safetensors"),
    ("parley model show cut", 1, "cut/checkpoint-00000003: *"),
    ("parley model export done out.bin", 1, "out.bin: the name must end in .safetensors or .npz"),
    ("parley topology ring", 2, "parley topology: --peers N is missing: how many are they?\n"
     "See parley topology --help."),
    ("parley topology q.x", 2, "q.x: there is no such file"),
    ("parley-server", 2, "parley-server: --run FILE is missing (or --queue, for "
     "runs that are submitted)\nSee parley-server --help."),
    ("parley-server --run q --listen here", 2, 'parley-server: --listen: "here" is no address: it '
     "must be HOST:PORT, [IPV6]:PORT or unix:PATH\nSee parley-server --help."),
    ("parley-server --run q --listen 127.0.0.1:99999", 2, 'parley-server: --listen: '
     '"127.0.0.1:99999" is no address: a port is 0 to 65535\nSee parley-server --help.'),
    ("parley-server --run q --dir new --listen 0.0.0.0:0", 1, "refusing unencrypted transport at "
     "0.0.0.0:0, which is not a loopback address: give --tls-ca, --tls-cert and --tls-key, or "
     "--insecure to do without"),
    ("parley-server --run q --dir new --listen unix:/nowhere/socket", 1,
     "cannot listen at unix:/nowhere/socket: No such file or directory"),
    ("parley-server --run q --dir done --listen 127.0.0.1:0", 1, "done has a run already: go on "
     "with it by --resume, or name another folder"),
    ("parley-server --run q --dir garbage --resume --listen 127.0.0.1:0", 1,
     "garbage/journal: is not a journal of this version of Parley"),
    ("parley-server --run q --dir new --tls-cert q", 1,
     "--tls-key is missing: a certificate and its key are given together"),
    ("parley-client", 2, "parley-client: --server HOST:PORT is missing: where is the coordinator? Or --gossip "
     "FILE for a run without one\n"
     "See parley-client --help."),
    ("parley-client --server here", 2, 'parley-client: --server: "here" is no address: it must be '
     "HOST:PORT, [IPV6]:PORT or unix:PATH\nSee parley-client --help."),
    ("parley-client --server a:1 --data idx:images", 2, 'parley-client: --data: "idx:images" '
     "names no data: must be one of libsvm:PATH, idx:IMAGES,LABELS, "
     "csv:PATH,target=COLUMN[,ignore=COLUMN]..., cifar10:PATH[,PATH]..., text:PATH, or part:auto, "
     "part:NUMBER\nSee parley-client --help."),
    ("parley-client --server a:1 --max-offline -1", 2,
     "parley-client: --max-offline must be > 0\nSee parley-client --help."),
    ("parley-client --server localhost:1 --state q", 1, "cannot make the folder q: Not a directory"),
    ("parley-client --server localhost:1 --tls-ca nowhere", 1,
     "--tls-ca nowhere: cannot be read: No such file or directory"),
    ("parley-client --server localhost:1 --tls-ca q", 1,
     "--tls-ca q: holds no certificate in PEM form"),
]

# Against a running coordinator, at ADDRESS and PORT, with the folder "busy".
SAYS_TO_SERVER = [
    ("parley-server --run q --dir new --listen ADDRESS", 1,
     "cannot listen at ADDRESS: Address already in use; port 0 is any free one"),
    ("parley-server --run q --dir busy --listen 127.0.0.1:0", 1, "another coordinator runs in "
     "busy: name another folder, or end it by parley stop busy"),
    ("parley run q --dir busy", 1, "busy is not empty; name another --dir, or leave it out"),
    ("parley-client --server ADDRESS --data part:9", 1, "the coordinator at ADDRESS says: part 9 "
     "is not one of the run's 2 parts, 0 to 1"),
    ("parley-client --server ADDRESS --data libsvm:nowhere --name a", 1,
     "joined run q at ADDRESS as a, term 1\n"
     "--data libsvm:nowhere: nowhere: No such file or directory"),
    ("parley watch localhost:PORT --tls-ca ca.pem", 1, "gRPC: *\nno coordinator answers at "
     "localhost:PORT: what is there speaks no TLS: leave the --tls flags out, or give a "
     "coordinator its own"),
]

# Against one with TLS that wants certificates.
SAYS_TO_TLS = [
    ("parley watch localhost:PORT", 1, "no coordinator answers at localhost:PORT: it hung up at "
     "once: it may want TLS (--tls-ca), or a certificate (--tls-cert) of an authority that it "
     "knows"),
    ("parley watch localhost:PORT --tls-ca other.pem", 1, "gRPC: *\nno coordinator answers at "
     "localhost:PORT: its certificate does not descend from those in --tls-ca"),
    ("parley watch 127.0.0.1:PORT --tls-ca ca.pem", 1, "*no coordinator answers at 127.0.0.1:PORT: "
     "its certificate is for another host: use a name that is in it"),
    ("parley-client --server localhost:PORT --tls-ca other.pem --max-offline 1", 1,
     "gRPC: *\nno connection to localhost:PORT: its certificate does not descend from those in "
     "--tls-ca; tries localhost:PORT in *\nno coordinator at localhost:PORT for 1.0 s: its "
     "certificate does not descend from those in --tls-ca"),
    ("parley-client --server localhost:PORT --tls-ca ca.pem --tls-cert localhost.pem "
     "--tls-key localhost.key --name other", 1, "the coordinator at localhost:PORT says: the "
     "certificate is for 'localhost', not for 'other': register under the certificate's name"),
]


def sh(command, cwd):
    subprocess.run(command, cwd=cwd, shell=True, check=True, stderr=subprocess.DEVNULL)


class UsageTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = contextlib.ExitStack()
        cls.addClassCleanup(cls.stack.close)
        cls.cwd = pathlib.Path(cls.stack.enter_context(tempfile.TemporaryDirectory()))
        for name, content in {"q": RUN, "open": "model {\n", "full/file": "x",
                              "folder/note": "x"}.items():
            (cls.cwd / name).parent.mkdir(exist_ok=True)
            (cls.cwd / name).write_text(content)
        (cls.cwd / "binary").write_bytes(bytes(range(256)))
        subprocess.run([BIN / "parley", "run", "q", "--dir", "done"], cwd=cls.cwd, check=True,
                       stdout=subprocess.DEVNULL)
        for copy in ("garbage", "metrics", "cut"):
            shutil.copytree(cls.cwd / "done", cls.cwd / copy)
        (cls.cwd / "garbage" / "journal").write_bytes(b"no journal")
        (cls.cwd / "metrics" / "metrics.jsonl").write_text('{"round": x\n')
        (cls.cwd / "cut" / "model.safetensors").unlink()
        for path in (cls.cwd / "cut").glob("checkpoint-*"):
            os.truncate(path, path.stat().st_size - 1)

    def serve(self, folder, *flags):
        server = Server(BIN, self.cwd / "q", self.cwd / folder, "--log",
                        self.cwd / f"{folder}.log", *flags)
        self.addCleanup(server.__exit__)
        return server

    def check(self, table, address=""):
        port = address.rpartition(":")[2]

        def fill(text):
            return text.replace("ADDRESS", address).replace("PORT", port) if address else text

        for command, code, want in table:
            with self.subTest(command):
                words = fill(command).split()
                done = subprocess.run([BIN / words[0], *words[1:]], cwd=self.cwd, text=True,
                                      capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
                # Without the times of log lines.
                said = re.sub(r"^\d{4}-\d\d-\d\d [\d:.]+ [IWE] ", "", done.stderr, flags=re.M)
                pattern = re.escape(fill(want)).replace(r"\*", ".*")
                self.assertRegex(said, f"\\A{pattern}\n\\Z")
                self.assertEqual((done.returncode, done.stdout), (code, ""))

    def test_alone(self):
        self.check(SAYS)

    def test_with_a_coordinator(self):
        self.make_certificates()
        self.check(SAYS_TO_SERVER, self.serve("busy").address)

    def test_with_tls(self):
        self.make_certificates()
        server = self.serve("tls", "--tls-ca", self.cwd / "ca.pem", "--tls-cert",
                            self.cwd / "localhost.pem", "--tls-key", self.cwd / "localhost.key")
        self.check(SAYS_TO_TLS, server.address)

    def make_certificates(self):
        if (self.cwd / "ca.pem").exists():
            return
        for name in ("ca", "other"):
            sh(f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={name} "
               f"-keyout {name}.key -out {name}.pem", self.cwd)
        sh("openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout localhost.key "
           "-out localhost.csr && printf subjectAltName=DNS:localhost > ext && "
           "openssl x509 -req -in localhost.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 "
           "-extfile ext -out localhost.pem", self.cwd)

    def test_a_client_without_a_coordinator_says_so_and_ctrl_c_ends_it(self):
        client = subprocess.Popen([BIN / "parley-client", "--server", "localhost:1"],
                                  stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (client.kill(), client.wait(), client.stderr.close()))
        self.assertIn("no connection to localhost:1: Connection refused", client.stderr.readline())
        # The next word comes ten seconds later, however often it tries.
        self.assertIn("waits for the coordinator at localhost:1: Connection refused, for 10.",
                      client.stderr.readline())
        client.send_signal(signal.SIGINT)
        self.assertEqual(client.wait(30), 0)


if __name__ == "__main__":
    unittest.main()
