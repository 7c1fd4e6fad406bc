#!/usr/bin/python3
"""A study's report.html as a browser shows it.

    study_test.py BIN [--pictures FOLDER]

BIN is the folder of Parley's programs. Needs Debian's chromium; exit code 77,
skipped, where it is not there.
"""

import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

from report_test import EXAMPLES, Browser, colors

# Presses all that can be pressed, and asks for what hovering would show.
PRESS = """<script>
const seen = {errors: [], tips: 0, lines: [], charts: []};
addEventListener("error", (event) => seen.errors.push(event.message));
const all = (selector) => [...document.querySelectorAll(selector)];
const canvases = () => all("#charts canvas").map((canvas) => Chart.getChart(canvas));
for (const id of ["rule", "partition", "seed", "theme"]) {
  const count = all(`#${id} button`).length;
  for (let i = 0; i < count; ++i) {
    all(`#${id} button`)[i].click();
    seen.charts.push(canvases().length);
  }
}
const count = all("#lines button").length;
for (let i = 0; i < count; ++i) all("#lines button")[i].click();
seen.lines.push(count, all('#lines button[aria-pressed="true"]').length);
for (let i = 0; i < count; ++i) all("#lines button")[i].click();
for (const chart of canvases()) {
  if (chart.config.type !== "line") continue;
  chart.tooltip.setActiveElements([{datasetIndex: 0, index: 0}], {x: 10, y: 10});
  chart.update();
  seen.tips += chart.tooltip.body.length > 0;
}
const before = canvases().map((chart) => chart.options.scales.y.type);
for (let i = 0; i < all("#charts article").length; ++i) {
  const button = all("#charts article")[i].querySelector("header button");
  if (button) button.click();
}
const after = canvases().map((chart) => chart.options.scales.y.type);
seen.toggled = before.filter((type, i) => type !== after[i]).length;
document.documentElement.dataset.seen = JSON.stringify(seen);
</script>"""


def study(file, folder, *sets, cwd):
    words = [word for one in sets for word in ("--set", one)]
    subprocess.run([BIN / "parley", "study", "implicit-bias", file, "--dir", folder, *words],
                   cwd=cwd, check=True, capture_output=True, timeout=250, stdin=subprocess.DEVNULL)
    return f"{cwd}/{folder}/report.html"


class StudyTest(unittest.TestCase):
    def setUp(self):
        temp = tempfile.TemporaryDirectory()
        self.addCleanup(temp.cleanup)
        self.cwd = temp.name
        self.browser = Browser(CHROMIUM, f"{temp.name}/browser")

    def opens(self, page, name, titles):
        for theme in ("light", "dark"):
            told = self.browser.told(page, f"theme={theme}")
            self.assertEqual(told["errors"], [])
            self.assertEqual(told["blank"], [])
            self.assertFalse(told["wide"], "the page is wider than the window")
            for title in titles:
                self.assertTrue(any(chart.startswith(title) for chart in told["charts"]),
                                f"{title} is not among {told['charts']}")
            out = f"{PICTURES or self.cwd}/{name}-{theme}.png"
            self.browser.picture(page, out, f"theme={theme}", height=5200)
            self.assertGreater(len(colors(out)), 8, out)
        self.assertFalse(self.browser.told(page, width=420)["wide"])

    def test_a_sweep(self):
        page = study(EXAMPLES / "implicit_bias.textproto", "sweep", "run.stop.rounds=200",
                     "implicit_bias.local_steps=[1, 8, 64]", "implicit_bias.seed=[1, 2]",
                     cwd=self.cwd)
        self.opens(page, "study-sweep", [
            "Gap to the max-margin direction, at equal rounds",
            "Gap to the max-margin direction, at equal gradient steps",
            "Gap to the max-margin direction, at equal bytes", "1/gap", "f·ηLk·γ²", "‖w‖", "Margin",
            "ln f", "Gap to centralized descent, at equal rounds",
            "Gap to centralized descent, at equal gradient steps", "Client drift",
            "Gap of the clients' own models", "Last gap against 1/|ln λ|",
            "local_gd: gap at the end, by step size and L"])
        text = pathlib.Path(page)
        text.write_text(text.read_text().replace("</body>", PRESS + "</body>"))
        seen = self.browser.told(page, attribute="seen")
        self.assertEqual(seen["errors"], [])
        self.assertGreater(min(seen["charts"]), 10)
        self.assertGreater(seen["lines"][0], 5)
        self.assertEqual(seen["lines"][1], 0)  # every one can be switched off
        self.assertGreater(seen["tips"], 10)
        self.assertGreater(seen["toggled"], 10)

    def test_two_dimensions(self):
        page = study(EXAMPLES / "implicit_bias_plane.textproto", "plane", "run.stop.rounds=100",
                     cwd=self.cwd)
        self.opens(page, "study-plane", ["The rows, and the direction of w on the circle"])

    def test_what_nothing_separates(self):
        file = pathlib.Path(self.cwd, "noise.textproto")
        file.write_text("""
run {
  data {
    train { mixture { rows: 60 features: 3 separation: 0.5 } }
    partition { parts: 3 dirichlet { alpha: 1 } }
  }
  stop { rounds: 300 }
}
implicit_bias { algorithm { local_gd {} } local_steps: [1, 4, 16] step_size { fixed: 0.05 } }
""")
        page = study(file, "noise", cwd=self.cwd)
        self.opens(page, "study-noise", ["‖w − w*‖ at the end, against L",
                                         "Distance to the minimum"])

    def test_nothing_was_run(self):
        file = pathlib.Path(self.cwd, "failed.textproto")
        file.write_text("""
run {
  data { train { mixture { rows: 20 features: 3 } } }
  cohort { deadline_seconds: 0.000001 }
  stop { rounds: 3 }
}
implicit_bias { algorithm { local_gd {} } step_size { fixed: 0.05 } }
""")
        done = subprocess.run([BIN / "parley", "study", "implicit-bias", file, "--dir", "failed"],
                              cwd=self.cwd, capture_output=True, timeout=100, check=False)
        self.assertEqual(done.returncode, 1)
        told = self.browser.told(f"{self.cwd}/failed/report.html")
        self.assertEqual((told["errors"], told["charts"]), ([], []))
        self.assertIn("Failed:", self.browser.dom(f"{self.cwd}/failed/report.html"))


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
    if words[:1] == ["--pictures"] and len(words) == 2:
        PICTURES = str(pathlib.Path(words[1]).resolve())
        pathlib.Path(PICTURES).mkdir(parents=True, exist_ok=True)
        words = []
    if words:
        sys.exit(__doc__)
    unittest.main(argv=sys.argv[:1], verbosity=2)


if __name__ == "__main__":
    main()
