"""The README's code, as it stands there, but for the coordinator's address."""

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
    watch = compile(localized(WATCH), "README", "exec")
    watcher = threading.Thread(
        target=exec, args=(watch, {"print": lambda *words: statuses.append(words)}))
    watcher.start()
    done = subprocess.run([sys.executable, "-c", localized(CLIENT)], capture_output=True,
                          text=True, timeout=90)
    assert (done.returncode, done.stderr) == (0, "")
    assert server.wait() == 0
    watcher.join(90)
    assert statuses[-1][:2] == ("FINISHED", 20) and ["site-1"] in [s[3] for s in statuses]
    exec(localized(METRICS), {})
    loss, model = capsys.readouterr().out.split(" ", 1)
    assert 0 < float(loss) < 2 and model.startswith("[")
