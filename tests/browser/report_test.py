#!/usr/bin/python3
"""report.html as a browser shows it.

    report_test.py BIN [--pictures FOLDER]     the test; pictures of all it opens
    report_test.py BIN --measure               how long a large report takes to open
    report_test.py BIN --picture RUN OUT.png   a picture of a run's report, as in docs/

BIN is the folder of Parley's programs. Needs Debian's chromium; exit code 77,
skipped, where it is not there.
"""

import html
import json
import math
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"
QUICK = str(EXAMPLES / "mixture_quick.textproto")
BIG = """
model { softmax {} }
data {
  train { mixture { rows: 6000 features: 4 classes: 10 noise: 2 } }
  test { mixture { rows: 500 features: 4 classes: 10 noise: 2 } }
  partition { parts: 100 dirichlet { alpha: 0.3 min_rows: 10 } }
  held_out: 0.3
}
local { sgd { batch_size: 32 steps: 1 } step_size { initial: 0.01 } }
stop { rounds: 1000 }
"""
STRANGE = {
    "client-0001": "</script><b>bold</b><script>x(",
    "client-0002": "a-very-long-name-" * 12,
    "client-0003": "名前 \u2028 <!-- <script>",
    "client-0004": "&lt;x&gt; \" ' \\ ` ${1} %s \u0000",
}
# Presses everything that can be pressed, and asks for what hovering would show.
PRESS = """<script>
const seen = {errors: [], tips: [], titles: []};
addEventListener("error", (event) => seen.errors.push(event.message));
const all = (selector) => [...document.querySelectorAll(selector)];
for (const text of ["bytes", "time", "dark", "light", "rounds"]) {
  all("header button").find((button) => button.textContent === text).click();
}
const plots = () => all("#charts article");
for (let i = 0; i < plots().length; ++i) plots()[i].querySelector("header button").click();
document.getElementById("log-x").click();
seen.scales = all("#charts canvas").map((canvas) => Chart.getChart(canvas).options.scales)
    .map((scales) => scales.x.type + " " + scales.y.type);
for (let i = 0; i < plots().length; ++i) plots()[i].querySelector("header button").click();
document.getElementById("log-x").click();
for (const canvas of all("#charts canvas")) {
  const chart = Chart.getChart(canvas);
  chart.tooltip.setActiveElements([{datasetIndex: 0, index: 1}], {x: 10, y: 10});
  chart.update();
  seen.tips.push(chart.tooltip.title.concat(chart.tooltip.body.flatMap((part) => part.lines)).join());
}
for (const canvas of all("#run-charts canvas")) {
  const area = Chart.getChart(canvas).chartArea, box = canvas.getBoundingClientRect();
  canvas.dispatchEvent(new MouseEvent("mousemove", {
    clientX: box.left + area.left + 3, clientY: box.top + area.top + 3}));
  seen.tips.push(document.getElementById("tip").textContent);
}
all("#charts .keys button").forEach((button) => button.click());
seen.visible = all("#charts canvas").map((canvas) => Chart.getChart(canvas))
    .map((chart) => chart.getVisibleDatasetCount());
seen.keys = all("#charts .keys").map((keys) => keys.querySelectorAll("button").length);
all("#which button").forEach((button) => {
  button.click();
  seen.titles.push(all("#run-charts h2").map((title) => title.textContent).join());
});
document.documentElement.dataset.seen = JSON.stringify(seen);
</script>"""

# What a gossip run's charts show: the consensus distance with its keys, and what
# hovering tells of each cell of the traffic, row by row.
LOOK = """<script>
const named = (name) => document.querySelector(`canvas[aria-label="${name}"]`);
const consensus = named("Consensus distance, (1/m) Σ ‖x − x̄‖²");
const traffic = named("Bytes from peer to peer"), cells = [];
const area = Chart.getChart(traffic).chartArea, box = traffic.getBoundingClientRect();
for (let row = 0.5; row < 8; ++row) {
  for (let column = 0.5; column < 8; ++column) {
    traffic.dispatchEvent(new MouseEvent("mousemove", {
      clientX: box.left + area.left + area.width * column / 8,
      clientY: box.top + area.top + area.height * row / 8}));
    cells.push(document.getElementById("tip").textContent);
  }
}
document.documentElement.dataset.seen = JSON.stringify({
  keys: [...consensus.closest("article").querySelectorAll(".keys button")]
      .map((key) => key.textContent),
  lines: Chart.getChart(consensus).data.datasets.map(({data}) => data.map(({x, y}) => [x, y])),
  cells});
</script>"""


