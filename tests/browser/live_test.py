#!/usr/bin/python3
"""The live pages of a run that goes on, as a browser shows them.

    live_test.py BIN PROTO [--pictures FOLDER]      the test; pictures of what it opens
    live_test.py BIN PROTO --picture RUN_FILE OUT.png    of RUN_FILE half done, as in docs/

BIN is the folder of Parley's programs, PROTO that of the .proto files. Needs
Debian's chromium; exit code 77, skipped, where it is not there.
"""

import contextlib
import http.server
import json
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import unittest
import urllib.request

import grpc
from prometheus_client.parser import text_string_to_metric_families

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support"), str(HERE.parent / "conformance")]
from chromium import Chromium  # noqa: E402
from conformance_test import make_stubs  # noqa: E402
from processes import Server  # noqa: E402

HOSTILE = "</script><script>window.broken = 1</script><img src=x onerror='window.broken = 2'>"
RUN = """
name: "watched"
model { softmax {} }
data {
  train { mixture { rows: 1200 features: 20 classes: 3 } }
  test { mixture { rows: 600 features: 20 classes: 3 } }
  partition { parts: 4 dirichlet { alpha: 1 min_rows: 20 } }
  held_out: 0.1
}
local { sgd { batch_size: 20 steps: 4000 } step_size { initial: 0.001 } }
cohort { min: 4 quorum: 0.7 }
stop { rounds: 1000000 }
"""
LINES = ["Loss", "Accuracy", "Accuracy by client", "Seconds a round, by phase",
         "Bytes since the start", "Clients", "first_loss, mean over the clients"]
MATRICES = ["Rows by label and part", "Who counted",
            "Accuracy of each client on its held-out rows"]
LIVE = "JSON.parse(document.documentElement.dataset.live)"
CHECK = "JSON.parse(document.documentElement.dataset.check)"


@contextlib.contextmanager
def running(folder, run_file, parts, *flags):
    """A coordinator with a live view and a client for each part."""
    with Server(BIN, run_file, f"{folder}/run", "--http", "127.0.0.1:0",
                "--log", f"{folder}/server.log", *flags) as server:
        server.url = "http://" + pathlib.Path(folder, "run/http-address").read_text().strip()
        clients = [subprocess.Popen(
            [BIN / "parley-client", "--server", server.address, "--name", f"client-{part + 1}",
             "--data", f"part:{part}", "--log", f"{folder}/client-{part + 1}.log"])
            for part in range(parts)]
        try:
            yield server
        finally:
            for client in clients:
                client.kill()
                client.wait()


def get(url):
    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.read().decode()


class LiveTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        stack = contextlib.ExitStack()
        cls.addClassCleanup(stack.close)
        cls.folder = stack.enter_context(tempfile.TemporaryDirectory())
        make_stubs(PROTO, cls.folder)
        sys.path.insert(0, cls.folder)
        run_file = pathlib.Path(cls.folder, "run.textproto")
        run_file.write_text(RUN)
        cls.server = stack.enter_context(running(cls.folder, run_file, 4))
        cls.browser = stack.enter_context(Chromium(CHROMIUM, f"{cls.folder}/browser"))

    def open(self, path, **how):
        return self.browser.open(f"{self.server.url}{path}", **how)

    def picture(self, page, name):
        page.screenshot(f"{PICTURES or self.folder}/{name}.png")

    def test_a_run_grows_without_a_reload(self):
        page = self.open("/run/watched?check")
        page.wait_for(f"{LIVE}.rounds >= 2")
        page.evaluate("window.here = 'still'")
        canvases = "document.querySelectorAll('canvas')"
        page.evaluate(f"window.first = {canvases}[0]")
        before = page.evaluate(LIVE)
        page.wait_for(f"{LIVE}.updates >= {before['updates'] + 3}")
        after = page.evaluate(LIVE)
        self.assertGreater(after["rounds"], before["rounds"])
        self.assertEqual(page.evaluate("window.here"), "still")
        # Charts take in what is new: they are not made anew.
        self.assertTrue(page.evaluate(f"window.first === {canvases}[0]"))
        check = page.evaluate(CHECK)
        self.assertEqual(check["charts"], LINES + MATRICES)
        self.assertEqual((check["blank"], check["errors"], check["wide"]), ([], [], False))
        self.assertEqual(page.errors, [])
        # The last point of the chart is the last round.
        x = page.evaluate("Chart.getChart(window.first).data.datasets[0].data.at(-1).x")
        self.assertGreaterEqual(x, after["rounds"])
        text = page.evaluate("document.getElementById('clients').innerText")
        for name in ("client-1", "client-4"):
            self.assertIn(name, text)
        self.picture(page, "live-light")
        dark = self.open("/run/watched?check", dark=True)
        dark.wait_for(f"{LIVE}.rounds >= 2")
        self.assertEqual((dark.evaluate(CHECK)["blank"], dark.errors), ([], []))
        self.assertEqual(dark.evaluate("document.documentElement.dataset.theme"), "dark")
        self.picture(dark, "live-dark")
        narrow = self.open("/run/watched?check", width=420)
        narrow.wait_for(f"{LIVE}.rounds >= 2")
        self.assertFalse(narrow.evaluate(CHECK)["wide"])

    def test_the_list_of_runs(self):
        page = self.open("/?check")
        round_of = "Number(document.querySelectorAll('.runs td')[3].innerText.split(' / ')[0]" \
            ".replaceAll(',', ''))"
        page.wait_for(f"{round_of} >= 1")
        seen = page.evaluate(round_of)
        page.wait_for(f"{round_of} > {seen}")
        self.assertEqual(page.errors, [])
        self.assertEqual(page.evaluate(CHECK)["errors"], [])
        self.picture(page, "list")
        page.evaluate("document.querySelector('.runs a').click()")
        page.wait_for("document.title === 'watched · Parley'")

    def test_what_a_hostile_client_says_stays_text(self):
        import client as conformance  # of the stubs made above

        class Hostile(conformance.Client):
            def on_task(self, task):
                self.send(task_failed=conformance.pb.TaskFailed(task=task.task, reason=HOSTILE))

        with grpc.insecure_channel(self.server.address) as channel:
            hostile = Hostile(channel, "rogue", None, [])
            threading.Thread(target=lambda: self.assertRaises(grpc.RpcError, hostile.run),
                             daemon=True).start()
            page = self.open("/run/watched?check")
            page.wait_for("document.getElementById('clients').innerText.includes('onerror')")
            page.wait_for("document.getElementById('refusals').innerText.includes('onerror')")
            self.assertIsNone(page.evaluate("window.broken"))
            self.assertEqual(page.evaluate("document.images.length"), 0)
            self.assertEqual((page.errors, page.evaluate(CHECK)["errors"]), ([], []))
            self.picture(page, "hostile")
            # If it did get into the page, it could not run.
            page.evaluate("document.body.insertAdjacentHTML('beforeend', "
                          "`<img src=x onerror='window.broken = 3'>`)")
            page.wait_for(f"{CHECK}.errors.length > 0")
            self.assertIsNone(page.evaluate("window.broken"))

    def test_names_that_no_coordinator_lets_in(self):
        with renaming(self.server.url, "client-1", HOSTILE) as url:
            page = self.browser.open(f"{url}/run/watched?check")
            page.wait_for("document.getElementById('clients').innerText.includes('<script>')")
            page.wait_for(f"{LIVE}.rounds >= 1")
            self.assertIsNone(page.evaluate("window.broken"))
            self.assertEqual(page.evaluate("document.images.length"), 0)
            check = page.evaluate(CHECK)
            self.assertEqual((check["charts"], check["blank"]), (LINES + MATRICES, []))

    def test_metrics_are_what_prometheus_reads(self):
        status = json.loads(get(f"{self.server.url}/api/runs/watched"))
        samples = {(sample.name, sample.labels.get("run"), sample.labels.get("phase")): sample.value
                   for family in text_string_to_metric_families(get(f"{self.server.url}/metrics"))
                   for sample in family.samples}
        for name, member in (("parley_uploaded_bytes_total", "bytes_up"),
                             ("parley_round", "round"), ("parley_rounds_total", "round")):
            self.assertGreaterEqual(samples[name, "watched", None], int(status[member]) - 1, name)
        self.assertEqual(samples["parley_planned_rounds", "watched", None], 1000000)
        self.assertEqual(samples["parley_clients", "watched", None], status["clients"])
        self.assertGreater(samples["parley_last_round_seconds", "watched", "train"], 0)

    def test_a_direction_is_drawn_while_it_is_measured(self):
        text = (HERE.parents[1] / "examples/direction_gap.textproto").read_text()
        with tempfile.TemporaryDirectory() as folder:
            run_file = pathlib.Path(folder, "run.textproto")
            run_file.write_text('name: "measured"\n' + text.replace("rounds: 1000", "rounds: 1000000"))
            with running(folder, run_file, 5) as server:
                page = self.browser.open(f"{server.url}/run/measured?check")
                page.wait_for(f"{LIVE}.rounds >= 5")
                page.wait_for(f"{CHECK}.charts.includes('Gap of the model')")
                self.assertIn("are separable with margin",
                              page.evaluate("document.getElementById('direction').innerText"))
                check = page.evaluate(CHECK)
                self.assertEqual((check["blank"], check["errors"], page.errors), ([], [], []))
                status = json.loads(get(f"{server.url}/api/runs/measured"))
                self.assertLess(float(status["log_loss"]), 0)
                self.assertGreater(float(status["direction_gap"]), 0)

    def test_the_end_is_shown_and_kept(self):
        with tempfile.TemporaryDirectory() as folder:
            run_file = pathlib.Path(folder, "run.textproto")
            run_file.write_text(RUN)
            with running(folder, run_file, 4) as server:
                page = self.browser.open(f"{server.url}/run/watched?check")
                page.wait_for(f"{LIVE}.rounds >= 1")
                subprocess.run([BIN / "parley", "stop", f"{folder}/run", "--reason", "seen enough"],
                               check=True, stdout=subprocess.DEVNULL)
                page.wait_for(f"{LIVE}.state === 'stopped'")
                self.assertEqual(server.wait(), 3)
                self.assertIn("seen enough", page.evaluate("document.body.innerText"))
                self.assertEqual(page.evaluate(LIVE)["rounds"], len(server.rounds()))
                self.assertEqual(page.evaluate("document.getElementById('connection').innerText"), "")
            self.assertFalse(pathlib.Path(folder, "run/http-address").exists())


