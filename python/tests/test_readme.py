"""The README's code, as it stands there, but for the coordinator's address, and
that its client waits until it was seen."""

import re
import subprocess
import sys
import threading

import numpy as np

from conftest import TOP

README = (TOP / "python" / "README.md").read_text()
CLIENT, START, WATCH, METRICS = re.findall(r"```python\n(.*?)```", README, re.S)
RUN_FILE = re.search(r"# ours.textproto\n(.*?)\n\n", README, re.S)[1]


def test_the_readme_works(serve, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(START, {"np": np})
    server = serve(RUN_FILE)

    def localized(code):
        code = code.replace("localhost:7070", server.address)
        return "import parley\n" + code.replace("runs/ours", str(server.folder))

    statuses = []
    seen = tmp_path / "seen"

    def tell(*words):
        statuses.append(words)
        if "site-1" in words[3]:
            seen.touch()

    watch = compile(localized(WATCH), "README", "exec")
    watcher = threading.Thread(target=exec, args=(watch, {"print": tell}))
    watcher.start()
    # A status comes every 100 ms at most, and the 20 rounds may be over by then.
    body = "def train(parameters, task):\n"
    assert CLIENT.count(body) == 1
    client = CLIENT.replace(
        body, f"{body}    while not os.path.exists({str(seen)!r}): time.sleep(0.01)\n")
    done = subprocess.run([sys.executable, "-c", "import os, time\n" + localized(client)],
                          capture_output=True, text=True, timeout=90)
    assert (done.returncode, done.stderr) == (0, "")
    assert server.wait() == 0
    watcher.join(90)
    assert statuses[-1][:2] == ("FINISHED", 20) and seen.exists()
    exec(localized(METRICS), {})
    loss, model = capsys.readouterr().out.split(" ", 1)
    assert 0 < float(loss) < 2 and model.startswith("[")