class Browser:
    """A browser without a screen; each page is opened by a process of its own."""

    def __init__(self, program, home):
        self._words = [program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                       "--disable-dev-shm-usage", "--no-first-run", f"--user-data-dir={home}"]

    def _run(self, *words):
        done = subprocess.run([*self._words, *words], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=200, check=False)
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return done.stdout.decode()

    def dom(self, page, query="", width=1280):
        """The document once its scripts have run."""
        return self._run(f"--window-size={width},1500", "--dump-dom", f"file://{page}?{query}")

    def told(self, page, query="", attribute="check", width=1280):
        """What the page says of itself in data-ATTRIBUTE."""
        found = re.search(f'data-{attribute}="([^"]*)"', self.dom(page, "check&" + query, width))
        assert found, f"{page} does not say data-{attribute}: its script did not end"
        return json.loads(html.unescape(found[1]))

    def picture(self, page, out, query="", width=1280, height=2000):
        self._run(f"--window-size={width},{height}", f"--screenshot={out}", f"file://{page}?{query}")


def parley(*words, cwd, code=0):
    done = subprocess.run([BIN / "parley", *words], cwd=cwd, capture_output=True, text=True,
                          timeout=200, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def rewrite(folder, change):
    """Changes each round of a run's metrics.jsonl."""
    path = pathlib.Path(folder, "metrics.jsonl")
    rounds = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(change(r)) + "\n" for r in rounds))


def renamed(value):
    if isinstance(value, str):
        return STRANGE.get(value, value)
    if isinstance(value, list):
        return [renamed(item) for item in value]
    if isinstance(value, dict):
        return {key: renamed(item) for key, item in value.items()}
    return value


def make_big(folder):
    pathlib.Path(folder, "big.textproto").write_text(BIG)
    parley("simulate", "big.textproto", "--dir", "big", cwd=folder)
    return f"{folder}/big/report.html"


ALL_LINES = ["Loss", "Accuracy", "Accuracy by client", "Seconds a round, by phase",
             "Bytes since the start", "Clients", "first_loss, mean over the clients"]
DIRECTION_LINES = ["Gap of the model", "Gap to the reference",
                   "Margin, as a share of the largest", "Logarithm of the loss",
                   "Norm of the model", "Client drift, as a share of the mean change",
                   "Gap of the clients' own models to the reference"]
ALL_MATRICES = ["Rows by label and part", "Who counted",
                "Accuracy of each client on its held-out rows"]