@contextlib.contextmanager
def renaming(url, name, other):
    """Serves what `url` serves, but the first events of a run with a client renamed."""
    before, after = f'"{name}"'.encode(), json.dumps(other).encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            with urllib.request.urlopen(url + self.path, timeout=60) as answer:
                self.send_response(answer.status)
                for header in ("Content-Type", "Content-Security-Policy"):
                    self.send_header(header, answer.headers[header])
                self.end_headers()
                if not self.path.endswith("/events"):
                    self.wfile.write(answer.read())
                    return
                for _ in range(2):  # report and status: event, data, an empty line
                    lines = b"".join(answer.readline() for _ in range(3))
                    self.wfile.write(lines.replace(before, after))
                over.wait()  # or the page would ask again

        def log_message(self, *_):
            pass

    over = threading.Event()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            over.set()
            server.shutdown()


def take_picture(run_file, out):
    with tempfile.TemporaryDirectory() as folder, \
            Chromium(CHROMIUM, f"{folder}/browser") as browser:
        run = subprocess.Popen([BIN / "parley", "run", run_file, "--live", "--dir", f"{folder}/run"],
                               stdout=subprocess.PIPE, text=True)
        for line in run.stdout:
            if line.startswith("live at "):
                break
        page = browser.open(line.removeprefix("live at ").strip() + "?theme=light&check", height=1376)
        # Half done, and in the middle of a round.
        page.wait_for(f"2 * {LIVE}.rounds > Number(document.querySelector('.tiles b').innerText"
                      ".split(' / ')[1]) && document.body.innerText.includes('train 5/')", 600)
        page.screenshot(out)
        run.send_signal(signal.SIGINT)
        run.communicate()


def main():
    global BIN, PROTO, CHROMIUM, PICTURES
    if len(sys.argv) < 3 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    BIN, PROTO, words = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2], sys.argv[3:]
    PICTURES = None
    CHROMIUM = shutil.which("chromium")
    if CHROMIUM is None:
        print("skipped: there is no chromium (apt-get install chromium)")
        sys.exit(77)
    if words[:1] == ["--picture"] and len(words) == 3:
        return take_picture(*words[1:])
    if words[:1] == ["--pictures"] and len(words) == 2:
        PICTURES = str(pathlib.Path(words[1]).resolve())
        pathlib.Path(PICTURES).mkdir(parents=True, exist_ok=True)
        words = []
    if words:
        sys.exit(__doc__)
    unittest.main(argv=sys.argv[:1], verbosity=2)


if __name__ == "__main__":
    main()