class ReportTest(unittest.TestCase):
    def setUp(self):
        temp = tempfile.TemporaryDirectory()
        self.addCleanup(temp.cleanup)
        self.cwd = temp.name
        self.browser = Browser(CHROMIUM, f"{temp.name}/browser")

    def simulate(self, name, *sets, code=0):
        words = [word for one in sets for word in ("--set", one)]
        parley("simulate", QUICK, "--dir", name, *words, cwd=self.cwd, code=code)
        return f"{self.cwd}/{name}/report.html"

    def opens(self, page, charts, name):
        """Opens the page in every way, and leaves pictures."""
        for query in ("theme=light&axis=bytes", "theme=dark&axis=time"):
            told = self.browser.told(page, query)
            with self.subTest(page=name, query=query):
                self.assertEqual(told["errors"], [])
                self.assertEqual(told["blank"], [])
                self.assertFalse(told["wide"], "the page is wider than the window")
                self.assertEqual(told["charts"], charts)
        for theme in ("light", "dark"):
            out = f"{PICTURES or self.cwd}/{name}-{theme}.png"
            self.browser.picture(page, out, f"theme={theme}")
            self.assertGreater(len(colors(out)), 8, out)

    def test_a_run(self):
        page = self.simulate("one")
        self.opens(page, ALL_LINES + ALL_MATRICES, "one")
        self.assertFalse(self.browser.told(page, width=420)["wide"])

    def test_a_gossip_run(self):
        with open(f"{self.cwd}/g.textproto", "w") as file:
            file.write("""
                model { softmax {} }
                data { train { mixture { rows: 600 features: 10 classes: 3 } }
                       test { mixture { rows: 200 features: 10 classes: 3 } }
                       partition { parts: 8 dirichlet { alpha: 1 min_rows: 10 } } }
                local { sgd { batch_size: 10 steps: 5 } step_size { initial: 0.1 } }
                gossip { topology { ring {} } } stop { rounds: 12 }""")
        parley("run", "g.textproto", "--dir", "g", cwd=self.cwd)
        page = f"{self.cwd}/g/report.html"
        self.opens(page, [
            "Loss", "Accuracy", "Consensus distance, (1/m) Σ ‖x − x̄‖²",
            "Contraction of ‖x − x̄‖ by a round's mixing", "Ends of edges",
            "Conservation error, relative", "Sum Σx of the peers' models", "Accuracy by peer",
            "Seconds a round, by phase", "Bytes since the start", "Clients",
            "first_loss, mean over the clients", "Bytes from peer to peer",
            "Rows by label and part", "Who counted",
            "Accuracy of each peer's own model on the test set"], "gossip")
        dom = self.browser.dom(page)
        self.assertIn('aria-label="Who exchanges with whom"', dom)
        self.assertRegex(dom, r"Σ over the peers conserved (exactly|to \de-\d+); nothing written off\.")
        self.shows_how_far_apart_peers_are(pathlib.Path(page))

    def shows_how_far_apart_peers_are(self, page):
        page.write_text(page.read_text().replace("</body>", LOOK + "</body>"))
        seen = self.browser.told(page, attribute="seen")
        rounds = [json.loads(line)
                  for line in page.with_name("metrics.jsonl").read_text().splitlines()]
        self.assertEqual(seen["keys"], ["measured", "ρ^2k, were there mixing alone"])
        measured, alone = map(dict, seen["lines"])
        apart = {r["round"]: r["metrics"]["consensus"] for r in rounds
                 if r["metrics"]["consensus"] > 0}
        self.assertEqual(measured.keys(), apart.keys())
        for x, y in measured.items():
            self.assertAlmostEqual(y / apart[x], 1, delta=1e-6)  # of seven digits
        # ρ^2k of the first distance: a ring of eight has ρ = (1 + 2 cos 45°)/3.
        rho, first = (1 + 2 * math.cos(math.pi / 4)) / 3, min(apart)
        self.assertGreater(len(alone), 3)
        self.assertEqual(min(alone), first)
        for x, y in alone.items():
            self.assertAlmostEqual(y / (apart[first] * rho ** (2 * (x - first))), 1, delta=1e-5)
        # Each round and each of a ring's edges, and along the ring the average.
        sent = {}
        for r in rounds:
            for edge in r["edges"]:
                sent[edge[0], edge[1]] = sent.get((edge[0], edge[1]), 0) + edge[2]
        self.assertEqual(len(sent), 16)
        for place, tells in enumerate(seen["cells"]):
            a, b = divmod(place, 8)
            bytes_sent = f"{sent[a, b] / 1000:.3g} kB" if (a, b) in sent else "nothing"
            self.assertEqual(tells, f"from client-{a + 1:04} to client-{b + 1:04}: {bytes_sent}")

    def test_runs_laid_over_each_other(self):
        for seed in (1, 2, 3):
            self.simulate(f"run{seed}", f"seed={seed}", f"local.step_size.initial=0.0{seed}")
        out = parley("report", "run1", "run2", "run3/", cwd=self.cwd)
        self.assertEqual(out, "report.html\n")
        charts = [c.replace("Seconds a round, by phase", "Seconds a round") for c in ALL_LINES]
        self.opens(f"{self.cwd}/report.html", charts + ALL_MATRICES, "three")
        dom = self.browser.dom(f"{self.cwd}/report.html")
        for seed in (1, 2, 3):
            self.assertIn(f">run{seed}<", dom)

    def test_a_large_run(self):
        self.opens(make_big(self.cwd), ALL_LINES + ALL_MATRICES, "large")

    def test_a_run_whose_direction_was_measured(self):
        for seed in (1, 2):
            parley("simulate", str(EXAMPLES / "direction_gap.textproto"), "--dir", f"gap{seed}",
                   "--set", f"seed={seed}", "--set", "stop.rounds=150", cwd=self.cwd)
        page = f"{self.cwd}/gap1/report.html"
        lines = [c for c in ALL_LINES if "Accuracy" not in c]
        charts = lines[:1] + DIRECTION_LINES + lines[1:] + ["log_loss, mean over the clients"]
        self.opens(page, charts + ALL_MATRICES[:2], "direction")
        dom = self.browser.dom(page)
        self.assertIn("60 rows × 100 features of 5 clients are separable with margin", dom)
        self.assertIn("<span>Gap</span>", dom)
        pressed = pathlib.Path(self.cwd, "pressed.html")
        pressed.write_text(pathlib.Path(page).read_text().replace("</body>", PRESS + "</body>"))
        seen = self.browser.told(pressed, attribute="seen")
        self.assertEqual(seen["errors"], [])
        # The buttons turn round what is so from the start.
        self.assertEqual(seen["scales"][1], "linear linear")
        self.assertEqual(seen["scales"][3], "linear logarithmic")
        self.assertRegex(seen["tips"][1], r"^round 2  ·  0:\d\d  ·  [\d.]+ kB, to the reference  \d")
        parley("report", "gap1", "gap2", cwd=self.cwd)
        told = self.browser.told(f"{self.cwd}/report.html")
        self.assertEqual((told["errors"], told["blank"]), ([], []))
        self.assertLessEqual(set(DIRECTION_LINES), set(told["charts"]))
        # Beside a run that was not measured.
        self.simulate("plain")
        parley("report", "plain", "gap1", cwd=self.cwd)
        told = self.browser.told(f"{self.cwd}/report.html")
        self.assertEqual((told["errors"], told["blank"]), ([], []))

    def test_a_run_that_failed_in_its_first_round(self):
        page = self.simulate("failed", "cohort.deadline_seconds=0.000001", "cohort.too_few=FAIL",
                             code=1)
        self.opens(page, ["Rows by label and part"], "failed")
        dom = self.browser.dom(page)
        self.assertIn("too few clients answered", dom)
        self.assertIn("No round was completed", dom)

    def test_a_run_without_evaluation(self):
        page = self.simulate("blind", "evaluation.central=false", "evaluation.federated=false")
        self.opens(page, [c for c in ALL_LINES + ALL_MATRICES if "Accuracy" not in c], "blind")

    def test_names_that_are_long_or_strange(self):
        self.simulate("strange")

        def change(one):
            one = renamed(one)
            one["refused"] = [{"client": one["counted"].pop(0), "reason": "</script><b>no</b> " * 20}]
            one["metrics"] = {name: 1.5 for name in ("</script>", "__proto__", "constructor")}
            return one
        rewrite(f"{self.cwd}/strange", change)
        parley("report", "strange", cwd=self.cwd)
        page = f"{self.cwd}/strange/report.html"
        lines = ALL_LINES[:-1] + [f"{name}, mean over the clients"
                                  for name in ("</script>", "__proto__", "constructor")]
        self.opens(page, lines + ALL_MATRICES, "strange")
        dom = self.browser.dom(page)
        self.assertNotIn("<b>no", dom)
        self.assertNotIn("<b>bold", dom)
        self.assertIn("&lt;/script&gt;&lt;b&gt;no", dom)  # the table of reasons
        # Beside a run that has no such names.
        self.simulate("plain")
        parley("report", "plain", "strange", cwd=self.cwd)
        told = self.browser.told(f"{self.cwd}/report.html")
        self.assertEqual((told["errors"], told["blank"]), ([], []))

    def test_what_can_be_pressed(self):
        self.simulate("a", "seed=1")
        page = pathlib.Path(self.simulate("b", "seed=2"))
        page.write_text(page.read_text().replace("</body>", PRESS + "</body>"))
        seen = self.browser.told(page, attribute="seen")
        self.assertEqual(seen["errors"], [])
        self.assertEqual(set(seen["scales"]), {"logarithmic logarithmic"})
        self.assertEqual(len(seen["tips"]), len(ALL_LINES + ALL_MATRICES))
        for tip in seen["tips"][:len(ALL_LINES)]:
            self.assertRegex(tip, r"^round 2  ·  0:0\d  ·  [\d.]+ kB, .*\d")
        self.assertRegex(seen["tips"][-3], r"^part 0, label 0: \d+ of \d+ rows$")
        self.assertRegex(seen["tips"][-2], r"^client-0001, round 1: counted")
        self.assertRegex(seen["tips"][-1], r"^client-0001, round 1: [\d.]+ %$")
        # Every series has been switched off but where there is only one.
        self.assertEqual([bool(count) for count in seen["visible"]],
                         [keys == 0 for keys in seen["keys"]])
        parley("report", "a", "b", "--out", "both.html", cwd=self.cwd)
        page = pathlib.Path(self.cwd, "both.html")
        page.write_text(page.read_text().replace("</body>", PRESS + "</body>"))
        seen = self.browser.told(page, attribute="seen")
        self.assertEqual(seen["errors"], [])
        self.assertEqual(seen["titles"], [",".join(ALL_MATRICES)] * 2)

    def test_the_check_sees_what_is_wrong(self):
        page = pathlib.Path(self.simulate("one"))
        text = page.read_text()
        for before, after, member in (
                ('"cells":', '"sells":', "errors"),
                ("ctx.drawImage(image", "void (image", "blank")):
            self.assertIn(before, text)
            page.write_text(text.replace(before, after))
            self.assertNotEqual(self.browser.told(page)[member], [], after)


def colors(path):
    """The colours of a PNG of 8 bits a channel."""
    data, at, packed = pathlib.Path(path).read_bytes(), 8, b""
    width, height, depth, kind = struct.unpack(">IIBB", data[16:26])
    assert depth == 8 and kind in (2, 6), (depth, kind)
    while at < len(data):
        length, name = struct.unpack(">I4s", data[at:at + 8])
        if name == b"IDAT":
            packed += data[at + 8:at + 8 + length]
        at += 12 + length
    raw, size = zlib.decompress(packed), 3 if kind == 2 else 4
    assert len(raw) == height * (1 + width * size)
    # Of filtered bytes, so not the colours themselves: many are many all the same.
    return {raw[i:i + size] for i in range(1, len(raw) - size, 997)}


def measure():
    """Opens a report of 1,000 rounds with 100 clients several times."""
    with tempfile.TemporaryDirectory() as folder:
        page = make_big(folder)
        size = pathlib.Path(page).stat().st_size
        times = sorted(Browser(CHROMIUM, f"{folder}/browser").told(page)["milliseconds"]
                       for _ in range(7))
        print(f"1,000 rounds, 100 clients: {size / 1e6:.1f} MB; all charts drawn after "
              f"{times[0]:.0f} to {times[-1]:.0f} ms, median {times[3]:.0f}")


def main():
    global BIN, CHROMIUM, PICTURES
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    BIN, words = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:]
    PICTURES = None
    CHROMIUM = shutil.which("chromium")
    if CHROMIUM is None:
        print("skipped: there is no chromium (apt-get install chromium)")
        sys.exit(77)
    if words[:1] == ["--measure"] and len(words) == 1:
        return measure()
    if words[:1] == ["--picture"] and len(words) == 3:
        with tempfile.TemporaryDirectory() as home:
            page = pathlib.Path(words[1], "report.html").resolve(strict=True)
            Browser(CHROMIUM, home).picture(page, words[2], "theme=light", 1120, 1520)
        return None
    if words[:1] == ["--pictures"] and len(words) == 2:
        PICTURES = str(pathlib.Path(words[1]).resolve())
        pathlib.Path(PICTURES).mkdir(parents=True, exist_ok=True)
        words = []
    if words:
        sys.exit(__doc__)
    unittest.main(argv=sys.argv[:1], verbosity=2)


if __name__ == "__main__":
    main()
